//! Reading the TOML file: every key must be known, every value of its kind, and each keeps its line.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::keys::{self, KEYS, Kind};
use crate::config::problem::Problem;
use crate::nesting;

/// The most regions of a node, and the most peers of a region.
const MAX_ENTRIES: usize = 512;

/// A value with the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lined {
    pub(super) text: String,
    pub(super) line: usize,
}

/// A region as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawRegion {
    pub(super) line: usize,
    pub(super) name: Option<Lined>,
    pub(super) charter: Option<Lined>,
    pub(super) peers: Vec<RawPeer>,
}

/// A region's peer as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawPeer {
    pub(super) line: usize,
    pub(super) node: Option<Lined>,
    pub(super) address: Option<Lined>,
}

/// What a file holds, before its values are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawFile {
    pub(super) values: BTreeMap<&'static str, Lined>,
    pub(super) regions: Vec<RawRegion>,
}

/// Parses `text`; `path` only names it.
pub(super) fn parse(path: &Path, text: &str) -> Result<RawFile, Vec<Problem>> {
    let mut reader = Reader { path, text, file: RawFile::default(), problems: Vec::new() };
    if let Err(deep) = nesting::check(text) {
        let (place, what) = (reader.place(deep.line), nesting::TooDeep::text());
        return Err(vec![Problem::new("CONFIG_SYNTAX", place, what.zh, what.en)]);
    }
    match DeTable::parse(text) {
        Ok(table) => reader.table(table.get_ref(), ""),
        Err(error) => {
            let line = error.span().map_or(1, |span| reader.line(span.start));
            let place = reader.place(line);
            let what = error.message();
            reader.problems.push(Problem::new(
                "CONFIG_SYNTAX",
                place,
                format!("TOML 语法错误：{what}"),
                format!("this is not TOML: {what}"),
            ));
        }
    }
    if reader.problems.is_empty() { Ok(reader.file) } else { Err(reader.problems) }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    file: RawFile,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        1 + self.text.get(..at).unwrap_or_default().matches('\n').count()
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let path =
                if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            let line = self.line(name.span().start);
            if let Some(key) = keys::find(&path) {
                if let Some(value) = self.scalar(key.path, key.kind, value, line) {
                    self.file.values.insert(key.path, value);
                }
            } else if path == "regions" {
                self.file.regions = self.entries(value, &path, line, Self::region);
            } else if let (DeValue::Table(inner), true) = (value.get_ref(), is_section(&path)) {
                self.table(inner, &path);
            } else if is_section(&path) {
                self.wrong_type::<()>(&path, line, "一个表", "a table", value);
            } else {
                let known = KEYS.iter().map(|key| key.path).chain(["regions"]);
                self.unknown(&path, line, keys::suggest(&path, known));
            }
        }
    }

    fn scalar(&mut self, path: &str, kind: Kind, value: &Spanned<DeValue<'_>>, line: usize) -> Option<Lined> {
        let text = match (kind, value.get_ref()) {
            (Kind::Text, DeValue::String(text)) => text.to_string(),
            (Kind::Integer, DeValue::Integer(number)) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => number.to_string(),
                    // Out of any range: the check of the value itself says so, with the text as it stands.
                    Err(_) => number.to_string(),
                }
            }
            (Kind::Text, _) => return self.wrong_type(path, line, "字符串", "a string", value),
            (Kind::Integer, _) => return self.wrong_type(path, line, "整数", "a whole number", value),
        };
        Some(Lined { text, line })
    }

    fn entries<T>(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        line: usize,
        entry: impl Fn(&mut Self, &DeTable<'_>, usize) -> T,
    ) -> Vec<T> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type::<()>(path, line, "表的数组", "an array of tables", value);
            return Vec::new();
        };
        if items.len() > MAX_ENTRIES {
            let place = self.place(line);
            let en = format!("{path} has {} entries; at most {MAX_ENTRIES} are accepted", items.len());
            let zh = format!("{path} 有 {} 项，最多 {MAX_ENTRIES} 项", items.len());
            self.problems.push(Problem::new("CONFIG_TOO_MANY", place, zh, en));
            return Vec::new();
        }
        let mut entries = Vec::new();
        for item in items {
            let line = self.line(item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => entries.push(entry(self, table, line)),
                _ => {
                    self.wrong_type::<()>(path, line, "表的数组", "an array of tables", item);
                }
            }
        }
        entries
    }

    fn region(&mut self, table: &DeTable<'_>, line: usize) -> RawRegion {
        let mut region = RawRegion { line, ..RawRegion::default() };
        for (name, value) in table {
            let line = self.line(name.span().start);
            match name.get_ref().as_ref() {
                "name" => region.name = self.scalar("regions.name", Kind::Text, value, line),
                "charter" => region.charter = self.scalar("regions.charter", Kind::Text, value, line),
                "peers" => region.peers = self.entries(value, "regions.peers", line, Self::peer),
                other => {
                    self.unknown(&format!("regions.{other}"), line, keys::suggest(other, ["name", "charter", "peers"]));
                }
            }
        }
        region
    }

    fn peer(&mut self, table: &DeTable<'_>, line: usize) -> RawPeer {
        let mut peer = RawPeer { line, ..RawPeer::default() };
        for (name, value) in table {
            let line = self.line(name.span().start);
            match name.get_ref().as_ref() {
                "node" => peer.node = self.scalar("regions.peers.node", Kind::Text, value, line),
                "address" => peer.address = self.scalar("regions.peers.address", Kind::Text, value, line),
                other => {
                    self.unknown(&format!("regions.peers.{other}"), line, keys::suggest(other, ["node", "address"]));
                }
            }
        }
        peer
    }

    fn wrong_type<T>(
        &mut self,
        path: &str,
        line: usize,
        zh: &str,
        en: &str,
        found: &Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let found = found.get_ref().type_str();
        let place = self.place(line);
        let (zh, en) = (format!("{path} 须为{zh}，而非 {found}"), format!("{path} must be {en}, not {found}"));
        self.problems.push(Problem::new("CONFIG_WRONG_TYPE", place, zh, en));
        None
    }

    fn unknown(&mut self, path: &str, line: usize, suggestion: Option<&str>) {
        let path: String = path.chars().take(100).collect();
        let (zh, en) = keys::no_such(&path, suggestion);
        let place = self.place(line);
        self.problems.push(Problem::new("CONFIG_UNKNOWN_KEY", place, zh, en));
    }
}

fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}
