//! A node's folder: written once, kept on a second run, never mixed up with another node's.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::KEYS;
use crate::pki::Authority;

fn args(dir: &Path) -> InitArgs {
    InitArgs {
        federation: "wuhai".into(),
        municipality: "150300".parse().unwrap(),
        short: "乌".into(),
        node: 1,
        dir: dir.join("node"),
        dns: vec!["localhost".into()],
        ip: vec!["127.0.0.1".parse().unwrap()],
    }
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_node_is_prepared_once_and_the_ca_signs_its_request() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    let first = prepare(&args).unwrap();
    assert!(first.files.iter().all(|(_, new)| *new));
    let before = contents(&args.dir);
    let second = prepare(&args).unwrap();
    assert!(second.files.iter().all(|(_, new)| !*new));
    assert_eq!((contents(&args.dir), second.signing_public), (before, first.signing_public));
    for key in ["tls/node.key", "signing.key"] {
        assert_eq!(args.dir.join(key).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let loaded = load(&Sources { file: Some(first.config.clone()), ..Sources::default() }).unwrap();
    assert_eq!(loaded.config.identity().unwrap(), first.identity);
    assert_eq!((loaded.config.tls.cert, loaded.config.signing_key), (first.cert, args.dir.join("signing.key")));
    let ca = Authority::found("wuhai", &dir.path().join("ca"), 30).unwrap();
    let request = std::fs::read_to_string(first.request).unwrap();
    assert_eq!(ca.sign(&request, 10).unwrap().identity, first.identity);
}

#[test]
fn a_lost_request_is_made_again_from_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    let first = prepare(&args).unwrap();
    std::fs::remove_file(&first.request).unwrap();
    let again = prepare(&args).unwrap();
    let new: Vec<_> = again.files.iter().filter(|(_, new)| *new).map(|(path, _)| path.clone()).collect();
    assert_eq!(new, [first.request]);
}

#[test]
fn anothers_folder_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    prepare(&args).unwrap();
    let before = contents(&args.dir);
    for other in [
        InitArgs { node: 2, ..args.clone() },
        InitArgs { municipality: "640200".parse().unwrap(), ..args.clone() },
        InitArgs { short: "石".into(), ..args.clone() },
    ] {
        let failure = prepare(&other).unwrap_err();
        assert_eq!((failure.exit, failure.code), (Exit::Exists, "INIT_OTHER_NODE"));
    }
    std::fs::remove_file(args.dir.join("tls/node.key")).unwrap();
    TlsKey::generate().unwrap().save(&args.dir.join("tls/node.key")).unwrap();
    assert_eq!(prepare(&args).unwrap_err().code, "INIT_OTHER_KEY");
    assert_eq!(contents(&args.dir).len(), before.len());
}

#[test]
fn bad_values_write_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let args = args(dir.path());
    for bad in [
        InitArgs { federation: "Wu Hai".into(), ..args.clone() },
        InitArgs { short: "\"\n".into(), ..args.clone() },
        InitArgs { dns: vec!["*".into()], ..args.clone() },
    ] {
        prepare(&bad).unwrap_err();
        assert!(!args.dir.join("tls/node.key").exists());
    }
}

#[test]
fn the_template_shows_the_real_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let text = template(&args(dir.path()));
    for key in KEYS.iter().filter(|key| key.path != "node") {
        let name = key.path.rsplit('.').next().unwrap();
        let Some(default) = key.default else { continue };
        let shown = [format!("# {name} = \"{default}\""), format!("# {name} = {default}")];
        assert!(shown.iter().any(|line| text.contains(line)), "{}", key.path);
    }
}
