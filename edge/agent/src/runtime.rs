//! Who carries out what the brain decides.

use std::future::Future;

use model::id::ContainerId;
use node::{Effect, Input};

pub(crate) trait Runtime: Send {
    /// Begins the deed and returns. What comes of it is told by [`next`](Self::next).
    fn carry_out(&mut self, effect: Effect);

    /// What happened, in order; waits if nothing has. May be dropped half way without loss.
    fn next(&mut self) -> impl Future<Output = Input> + Send;

    /// The containers that there are: about to start, alive, or ended and not collected.
    fn known(&self) -> Vec<ContainerId>;

    /// Gives up the streams to executors: what they said may be lost, and they say it again.
    fn hang_up(&mut self);

    /// Removes what is left of containers whose ends are on the disk. All of them have ended.
    fn clear(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends what is under way, except containers.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}
