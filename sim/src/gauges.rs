//! How much apps are used: numbers that agents measure and numbers that somebody reports. They stay for a while and then
//! jump, or no pressure would ever last.

use model::resources::Scalar;
use node::{Input, Measured};
use services::Order;
use services::spec::AppId;

use crate::host::Alive;
use crate::operator::Asked;
use crate::parcel::{Host, Parcel};
use crate::world::World;

/// From one look at the gauges to the next.
const PAUSE_MS_MAX: u64 = 5_000;
/// One in so many thousand gauges jumps at each look.
const JUMPS_PERMILLE: u64 = 150;
/// In thousandths; the target of every app is 500.
const VALUES: [u64; 7] = [0, 200, 460, 500, 545, 900, 2_000];

impl World {
    /// In calm weather nobody looks, so that what is wanted stays the same.
    pub fn read_gauges(&mut self) {
        if self.weather.loss_permille == 0 {
            return;
        }
        let pause = self.dice.between(200, PAUSE_MS_MAX);
        self.send_in(pause, Parcel::GaugesAreRead);
        self.report_use();
        for host in 0..self.hosts.len() {
            self.measure(host);
        }
    }

    fn report_use(&mut self) {
        let Some(cluster) = self.master.machine() else { return };
        let view = cluster.view().services;
        for (id, app) in &view.apps {
            let Some(autoscale) = &app.spec.autoscale else { continue };
            if autoscale.metric.is_measured() || self.dice.chance(100) {
                continue;
            }
            let (app, metric, value) = (id.clone(), autoscale.metric.clone(), self.gauge(id));
            self.ask(Asked::Report(id.clone()), Order::Report { app, metric, value });
        }
    }

    /// What an app's gauge stands at.
    fn gauge(&mut self, app: &AppId) -> Scalar {
        let jumped = *self.dice.pick(&VALUES).expect("there are some");
        let jumps = self.dice.chance(JUMPS_PERMILLE);
        let gauge = self.gauges.entry(app.clone()).or_insert(jumped);
        if jumps {
            *gauge = jumped;
        }
        Scalar(*gauge)
    }

    fn measure(&mut self, host: Host) {
        let all = self.hosts[host].containers.iter();
        let measured = all.filter(|(_, one)| one.life == Alive::Running && one.task.measured);
        let containers: Vec<_> = measured.map(|(id, one)| (id.clone(), app_of(one))).collect();
        let measured = |(container, app): (_, Option<AppId>)| {
            let value = app.map_or(Scalar(500), |app| self.gauge(&app));
            Measured { container, cpu: value, mem: value }
        };
        let tasks: Vec<Measured> = containers.into_iter().map(measured).collect();
        if !tasks.is_empty() {
            self.tell_host(host, Input::Measured { tasks });
        }
    }
}

/// Of the apps whose id a task's begins with.
fn app_of(container: &crate::host::Container) -> Option<AppId> {
    let (app, _) = container.task.id.as_str().split_once(".instance-")?;
    format!("/{}", app.replace('_', "/")).parse().ok()
}
