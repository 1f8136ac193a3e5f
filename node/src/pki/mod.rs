//! A small certificate authority for a federation, the keys of nodes and operators, and the files they lie in.
//!
//! [`Authority`] signs, [`request`] makes what is signed, [`SigningKey`] is the node's key for records, [`inspect`] tells
//! what a file holds. Keys are written once, readable by their owner only, and never overwritten.

pub mod authority;
pub mod files;
pub mod inspect;
pub mod request;
pub mod revocation;
pub mod signing;

use std::path::PathBuf;

pub use authority::{Authority, CaFiles, Issued, Lifetime, OperatorFiles, federation_of_ca};
pub use inspect::{Inspected, inspect};
pub use request::{NodeNames, TlsKey};
pub use revocation::{TakenBack, is_signed_by};
pub use signing::SigningKey;

use crate::auth::identity::IdentityError;
use crate::exit::{Exit, Failure};
use crate::lang::Bilingual;

/// Why something about keys and certificates failed.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file that would have been overwritten.
    #[error("{} is there already and is never overwritten; move it away or choose another place", .0.display())]
    Exists(PathBuf),
    /// The operating system refused.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key that others can read.
    #[error("{} can be read by others (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    TooOpen {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds something else than it should.
    #[error("{}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: Bilingual,
    },
    /// A certificate request that is not signed.
    #[error("the certificate request is refused: {0}")]
    Request(Bilingual),
    /// A name that is no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A lifetime out of bounds.
    #[error("{days} days: a certificate may last from 1 to {most} days")]
    Lifetime {
        /// The days asked for.
        days: u32,
        /// The most there can be.
        most: u32,
    },
    /// The CA's own certificate has ended, or begins later.
    #[error("the CA's certificate is not valid now ({0}); found the CA anew, or mend the clock")]
    CaNotValid(String),
    /// The cryptographic library failed.
    #[error("{doing}: {why}")]
    Crypto {
        /// What was being done.
        doing: &'static str,
        /// What the library said.
        why: String,
    },
}

impl PkiError {
    /// A stable reason code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Exists(_) => "PKI_EXISTS",
            Self::Io { .. } => "PKI_IO",
            Self::TooOpen { .. } => "PKI_KEY_TOO_OPEN",
            Self::Content { .. } => "PKI_CONTENT",
            Self::Request(_) => "PKI_REQUEST_REFUSED",
            Self::Identity(error) => error.code(),
            Self::Lifetime { .. } => "PKI_LIFETIME",
            Self::CaNotValid(_) => "PKI_CA_NOT_VALID",
            Self::Crypto { .. } => "PKI_CRYPTO",
        }
    }

    /// The sentence in both languages.
    pub fn text(&self) -> Bilingual {
        let zh = match self {
            Self::Exists(path) => format!("{} 已存在，绝不覆盖；请先移走，或另选位置", path.display()),
            Self::Io { path, source, .. } => format!("读写 {} 失败：{source}", path.display()),
            Self::TooOpen { path, mode } => {
                format!("{0} 可被他人读取（权限 {mode:03o}）；请执行：chmod 600 {0}", path.display())
            }
            Self::Content { path, why } => format!("{}：{}", path.display(), why.zh),
            Self::Request(why) => format!("拒绝签发证书请求：{}", why.zh),
            Self::Identity(error) => return error.text(),
            Self::Lifetime { days, most } => format!("有效期 {days} 天：须为 1 至 {most} 天"),
            Self::CaNotValid(why) => format!("CA 证书此刻无效（{why}）；请重建 CA 或校正时钟"),
            Self::Crypto { why, .. } => format!("密码库出错：{why}"),
        };
        Bilingual::new(zh, self.to_string())
    }

    fn crypto(doing: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Crypto { doing, why: why.to_string() }
    }

    fn content(path: &std::path::Path, zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), why: Bilingual::new(zh.into(), en.into()) }
    }
}

impl From<PkiError> for Failure {
    fn from(error: PkiError) -> Self {
        let exit = match &error {
            PkiError::Exists(_) => Exit::Exists,
            PkiError::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::NotFound => Exit::NotFound,
                std::io::ErrorKind::PermissionDenied => Exit::Permission,
                _ => Exit::Failure,
            },
            PkiError::TooOpen { .. } => Exit::Permission,
            PkiError::Content { .. } | PkiError::Request(_) => Exit::BadInput,
            PkiError::Identity(_) | PkiError::Lifetime { .. } => Exit::Usage,
            PkiError::CaNotValid(_) | PkiError::Crypto { .. } => Exit::Failure,
        };
        Self::new(exit, error.code(), error.text())
    }
}
