//! How much processor time the containers of all tasks use, where what they leave idle is lent to others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use model::id::ContainerId;
use model::resources::Scalar;
use node::{Input, Load};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Hands;

/// Measures until it is told to end.
pub(super) async fn weigh(hands: Hands, every: Duration, ending: CancellationToken) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: BTreeMap<ContainerId, (Instant, Duration)> = BTreeMap::new();
    let mut was_idle = true;
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = ticks.tick() => (),
        }
        let view = hands.tools.board.view();
        let mut last = std::mem::take(&mut before);
        let mut loads = Vec::new();
        for (container, _) in view.held.iter().filter(|(_, held)| held.is_running()) {
            // It may end at any moment: then it uses nothing any more.
            let Ok(usage) = hands.tools.containers.usage(container) else { continue };
            let (now, spent) = (Instant::now(), usage.cpu_user + usage.cpu_system);
            if let Some((then, earlier)) = last.remove(container) {
                let cpus = share(spent.saturating_sub(earlier), now.duration_since(then));
                loads.push(Load { container: container.clone(), cpus });
            }
            before.insert(container.clone(), (now, spent));
        }
        // Once the last task has ended that is told, and no more.
        let is_idle = view.held.is_empty();
        if !(is_idle && was_idle) {
            hands.tell(Input::Loaded { loads });
        }
        was_idle = is_idle;
    }
}

/// Processors on the average, of time computed within another.
fn share(spent: Duration, span: Duration) -> Scalar {
    let millis = spent.as_micros().saturating_mul(1000) / span.as_micros().max(1);
    Scalar(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_told_in_thousandths() {
        let check = |spent: u64, span: u64, cpus: u64| {
            let told = share(Duration::from_millis(spent), Duration::from_millis(span));
            assert_eq!(told, Scalar(cpus));
        };
        check(0, 5_000, 0);
        check(2_500, 5_000, 500);
        check(10_000, 5_000, 2_000);
        check(1, 0, 1_000_000);
    }
}
