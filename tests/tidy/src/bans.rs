//! Words that must not stand in a room's product code, because they break what the room promises.

use crate::source::Source;

/// A room and what it must not contain: each word with the reason.
#[derive(Clone, Copy, Debug)]
pub struct Bans {
    /// Folder of the room.
    pub room: &'static str,
    /// Word and reason. A word is matched whole: `rand` is not found in `operand`.
    pub words: &'static [(&'static str, &'static str)],
}

const ORDER: &str = "its order differs between nodes; use OrdMap or BTreeMap";
const CLOCK: &str = "time comes with the input";
const FLOAT: &str = "floats round differently; count base units";
const CHANCE: &str = "what is random comes from outside";
const IO: &str = "this room does no I/O";
const PARSER: &str = "protobuf 2's parser never sees bytes of the network (RUSTSEC-2024-0437)";
const LIMIT: &str = "everything that can grow has a limit";
const RUNTIME: &str = "this room knows no runtime";

/// The pure rooms and the store.
pub const ALL: &[Bans] = &[
    Bans {
        room: "federation/domain/src",
        words: &[
            ("HashMap", ORDER),
            ("HashSet", ORDER),
            ("SystemTime", CLOCK),
            ("Instant", CLOCK),
            ("now_v7", CHANCE),
            ("new_v4", CHANCE),
            ("f32", FLOAT),
            ("f64", FLOAT),
            ("rand", CHANCE),
            ("std::fs", IO),
            ("std::net", IO),
            ("std::env", IO),
            ("std::thread", RUNTIME),
            ("tokio", RUNTIME),
            ("println", IO),
            ("eprintln", IO),
        ],
    },
    Bans {
        room: "federation/replica/src",
        words: &[
            ("SystemTime", CLOCK),
            ("Instant", CLOCK),
            ("rand", CHANCE),
            ("std::fs", IO),
            ("std::net", IO),
            ("std::env", IO),
            ("std::thread", RUNTIME),
            ("tokio", RUNTIME),
            ("println", IO),
            ("eprintln", IO),
            ("merge_from_bytes", PARSER),
            ("parse_from_bytes", PARSER),
        ],
    },
    // The edges do I/O for a living; the old protobuf parser is closed to them all the same (deny.toml says why).
    Bans {
        room: "federation/driver/src",
        words: &[("merge_from_bytes", PARSER), ("parse_from_bytes", PARSER), ("unbounded_channel", LIMIT)],
    },
    Bans {
        room: "node/src",
        words: &[("merge_from_bytes", PARSER), ("parse_from_bytes", PARSER), ("unbounded_channel", LIMIT)],
    },
    Bans {
        room: "federation/store/src",
        words: &[
            ("SystemTime", CLOCK),
            ("std::net", "the store speaks to the disk only"),
            ("thread::spawn", RUNTIME),
            ("tokio", RUNTIME),
            ("tonic", RUNTIME),
            ("println", IO),
            ("eprintln", IO),
        ],
    },
];

/// Banned words in the room's product code; the worlds that tests build there are held to the same.
pub fn check(sources: &[Source], bans: &Bans) -> Vec<String> {
    let mut faults = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with(bans.room)) {
        let testing = source.path.contains("/testing/");
        let lines = source.code.iter().zip(&source.test).enumerate().filter(|(_, (_, test))| testing || !**test);
        for (at, (line, _)) in lines {
            for (word, why) in bans.words.iter().filter(|(word, _)| has_word(line, word)) {
                faults.push(source.fault(at + 1, &format!("{word} is banned here: {why}")));
            }
        }
    }
    faults
}

/// Whether `word` stands in `line` as a whole word.
pub fn has_word(line: &str, word: &str) -> bool {
    let part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_banned_word_is_found_in_code_and_nowhere_else() {
        for bans in ALL {
            for (word, why) in bans.words {
                let planted = |text: &str| check(&[Source::new(&format!("{}/a.rs", bans.room), text)], bans);
                assert_eq!(planted(&format!("fn a() {{}}\nuse x::{word}::y;\n")).len(), 1, "{word}");
                assert!(planted(&format!("use x::{word}::y;\n"))[0].contains(why), "{word}");
                let innocent = format!("// {word}\nlet a = \"{word}\";\nlet {}s = 1;\n", word.replace("::", "_"));
                assert!(planted(&innocent).is_empty(), "{word}");
            }
        }
    }

    #[test]
    fn tests_may_use_what_the_room_may_not_but_shared_test_worlds_may_not() {
        let text = "#[cfg(test)]\nmod tests {\n    use std::collections::HashMap;\n}\n";
        assert!(check(&[Source::new("federation/domain/src/a.rs", text)], &ALL[0]).is_empty());
        let world = Source::new("federation/domain/src/testing/a.rs", "use std::collections::HashMap;\n");
        assert_eq!(check(&[world], &ALL[0]).len(), 1);
    }
}
