//! The `shouwang` command as people and scripts meet it: from an empty folder to a signed node, and each way to fail.

#![allow(clippy::unwrap_used)] // A test's helper may panic: that is how a test fails.

use std::path::Path;
use std::process::{Command, Output};

fn shouwang(dir: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shouwang"));
    // Only what the test says: no settings or language of whoever runs it.
    command.current_dir(dir).env_clear().args(line.split(' ')).output().unwrap()
}

fn good(dir: &Path, line: &str) -> String {
    let output = shouwang(dir, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const INIT: &str = "init --federation wuhai --municipality 150300 --short 乌 --dir node --ip 127.0.0.1";

#[test]
fn from_an_empty_folder_to_a_signed_node() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert_eq!(good(dir, "pki init --federation wuhai --out ca"), "ca/ca.pem\n");
    let public = good(dir, INIT);
    assert_eq!(public.trim().len(), 64);
    assert_eq!(good(dir, INIT), public);
    good(dir, "pki sign --ca ca --csr node/tls/node.csr --out node/tls/node.pem");
    let shown: serde_json::Value = serde_json::from_str(&good(dir, "pki show node/tls/node.pem -o json")).unwrap();
    assert_eq!(shown["identity"], "spiffe://wuhai/municipality/150300/node/1");
    let operator = good(dir, "pki operator --ca ca --municipality 150300 --id d01 --role duty --out ops");
    assert_eq!(operator.lines().next(), Some("ops/150300-d01-duty.key"));
    let settings = good(dir, "--config node/shouwang.toml --set timing=lan config show -o json");
    let settings: Vec<serde_json::Value> = serde_json::from_str(&settings).unwrap();
    let origin = |key: &str| settings.iter().find(|setting| setting["key"] == key).unwrap()["origin"].clone();
    assert_eq!((origin("timing"), origin("node")), ("flag".into(), "file node/shouwang.toml:4".into()));
    assert_eq!(origin("peer.listen"), "default");
}

#[test]
fn each_failure_has_its_exit_code_and_says_so_on_stderr_only() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    good(dir, "pki init --federation wuhai --out ca");
    good(dir, INIT);
    std::fs::write(dir.join("bad.toml"), "federatoin = \"wuhai\"\n").unwrap();
    for (line, code, says) in [
        ("pki init --federation wuhai --out ca", 9, "PKI_EXISTS"),
        ("pki init --federation Wuhai --out other", 2, "IDENTITY_FEDERATION"),
        ("pki init --federation wuhai --out other --days 0", 2, "PKI_LIFETIME"),
        ("pki sign --ca none --csr node/tls/node.csr --out x.pem", 4, "PKI_IO"),
        ("pki sign --ca ca --csr node/shouwang.toml --out x.pem", 8, "PKI_REQUEST_REFUSED"),
        ("pki operator --ca ca --municipality 150300 --id d01 --role boss --out ops", 2, "boss"),
        ("pki show bad.toml", 8, "PKI_CONTENT"),
        ("--config bad.toml config show", 8, "did you mean federation?"),
        ("--lang zh --config bad.toml config show", 8, "是否为 federation？"),
        ("init --federation wuhai --municipality 150300 --short 乌 --dir node --node 2", 9, "INIT_OTHER_NODE"),
        ("nonsense", 2, "nonsense"),
    ] {
        let output = shouwang(dir, line);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {stderr}");
        assert!(stderr.contains(says), "{line}: {stderr}");
        assert!(output.stdout.is_empty(), "{line}");
    }
    assert!(!dir.join("other").exists() && !dir.join("x.pem").exists());
}
