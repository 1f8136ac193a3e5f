//! Joining flags, environment, file and defaults, and remembering which of them each value came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::check;
use crate::config::file::{self, RawFile};
use crate::config::keys::{self, KEYS, Key, OTHER_VARIABLES};
use crate::config::problem::{ConfigError, Problem};
use crate::config::{Config, FILE_NAME};
use crate::pki::files::read_text;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment(String),
    /// The file, at a line.
    File(PathBuf, usize),
    /// The default; nothing gave another.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path, line) => write!(f, "file {}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One value in force and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The setting, `peer.listen`.
    pub key: String,
    /// Its value, as given.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Settings given on the command line: name and value.
    pub flags: Vec<(String, String)>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

/// A configuration and where each of its values came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration, checked.
    pub config: Config,
    /// Every value in force, in the order of the table of settings, then the regions.
    pub settings: Vec<Setting>,
}

/// The file to use: the one named (by `--config` or `SHOUWANG_CONFIG`), else `shouwang.toml` in the working directory,
/// else `/etc/shouwang/shouwang.toml`, else none.
pub fn find_file(named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_owned).or_else(|| {
        [PathBuf::from(FILE_NAME), Path::new("/etc/shouwang").join(FILE_NAME)].into_iter().find(|path| path.exists())
    })
}

/// Joins and checks a configuration.
///
/// # Errors
/// [`ConfigError`] with every fault found.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut problems = Vec::new();
    let file = match &sources.file {
        Some(path) => read_file(path).unwrap_or_else(|mut found| {
            problems.append(&mut found);
            RawFile::default()
        }),
        None => RawFile::default(),
    };
    unknown_variables(&sources.environment, &mut problems);
    let flags = flags(&sources.flags, &mut problems);
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let values: BTreeMap<&'static str, Setting> =
        KEYS.iter().filter_map(|key| Some((key.path, effective(key, &flags, sources, &file)?))).collect();
    let base = sources.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let file_name = sources.file.as_deref().unwrap_or(Path::new(""));
    let checked = check::check(&values, &file.regions, base, file_name).map_err(|problems| ConfigError { problems })?;
    let mut settings: Vec<Setting> = KEYS.iter().filter_map(|key| values.get(key.path).cloned()).collect();
    settings.extend(region_settings(&file, file_name));
    Ok(Loaded { config: checked, settings })
}

fn read_file(path: &Path) -> Result<RawFile, Vec<Problem>> {
    let text = read_text(path).map_err(|error| {
        let text = error.text();
        vec![Problem::new("CONFIG_UNREADABLE", path.display().to_string(), text.zh, text.en)]
    })?;
    file::parse(path, &text)
}

/// A variable that is nearly a setting's is a slip of the pen. Others that start alike may be anyone's: an orchestrator
/// sets `SHOUWANG_PORT` for a service of that name.
fn unknown_variables(environment: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let names = || known.iter().map(String::as_str).chain(OTHER_VARIABLES.iter().copied());
    for name in environment.keys().filter(|name| name.starts_with("SHOUWANG_")) {
        if names().any(|known| known == name) {
            continue;
        }
        let tail = |name: &str| name.trim_start_matches("SHOUWANG_").to_owned();
        let tails: Vec<String> = names().map(tail).collect();
        if let Some(near) = keys::suggest(&tail(name), tails.iter().map(String::as_str)) {
            let zh = format!("没有该环境变量；是否为 SHOUWANG_{near}？");
            let en = format!("there is no such variable; did you mean SHOUWANG_{near}?");
            problems.push(Problem::new("CONFIG_UNKNOWN_VARIABLE", name.clone(), zh, en));
        }
    }
}

fn flags(given: &[(String, String)], problems: &mut Vec<Problem>) -> BTreeMap<&'static str, String> {
    let mut flags = BTreeMap::new();
    for (name, value) in given {
        if let Some(key) = keys::find(name) {
            flags.insert(key.path, value.clone());
        } else {
            let name: String = name.chars().take(100).collect();
            let (zh, en) = keys::no_such(&name, keys::suggest(&name, KEYS.iter().map(|key| key.path)));
            problems.push(Problem::new("CONFIG_UNKNOWN_KEY", "--set", zh, en));
        }
    }
    flags
}

fn effective(key: &Key, flags: &BTreeMap<&'static str, String>, sources: &Sources, file: &RawFile) -> Option<Setting> {
    let variable = key.variable();
    let setting = |value: &str, origin| Setting { key: key.path.to_owned(), value: value.to_owned(), origin };
    if let Some(value) = flags.get(key.path) {
        return Some(setting(value, Origin::Flag));
    }
    if let Some(value) = sources.environment.get(&variable) {
        return Some(setting(value, Origin::Environment(variable)));
    }
    if let (Some(value), Some(path)) = (file.values.get(key.path), &sources.file) {
        return Some(setting(&value.text, Origin::File(path.clone(), value.line)));
    }
    key.default.map(|value| setting(value, Origin::Default))
}

fn region_settings(file: &RawFile, path: &Path) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (at, region) in file.regions.iter().enumerate() {
        let mut push = |key: String, value: &Option<file::Lined>| {
            if let Some(value) = value {
                let origin = Origin::File(path.to_owned(), value.line);
                settings.push(Setting { key, value: value.text.clone(), origin });
            }
        };
        push(format!("regions[{at}].name"), &region.name);
        push(format!("regions[{at}].charter"), &region.charter);
        for (peer_at, peer) in region.peers.iter().enumerate() {
            push(format!("regions[{at}].peers[{peer_at}].node"), &peer.node);
            push(format!("regions[{at}].peers[{peer_at}].address"), &peer.address);
        }
    }
    settings
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
