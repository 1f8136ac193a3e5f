//! A writer is killed again and again: everything acknowledged is found, once.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

use std::path::Path;

use shouwang_stores::{folder, kills};

#[test]
fn two_hundred_kills_lose_nothing_and_double_nothing() {
    let here = folder().unwrap();
    let began = std::time::Instant::now();
    let book = kills::kill(Path::new(env!("CARGO_BIN_EXE_shouwang-stores")), here.path(), 200, 1).unwrap();
    println!("kills: {book} elapsed_s={}", began.elapsed().as_secs());
    assert!(book.kills == 200 && book.early > 10 && book.acknowledged() > 1000, "{book}");
}
