//! Where a node stands and people sit: this machine's loopback, or a machine of its own, as far as the network goes.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A place in the network.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its address.
    pub address: IpAddr,
    /// Its network namespace, if that is not the one of this program.
    space: Option<Arc<File>>,
}

impl Place {
    /// This machine, where everything meets on loopback.
    pub fn here() -> Self {
        Self { address: IpAddr::from([127, 0, 0, 1]), space: None }
    }

    /// The network namespace that this file names, where `address` is at home.
    ///
    /// # Errors
    /// There is no such file.
    pub fn of(space: &Path, address: IpAddr) -> Result<Self> {
        let space = File::open(space).with_context(|| space.display().to_string())?;
        Ok(Self { address, space: Some(Arc::new(space)) })
    }

    /// Opens sockets or starts a process there: both belong to the place where they were begun.
    ///
    /// # Errors
    /// The operating system does not let us in, or the work failed.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> std::io::Result<T> + Send) -> std::io::Result<T> {
        let Some(space) = &self.space else { return work() };
        // A thread that has moved does not come back: one for each piece of work.
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
