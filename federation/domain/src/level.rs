//! Feature levels: how programs of different ages keep one record.
//!
//! A level is a set of commands. What a program of level *n* cannot read is written down as unreadable by every program
//! while the record stands at *n*, byte for byte alike; from the command on that raises the record to *n* + 1 it has its
//! meaning. A program that does not know that level carries the record no further: it would decide otherwise than the rest.

use thiserror::Error;

/// The level of a record that nobody has raised, and of a node that has said nothing.
pub const FIRST: u32 = 1;

/// A record is above the levels that a program knows, or may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "the record is at feature level {level}, this program goes along up to {knows}: install a program that knows level \
     {level}, or stop holding this one back (hold_level); the record then goes on from where it stands"
)]
pub struct TooOld {
    /// The record's level.
    pub level: u32,
    /// The highest level that the program goes along with.
    pub knows: u32,
}

impl TooOld {
    /// The stable code, for programs.
    pub const CODE: &str = "PROGRAM_TOO_OLD";

    /// What a record halts with: code and both sentences.
    pub fn told(&self) -> String {
        format!("{}: {} / {self}", Self::CODE, self.zh())
    }

    /// The sentence in Chinese.
    pub fn zh(&self) -> String {
        let Self { level, knows } = self;
        format!(
            "记录的功能级别为 {level}，本程序最高支持 {knows}：请安装支持级别 {level} 的程序，或取消配置中的 hold_level；\
             记录将从现处继续，无需其他操作"
        )
    }
}

// Stored only where somebody has raised it: a state that nobody has raised is written as it always was.
pub(crate) fn first() -> u32 {
    FIRST
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
pub(crate) fn is_first(level: &u32) -> bool {
    *level == FIRST
}
