//! An app's life: created, running, scaled, killed, deleted.

mod stage;

use services::What;
use services::group::GroupId;
use stage::{ROOMY, Stage, app, id};

#[test]
fn an_app_is_deployed_scaled_and_deleted() {
    let mut stage = Stage::new();
    stage.agents(2, ROOMY);
    stage.create(app("/web", 3));
    assert_eq!(stage.steps(), "Start /web; Scale /web");
    stage.calm();
    assert_eq!(stage.live(), 3);
    assert!(stage.view().deployments.is_empty(), "the deployment is over");
    assert!(stage.told.iter().any(|what| matches!(what, What::DeploymentSuccess { .. })));
    assert_eq!(stage.view().counts[&id("/web")].running, 3);
    stage.put(app("/web", 5), false).expect("scaled up");
    assert_eq!(stage.steps(), "Scale /web");
    stage.calm();
    assert_eq!(stage.live(), 5);
    stage.put(app("/web", 1), false).expect("scaled down");
    stage.calm();
    assert_eq!(stage.live(), 1);
    stage.delete("/web");
    assert!(!stage.view().apps.contains_key(&id("/web")));
    assert_eq!(stage.steps(), "Stop /web");
    stage.calm();
    assert_eq!(stage.live(), 0);
    let view = stage.view();
    assert!(view.deployments.is_empty() && view.instances.is_empty() && view.queue.is_empty());
    assert_eq!(view.group_versions(&GroupId::Root).len(), 4, "it is past, and not forgotten");
    assert!(stage.told.iter().any(|what| matches!(what, What::AppTerminated { .. })));
}
