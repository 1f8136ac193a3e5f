//! What systems offer to the load generator: that they run as processes here; and those of three nodes, clients at one of
//! them, and what it takes to kill one.

use std::time::Duration;

use anyhow::Result;

use crate::payload::Mark;

/// How many nodes each system has.
pub const NODES: usize = 3;
/// The most connections that the clients of one run share; fewer clients have one each.
pub const CONNECTIONS_MAX: usize = 8;
/// How long one call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// What we are called in tables, whatever of us is measured.
pub const OWN: &str = "shouwang";

/// What runs on this machine, and what the kernel counts of.
pub trait Served {
    /// Its name in tables.
    const NAME: &'static str;

    /// The processes that run now; what they have started counts with them.
    fn processes(&self) -> Vec<u32>;
}

/// One client. Clones are the same client; several may share a connection.
pub trait Client: Clone + Send + Sync + 'static {
    /// Writes the payload of this mark, and waits until it is durable on a quorum and carried out.
    ///
    /// # Errors
    /// It was refused, or there was no answer in time.
    fn write(&self, mark: Mark) -> impl Future<Output = Result<()>> + Send;

    /// Reads what was written last, as of now or later.
    ///
    /// # Errors
    /// There is nothing, or no answer in time.
    fn read(&self) -> impl Future<Output = Result<()>> + Send;

    /// Follows what is written by anybody through this client's node, and hands on each mark as it comes. Answers once
    /// nothing that is written from now on can be missed; the following ends with the task.
    ///
    /// # Errors
    /// The node does not let it.
    fn follow(
        &self,
        seen: impl Fn(Mark) + Send + 'static,
    ) -> impl Future<Output = Result<tokio::task::JoinHandle<anyhow::Error>>> + Send;
}

/// A running system of three nodes.
pub trait System: Served {
    /// Its clients.
    type Client: Client;

    /// The node that leads now, of those that take writes from clients.
    ///
    /// # Errors
    /// None leads within a minute.
    fn leader(&mut self) -> impl Future<Output = Result<usize>>;

    /// A node that takes writes from clients and is not `leader`.
    fn follower(&self, leader: usize) -> usize;

    /// `count` clients at a node, over [`CONNECTIONS_MAX`] connections at most.
    ///
    /// # Errors
    /// It does not answer.
    fn clients(&self, node: usize, count: usize) -> impl Future<Output = Result<Vec<Self::Client>>>;

    /// As [`System::clients`], but those of a connection send their calls in one stream, where the system has that.
    fn gateways(&self, node: usize, count: usize) -> impl Future<Output = Result<Vec<Self::Client>>> {
        self.clients(node, count)
    }

    /// Where the nodes listen to each other.
    fn peer_ports(&self) -> [u16; NODES];

    /// Kills a node without warning.
    ///
    /// # Errors
    /// It does not run.
    fn kill(&mut self, node: usize) -> Result<()>;

    /// Starts a node that was killed, and waits until it has all that the others have.
    ///
    /// # Errors
    /// It does not come up, or never has.
    fn restart(&mut self, node: usize) -> impl Future<Output = Result<()>>;
}
