//! How much gathers before it goes out. Public, so that who plays a region without threads plays it with these numbers.

use std::time::Duration;

/// Bytes of commands after which a batch is closed.
pub const BATCH_BYTES: usize = 256 << 10;
/// Batches of one node whose outcome is open; more commands than these hold gather into larger batches.
pub const OWN_BATCHES_MAX: usize = 16;
/// So many are under way before commands gather for the next. A batch costs every node a signature to check, an entry and a
/// frame, whatever it holds …
pub const OWN_BATCHES_AT_ONCE: usize = 1;
/// … but they gather for no longer than this: on a far line they would wait for another's way there and back.
pub const GATHER: Duration = Duration::from_millis(5);
/// Once a batch is answered, whoever asks next waits for so long for the others who were answered, if such have come back before.
pub const ECHO: Duration = Duration::from_millis(2);
/// Entries of a leader that are not applied yet; more batches than these hold gather into larger entries.
pub const ENTRIES_MAX: usize = 16;
