//! What this process measures of itself, for `/metrics/snapshot`.

use std::sync::Arc;

use engine::Took;
use kernel::view::View;
use wire::mesos::metrics::{self, Figures, Machine, Measured};

use super::Api;
use crate::request::now;

impl Api {
    pub(super) fn figures(&self, view: &View) -> Figures {
        let Took { fetch, store, allocation, allocation_wait, uncommitted } = self.handle.took();
        let measured = Measured {
            machine: machine(),
            followers: Arc::strong_count(&self.followers) - 1,
            waiting: self.handle.waiting(),
            uncommitted,
            fetch,
            store,
            allocation,
            allocation_wait,
        };
        metrics::figures(view, &self.info, now(), &measured)
    }
}

pub(super) fn machine() -> Machine {
    let told = rustix::system::sysinfo();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = [told.totalram, told.freeram, told.mem_unit.into()];
    Machine::read(cpus, told.loads, memory)
}
