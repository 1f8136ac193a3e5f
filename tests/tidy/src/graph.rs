//! Who imports whom. Imports point one way, and what is heavy or impure stands in one room; the manifests show it.

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

/// A room as its manifest must be.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Its folder.
    pub folder: &'static str,
    /// The rooms it may import.
    pub imports: &'static [&'static str],
    /// All it may depend on besides; `None` for the rooms at the edge, which [`OWNERS`] alone holds back.
    pub only: Option<&'static [&'static str]>,
}

/// The rooms, from the heart outwards.
pub const ROOMS: &[Room] = &[
    Room {
        folder: "federation/domain",
        imports: &[],
        only: Some(&["ciborium", "imbl", "serde", "sha2", "thiserror", "uuid"]),
    },
    Room { folder: "federation/replica", imports: &[], only: Some(&["bytes", "raft", "slog", "thiserror", "tracing"]) },
    Room {
        folder: "federation/store",
        imports: &[],
        only: Some(&[
            "crc32fast",
            "protobuf",
            "raft-engine",
            "raft-proto",
            "rustix",
            "sha2",
            "sled",
            "tempfile",
            "thiserror",
            "tracing",
            "zstd",
        ]),
    },
    Room { folder: "proto", imports: &[], only: Some(&["prost", "prost-types", "tonic", "tonic-prost"]) },
    Room {
        folder: "federation/driver",
        imports: &["shouwang-domain", "shouwang-proto", "shouwang-replica", "shouwang-store"],
        only: None,
    },
    Room {
        folder: "node",
        imports: &["shouwang-domain", "shouwang-driver", "shouwang-proto", "shouwang-store"],
        only: None,
    },
];

/// What only these rooms may depend on. Tests may take what they need.
pub const OWNERS: &[(&str, &[&str])] = &[
    ("sled", &["federation/store"]),
    ("raft-engine", &["federation/store"]),
    ("protobuf", &["federation/store"]),
    ("raft", &["federation/replica"]),
    ("raft-proto", &["federation/store", "federation/driver"]),
    ("imbl", &["federation/domain"]),
    ("tokio", &["federation/driver", "node"]),
    ("tonic", &["proto", "federation/driver", "node"]),
    ("rustls", &["federation/driver", "node"]),
    ("anyhow", &["node"]),
    ("axum", &["node"]),
    ("clap", &["node"]),
    ("calamine", &["node"]),
];

/// Names no manifest of ours may carry: a second crypto provider, chance, and what brings its own TLS.
pub const NOWHERE: &[(&str, &str)] = &[
    ("ring", "one crypto provider: aws-lc-rs"),
    ("openssl", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("rand", "ask the crypto provider, or take it as input"),
    ("chrono", "calendars are jiff's, certificates' dates are time's"),
];

/// The manifests of a checkout: folder → parsed `Cargo.toml`; the root's folder is empty.
#[derive(Clone, Debug, Default)]
pub struct Manifests(BTreeMap<String, Table>);

impl Manifests {
    /// Picks the manifests out of the checkout's files.
    ///
    /// # Errors
    /// A manifest that is not TOML.
    pub fn new(files: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut manifests = BTreeMap::new();
        for (path, text) in files {
            if let Some(folder) = path.strip_suffix("Cargo.toml") {
                let table = text.parse::<Table>().map_err(|error| format!("{path}: {error}"))?;
                manifests.insert(folder.trim_end_matches('/').to_owned(), table);
            }
        }
        Ok(Self(manifests))
    }

    fn members(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.0.iter().filter(|(folder, _)| !folder.is_empty()).map(|(folder, table)| (folder.as_str(), table))
    }

    /// The names in `[workspace.dependencies]` that are not ours.
    pub fn shared(&self) -> Vec<&str> {
        let shared = self.0.get("").and_then(|root| root.get("workspace")?.get("dependencies")?.as_table());
        shared.into_iter().flat_map(Table::keys).map(String::as_str).filter(|name| !is_ours(name)).collect()
    }
}

fn is_ours(name: &str) -> bool {
    name == "shouwang" || name.starts_with("shouwang-")
}

/// The names in one dependency section of a manifest.
fn section<'a>(table: &'a Table, name: &str) -> impl Iterator<Item = (&'a str, &'a toml::Value)> {
    let section = table.get(name).and_then(toml::Value::as_table);
    section.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// Every room imports only what it may.
pub fn imports(manifests: &Manifests) -> Vec<String> {
    let mut faults = Vec::new();
    for room in ROOMS {
        let Some(table) = manifests.0.get(room.folder) else {
            faults.push(format!("{}/Cargo.toml: the room is missing", room.folder));
            continue;
        };
        for (name, _) in section(table, "dependencies") {
            let allowed = match room.only {
                _ if is_ours(name) => room.imports.contains(&name),
                Some(only) => only.contains(&name),
                None => true,
            };
            if !allowed {
                faults.push(format!("{}/Cargo.toml: {name} does not belong in this room", room.folder));
            }
        }
        // A test may reach for tools, but a room that can be tested only with another's help is not apart from it.
        for (name, value) in section(table, "dev-dependencies").filter(|(name, _)| is_ours(name)) {
            let own = value.get("path").and_then(toml::Value::as_str) == Some(".");
            if !own && !room.imports.contains(&name) {
                faults.push(format!("{}/Cargo.toml: its tests must not need {name}", room.folder));
            }
        }
    }
    faults
}

/// What belongs to one room stands in no other.
pub fn owners(manifests: &Manifests) -> Vec<String> {
    let mut faults = Vec::new();
    for (folder, table) in manifests.members() {
        for (name, _) in section(table, "dependencies") {
            let owner = OWNERS.iter().find(|(owned, _)| *owned == name);
            if !folder.starts_with("tests") && owner.is_some_and(|(_, rooms)| !rooms.contains(&folder)) {
                faults.push(format!("{folder}/Cargo.toml: {name} belongs to another room"));
            }
        }
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (name, value) in section(table, kind) {
                if let Some((_, why)) = NOWHERE.iter().find(|(banned, _)| *banned == name) {
                    faults.push(format!("{folder}/Cargo.toml: {name} stands nowhere: {why}"));
                }
                let shared = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                if !shared && !is_ours(name) {
                    faults.push(format!("{folder}/Cargo.toml: take {name} from the workspace"));
                }
            }
        }
        let lints = table.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        if lints != Some(true) {
            faults.push(format!("{folder}/Cargo.toml: take the workspace's lints"));
        }
    }
    faults
}

/// Every shared dependency is used by a room, and its reason stands in ARCHITECTURE.md.
pub fn reasons(manifests: &Manifests, architecture: &str) -> Vec<String> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let used: BTreeSet<&str> = manifests
        .members()
        .flat_map(|(_, table)| kinds.into_iter().flat_map(|kind| section(table, kind)))
        .map(|(name, _)| name)
        .collect();
    let mut faults = Vec::new();
    for name in manifests.shared() {
        if !used.contains(name) {
            faults.push(format!("Cargo.toml: no room uses {name}"));
        }
        if !architecture.contains(&format!("`{name}`")) {
            faults.push(format!("ARCHITECTURE.md: give the reason for `{name}`"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace in which everything is as it should be, with `planted` added to the manifest of `folder`.
    fn workspace(folder: &str, planted: &str) -> Manifests {
        let mut files =
            BTreeMap::from([("Cargo.toml".to_owned(), "[workspace.dependencies]\nserde = \"1\"\n".to_owned())]);
        for room in ROOMS {
            let planted = if room.folder == folder { planted } else { "" };
            let serde =
                if room.only.is_none_or(|only| only.contains(&"serde")) { "serde.workspace = true\n" } else { "" };
            let text = format!("[lints]\nworkspace = true\n[dependencies]\n{serde}{planted}\n");
            files.insert(format!("{}/Cargo.toml", room.folder), text);
        }
        Manifests::new(&files).unwrap()
    }

    #[test]
    fn a_room_that_imports_what_it_must_not_is_found() {
        for (folder, planted, faults) in [
            ("", "", [0, 0]),
            ("federation/domain", "tokio.workspace = true", [1, 1]),
            ("federation/domain", "shouwang-store.workspace = true", [1, 0]),
            ("federation/domain", "tracing.workspace = true", [1, 0]),
            ("federation/replica", "shouwang-domain.workspace = true", [1, 0]),
            ("federation/store", "shouwang-replica.workspace = true", [1, 0]),
            ("federation/store", "sled.workspace = true", [0, 0]),
            ("federation/driver", "sled.workspace = true", [0, 1]),
            ("federation/driver", "shouwang.workspace = true", [1, 0]),
            ("federation/driver", "shouwang-domain.workspace = true", [0, 0]),
            ("node", "shouwang-replica.workspace = true", [1, 0]),
            ("node", "tokio.workspace = true", [0, 0]),
            ("node", "rand.workspace = true", [0, 1]),
            ("node", "tokio = \"1\"", [0, 1]),
            ("proto", "shouwang-domain.workspace = true", [1, 0]),
            ("federation/store", "[dev-dependencies]\nshouwang-domain.workspace = true", [1, 0]),
            ("federation/domain", "[dev-dependencies]\nshouwang-domain = { path = \".\" }", [0, 0]),
        ] {
            let manifests = workspace(folder, planted);
            assert_eq!([imports(&manifests).len(), owners(&manifests).len()], faults, "{folder}: {planted}");
        }
    }

    #[test]
    fn a_missing_room_and_missing_lints_are_found() {
        let mut manifests = workspace("", "");
        manifests.0.remove("federation/domain");
        assert_eq!(imports(&manifests), ["federation/domain/Cargo.toml: the room is missing"]);
        let mut manifests = workspace("", "");
        manifests.0.get_mut("node").unwrap().remove("lints");
        assert_eq!(owners(&manifests), ["node/Cargo.toml: take the workspace's lints"]);
    }

    #[test]
    fn a_dependency_without_use_or_reason_is_found() {
        assert!(reasons(&workspace("", ""), "`serde`: derives").is_empty());
        assert_eq!(reasons(&workspace("", ""), "serde").len(), 1, "named as code, so that it can be found");
        let unused = Manifests::new(&BTreeMap::from([(
            "Cargo.toml".to_owned(),
            "[workspace.dependencies]\nserde = \"1\"\nshouwang-domain = { path = \"x\" }\n".to_owned(),
        )]));
        assert_eq!(reasons(&unused.unwrap(), "`serde`"), ["Cargo.toml: no room uses serde"]);
    }
}
