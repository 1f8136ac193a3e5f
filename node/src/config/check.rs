//! From texts to a checked [`Config`]: every value on its own, then those that must fit each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shouwang_domain::level;
use shouwang_domain::machine::Machine as _;
use shouwang_domain::region::Region;

use crate::api::{self, deadline};
use crate::auth::channel::check_address;
use crate::auth::identity::{Municipality, NodeName, check_federation};
use crate::auth::tls::TlsPaths;
use crate::config::file::{Lined, RawPeer, RawRegion};
use crate::config::problem::Problem;
use crate::config::resolve::{Origin, Setting};
use crate::config::{Config, Limits, LogFormat, PeerAddress, PeerConfig, RegionConfig, Timing};
use crate::lang::Bilingual;
use crate::telemetry::check_level;

/// The most characters of a municipality's short name.
const MAX_SHORT: usize = 4;

/// Checks all values; `base` is the folder paths of the file are relative to.
pub(super) fn check(
    values: &BTreeMap<&'static str, Setting>,
    regions: &[RawRegion],
    base: &Path,
    file: &Path,
) -> Result<Config, Vec<Problem>> {
    let mut checker = Checker { values, base, file, problems: Vec::new() };
    let config = checker.config(regions);
    match config {
        Some(config) if checker.problems.is_empty() => Ok(config),
        _ => Err(checker.problems),
    }
}

struct Checker<'a> {
    values: &'a BTreeMap<&'static str, Setting>,
    base: &'a Path,
    file: &'a Path,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn config(&mut self, regions: &[RawRegion]) -> Option<Config> {
        // Each is read before the first `?`, so that every fault is told at once.
        let federation =
            self.value("federation", |text| check_federation(text).map(|()| text.to_owned()).map_err(|e| e.text()));
        let municipality = self.value("municipality.code", |text| text.parse::<Municipality>().map_err(|e| e.text()));
        let short = self.value("municipality.short", short_name);
        let [node, registry_node] = ["node", "registry_node"]
            .map(|key| self.number(key, 1, u64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok()));
        let paths = ["data_dir", "tls.ca", "tls.cert", "tls.key", "signing_key"].map(|key| self.path(key));
        let listen = ["peer.listen", "operator.listen", "metrics.listen"].map(|key| self.value(key, socket));
        let advertise = self.advertise(listen[0]);
        self.listeners_differ(&listen);
        let hold_level = self.hold_level();
        let timing = self.value("timing", |text| choice(text, &[("lan", Timing::Lan), ("wan", Timing::Wan)]));
        let formats = [("human", LogFormat::Human), ("json", LogFormat::Json)];
        let log_format = self.value("log.format", |text| choice(text, &formats));
        let log_level = self.value("log.level", |text| match check_level(text) {
            Ok(()) => Ok(text.to_owned()),
            Err(error) => Err(Bilingual::new(format!("日志级别 {text:?} 无效"), error.to_string())),
        });
        let limits = self.limits();
        let regions = self.regions(regions);
        let [data_dir, ca, cert, key, signing_key] = paths;
        let [peer_listen, operator_listen, metrics_listen] = listen;
        Some(Config {
            federation: federation?,
            municipality: municipality?,
            short: short?,
            node: node?,
            registry_node: registry_node?,
            data_dir: data_dir?,
            peer: PeerConfig { listen: peer_listen?, advertise: advertise? },
            operator_listen: operator_listen?,
            metrics_listen: metrics_listen?,
            tls: TlsPaths { ca: ca?, cert: cert?, key: key? },
            signing_key: signing_key?,
            hold_level,
            timing: timing?,
            log_format: log_format?,
            log_level: log_level?,
            limits: limits?,
            regions,
        })
    }

    fn limits(&mut self) -> Option<Limits> {
        // Each is read before the first `?`, so that every fault is told at once. All bounds fit a usize of 32 bits.
        let mut size = |key: &'static str, least: u64, most: u64| {
            self.number(key, least, most).and_then(|number| usize::try_from(number).ok())
        };
        let peer_connections = size("limits.peer_connections", 1, 100_000);
        let operator_connections = size("limits.operator_connections", 1, 100_000);
        let caller_connections = size("limits.caller_connections", 1, 100_000);
        let [calls, watches, streams] =
            ["limits.calls", "limits.watches", "limits.streams"].map(|key| size(key, 1, 100_000));
        let [caller_calls, caller_watches, caller_streams] =
            ["limits.caller_calls", "limits.caller_watches", "limits.caller_streams"].map(|key| size(key, 1, 100_000));
        let message_bytes = size("limits.message_bytes", 64 << 10, 64 << 20);
        let request = self.number("limits.request_seconds", 1, deadline::MAX.as_secs());
        let drain = self.number("limits.drain_seconds", 1, 600);
        Some(Limits {
            peer_connections: peer_connections?,
            operator_connections: operator_connections?,
            caller_connections: caller_connections?,
            api: api::Limits {
                calls: calls?,
                caller_calls: caller_calls?,
                watches: watches?,
                caller_watches: caller_watches?,
                streams: streams?,
                caller_streams: caller_streams?,
                message_bytes: message_bytes?,
                request_timeout: Duration::from_secs(request?),
            },
            drain_timeout: Duration::from_secs(drain?),
        })
    }

    fn place(setting: &Setting) -> String {
        match &setting.origin {
            Origin::Flag => format!("--set {}", setting.key),
            Origin::Environment(name) => name.clone(),
            Origin::File(path, line) => format!("{}:{line}", path.display()),
            Origin::Default => setting.key.clone(),
        }
    }

    fn bad(&mut self, place: String, key: &str, why: &Bilingual) {
        self.problems.push(Problem::new(
            "CONFIG_BAD_VALUE",
            place,
            format!("{key}：{}", why.zh),
            format!("{key}: {}", why.en),
        ));
    }

    fn value<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, Bilingual>) -> Option<T> {
        let Some(setting) = self.values.get(key) else {
            let variable = format!("SHOUWANG_{}", key.to_uppercase().replace('.', "_"));
            let zh = format!("缺少 {key}；请写入配置文件，或设置 {variable}");
            let en = format!("{key} is missing; write it into the file, or set {variable}");
            let place = if self.file.as_os_str().is_empty() { key.to_owned() } else { self.file.display().to_string() };
            self.problems.push(Problem::new("CONFIG_MISSING", place, zh, en));
            return None;
        };
        match parse(&setting.value) {
            Ok(value) => Some(value),
            Err(why) => {
                self.bad(Self::place(setting), key, &why);
                None
            }
        }
    }

    fn number(&mut self, key: &'static str, least: u64, most: u64) -> Option<u64> {
        self.value(key, |text| {
            text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
                Bilingual::new(
                    format!("{text:?} 须为 {least} 至 {most}"),
                    format!("{text:?} must be from {least} to {most}"),
                )
            })
        })
    }

    /// A path of the file, and a default, is relative to the file; one from flag or environment to the working directory.
    fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        let text = self.value(key, |text| match text {
            "" => Err(Bilingual::fixed("不能为空", "it must not be empty")),
            text => Ok(text.to_owned()),
        })?;
        let setting = self.values.get(key)?;
        Some(match setting.origin {
            Origin::File(..) | Origin::Default => self.base.join(text),
            Origin::Flag | Origin::Environment(_) => PathBuf::from(text),
        })
    }

    fn advertise(&mut self, listen: Option<SocketAddr>) -> Option<String> {
        if self.values.contains_key("peer.advertise") {
            return self.value("peer.advertise", address);
        }
        let listen = listen?;
        if listen.ip().is_unspecified() {
            self.problems.push(Problem::new(
                "CONFIG_MISSING",
                "peer.advertise",
                format!("peer.listen 为 {listen}，其他节点无法据此拨入；请设置 peer.advertise"),
                format!("peer.listen is {listen}, which nobody can dial; set peer.advertise to what they can"),
            ));
            return None;
        }
        Some(listen.to_string())
    }

    /// Nothing unless it is given: a program goes along with all that it knows.
    fn hold_level(&mut self) -> Option<u32> {
        self.values.get("hold_level")?;
        let most = u64::from(Region::NEWEST_LEVEL);
        self.number("hold_level", u64::from(level::FIRST), most).and_then(|level| u32::try_from(level).ok())
    }

    fn listeners_differ(&mut self, listen: &[Option<SocketAddr>; 3]) {
        let mut seen = BTreeSet::new();
        for address in listen.iter().flatten().filter(|address| address.port() != 0) {
            if !seen.insert(*address) {
                self.problems.push(Problem::new(
                    "CONFIG_CONFLICT",
                    address.to_string(),
                    "peer.listen、operator.listen、metrics.listen 不得相同",
                    "peer.listen, operator.listen and metrics.listen must differ",
                ));
            }
        }
    }

    fn lined<T>(
        &mut self,
        key: &str,
        owner_line: usize,
        value: Option<&Lined>,
        parse: impl Fn(&str) -> Result<T, Bilingual>,
    ) -> Option<T> {
        let Some(value) = value else {
            let place = format!("{}:{owner_line}", self.file.display());
            self.problems.push(Problem::new(
                "CONFIG_MISSING",
                place,
                format!("缺少 {key}"),
                format!("{key} is missing"),
            ));
            return None;
        };
        match parse(&value.text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.bad(format!("{}:{}", self.file.display(), value.line), key, &why);
                None
            }
        }
    }

    fn regions(&mut self, raw: &[RawRegion]) -> Vec<RegionConfig> {
        let (mut names, mut regions) = (BTreeSet::new(), Vec::new());
        for region in raw {
            let name = self.lined("regions.name", region.line, region.name.as_ref(), region_name);
            let charter = self.lined("regions.charter", region.line, region.charter.as_ref(), |text| match text {
                "" => Err(Bilingual::fixed("不能为空", "it must not be empty")),
                text => Ok(text.to_owned()),
            });
            let peers = self.peers(&region.peers);
            let (Some(name), Some(charter)) = (name, charter) else { continue };
            if !names.insert(name.clone()) {
                self.twice(region.line, &name);
            }
            regions.push(RegionConfig { name, charter: self.base.join(charter), peers });
        }
        regions
    }

    fn peers(&mut self, raw: &[RawPeer]) -> Vec<PeerAddress> {
        let (mut nodes, mut peers) = (BTreeSet::new(), Vec::new());
        for peer in raw {
            let node = self.lined("regions.peers.node", peer.line, peer.node.as_ref(), |text| {
                text.parse::<NodeName>().map_err(|_| {
                    Bilingual::new(
                        format!("{text:?} 须写作 <行政区划代码>/<节点编号>，如 150300/1"),
                        format!("{text:?} must be <municipality code>/<node number>, such as 150300/1"),
                    )
                })
            });
            let address = self.lined("regions.peers.address", peer.line, peer.address.as_ref(), address);
            let (Some(node), Some(address)) = (node, address) else { continue };
            if !nodes.insert(node) {
                self.twice(peer.line, &node.to_string());
            }
            peers.push(PeerAddress { node, address });
        }
        peers
    }

    fn twice(&mut self, line: usize, what: &str) {
        let place = format!("{}:{line}", self.file.display());
        self.problems.push(Problem::new(
            "CONFIG_CONFLICT",
            place,
            format!("{what} 重复"),
            format!("{what} stands here twice"),
        ));
    }
}

fn socket(text: &str) -> Result<SocketAddr, Bilingual> {
    text.parse().map_err(|_| {
        Bilingual::new(
            format!("{text:?} 须为 IP:端口，如 127.0.0.1:7300"),
            format!("{text:?} must be IP:port, such as 127.0.0.1:7300"),
        )
    })
}

fn address(text: &str) -> Result<String, Bilingual> {
    check_address(text).map(|()| text.to_owned()).map_err(|why| {
        Bilingual::new(format!("{text:?} 须为 主机:端口（{why}）"), format!("{text:?} must be host:port ({why})"))
    })
}

/// A municipality's short name: one to four letters (汉字 or others), as in 乌-调-2026-0012.
pub(super) fn short_name(text: &str) -> Result<String, Bilingual> {
    let letters = text.chars().count();
    if (1..=MAX_SHORT).contains(&letters) && text.chars().all(char::is_alphanumeric) {
        return Ok(text.to_owned());
    }
    Err(Bilingual::new(
        format!("{text:?} 须为 1 至 {MAX_SHORT} 个字，如 乌"),
        format!("{text:?} must be 1 to {MAX_SHORT} letters, such as 乌"),
    ))
}

fn region_name(text: &str) -> Result<String, Bilingual> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(|b| plain(*b)) && bytes.last().is_some_and(|b| plain(*b));
    if ends && bytes.len() <= 63 && bytes.iter().all(|byte| plain(*byte) || *byte == b'-') {
        return Ok(text.to_owned());
    }
    Err(Bilingual::new(
        format!("{text:?} 须为 1 至 63 个小写字母、数字或 '-'"),
        format!("{text:?} must be 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends"),
    ))
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Bilingual> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Bilingual::new(
            format!("{text:?} 无效；可选：{}", names.join("、")),
            format!("{text:?} is none of: {}", names.join(", ")),
        )
    })
}
