//! Offer constraints of a framework, over HTTP and on a real cluster of two agents in two zones.

use mesos_v1::scheduler::call::{Type, UpdateFramework};
use mesos_v1::scheduler::{Call, OfferConstraints, event};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::frameworks::Scheduler;

fn only(zone: &str) -> Value {
    let constraint = json!({"selector": {"pseudoattribute_type": "ZONE"},
        "predicate": {"text_equals": {"value": zone}}});
    json!({"role_constraints": {"*": {"groups": [{"attribute_constraints": [constraint]}]}}})
}

fn read(constraints: Value) -> OfferConstraints {
    mesos_v1::json::from_value(constraints).expect("well formed")
}

/// Of the agents of the next offers.
async fn offered(scheduler: &mut Scheduler) -> Vec<String> {
    let offers = scheduler.until(event::Type::Offers).await.offers.expect("of that type").offers;
    let zone = |offer: &mesos_v1::Offer| {
        let domain = offer.domain.clone().and_then(|domain| domain.fault_domain);
        domain.expect("agents have one").zone.name
    };
    offers.iter().map(zone).collect()
}

async fn update(scheduler: &Scheduler, offer_constraints: Option<OfferConstraints>) -> u16 {
    let update = UpdateFramework {
        framework_info: scheduler.info(),
        offer_constraints,
        ..UpdateFramework::default()
    };
    let call = Call {
        r#type: Some(Type::UpdateFramework.into()),
        framework_id: scheduler.id.clone(),
        update_framework: Some(update),
        ..Call::default()
    };
    scheduler.post(&call).await.expect("the cluster answers").status().as_u16()
}

async fn shown(cluster: &Cluster, scheduler: &Scheduler) -> Value {
    let all = cluster.fetch(&format!("http://{}/mesos/frameworks", cluster.ip)).await;
    let all: Value = serde_json::from_str(&all.expect("an answer")).expect("JSON");
    let id = scheduler.id.as_ref().expect("it is subscribed").value.as_str();
    let all = all["frameworks"].as_array().expect("a list");
    let own = all.iter().find(|one| one["id"] == id).expect("it is shown");
    own["offer_constraints"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_framework_is_offered_what_it_wants_and_changes_its_mind() {
    let flags = ["--agents", "2", "--region", "eu", "--zone", "a,b"];
    let cluster = Cluster::start("127.80.69.1", &flags).await;
    let mut scheduler = Scheduler::new(&cluster);
    scheduler.constraints = Some(read(only("a")));
    scheduler.subscribe().await;
    assert_eq!(offered(&mut scheduler).await, ["a"]);
    assert_eq!(shown(&cluster, &scheduler).await, only("a"));

    assert_eq!(update(&scheduler, Some(read(only("b")))).await, 200);
    scheduler.until(event::Type::Rescind).await;
    assert_eq!(offered(&mut scheduler).await, ["b"]);
    assert_eq!(shown(&cluster, &scheduler).await, only("b"));

    // What makes no sense changes nothing.
    let mut bad = only("a");
    let group = &mut bad["role_constraints"]["*"]["groups"][0];
    group["attribute_constraints"][0]["predicate"] = json!({"text_matches": {"regex": "("}});
    assert_eq!(update(&scheduler, Some(read(bad))).await, 400);
    assert_eq!(shown(&cluster, &scheduler).await, only("b"));

    // Without constraints the other agent is offered as well.
    assert_eq!(update(&scheduler, None).await, 200);
    assert_eq!(offered(&mut scheduler).await, ["a"]);
    assert_eq!(shown(&cluster, &scheduler).await, Value::Null);
    scheduler.says(Call { r#type: Some(Type::Teardown.into()), ..Call::default() }).await;
}
