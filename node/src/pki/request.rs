//! TLS keys and certificate requests: what a node makes itself, so that its key never leaves it.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType,
};

use crate::auth::identity::Identity;
use crate::pki::PkiError;
use crate::pki::files::{Access, read_secret, write_new};

/// The host names and addresses a node's certificate carries besides its identity, for programs that go by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeNames {
    /// Host names.
    pub dns: Vec<String>,
    /// Addresses.
    pub ip: Vec<IpAddr>,
}

/// The most host names and addresses of one certificate, together.
pub const MAX_NAMES: usize = 16;

/// A private key for TLS: ECDSA over P-256.
pub struct TlsKey(KeyPair);

impl TlsKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`PkiError::Crypto`].
    pub fn generate() -> Result<Self, PkiError> {
        let pair =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| PkiError::crypto("making a key", error))?;
        Ok(Self(pair))
    }

    /// Reads a key (PEM, PKCS#8).
    ///
    /// # Errors
    /// [`PkiError`], also when others can read it or it is of another kind.
    pub fn load(path: &Path) -> Result<Self, PkiError> {
        let refused = || {
            PkiError::content(
                path,
                "不是 PEM 格式（PKCS#8）的 ECDSA P-256 私钥",
                "it is no ECDSA P-256 key in PEM form (PKCS#8)",
            )
        };
        let text = String::from_utf8(read_secret(path)?).map_err(|_| refused())?;
        let pair = KeyPair::from_pem(&text).map_err(|_| refused())?;
        if pair.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(refused());
        }
        Ok(Self(pair))
    }

    /// Writes the key, for its owner only; never over another file.
    ///
    /// # Errors
    /// [`PkiError`].
    pub fn save(&self, path: &Path) -> Result<(), PkiError> {
        write_new(path, self.0.serialize_pem().as_bytes(), Access::Secret)
    }

    /// The public key in DER form (SubjectPublicKeyInfo).
    pub fn public_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// A certificate request (PEM) for `identity`; only a node may carry `names`.
    ///
    /// # Errors
    /// [`PkiError::Request`] when there are too many names or one is not a host name; [`PkiError::Crypto`].
    pub fn request(&self, identity: &Identity, names: &NodeNames) -> Result<String, PkiError> {
        subject(identity, names)?
            .serialize_request(&self.0)
            .and_then(|request| request.pem())
            .map_err(|error| PkiError::crypto("making a certificate request", error))
    }

    pub(super) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

/// The names of a certificate or request, and nothing else decided yet.
pub(super) fn subject(identity: &Identity, names: &NodeNames) -> Result<CertificateParams, PkiError> {
    use crate::lang::Bilingual;
    let count = names.dns.len() + names.ip.len();
    if count > MAX_NAMES {
        return Err(PkiError::Request(Bilingual::new(
            format!("主机名与地址共 {count} 个，最多 {MAX_NAMES} 个"),
            format!("{count} host names and addresses; at most {MAX_NAMES} are allowed"),
        )));
    }
    if count > 0 && identity.node_name().is_none() {
        return Err(PkiError::Request(Bilingual::fixed(
            "操作人员证书不得含主机名或地址",
            "an operator's certificate carries no host names and addresses",
        )));
    }
    let uri = identity.to_string().try_into().map_err(|error| PkiError::crypto("writing the identity", error))?;
    let mut sans = vec![SanType::URI(uri)];
    for name in &names.dns {
        let refused = || {
            PkiError::Request(Bilingual::new(format!("{name:?} 不是主机名"), format!("{name:?} is not a host name")))
        };
        if !is_host_name(name) {
            return Err(refused());
        }
        sans.push(SanType::DnsName(name.as_str().try_into().map_err(|_| refused())?));
    }
    sans.extend(names.ip.iter().copied().map(SanType::IpAddress));
    let mut params = CertificateParams::default();
    params.subject_alt_names = sans;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, identity.federation());
    params.distinguished_name.push(DnType::CommonName, common_name(identity));
    Ok(params)
}

/// What a certificate viewer shows first; decisions are made by the URI only. At most 64 characters, as X.520 says.
fn common_name(identity: &Identity) -> String {
    let name = match identity {
        Identity::Node { municipality, node, .. } => format!("{municipality} node {node}"),
        Identity::Operator { municipality, id, role, .. } => format!("{municipality} {role} {id}"),
    };
    name.chars().take(64).collect()
}

fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_plain_labels() {
        for (name, good) in [
            ("node-1.wuhai.example", true),
            ("localhost", true),
            ("*.example", false),
            ("a..b", false),
            ("-a", false),
            ("", false),
            ("乌海", false),
        ] {
            assert_eq!(is_host_name(name), good, "{name}");
        }
    }

    #[test]
    fn a_key_is_loaded_as_it_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node.key");
        let key = TlsKey::generate().unwrap();
        key.save(&path).unwrap();
        assert_eq!(TlsKey::load(&path).unwrap().public_der(), key.public_der());
        assert!(matches!(TlsKey::generate().unwrap().save(&path), Err(PkiError::Exists(_))));
        assert_eq!(TlsKey::load(&path).unwrap().public_der(), key.public_der());
    }

    #[test]
    fn a_signing_key_is_no_tls_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signing.key");
        crate::pki::SigningKey::create(&path).unwrap();
        assert!(matches!(TlsKey::load(&path), Err(PkiError::Content { .. })));
    }
}
