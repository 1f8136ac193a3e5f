//! The names in certificates: nodes and operators of a federation, as SPIFFE URIs.
//!
//! `spiffe://<federation>/municipality/<code>/node/<n>` and
//! `spiffe://<federation>/municipality/<code>/operator/<id>/<role>`. There is exactly one spelling of each identity: what
//! parses is what [`Identity`] prints, byte for byte.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::lang::Bilingual;

/// The longest identity accepted, in bytes.
pub const MAX_IDENTITY_BYTES: usize = 255;
/// The longest federation name or operator id accepted, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Why a name was refused. The texts quote what was wrong; the input is at most [`MAX_IDENTITY_BYTES`] long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Longer than [`MAX_IDENTITY_BYTES`].
    #[error("the identity is {0} bytes long; at most {MAX_IDENTITY_BYTES} are accepted")]
    TooLong(usize),
    /// Does not start with `spiffe://`.
    #[error("the identity {0:?} does not start with spiffe://")]
    Scheme(String),
    /// Neither of the two shapes.
    #[error(
        "the identity {0:?} is neither spiffe://<federation>/municipality/<code>/node/<n> \
         nor spiffe://<federation>/municipality/<code>/operator/<id>/<role>"
    )]
    Shape(String),
    /// The federation's name is not a lower-case domain-like name.
    #[error(
        "the federation {0:?} must be 1 to {MAX_NAME_BYTES} of a-z, 0-9, '-' and '.', with a letter or digit at both ends"
    )]
    Federation(String),
    /// Not a six-digit code.
    #[error("the municipality {0:?} must be a GB/T 2260 code: six digits from 110000 to 829999")]
    Municipality(String),
    /// Not a node number.
    #[error("the node number {0:?} must be from 1 to 4294967295, without leading zeros")]
    Node(String),
    /// The operator's id has other characters than allowed.
    #[error(
        "the operator id {0:?} must be 1 to {MAX_NAME_BYTES} of a-z, 0-9, '-', '_' and '.', with a letter or digit at both ends"
    )]
    Operator(String),
    /// No such role.
    #[error("the role {0:?} is none of duty, leader, keeper, coordinator, secretariat, superior, admin")]
    Role(String),
    /// The certificate cannot be parsed.
    #[error("the certificate cannot be parsed")]
    Certificate,
    /// The certificate names nobody.
    #[error("the certificate has no URI name; it needs exactly one, the identity")]
    NoName,
    /// The certificate names several.
    #[error("the certificate has {0} URI names; exactly one is accepted, the identity")]
    SeveralNames(usize),
}

impl IdentityError {
    /// A stable reason code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "IDENTITY_TOO_LONG",
            Self::Scheme(_) => "IDENTITY_SCHEME",
            Self::Shape(_) => "IDENTITY_SHAPE",
            Self::Federation(_) => "IDENTITY_FEDERATION",
            Self::Municipality(_) => "IDENTITY_MUNICIPALITY",
            Self::Node(_) => "IDENTITY_NODE",
            Self::Operator(_) => "IDENTITY_OPERATOR",
            Self::Role(_) => "IDENTITY_ROLE",
            Self::Certificate => "IDENTITY_CERTIFICATE",
            Self::NoName => "IDENTITY_NO_NAME",
            Self::SeveralNames(_) => "IDENTITY_SEVERAL_NAMES",
        }
    }

    /// The sentence in both languages.
    pub fn text(&self) -> Bilingual {
        let zh = match self {
            Self::TooLong(bytes) => format!("身份名称长 {bytes} 字节，最多 {MAX_IDENTITY_BYTES} 字节"),
            Self::Scheme(name) => format!("身份名称 {name:?} 不是以 spiffe:// 开头"),
            Self::Shape(name) => format!(
                "身份名称 {name:?} 既不是 spiffe://<联盟>/municipality/<代码>/node/<编号>，\
                 也不是 spiffe://<联盟>/municipality/<代码>/operator/<工号>/<角色>"
            ),
            Self::Federation(name) => {
                format!("联盟名 {name:?} 须为 1 至 {MAX_NAME_BYTES} 个小写字母、数字、'-' 或 '.'，首尾为字母或数字")
            }
            Self::Municipality(code) => format!("行政区划代码 {code:?} 须为 GB/T 2260 六位数字（110000 至 829999）"),
            Self::Node(node) => format!("节点编号 {node:?} 须为 1 至 4294967295，无前导零"),
            Self::Operator(id) => {
                format!("工号 {id:?} 须为 1 至 {MAX_NAME_BYTES} 个小写字母、数字、'-'、'_' 或 '.'，首尾为字母或数字")
            }
            Self::Role(role) => {
                format!("没有角色 {role:?}；可用：duty、leader、keeper、coordinator、secretariat、superior、admin")
            }
            Self::Certificate => "证书无法解析".to_owned(),
            Self::NoName => "证书中没有 URI 名称；须恰有一个，即身份".to_owned(),
            Self::SeveralNames(count) => format!("证书中有 {count} 个 URI 名称；只接受恰好一个，即身份"),
        };
        Bilingual::new(zh, self.to_string())
    }
}

/// A municipality's code of GB/T 2260: six digits, of a county, city, league or province.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Municipality(u32);

impl Municipality {
    /// The code as a number.
    ///
    /// # Errors
    /// [`IdentityError::Municipality`] when it is not from 110000 to 829999.
    pub fn new(code: u32) -> Result<Self, IdentityError> {
        // The first two digits are a province: 11 (Beijing) to 82 (Macao).
        if (110_000..=829_999).contains(&code) {
            Ok(Self(code))
        } else {
            Err(IdentityError::Municipality(code.to_string()))
        }
    }

    /// The code as a number.
    pub const fn code(self) -> u32 {
        self.0
    }
}

impl FromStr for Municipality {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let refused = || IdentityError::Municipality(shortened(text));
        if text.len() != 6 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        text.parse().ok().and_then(|code| Self::new(code).ok()).ok_or_else(refused)
    }
}

impl fmt::Display for Municipality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// What an operator does at the post; it decides what the operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Role {
    /// 值班员: takes calls, writes requests, watches.
    Duty,
    /// 签发: signs what binds the municipality.
    #[serde(rename = "leader")]
    SigningLeader,
    /// 库管: keeps stock and teams true.
    #[serde(rename = "keeper")]
    StoreKeeper,
    /// 联络员: coordinates across members.
    Coordinator,
    /// 秘书处: the joint meeting's secretariat.
    Secretariat,
    /// 上级督导: reads everything, changes nothing.
    Superior,
    /// 管理员: runs the node.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Duty,
        Self::SigningLeader,
        Self::StoreKeeper,
        Self::Coordinator,
        Self::Secretariat,
        Self::Superior,
        Self::Admin,
    ];

    /// The role in an identity, on the command line and in documents for machines.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Duty => "duty",
            Self::SigningLeader => "leader",
            Self::StoreKeeper => "keeper",
            Self::Coordinator => "coordinator",
            Self::Secretariat => "secretariat",
            Self::Superior => "superior",
            Self::Admin => "admin",
        }
    }

    /// The role as people call it.
    pub const fn name(self) -> Bilingual {
        match self {
            Self::Duty => Bilingual::fixed("值班员", "duty officer"),
            Self::SigningLeader => Bilingual::fixed("签发", "signing leader"),
            Self::StoreKeeper => Bilingual::fixed("库管", "store keeper"),
            Self::Coordinator => Bilingual::fixed("联络员", "coordinator"),
            Self::Secretariat => Bilingual::fixed("秘书处", "secretariat"),
            Self::Superior => Bilingual::fixed("上级督导", "superior"),
            Self::Admin => Bilingual::fixed("管理员", "administrator"),
        }
    }
}

impl FromStr for Role {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::ALL.into_iter().find(|role| role.slug() == text).ok_or_else(|| IdentityError::Role(shortened(text)))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

/// A node within its federation, written `<code>/<n>` (150300/1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName {
    /// Whose node it is.
    pub municipality: Municipality,
    /// The node's number within the municipality, from 1. A node that lost its log comes back under a new number.
    pub node: u32,
}

impl FromStr for NodeName {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let (municipality, node) = text.split_once('/').ok_or_else(|| IdentityError::Shape(shortened(text)))?;
        Ok(Self { municipality: municipality.parse()?, node: parse_node(node)? })
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.municipality, self.node)
    }
}

/// Who a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A node.
    Node {
        /// The federation, as in its CA.
        federation: String,
        /// Whose node it is.
        municipality: Municipality,
        /// The node's number within the municipality, from 1.
        node: u32,
    },
    /// A person at a post, or a program that acts for one.
    Operator {
        /// The federation, as in its CA.
        federation: String,
        /// Whose operator it is.
        municipality: Municipality,
        /// The operator's pseudonymous id.
        id: String,
        /// What the operator may do.
        role: Role,
    },
}

impl Identity {
    /// A node's identity.
    ///
    /// # Errors
    /// [`IdentityError`] when a part is out of its bounds.
    pub fn node(federation: &str, municipality: Municipality, node: u32) -> Result<Self, IdentityError> {
        check_federation(federation)?;
        if node == 0 {
            return Err(IdentityError::Node(node.to_string()));
        }
        Ok(Self::Node { federation: federation.to_owned(), municipality, node })
    }

    /// An operator's identity.
    ///
    /// # Errors
    /// [`IdentityError`] when a part is out of its bounds.
    pub fn operator(federation: &str, municipality: Municipality, id: &str, role: Role) -> Result<Self, IdentityError> {
        check_federation(federation)?;
        check_operator(id)?;
        Ok(Self::Operator { federation: federation.to_owned(), municipality, id: id.to_owned(), role })
    }

    /// The identity of a certificate (DER): its one URI name. That the certificate is genuine is for the caller to know.
    ///
    /// # Errors
    /// [`IdentityError`] when there is no such name, more than one, or one that is not an identity.
    pub fn from_certificate(der: &[u8]) -> Result<Self, IdentityError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| IdentityError::Certificate)?;
        if !rest.is_empty() {
            return Err(IdentityError::Certificate);
        }
        Self::from_uri_names(uri_names(&certificate).ok_or(IdentityError::Certificate)?)
    }

    /// The identity among the URI names of a certificate or request: exactly one is accepted.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn from_uri_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, IdentityError> {
        let mut names = names.into_iter();
        let Some(only) = names.next() else { return Err(IdentityError::NoName) };
        match names.count() {
            0 => only.parse(),
            more => Err(IdentityError::SeveralNames(more + 1)),
        }
    }

    /// The federation.
    pub fn federation(&self) -> &str {
        let (Self::Node { federation, .. } | Self::Operator { federation, .. }) = self;
        federation
    }

    /// Whose node or operator it is.
    pub const fn municipality(&self) -> Municipality {
        let (Self::Node { municipality, .. } | Self::Operator { municipality, .. }) = self;
        *municipality
    }

    /// The node, unless it is an operator.
    pub const fn node_name(&self) -> Option<NodeName> {
        match self {
            Self::Node { municipality, node, .. } => Some(NodeName { municipality: *municipality, node: *node }),
            Self::Operator { .. } => None,
        }
    }

    /// The operator's role, unless it is a node.
    pub const fn role(&self) -> Option<Role> {
        match self {
            Self::Node { .. } => None,
            Self::Operator { role, .. } => Some(*role),
        }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        if text.len() > MAX_IDENTITY_BYTES {
            return Err(IdentityError::TooLong(text.len()));
        }
        let rest = text.strip_prefix("spiffe://").ok_or_else(|| IdentityError::Scheme(text.to_owned()))?;
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            [federation, "municipality", code, "node", node] => {
                Self::node(federation, code.parse()?, parse_node(node)?)
            }
            [federation, "municipality", code, "operator", id, role] => {
                Self::operator(federation, code.parse()?, id, role.parse()?)
            }
            _ => Err(IdentityError::Shape(text.to_owned())),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/municipality/{}/", self.federation(), self.municipality())?;
        match self {
            Self::Node { node, .. } => write!(f, "node/{node}"),
            Self::Operator { id, role, .. } => write!(f, "operator/{id}/{role}"),
        }
    }
}

impl Serialize for Identity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The URI names of a certificate as they stand; `None` when its names cannot be read.
pub(crate) fn uri_names<'a>(certificate: &'a X509Certificate<'_>) -> Option<Vec<&'a str>> {
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    Some(uris.collect())
}

/// Checks a federation's name.
///
/// # Errors
/// [`IdentityError::Federation`].
pub fn check_federation(name: &str) -> Result<(), IdentityError> {
    if is_name(name, b"-.") { Ok(()) } else { Err(IdentityError::Federation(shortened(name))) }
}

fn check_operator(id: &str) -> Result<(), IdentityError> {
    if is_name(id, b"-_.") { Ok(()) } else { Err(IdentityError::Operator(shortened(id))) }
}

/// Lower-case letters, digits and `inner` characters, the latter never at an end (so "." and ".." are no names).
fn is_name(name: &str, inner: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.len() <= MAX_NAME_BYTES
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes.iter().all(|byte| plain(byte) || inner.contains(byte))
}

fn parse_node(text: &str) -> Result<u32, IdentityError> {
    let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain).ok_or_else(|| IdentityError::Node(shortened(text)))
}

/// Keeps an error small however long the input was.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_IDENTITY_BYTES).collect()
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
