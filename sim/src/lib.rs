//! The whole cluster on one thread, with virtual time, a faulty network and one seed.
//!
//! The control plane and the agents' brains are the production machines in the production turn loop, and what they write
//! goes through its encoded bytes. Everything around them is made here: network, disks, containers, an operator who
//! cannot sit still and a framework that does not behave. [`run`] lets a world storm for some minutes, checks the rules
//! of [`check`] whenever something became durable, then lets the weather clear and demands that all becomes as wanted.

pub mod check;
pub mod check_shares;
pub mod claims;
pub mod dice;
pub mod faults;
pub mod foreign;
pub mod gauges;
pub mod history;
pub mod host;
pub mod operator;
pub mod parcel;
pub mod pod;
pub mod process;
pub mod programs;
pub mod reasons;
pub mod specs;
pub mod upkeep;
pub mod witness;
pub mod world;

use std::time::Duration;

use parcel::{Parcel, Weather};
use world::World;

/// How long it storms.
const STORM: Duration = Duration::from_secs(180);

/// By then a cluster that is left in peace has settled: every timeout of the configuration fits in several times.
const SETTLES_MAX: Duration = Duration::from_secs(1_800);

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Durable writes of the master.
    pub writes: usize,
    pub deployments: usize,
    pub masters: u64,
    pub tasks_ended: usize,
    /// Of the master's disk at the end; equal seeds leave equal disks.
    pub fingerprint: u64,
}

/// Storms, clears and settles. Panics with the rule that is broken.
pub fn run(seed: u64, is_traced: bool) -> Report {
    let mut world = World::new(seed, 4 + usize::try_from(seed % 3).expect("small"));
    world.is_traced = is_traced;
    storm(&mut world);
    clear(&mut world);
    settle(&mut world);
    Report {
        writes: world.master.disk.writes,
        deployments: world.history.deployments_ended,
        masters: world.term.0,
        tasks_ended: world.history.ended.len(),
        fingerprint: fingerprint(&world.master.disk.entries),
    }
}

fn storm(world: &mut World) {
    world.weather = Weather::STORM;
    world.send_in(1_000, Parcel::OperatorActs);
    world.send_in(2_000, Parcel::GaugesAreRead);
    world.send_in(5_000, Parcel::FaultStrikes);
    let end = world.now + STORM;
    while world.now < end && world.go_on() {}
    check::replay(world);
}

/// Everything that is down comes up, and nothing breaks any more.
fn clear(world: &mut World) {
    world.weather = Weather::CALM;
    world.trace(|| "the weather clears".to_owned());
    world.partitioned.clear();
    world.send_in(0, Parcel::MasterStarts);
    for host in 0..world.hosts.len() {
        world.send_in(0, Parcel::HostStarts { host });
    }
}

fn settle(world: &mut World) {
    let end = world.now + SETTLES_MAX;
    let mut look_at = world.now;
    loop {
        if look_at <= world.now && world.master.is_settled() {
            look_at = world.now + Duration::from_secs(5);
            check::replay(world);
            if check::unsettled(world).is_none() {
                return;
            }
        }
        if end < world.now || !world.go_on() {
            let missing = check::unsettled(world).unwrap_or_else(|| "nothing".to_owned());
            panic!(
                "left in peace for {SETTLES_MAX:?}, and still: {missing}\n{}",
                check::alarms(world)
            );
        }
    }
}

/// FNV-1a over keys and values.
fn fingerprint(entries: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>) -> u64 {
    let bytes = entries.iter().flat_map(|(key, value)| key.iter().chain(value));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
