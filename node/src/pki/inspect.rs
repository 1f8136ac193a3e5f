//! What a file holds: a certificate, a request, or the public half of a key.

use std::path::Path;

use rcgen::{CertificateSigningRequestParams, PublicKeyData as _, SanType};
use rustls::pki_types::pem::{self, SectionKind};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::auth::identity::{Identity, uri_names};
use crate::pki::files::{read_public, read_secret};
use crate::pki::signing::hex;
use crate::pki::{PkiError, SigningKey, TlsKey, federation_of_ca};

/// What was found in a file.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Inspected {
    /// A certificate.
    Certificate {
        /// The identity, or what is wrong with it; a CA's is its federation.
        identity: String,
        /// Whether it may sign others.
        ca: bool,
        /// Its subject.
        subject: String,
        /// Who signed it.
        issuer: String,
        /// Its serial number, hexadecimal.
        serial: String,
        /// Its first moment, RFC 3339.
        not_before: String,
        /// Its last moment, RFC 3339.
        not_after: String,
        /// Whole days left; negative when it has ended.
        days_left: i64,
        /// Every subject alternative name.
        names: Vec<String>,
        /// SHA-256 of the certificate, hexadecimal.
        sha256: String,
    },
    /// A certificate request.
    Request {
        /// The identity asked for, or what is wrong with it.
        identity: String,
        /// Every subject alternative name asked for.
        names: Vec<String>,
        /// SHA-256 of its public key (SubjectPublicKeyInfo), hexadecimal.
        public_key_sha256: String,
    },
    /// A private key for TLS; only its public half is shown.
    TlsKey {
        /// SHA-256 of its public key (SubjectPublicKeyInfo), hexadecimal.
        public_key_sha256: String,
    },
    /// A node's record-signing key; only its public half is shown.
    SigningKey {
        /// The public key, hexadecimal, as a charter names it.
        public_key: String,
    },
}

/// Reads a PEM file and tells what its first section holds.
///
/// # Errors
/// [`PkiError`] when it cannot be read or holds none of these.
pub fn inspect(path: &Path) -> Result<Inspected, PkiError> {
    let bytes = read_public(path)?;
    let refused = || PkiError::content(path, "没有可识别的 PEM 内容", "it holds no PEM section known here");
    let (kind, der) = pem::from_buf(&mut bytes.as_slice()).ok().flatten().ok_or_else(refused)?;
    match kind {
        SectionKind::Certificate => certificate(&der).ok_or_else(refused),
        SectionKind::Csr => request(&der).ok_or_else(refused),
        SectionKind::PrivateKey => {
            // Says so when others can read it.
            read_secret(path)?;
            match SigningKey::load(path) {
                Ok(key) => Ok(Inspected::SigningKey { public_key: key.public_hex() }),
                Err(_) => Ok(Inspected::TlsKey { public_key_sha256: digest(&TlsKey::load(path)?.public_der()) }),
            }
        }
        _ => Err(refused()),
    }
}

fn certificate(der: &[u8]) -> Option<Inspected> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let identity = match federation_of_ca(der) {
        Some(federation) => format!("spiffe://{federation}"),
        None => match Identity::from_uri_names(uri_names(&parsed)?) {
            Ok(identity) => identity.to_string(),
            Err(error) => format!("({error})"),
        },
    };
    let (from, until) = (parsed.validity().not_before.to_datetime(), parsed.validity().not_after.to_datetime());
    let names = parsed.subject_alternative_name().ok().flatten();
    Some(Inspected::Certificate {
        identity,
        ca: parsed.is_ca(),
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        serial: hex(parsed.raw_serial()),
        not_before: from.format(&Rfc3339).ok()?,
        not_after: until.format(&Rfc3339).ok()?,
        days_left: (until - OffsetDateTime::now_utc()).whole_days(),
        names: names.map(|names| names.value.general_names.iter().map(name).collect()).unwrap_or_default(),
        sha256: digest(der),
    })
}

fn name(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::URI(uri) => format!("URI:{uri}"),
        GeneralName::DNSName(host) => format!("DNS:{host}"),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => format!("IP:{}", std::net::Ipv4Addr::from(v4)),
            (_, Ok(v6)) => format!("IP:{}", std::net::Ipv6Addr::from(v6)),
            _ => format!("IP:{}", hex(bytes)),
        },
        other => other.to_string(),
    }
}

fn request(der: &[u8]) -> Option<Inspected> {
    let request = CertificateSigningRequestParams::from_der(&der.into()).ok()?;
    let names = &request.params.subject_alt_names;
    let uris = names.iter().filter_map(|name| match name {
        SanType::URI(uri) => Some(uri.as_str()),
        _ => None,
    });
    let identity = match Identity::from_uri_names(uris) {
        Ok(identity) => identity.to_string(),
        Err(error) => format!("({error})"),
    };
    let shown = names.iter().map(|name| match name {
        SanType::URI(uri) => format!("URI:{}", uri.as_str()),
        SanType::DnsName(host) => format!("DNS:{}", host.as_str()),
        SanType::IpAddress(ip) => format!("IP:{ip}"),
        other => format!("{other:?}"),
    });
    Some(Inspected::Request {
        identity,
        names: shown.collect(),
        public_key_sha256: digest(&request.public_key.subject_public_key_info()),
    })
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_ref())
}
