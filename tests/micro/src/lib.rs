//! What the pieces of the hot path cost, one by one. Each is defined once ([`works`]) and looked at twice: criterion
//! times them (`benches/micro.rs`), and a test counts their instructions under valgrind and compares them with what they
//! took before (`tests/counts.rs`, `tests/counts.toml`), so that what becomes dearer is seen without timing anything.
//!
//! What must never stand here: a piece that is not the product's own code, and chance or a clock in what is counted.

pub mod desk;
mod stock;
pub mod strife;
pub mod works;

pub use self::works::Work;

/// Does one round. Callgrind counts from here to the return, and knows this function by its name.
#[inline(never)]
pub fn counted(work: &mut Work) {
    (work.round)();
}
