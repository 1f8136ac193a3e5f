//! The services, one file each: every method reads its request, calls one thing, and says what came of it.

mod admin;
mod aid;
mod backup;
mod calls;
mod compensation;
mod ledger;
mod mission;
mod region;
mod registry;
mod report;
mod watch;

use std::ops::Deref;
use std::sync::Arc;

pub use self::calls::Calls;
use super::Node;

/// What implements every service; a clone is one counter.
#[derive(Clone)]
pub struct Services(Arc<Node>);

impl Services {
    /// The services of a node.
    pub fn new(node: Arc<Node>) -> Self {
        Self(node)
    }
}

impl Deref for Services {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.0
    }
}
