//! How much tasks use, for those whose frameworks ask for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use containers::spec::Usage;
use model::id::ContainerId;
use model::resources::{Resources, Scalar};
use node::{Input, Measured};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Hands;

/// From one measurement to the next.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);

/// Measures until it is told to end. Costs nothing while no task is to be measured.
pub(super) async fn measure(hands: Hands, ending: CancellationToken) {
    let mut ticks = interval(MEASURE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: BTreeMap<ContainerId, (Instant, Duration)> = BTreeMap::new();
    loop {
        tokio::select! {
            () = ending.cancelled() => return,
            _ = ticks.tick() => (),
        }
        let view = hands.tools.board.view();
        let asked = view.held.iter().filter(|(_, held)| held.info.measured && held.is_running());
        let mut last = std::mem::take(&mut before);
        let mut tasks = Vec::new();
        for (container, held) in asked {
            // It may end at any moment: then it uses nothing worth telling.
            let Ok(usage) = hands.tools.containers.usage(container) else { continue };
            let (now, spent) = (Instant::now(), usage.cpu_user + usage.cpu_system);
            if let Some((then, earlier)) = last.remove(container) {
                let span = now.duration_since(then);
                let cpu = spent.saturating_sub(earlier);
                tasks.push(share(container, &held.info.resources, &usage, (cpu, span)));
            }
            before.insert(container.clone(), (now, spent));
        }
        if !tasks.is_empty() {
            hands.tell(Input::Measured { tasks });
        }
    }
}

/// What a container used of what it is allotted; `cpu` is the time that it computed within another.
fn share(
    container: &ContainerId,
    allotted: &Resources,
    usage: &Usage,
    (cpu, span): (Duration, Duration),
) -> Measured {
    let thousandths = |part: u128, of: u128| {
        Scalar(u64::try_from(part.saturating_mul(1000) / of.max(1)).unwrap_or(u64::MAX))
    };
    let may_compute = span.as_micros() * u128::from(allotted.cpus().0) / 1000;
    let may_hold = u128::from(allotted.mem().0) * (1 << 20) / 1000;
    Measured {
        container: container.clone(),
        cpu: thousandths(cpu.as_micros(), may_compute),
        mem: thousandths(usage.memory_rss_bytes.into(), may_hold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_told_in_thousandths_of_what_is_allotted() {
        let check = |cpu_ms: u64, rss_mib: u64, cpu: u64, mem: u64| {
            let allotted: Resources = "cpus:0.5;mem:64".parse().expect("resources");
            let usage = Usage { memory_rss_bytes: rss_mib << 20, ..Usage::default() };
            let spent = (Duration::from_millis(cpu_ms), Duration::from_secs(10));
            let told = share(&ContainerId::new("c"), &allotted, &usage, spent);
            assert_eq!((told.cpu, told.mem), (Scalar(cpu), Scalar(mem)));
        };
        check(0, 0, 0, 0);
        check(2_500, 32, 500, 500);
        check(10_000, 64, 2_000, 1_000);
    }
}
