//! Everything that will happen, ordered by when, then by the order in which it was set in motion.

use std::collections::BTreeMap;

use model::agent::{FromAgent, ToAgent};
use model::id::{Connection, ContainerId, FrameworkId, Term, Uuid};
use model::scheduler::Event;
use model::time::{Duration, Time};
use node::{Happened, Look};

use crate::foreign::Foreigner;
use crate::process::Life;
use crate::programs::Deed;

/// Which agent of the world, whatever id it has been given.
pub type Host = usize;

#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "most parcels are messages, and few are under way at once"
)]
pub enum Parcel {
    MasterStarts,
    MasterCrashes,
    MasterWakes {
        life: Life,
    },
    MasterCommits {
        life: Life,
    },
    HostStarts {
        host: Host,
    },
    HostCrashes {
        host: Host,
    },
    HostWakes {
        host: Host,
        life: Life,
    },
    HostCommits {
        host: Host,
        life: Life,
    },
    /// An agent tries to open a stream.
    Connects {
        host: Host,
        life: Life,
    },
    /// A stream is noticed to be broken, at one end.
    LostAtHost {
        host: Host,
        connection: Connection,
    },
    LostAtMaster {
        connection: Connection,
    },
    ToMaster {
        connection: Connection,
        message: FromAgent,
    },
    ToHost {
        host: Host,
        connection: Connection,
        term: Term,
        message: ToAgent,
    },
    Container {
        host: Host,
        container: ContainerId,
        happened: Happened,
    },
    Probed {
        host: Host,
        life: Life,
        container: ContainerId,
        check: usize,
    },
    Looked {
        host: Host,
        life: Life,
        container: ContainerId,
        look: Look,
    },
    Volumes {
        host: Host,
        life: Life,
        operation: Uuid,
    },
    Program {
        host: Host,
        container: ContainerId,
        deed: Deed,
    },
    /// To the framework of somebody else.
    ToForeign {
        term: Term,
        framework: FrameworkId,
        event: Event,
    },
    ForeignActs {
        who: Foreigner,
    },
    OperatorActs,
    GaugesAreRead,
    FaultStrikes,
    PartitionEnds {
        host: Host,
    },
}

#[derive(Debug, Default)]
pub struct Queue {
    due: BTreeMap<(Time, u64), Parcel>,
    sent: u64,
    /// A stream delivers in order: nothing on it arrives before what was sent on it earlier.
    latest: BTreeMap<(Connection, bool), Time>,
}

impl Queue {
    pub fn send(&mut self, at: Time, parcel: Parcel) {
        self.sent += 1;
        self.due.insert((at, self.sent), parcel);
    }

    /// Sends behind all that was sent before on the same stream in the same direction.
    pub fn send_in_order(&mut self, at: Time, connection: Connection, up: bool, parcel: Parcel) {
        let latest = self.latest.entry((connection, up)).or_default();
        *latest = at.max(*latest);
        let at = *latest;
        self.send(at, parcel);
    }

    pub fn next_at(&self) -> Option<Time> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    pub fn pop(&mut self) -> Option<(Time, Parcel)> {
        self.due.pop_first().map(|((at, _), parcel)| (at, parcel))
    }
}

/// How the network treats messages, in thousandths and milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub loss_permille: u64,
    pub duplicate_permille: u64,
    pub reorder_permille: u64,
    pub delay_ms_max: u64,
    pub commit_ms_max: u64,
    /// How often the master dies with a batch decided and nobody told.
    pub crash_permille: u64,
}

impl Weather {
    pub const CALM: Self = Self {
        loss_permille: 0,
        duplicate_permille: 0,
        reorder_permille: 0,
        delay_ms_max: 3,
        commit_ms_max: 2,
        crash_permille: 0,
    };

    pub const STORM: Self = Self {
        loss_permille: 30,
        duplicate_permille: 30,
        reorder_permille: 100,
        delay_ms_max: 400,
        commit_ms_max: 120,
        crash_permille: 5,
    };
}

/// A stream keeps its order, so these may not overtake anything; all else is told again until it is answered, and so
/// must bear to be lost, doubled and overtaken.
pub fn keeps_order_down(message: &ToAgent) -> bool {
    match message {
        ToAgent::Registered { .. }
        | ToAgent::Refused { .. }
        | ToAgent::Run { .. }
        | ToAgent::RunGroup { .. }
        | ToAgent::Convert { .. }
        | ToAgent::RunIn(_)
        | ToAgent::ShutdownExecutor { .. }
        | ToAgent::Shutdown { .. } => true,
        ToAgent::Kill { .. }
        | ToAgent::Acknowledge { .. }
        | ToAgent::AcknowledgeOperation { .. }
        | ToAgent::Message { .. }
        | ToAgent::Ping => false,
    }
}

pub fn keeps_order_up(message: &FromAgent) -> bool {
    match message {
        // It tells what the agent has by now, which what comes later builds upon.
        FromAgent::Register { .. } | FromAgent::Operated { .. } | FromAgent::Provides { .. } => {
            true
        }
        // Said once: were it lost, so would be the stream.
        FromAgent::ExecutorEnded { .. } => true,
        FromAgent::Update { .. }
        | FromAgent::Checked { .. }
        | FromAgent::Used { .. }
        | FromAgent::Message { .. }
        | FromAgent::Lends { .. }
        | FromAgent::Pong => false,
    }
}

/// After this long without an answer a stream is given up by the end that notices.
pub const NOTICED_MAX: Duration = Duration::from_secs(40);
