//! Precedence, origins, and what is refused, with its line and its code.

use super::*;
use crate::config::{LogFormat, Timing};
use crate::lang::Lang;

const GOOD: &str = r#"federation = "wuhai"
node = 2

[municipality]
code = 150300
short = "乌"

[peer]
listen = "127.0.0.1:7400"

[log]
format = "json"

[[regions]]
name = "wuhai-region"
charter = "charter.json"
peers = [
  { node = "152900/1", address = "127.0.0.1:7310" },
  { node = "640200/1", address = "shizuishan.example:7300" },
]
"#;

fn sources(text: &str) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    std::fs::write(&path, text).unwrap();
    (dir, Sources { file: Some(path), ..Sources::default() })
}

fn problems(text: &str) -> Vec<Problem> {
    let (_dir, sources) = sources(text);
    load(&sources).unwrap_err().problems
}

fn origin<'a>(loaded: &'a Loaded, key: &str) -> &'a Origin {
    &loaded.settings.iter().find(|setting| setting.key == key).unwrap().origin
}

#[test]
fn flag_goes_before_environment_before_file_before_default() {
    let (dir, mut sources) = sources(GOOD);
    let loaded = load(&sources).unwrap();
    let file = dir.path().join(FILE_NAME);
    assert_eq!(loaded.config.peer.listen.port(), 7400);
    assert_eq!(loaded.config.peer.advertise, "127.0.0.1:7400");
    assert_eq!(loaded.config.operator_listen.port(), 7301);
    assert_eq!((loaded.config.timing, loaded.config.log_format), (Timing::Wan, LogFormat::Json));
    assert_eq!(*origin(&loaded, "peer.listen"), Origin::File(file.clone(), 9));
    assert_eq!(*origin(&loaded, "timing"), Origin::Default);
    assert_eq!(loaded.config.data_dir, dir.path().join("data"));
    assert_eq!(loaded.config.tls.key, dir.path().join("tls/node.key"));
    assert_eq!(loaded.config.identity().unwrap().to_string(), "spiffe://wuhai/municipality/150300/node/2");
    let region = &loaded.config.regions[0];
    assert_eq!((region.name.as_str(), &region.charter), ("wuhai-region", &dir.path().join("charter.json")));
    assert_eq!(region.peers[1].node.to_string(), "640200/1");
    assert_eq!(*origin(&loaded, "regions[0].peers[1].node"), Origin::File(file, 19));

    sources.environment.insert("SHOUWANG_PEER_LISTEN".into(), "127.0.0.1:7500".into());
    sources.environment.insert("SHOUWANG_DATA_DIR".into(), "elsewhere".into());
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.config.peer.listen.port(), 7500);
    assert_eq!(origin(&loaded, "peer.listen").to_string(), "environment SHOUWANG_PEER_LISTEN");
    assert_eq!(loaded.config.data_dir, PathBuf::from("elsewhere"));

    sources.flags.push(("peer.listen".into(), "127.0.0.1:7600".into()));
    let loaded = load(&sources).unwrap();
    assert_eq!((loaded.config.peer.listen.port(), origin(&loaded, "peer.listen")), (7600, &Origin::Flag));
}

#[test]
fn a_node_can_do_without_a_file() {
    let mut sources = Sources::default();
    for (name, value) in [("FEDERATION", "f"), ("MUNICIPALITY_CODE", "150300"), ("MUNICIPALITY_SHORT", "乌")] {
        sources.environment.insert(format!("SHOUWANG_{name}"), value.into());
    }
    let config = load(&sources).unwrap().config;
    assert_eq!((config.node, config.data_dir), (1, PathBuf::from("data")));
}

#[test]
fn faults_carry_line_code_and_suggestion() {
    for (change, to, code, line, says) in [
        ("listen = ", "listn = ", "CONFIG_UNKNOWN_KEY", 9, "did you mean peer.listen?"),
        ("[log]", "[logs]", "CONFIG_UNKNOWN_KEY", 11, "no setting logs"),
        ("code = 150300", "code = \"150300\"", "CONFIG_WRONG_TYPE", 5, "must be a whole number"),
        ("short = \"乌\"", "short = 7", "CONFIG_WRONG_TYPE", 6, "must be a string"),
        ("code = 150300", "code = 1503", "CONFIG_BAD_VALUE", 5, "six digits"),
        ("node = 2", "node = 0", "CONFIG_BAD_VALUE", 2, "from 1 to"),
        ("node = 2", "node = -1", "CONFIG_BAD_VALUE", 2, "from 1 to"),
        ("node = 2", "node = 2\nhold_level = 0", "CONFIG_BAD_VALUE", 3, "from 1 to 2"),
        ("node = 2", "node = 2\nhold_level = 3", "CONFIG_BAD_VALUE", 3, "from 1 to 2"),
        ("\"乌\"", "\"乌 海\"", "CONFIG_BAD_VALUE", 6, "letters"),
        ("\"wuhai\"", "\"Wuhai\"", "CONFIG_BAD_VALUE", 1, "federation"),
        ("\"json\"", "\"xml\"", "CONFIG_BAD_VALUE", 12, "none of: human, json"),
        ("127.0.0.1:7400", "localhost:7400", "CONFIG_BAD_VALUE", 9, "IP:port"),
        ("152900/1\"", "152900\"", "CONFIG_BAD_VALUE", 18, "150300/1"),
        ("127.0.0.1:7310", "127.0.0.1", "CONFIG_BAD_VALUE", 18, "host:port"),
        ("640200/1", "152900/1", "CONFIG_CONFLICT", 19, "twice"),
        ("charter = ", "chart = ", "CONFIG_UNKNOWN_KEY", 16, "did you mean charter?"),
        ("node = \"152900/1\",", "", "CONFIG_MISSING", 18, "regions.peers.node is missing"),
        ("short = \"乌\"", "short = ", "CONFIG_SYNTAX", 6, "TOML"),
        ("node = 2", "node = 2\nlimits.request_seconds = 61", "CONFIG_BAD_VALUE", 3, "from 1 to 60"),
        ("node = 2", "node = 2\nlimits = 3", "CONFIG_WRONG_TYPE", 3, "a table"),
    ] {
        let found = problems(&GOOD.replacen(change, to, 1));
        let matching = found.iter().find(|problem| {
            problem.code == code && problem.place.ends_with(&format!(":{line}")) && problem.text.en.contains(says)
        });
        assert!(matching.is_some(), "{to}: {found:#?}");
        assert!(found.iter().all(|problem| !problem.line(Lang::Zh).is_empty()));
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let found = problems("node = 0\ntiming = \"fast\"\n[limits]\nmessage_bytes = 1\n");
    let codes: Vec<&str> = found.iter().map(|problem| problem.code).collect();
    let missing = codes.iter().filter(|code| **code == "CONFIG_MISSING").count();
    assert_eq!((missing, codes.len()), (3, 6), "{found:#?}");
}

#[test]
fn a_node_is_held_back_only_if_somebody_says_so() {
    for (line, held) in [("", None), ("\nhold_level = 1", Some(1)), ("\nhold_level = 2", Some(2))] {
        let (_dir, sources) = sources(&GOOD.replacen("node = 2", &format!("node = 2{line}"), 1));
        assert_eq!(load(&sources).unwrap().config.hold_level, held);
    }
}

#[test]
fn listeners_must_differ_and_be_reachable() {
    let same = GOOD.replacen("7400", "7301", 1);
    assert!(problems(&same).iter().any(|problem| problem.code == "CONFIG_CONFLICT"));
    let anywhere = GOOD.replacen("127.0.0.1:7400", "0.0.0.0:7400", 1);
    assert!(problems(&anywhere).iter().any(|problem| problem.place == "peer.advertise"));
    let (_dir, sources) = sources(&anywhere.replacen("[peer]", "[peer]\nadvertise = \"wuhai.example:7400\"", 1));
    assert_eq!(load(&sources).unwrap().config.peer.advertise, "wuhai.example:7400");
}

#[test]
fn slips_in_variables_and_flags_are_refused_and_strangers_variables_are_not() {
    let (_dir, mut sources) = sources(GOOD);
    sources.environment.insert("SHOUWANG_PORT".into(), "tcp://10.0.0.1:7300".into());
    sources.environment.insert("SHOUWANG_SERVICE_HOST".into(), "10.0.0.1".into());
    assert!(load(&sources).is_ok());
    sources.environment.insert("SHOUWANG_PEER_LISTN".into(), "x".into());
    sources.flags.push(("data_dirr".into(), "x".into()));
    let found = load(&sources).unwrap_err().problems;
    assert!(found[0].text.en.contains("SHOUWANG_PEER_LISTEN"), "{found:#?}");
    assert!(found[1].text.en.contains("data_dir?"), "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let sources = Sources { file: Some(PathBuf::from("/nonexistent/shouwang.toml")), ..Sources::default() };
    let error = load(&sources).unwrap_err();
    assert_eq!(error.problems[0].code, "CONFIG_UNREADABLE");
    assert!(error.to_string().contains("/nonexistent/shouwang.toml"));
}

proptest::proptest! {
    #[test]
    fn hostile_files_do_not_panic(text in "\\PC{0,200}", lines in proptest::collection::vec("(\\[+)?[a-z_.]{0,12}(\\]+)? ?(= ?[\"0-9a-z.\\[\\]{}]{0,12})?", 0..8)) {
        for text in [text, lines.join("\n"), format!("{GOOD}{}", lines.join("\n"))] {
            let (_dir, sources) = sources(&text);
            if let Err(error) = load(&sources) {
                proptest::prop_assert!(!error.problems.is_empty());
            }
        }
    }
}

#[test]
fn a_fault_is_told_in_a_line_and_many_in_a_page() {
    let long = "乌".repeat(100_000);
    for text in [
        format!("timing = \"{long}\"\n{GOOD}"),
        GOOD.replacen("127.0.0.1:7400", &long, 1),
        format!("{long} = 1\n"),
        format!("{GOOD}\n{}", "[[regions]]\nname = \"!\"\n".repeat(500)),
        format!("[municipality]\nshort = \"{long}\"\n"),
    ] {
        let (_dir, sources) = sources(&text);
        let error = load(&sources).unwrap_err().to_string();
        assert!(error.len() < 16 * 1024, "{} bytes that begin with {}", error.len(), &error[..60]);
    }
}
