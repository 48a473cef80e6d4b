//! What goes wrong, at random: crashes, broken streams, partitions.

use std::time::Duration;

use crate::parcel::{Host, Parcel};
use crate::world::World;

/// From one fault to the next.
const PAUSE_MS_MAX: u64 = 12_000;

impl World {
    pub fn strike(&mut self) {
        if self.weather.loss_permille == 0 {
            return;
        }
        let pause = self.dice.between(500, PAUSE_MS_MAX);
        self.send_in(pause, Parcel::FaultStrikes);
        let host = self.some_host();
        match self.dice.between(0, 9) {
            0 | 1 => {
                self.fail_over(15_000);
            }
            2 | 3 => {
                self.crash_host(host);
                let down = self.dice.between(10, 30_000);
                self.send_in(down, Parcel::HostStarts { host });
            }
            4 | 5 => {
                let span = Duration::from_millis(self.dice.between(1_000, 60_000));
                self.partition(host, span);
            }
            _ => self.break_stream(host, 2_000),
        }
    }

    /// The master dies, in the middle of whatever it is doing, and another one leads.
    pub fn fail_over(&mut self, down_ms_max: u64) {
        self.crash_master();
        let down = self.dice.between(10, down_ms_max);
        self.send_in(down, Parcel::MasterStarts);
    }

    fn some_host(&mut self) -> Host {
        let all: Vec<Host> = (0..self.hosts.len()).collect();
        *self.dice.pick(&all).expect("a world has hosts")
    }
}
