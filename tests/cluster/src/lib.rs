//! Real processes: a federation made by the `shouwang` command itself, started, killed and asked through the
//! same command that people use.
//!
//! Entry point: [`Federation::found`]. What must never stand here: anything that reaches into a node past its command
//! line, its listeners and its signals.

pub mod affairs;
pub mod clients;
pub mod clock;
pub mod contention;
pub mod disk;
pub mod federation;
pub mod line;
pub mod namespaces;
pub mod place;
pub mod process;
pub mod story;
pub mod terminal;
pub mod watchers;

pub use clock::Clock;
pub use disk::SmallDisk;
pub use federation::{Federation, MemberSpec};
pub use line::Line;
pub use namespaces::Namespaces;
pub use place::Place;
pub use process::NodeProcess;
pub use terminal::{Answer, Following, Terminal};
