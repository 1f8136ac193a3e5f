//! The exit codes of the `shouwang` command: stable, so that scripts can decide by them.

use std::process::ExitCode;

use crate::lang::Bilingual;

/// How a command ended. The numbers never change; new endings get new numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// It was done.
    Ok = 0,
    /// It failed in a way no other code names.
    Failure = 1,
    /// The command line was wrong; nothing was tried.
    Usage = 2,
    /// The record refused the command: an ordinary outcome with a reason code.
    Refused = 3,
    /// What was asked for does not exist.
    NotFound = 4,
    /// The node, or the quorum behind it, could not be reached.
    Unavailable = 5,
    /// The certificate or its role does not allow it.
    Permission = 6,
    /// The deadline passed; the outcome may still come to be and can be asked for by its request id.
    Deadline = 7,
    /// An input file (ledger, configuration, certificate, request) is wrong.
    BadInput = 8,
    /// Something that would have been overwritten is already there.
    Exists = 9,
    /// Stored data is damaged and needs an operator.
    Damaged = 10,
}

impl Exit {
    /// Every ending, in the order of the numbers.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::Refused,
        Self::NotFound,
        Self::Unavailable,
        Self::Permission,
        Self::Deadline,
        Self::BadInput,
        Self::Exists,
        Self::Damaged,
    ];

    /// The number the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What the number means, for help and documentation.
    pub const fn meaning(self) -> Bilingual {
        match self {
            Self::Ok => Bilingual::fixed("成功", "done"),
            Self::Failure => Bilingual::fixed("失败", "failed"),
            Self::Usage => Bilingual::fixed("命令行有误", "the command line was wrong"),
            Self::Refused => Bilingual::fixed("记录拒绝了该命令", "refused by the record"),
            Self::NotFound => Bilingual::fixed("未找到", "not found"),
            Self::Unavailable => Bilingual::fixed("节点或多数派不可达", "the node or its quorum cannot be reached"),
            Self::Permission => Bilingual::fixed("无权限", "not permitted"),
            Self::Deadline => Bilingual::fixed("已超过时限", "the deadline passed"),
            Self::BadInput => Bilingual::fixed("输入文件有误", "an input file is wrong"),
            Self::Exists => Bilingual::fixed("文件已存在，未覆盖", "already there, not overwritten"),
            Self::Damaged => Bilingual::fixed("存储数据已损坏", "stored data is damaged"),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ended otherwise than well: what `main` prints to stderr, and the code it ends with.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// A stable reason code in capitals, for machines.
    pub code: &'static str,
    /// What failed, where, and how to mend it.
    pub text: Bilingual,
}

impl Failure {
    /// A failure with its stable reason code and its sentence.
    pub fn new(exit: Exit, code: &'static str, text: Bilingual) -> Self {
        Self { exit, code, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_scripts_were_written_against() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, (0..=10).collect::<Vec<u8>>());
        assert_eq!((Exit::Refused.code(), Exit::Deadline.code(), Exit::BadInput.code()), (3, 7, 8));
        assert!(Exit::ALL.iter().all(|exit| !exit.meaning().zh.is_empty()));
    }
}
