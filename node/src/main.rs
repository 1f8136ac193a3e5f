//! The `shouwang` binary.
fn main() {}
