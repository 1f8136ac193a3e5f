//! What is checked about the checkout as a whole: the container files are run without an engine, pages are compared with
//! the tables they describe.
//!
//! Entry points: `tests/compose.rs`, `tests/routing.rs`. This room must never contain what a room of the product could
//! test beside its own code.
