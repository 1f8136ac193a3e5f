//! The table of settings: the one place that names them, their defaults and what they are for.

use crate::lang::Bilingual;

/// What a setting is in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Integer,
}

/// One setting.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its path in the file, `peer.listen`.
    pub path: &'static str,
    /// What it is in TOML.
    pub kind: Kind,
    /// Its value when nothing gives one; `None` when it must be given, or follows from others.
    pub default: Option<&'static str>,
    /// What it is for.
    pub about: Bilingual,
}

impl Key {
    /// The environment variable that sets it: `SHOUWANG_PEER_LISTEN`.
    pub fn variable(&self) -> String {
        format!("SHOUWANG_{}", self.path.to_uppercase().replace('.', "_"))
    }
}

const fn text(path: &'static str, default: Option<&'static str>, zh: &'static str, en: &'static str) -> Key {
    Key { path, kind: Kind::Text, default, about: Bilingual::fixed(zh, en) }
}

const fn number(path: &'static str, default: Option<&'static str>, zh: &'static str, en: &'static str) -> Key {
    Key { path, kind: Kind::Integer, default, about: Bilingual::fixed(zh, en) }
}

/// Every setting but `regions`, which only the file can hold.
pub static KEYS: &[Key] = &[
    text("federation", None, "联盟名，同 CA", "the federation, as in its CA"),
    number("municipality.code", None, "GB/T 2260 行政区划代码", "the municipality's GB/T 2260 code"),
    text("municipality.short", None, "编号用简称，如 乌", "its short name in working numbers, such as 乌"),
    number("node", Some("1"), "本地节点编号", "the node's number within the municipality"),
    number(
        "registry_node",
        Some("1"),
        "本级节点中保存台账的节点编号",
        "which of the municipality's nodes keeps its registry",
    ),
    text("data_dir", Some("data"), "数据目录", "where the records lie"),
    text("peer.listen", Some("127.0.0.1:7300"), "节点间监听地址", "where other nodes are answered"),
    text("peer.advertise", None, "对外公布的地址（默认同 peer.listen）", "what others dial (peer.listen unless given)"),
    text("operator.listen", Some("127.0.0.1:7301"), "操作端监听地址", "where operators are answered"),
    text("metrics.listen", Some("127.0.0.1:7302"), "指标与健康检查监听地址", "where /metrics, /livez and /readyz are"),
    text("tls.ca", Some("tls/ca.pem"), "联盟 CA 证书", "the federation's CA certificate"),
    text("tls.cert", Some("tls/node.pem"), "节点证书", "the node's certificate"),
    text("tls.key", Some("tls/node.key"), "节点私钥", "its private key"),
    text(
        "signing_key",
        Some("signing.key"),
        "记录签名私钥；旁边的 signing-*.key 为其后的密钥",
        "the record-signing key; signing-*.key beside it are later ones",
    ),
    number(
        "hold_level",
        None,
        "本节点支持的区域功能级别上限；升级后可能退回旧程序期间设置（默认不限）",
        "the highest feature level of a region that this node goes along with, while it may go back to an older program \
         (what its program knows unless given)",
    ),
    text("timing", Some("wan"), "时间档：lan 或 wan", "timing profile: lan or wan"),
    text("log.format", Some("human"), "日志格式：human 或 json", "log format: human or json"),
    text("log.level", Some("info"), "日志级别或过滤规则", "log level, or filter directives"),
    number("limits.peer_connections", Some("512"), "节点连接数上限", "most connections of other nodes"),
    number("limits.operator_connections", Some("1024"), "操作端连接数上限", "most connections of operators"),
    number(
        "limits.caller_connections",
        Some("32"),
        "每个证书的连接数上限（节点最多 8）",
        "most connections of one certificate (a node has 8 at most)",
    ),
    number("limits.calls", Some("512"), "同时处理的调用数上限", "calls worked on at once"),
    number("limits.caller_calls", Some("64"), "每个证书同时的调用数上限", "calls of one certificate worked on at once"),
    number("limits.watches", Some("2048"), "订阅数上限", "open watch streams"),
    number("limits.caller_watches", Some("64"), "每个证书的订阅数上限", "open watch streams of one certificate"),
    number("limits.streams", Some("128"), "批量调用流数上限", "open streams of calls"),
    number(
        "limits.caller_streams",
        Some("16"),
        "每个证书的批量调用流数上限",
        "open streams of calls of one certificate",
    ),
    number("limits.message_bytes", Some("4194304"), "单条消息字节上限", "largest message of an operator, bytes"),
    number(
        "limits.request_seconds",
        Some("30"),
        "无时限请求的默认时限（秒，最多 60）",
        "deadline of a call that names none, seconds, 60 at most",
    ),
    number("limits.drain_seconds", Some("10"), "优雅停机时限（秒）", "how long a graceful stop may take, seconds"),
];

/// Environment variables beside the settings that start like them.
pub(super) static OTHER_VARIABLES: &[&str] =
    &["SHOUWANG_CONFIG", "SHOUWANG_LANG", "SHOUWANG_CONTEXT", "SHOUWANG_CONTEXTS", "SHOUWANG_OUTPUT"];

/// The setting at `path`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// That there is no setting `path`, and which one may have been meant: in Chinese and in English.
pub(super) fn no_such(path: &str, suggestion: Option<&str>) -> (String, String) {
    match suggestion {
        Some(near) => {
            (format!("没有配置项 {path}；是否为 {near}？"), format!("there is no setting {path}; did you mean {near}?"))
        }
        None => (format!("没有配置项 {path}"), format!("there is no setting {path}")),
    }
}

/// The candidate most like `word`, if one is like it at all.
pub(super) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out or changed to make one word of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    // A word far longer than any candidate is like none: enough of it is looked at to see that.
    for (i, a) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_variables_are_unique() {
        let mut variables: Vec<String> = KEYS.iter().map(Key::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), KEYS.len());
        assert!(variables.iter().all(|name| !OTHER_VARIABLES.contains(&name.as_str())));
    }

    #[test]
    fn near_misses_are_recognised_and_strangers_are_not() {
        let all = || KEYS.iter().map(|key| key.path);
        for (word, expected) in [
            ("peer.listn", Some("peer.listen")),
            ("peer.lisen", Some("peer.listen")),
            ("datadir", Some("data_dir")),
            ("federatoin", Some("federation")),
            ("tls.certificate_file", None),
            ("color", None),
        ] {
            assert_eq!(suggest(word, all()), expected, "{word}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
