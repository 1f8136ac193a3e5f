//! Names of things: small, ordered, comparable values that never change their meaning.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::hash::Hash32;

/// An administrative division by its GB/T 2260 code, six digits (`150300` = 乌海市, `150000` = 内蒙古自治区).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct MunicipalityCode(u32);

impl MunicipalityCode {
    /// Accepts a six-digit code.
    ///
    /// # Errors
    /// A number outside 110000..=829999 is no GB/T 2260 code.
    pub fn new(code: u32) -> Result<Self, IdError> {
        if (110_000..=829_999).contains(&code) { Ok(Self(code)) } else { Err(IdError::Municipality(code.to_string())) }
    }

    /// The six digits as a number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for MunicipalityCode {
    type Error = IdError;
    fn try_from(code: u32) -> Result<Self, IdError> {
        Self::new(code)
    }
}

impl From<MunicipalityCode> for u32 {
    fn from(code: MunicipalityCode) -> u32 {
        code.0
    }
}

impl fmt::Display for MunicipalityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for MunicipalityCode {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().ok().and_then(|code| Self::new(code).ok()).ok_or_else(|| IdError::Municipality(text.to_owned()))
    }
}

/// One machine of one municipality: the code followed by four digits of a running number that is never reused
/// (`1503000001` = the first node of 乌海). It is also the Raft node id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct NodeId(u64);

impl NodeId {
    /// The `number`-th node (1..=9999) of a municipality.
    ///
    /// # Errors
    /// A running number outside 1..=9999.
    pub fn new(municipality: MunicipalityCode, number: u32) -> Result<Self, IdError> {
        if (1..=9999).contains(&number) {
            Ok(Self(u64::from(municipality.get()) * 10_000 + u64::from(number)))
        } else {
            Err(IdError::Node(number.to_string()))
        }
    }

    /// The municipality the node belongs to.
    pub fn municipality(self) -> MunicipalityCode {
        // In range: the constructor put a six-digit code there.
        MunicipalityCode(u32::try_from(self.0 / 10_000).unwrap_or(u32::MAX))
    }

    /// The running number within the municipality, 1..=9999.
    pub fn number(self) -> u32 {
        // Below 10,000.
        u32::try_from(self.0 % 10_000).unwrap_or(u32::MAX)
    }

    /// Its name as people write it: `150300/1`.
    pub fn spoken(self) -> String {
        format!("{}/{}", self.municipality(), self.number())
    }

    /// The whole id as Raft sees it.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for NodeId {
    type Error = IdError;
    fn try_from(id: u64) -> Result<Self, IdError> {
        let wrong = || IdError::Node(id.to_string());
        let code = u32::try_from(id / 10_000).map_err(|_| wrong())?;
        let number = u32::try_from(id % 10_000).map_err(|_| wrong())?;
        Self::new(MunicipalityCode::new(code).map_err(|_| wrong())?, number).map_err(|_| wrong())
    }
}

impl From<NodeId> for u64 {
    fn from(id: NodeId) -> u64 {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A record (a region or a registry): the hash of its founding document, so that two records never share a name.
pub type RecordId = Hash32;

/// The record of a region.
pub type RegionId = RecordId;

/// What is wrong with a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a GB/T 2260 code.
    #[error("{0}: not a six-digit GB/T 2260 code / 不是六位行政区划代码")]
    Municipality(String),
    /// Not a node number.
    #[error("{0}: not a node id (code followed by 0001..9999) / 不是节点编号")]
    Node(String),
    /// Not a UUID.
    #[error("{0}: not a UUID / 不是 UUID")]
    Uuid(String),
    /// Not an item code of GB/T 38565-2020.
    #[error("{0}: not a seven-digit GB/T 38565 code starting with 1, 2 or 3 / 不是 GB/T 38565 七位分类编码")]
    Item(String),
    /// Not the slug of a team or vehicle kind.
    #[error("{0}: a kind is 1 to 32 of a-z, 0-9 and '-' / 类型代号只能用小写字母、数字和连字符")]
    Kind(String),
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdError::Uuid(text.to_owned()))
            }
        }

        impl $name {
            /// A name from a small number, for tests and simulations.
            pub fn from_u128(n: u128) -> Self {
                Self(Uuid::from_u128(n))
            }
        }
    )*};
}

uuid_ids! {
    /// A command: the client's `request_id`.
    CommandId;
    /// A store (库).
    StoreId;
    /// A lot (批次), or a team or vehicle, which is a lot of quantity one.
    LotId;
    /// A pledge or an addressed offer.
    PledgeId;
    /// An aid request (支援请求).
    RequestId;
    /// A mission (调派).
    MissionId;
}

impl MissionId {
    /// The custody lot that a delivery of this mission opens at the requester.
    pub fn custody_lot(self) -> LotId {
        LotId(self.0)
    }

    /// The code two people read to each other over the telephone: eight digits, from the random end of the id.
    pub fn spoken_code(self) -> String {
        format!("{:08}", self.0.as_u128() % 100_000_000)
    }
}

/// A line within a request, counted from 1.
pub type LineNumber = u16;
