//! The container files, run without an engine: what `prepare` runs is run in a folder, and every service's command line
//! and environment is given to the `shouwang` command, with the volumes' paths replaced by that folder's.

#![expect(clippy::unwrap_used, reason = "in a test, a file that cannot be read is a failure of the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use shouwang_cluster::federation::{FEDERATION, REGION, WUHAI_REGION, binary};

const COMPOSE: &str = include_str!("../../docker-compose.yml");
const DOCKERFILE: &str = include_str!("../../Dockerfile");
const TOOLCHAIN: &str = include_str!("../../rust-toolchain.toml");
const MANIFEST: &str = include_str!("../../Cargo.toml");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A service of the compose file, merge keys resolved.
struct Service {
    name: String,
    value: Value,
}

impl Service {
    fn list(&self, key: &str) -> Vec<String> {
        let items = self.value[key].as_array().into_iter().flatten();
        items.map(|item| item.as_str().expect("lists here are of strings").to_owned()).collect()
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let variables = self.value["environment"].as_object().into_iter().flatten();
        variables.map(|(name, value)| (name.clone(), value.as_str().expect("variables are text").to_owned())).collect()
    }

    /// Volume and where it is mounted.
    fn volumes(&self) -> Vec<(String, String)> {
        let split = |volume: String| {
            let mut parts = volume.split(':').map(str::to_owned);
            (parts.next().unwrap_or_default(), parts.next().expect("a volume is mounted somewhere"))
        };
        self.list("volumes").into_iter().map(split).collect()
    }

    /// Published ports: address, port here, port in the container.
    fn ports(&self) -> Vec<(String, u16, u16)> {
        let split = |port: String| match port.split(':').collect::<Vec<_>>()[..] {
            [address, outer, inner] => (address.to_owned(), outer.parse().unwrap(), inner.parse().unwrap()),
            _ => panic!("{port}: say on which address it is published"),
        };
        self.list("ports").into_iter().map(split).collect()
    }
}

fn compose() -> Value {
    let mut value: serde_yaml_ng::Value = serde_yaml_ng::from_str(COMPOSE).unwrap();
    value.apply_merge().unwrap();
    // An anchor of merged keys may itself hold merged keys.
    serde_json::to_value(value).unwrap()
}

fn services() -> Vec<Service> {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    services.iter().map(|(name, value)| Service { name: name.clone(), value: value.clone() }).collect()
}

fn service(name: &str) -> Service {
    services().into_iter().find(|service| service.name == name).unwrap()
}

/// The nodes: what runs `serve`.
fn nodes() -> Vec<Service> {
    services().into_iter().filter(|service| service.list("command") == ["serve"]).collect()
}

/// What `prepare` makes, in a folder of its own: each volume is a folder under it, where `prepare` mounts it.
struct Prepared {
    dir: tempfile::TempDir,
    volumes: BTreeMap<String, PathBuf>,
}

impl Prepared {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mounted = service("prepare").list("command")[0].clone();
        let volumes = service("prepare").volumes().into_iter().map(|(volume, path)| {
            let inside =
                Path::new(&path).strip_prefix(&mounted).expect("prepare works where its volumes are").to_owned();
            let folder = dir.path().join(inside);
            // An engine makes a volume's folder before the container starts.
            std::fs::create_dir_all(&folder).unwrap();
            (volume, folder)
        });
        let volumes = volumes.collect();
        Self { dir, volumes }
    }

    fn run(&self) -> Output {
        let prepare = service("prepare");
        let script = root().join("scripts").join(&prepare.list("entrypoint")[0]);
        let binary = binary().unwrap();
        let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
        // Handing files over to another user is the engine's matter: whoever runs this test may not be allowed to.
        Command::new(script).arg(self.dir.path()).env_clear().env("PATH", path).output().unwrap()
    }

    /// Runs `shouwang` as the service would, with other arguments in place of its command's.
    fn shouwang(&self, service: &Service, arguments: &[&str]) -> Output {
        let here = |text: &str| {
            service.volumes().iter().fold(text.to_owned(), |text, (volume, path)| {
                text.replace(path, &self.volumes[volume].to_string_lossy())
            })
        };
        let environment = service.environment().into_iter().map(|(name, value)| (name, here(&value)));
        let arguments = arguments.iter().map(|argument| here(argument));
        Command::new(binary().unwrap()).args(arguments).env_clear().envs(environment).output().unwrap()
    }
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn prepare_makes_what_every_node_starts_from_and_changes_nothing_when_run_again() {
    let prepared = Prepared::new();
    let said = succeeded(&prepared.run());
    assert!(said.starts_with("prepare-region: ok"), "{said}");
    let charter = prepared.volumes["ca"].join("charter.json");
    let first = std::fs::read(&charter).unwrap();
    succeeded(&prepared.run());
    assert_eq!(std::fs::read(&charter).unwrap(), first);
    charter_agrees_with_the_demonstration(&first);
    for node in nodes() {
        settings_agree(&prepared, &node);
    }
    // The contexts of the terminal name files that are there, and nodes that exist.
    let contexts = std::fs::read_to_string(prepared.volumes["operators"].join("contexts.toml")).unwrap();
    for line in contexts.lines().filter(|line| line.contains(" = ")) {
        let (key, value) = line.split_once(" = ").unwrap();
        let value = value.trim_matches('"');
        match key {
            "address" => assert!(nodes().iter().any(|node| value == format!("{}:7301", node.name)), "{value}"),
            _ => assert!(prepared.volumes["operators"].join(value).exists(), "{value}"),
        }
    }
    succeeded(&prepared.shouwang(&service("terminal"), &["--help"]));
}

fn charter_agrees_with_the_demonstration(charter: &[u8]) {
    let signed: Value = serde_json::from_slice(charter).unwrap();
    let charter = &signed["charter"];
    assert_eq!((&charter["federation"], &charter["hub"]), (&FEDERATION.into(), &WUHAI_REGION[0].code.into()));
    let members = charter["members"].as_array().unwrap();
    assert_eq!(members.len(), WUHAI_REGION.len());
    for spec in WUHAI_REGION {
        let member = members.iter().find(|member| member["code"] == spec.code).unwrap();
        assert_eq!((&member["name"], &member["short"]), (&spec.name.into(), &spec.short.into()));
        assert_eq!((&member["standing"], &member["neighbours"]), (&spec.standing.into(), &spec.neighbours.into()));
        assert_eq!(member["superior"], spec.superior.map_or(Value::Null, Value::from));
        assert_eq!(member["nodes"][0]["voter"], spec.voter, "{}", spec.name);
    }
    let parties = WUHAI_REGION.iter().filter(|spec| spec.standing == "party").count();
    assert!(signed["signatures"].as_array().unwrap().len() >= parties, "every party has signed");
}

/// The node's settings in force, from its file and the service's environment: they fit its volume, ports and peers.
fn settings_agree(prepared: &Prepared, node: &Service) {
    let shown = succeeded(&prepared.shouwang(node, &["config", "show", "-o", "json"]));
    let settings: Vec<Value> = serde_json::from_str(&shown).unwrap();
    let get = |key: &str| settings.iter().find(|setting| setting["key"] == key).map(|setting| setting["value"].clone());
    let text = |key: &str| get(key).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    assert_eq!((text("federation"), text("regions[0].name")), (FEDERATION.to_owned(), REGION.to_owned()));
    assert_eq!(text("peer.advertise"), format!("{}:7300", node.name), "others dial the service's name");
    let inner: Vec<u16> = node.ports().iter().map(|(_, _, inner)| *inner).collect();
    let port = |key: &str| text(key).rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap();
    assert_eq!(inner, [port("operator.listen"), port("metrics.listen")]);
    let check = node.value["healthcheck"]["test"].as_array().unwrap().last().unwrap();
    assert_eq!(*check, format!("http://127.0.0.1:{}/readyz", port("metrics.listen")));
    let mut peers: Vec<String> = (0..)
        .map_while(|at| {
            let address = text(&format!("regions[0].peers[{at}].address"));
            (!address.is_empty()).then_some(address)
        })
        .collect();
    peers.sort();
    let mut others: Vec<String> =
        nodes().iter().filter(|other| other.name != node.name).map(|other| format!("{}:7300", other.name)).collect();
    others.sort();
    assert_eq!(peers, others);
    succeeded(&prepared.shouwang(node, &["serve", "--help"]));
}

#[test]
fn every_member_is_a_service_and_nothing_is_published_beyond_this_machine() {
    let nodes = nodes();
    assert_eq!(nodes.len(), WUHAI_REGION.len());
    let mut published = Vec::new();
    for service in services() {
        for (address, outer, _) in service.ports() {
            assert_eq!(address, "127.0.0.1", "{}", service.name);
            assert!(!published.contains(&outer), "{outer} is published twice");
            published.push(outer);
        }
        assert_eq!(service.value["privileged"], Value::Null, "{}", service.name);
    }
    assert_eq!(published.len(), 2 * nodes.len());
    let declared = compose()["volumes"].as_object().unwrap().clone();
    for (volume, _) in services().iter().flat_map(Service::volumes) {
        assert!(declared.contains_key(&volume), "{volume}");
    }
    let mut folders: Vec<_> = nodes.iter().flat_map(Service::volumes).map(|(volume, _)| volume).collect();
    folders.dedup();
    assert_eq!(folders.len(), nodes.len(), "no two nodes share a disk");
}

#[test]
fn the_image_is_built_from_this_checkout_and_does_not_run_as_root() {
    let version = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    };
    let toolchain = version(TOOLCHAIN, "channel");
    assert!(DOCKERFILE.contains(&format!("FROM rust:{toolchain}-slim")), "the image's toolchain is {toolchain}");
    let image = format!("shouwang:{}", version(MANIFEST, "version"));
    for service in services() {
        assert_eq!(service.value["image"], image, "{}", service.name);
    }
    let copied = DOCKERFILE.lines().filter(|line| line.starts_with("COPY scripts/"));
    for path in copied.map(|line| line.split(' ').nth(1).unwrap()) {
        assert!(root().join(path).is_file(), "{path}");
    }
    let (build, run) = DOCKERFILE.split_once("\nFROM debian").unwrap();
    assert!(build.contains("\nRUN scripts/release\n") && root().join("scripts/release").is_file());
    assert!(run.contains("/target/delivered/shouwang "), "what it makes");
    assert!(run.contains("\nUSER shouwang\n") && run.contains("ENTRYPOINT [\"shouwang\"]"));
    let owner = service("prepare").environment()["REGION_OWNER"].clone();
    assert!(run.contains(&format!("--uid {}", owner.split(':').next().unwrap())));
}
