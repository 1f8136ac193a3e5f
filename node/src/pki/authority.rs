//! The federation's certificate authority: founded once, it signs what nodes request and makes operators' credentials.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SecureRandom as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
    SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::auth::identity::{Identity, Municipality, Role, check_federation, uri_names};
use crate::lang::Bilingual;
use crate::pki::PkiError;
use crate::pki::files::{Access, append_line, make_folder, read_public, read_text, write_new};
use crate::pki::request::{NodeNames, TlsKey, subject};
use crate::pki::signing::hex;

/// The most days a CA's certificate may last.
pub const MAX_CA_DAYS: u32 = 7300;
/// The most days a node's or operator's certificate may last.
pub const MAX_LEAF_DAYS: u32 = 3650;
/// How far back a certificate begins, so that a node whose clock is slow takes a new one.
const BACKDATED: Duration = Duration::minutes(5);
/// Bytes of a serial number; RFC 5280 allows 20, its first bit must be 0.
const SERIAL_BYTES: usize = 16;

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// Its first moment.
    pub from: OffsetDateTime,
    /// Its last moment.
    pub until: OffsetDateTime,
}

impl Lifetime {
    /// `days` from now, begun five minutes ago.
    ///
    /// # Errors
    /// [`PkiError::Lifetime`] when `days` is not from 1 to `most`.
    pub fn days(days: u32, most: u32) -> Result<Self, PkiError> {
        if !(1..=most).contains(&days) {
            return Err(PkiError::Lifetime { days, most });
        }
        // Whole seconds, as certificates count.
        let now = OffsetDateTime::now_utc().truncate_to_second();
        Ok(Self { from: now - BACKDATED, until: now + Duration::days(i64::from(days)) })
    }
}

/// Where the files of a CA lie in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFiles {
    /// The key: whoever has it can name anyone. Keep it off the nodes.
    pub key: PathBuf,
    /// The certificate every node and operator pins.
    pub cert: PathBuf,
    /// What was issued, one JSON object a line.
    pub issued: PathBuf,
    /// What was taken back, one JSON object a line; `revoked.pem` is made of it.
    pub revoked: PathBuf,
}

impl CaFiles {
    /// The files of the CA in `folder`.
    pub fn of(folder: &Path) -> Self {
        Self {
            key: folder.join("ca.key"),
            cert: folder.join("ca.pem"),
            issued: folder.join("issued.jsonl"),
            revoked: folder.join("revoked.jsonl"),
        }
    }
}

/// A certificate just signed.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Whom it names.
    pub identity: Identity,
    /// The certificate, PEM.
    pub pem: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// From when to when it is valid.
    pub lifetime: Lifetime,
}

/// Where an operator's credentials were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorFiles {
    /// The private key.
    pub key: PathBuf,
    /// The certificate.
    pub cert: PathBuf,
    /// A copy of the CA's certificate.
    pub ca: PathBuf,
}

/// A CA that can sign.
pub struct Authority {
    federation: String,
    files: CaFiles,
    pem: String,
    der: CertificateDer<'static>,
    until: OffsetDateTime,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("federation", &self.federation)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Founds a CA for `federation` in `folder`, which lasts `days`.
    ///
    /// # Errors
    /// [`PkiError`], also when the folder holds a CA already.
    pub fn found(federation: &str, folder: &Path, days: u32) -> Result<Self, PkiError> {
        check_federation(federation)?;
        let lifetime = Lifetime::days(days, MAX_CA_DAYS)?;
        let files = CaFiles::of(folder);
        for file in [&files.key, &files.cert, &files.issued] {
            if file.symlink_metadata().is_ok() {
                return Err(PkiError::Exists(file.clone()));
            }
        }
        make_folder(folder, Access::Secret)?;
        let key = TlsKey::generate()?;
        let certificate = ca_params(federation, lifetime)?
            .self_signed(key.pair())
            .map_err(|error| PkiError::crypto("signing the CA's certificate", error))?;
        key.save(&files.key)?;
        write_new(&files.cert, certificate.pem().as_bytes(), Access::Public)?;
        Self::open(folder)
    }

    /// Opens the CA in `folder`.
    ///
    /// # Errors
    /// [`PkiError`], also when key and certificate do not belong together or the certificate is not valid now.
    pub fn open(folder: &Path) -> Result<Self, PkiError> {
        let files = CaFiles::of(folder);
        let pem = read_text(&files.cert)?;
        let refused = |zh: &str, en: &str| PkiError::content(&files.cert, zh, en);
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| refused("不是 PEM 格式的证书", "it is no certificate in PEM form"))?;
        let federation = federation_of_ca(&der)
            .ok_or_else(|| refused("不是联盟 CA 证书", "it is not the certificate of a federation's CA"))?;
        let key = TlsKey::load(&files.key)?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|_| refused("证书无法解析", "the certificate cannot be parsed"))?;
        if parsed.public_key().raw != key.public_der() {
            return Err(refused("与 ca.key 不匹配", "it does not belong to the ca.key beside it"));
        }
        let validity = parsed.validity();
        if !validity.is_valid() {
            return Err(PkiError::CaNotValid(format!("{} – {}", validity.not_before, validity.not_after)));
        }
        let until = validity.not_after.to_datetime();
        let issuer = Issuer::from_ca_cert_der(&der, KeyPair::try_from(key.pair().serialized_der()).map_err(crypto)?)
            .map_err(|error| PkiError::crypto("reading the CA", error))?;
        Ok(Self { federation, files, pem, der, until, issuer })
    }

    /// The federation this CA speaks for.
    pub fn federation(&self) -> &str {
        &self.federation
    }

    /// The CA's certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The CA's certificate, DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// The CA's files.
    pub fn files(&self) -> &CaFiles {
        &self.files
    }

    /// Signs a certificate request (PEM), for `days` or until the CA ends, whichever is earlier.
    ///
    /// # Errors
    /// [`PkiError::Request`] when it does not ask for exactly one identity of this federation with an ECDSA P-256 key,
    /// or asks for names it may not have.
    pub fn sign(&self, request_pem: &str, days: u32) -> Result<Issued, PkiError> {
        self.sign_for(request_pem, Lifetime::days(days, MAX_LEAF_DAYS)?)
    }

    /// Signs a certificate request for an exact lifetime.
    ///
    /// # Errors
    /// As [`Authority::sign`].
    pub fn sign_for(&self, request_pem: &str, lifetime: Lifetime) -> Result<Issued, PkiError> {
        // Parsing also verifies the request's own signature: its sender holds the key.
        let request = CertificateSigningRequestParams::from_pem(request_pem).map_err(|error| {
            PkiError::Request(Bilingual::new(
                format!("不是有效的 PEM 证书请求（{error}）"),
                format!("it is no valid certificate request in PEM form ({error})"),
            ))
        })?;
        let point = request.public_key.der_bytes();
        if request.public_key.algorithm() != &PKCS_ECDSA_P256_SHA256 || point.len() != 65 || point[0] != 4 {
            return Err(PkiError::Request(Bilingual::fixed(
                "密钥须为 ECDSA P-256",
                "its key must be ECDSA over P-256",
            )));
        }
        let (identity, names) = requested_names(&request.params.subject_alt_names)?;
        self.issue(&identity, &names, &request.public_key, lifetime)
    }

    /// Makes key and certificate of an operator in `folder`, with a copy of the CA's certificate: for an administrator
    /// who hands them over. Operators who can should make their own request.
    ///
    /// # Errors
    /// [`PkiError`], also when the operator has files there already.
    pub fn operator(
        &self,
        municipality: Municipality,
        id: &str,
        role: Role,
        days: u32,
        folder: &Path,
    ) -> Result<(Issued, OperatorFiles), PkiError> {
        let identity = Identity::operator(&self.federation, municipality, id, role)?;
        let lifetime = Lifetime::days(days, MAX_LEAF_DAYS)?;
        let base = format!("{municipality}-{id}-{role}");
        let files = OperatorFiles {
            key: folder.join(format!("{base}.key")),
            cert: folder.join(format!("{base}.pem")),
            ca: folder.join("ca.pem"),
        };
        if files.cert.symlink_metadata().is_ok() {
            return Err(PkiError::Exists(files.cert));
        }
        make_folder(folder, Access::Secret)?;
        if !files.ca.exists() {
            write_new(&files.ca, self.pem.as_bytes(), Access::Public)?;
        } else if read_public(&files.ca)? != self.pem.as_bytes() {
            return Err(PkiError::Exists(files.ca));
        }
        let key = TlsKey::generate()?;
        key.save(&files.key)?;
        let issued = self.issue(&identity, &NodeNames::default(), key.pair(), lifetime)?;
        write_new(&files.cert, issued.pem.as_bytes(), Access::Public)?;
        Ok((issued, files))
    }

    pub(super) fn issue(
        &self,
        identity: &Identity,
        names: &NodeNames,
        key: &impl PublicKeyData,
        lifetime: Lifetime,
    ) -> Result<Issued, PkiError> {
        if identity.federation() != self.federation {
            let (found, own) = (identity.federation(), &self.federation);
            return Err(PkiError::Request(Bilingual::new(
                format!("所请求的身份属于联盟 {found:?}，本 CA 属于 {own:?}"),
                format!("it asks for an identity of the federation {found:?}; this is the CA of {own:?}"),
            )));
        }
        let lifetime = Lifetime { until: lifetime.until.min(self.until), ..lifetime };
        let serial = serial()?;
        // Built anew from the identity and the names: nothing else a request asks for is carried over.
        let mut params = subject(identity, names)?;
        params.not_before = lifetime.from;
        params.not_after = lifetime.until;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match identity {
            Identity::Node { .. } => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Identity::Operator { .. } => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        let certificate =
            params.signed_by(key, &self.issuer).map_err(|error| PkiError::crypto("signing a certificate", error))?;
        let issued = Issued { identity: identity.clone(), pem: certificate.pem(), serial: hex(&serial), lifetime };
        // On record before it is handed out: what is not known to exist cannot be revoked.
        let line = json!({
            "serial": issued.serial,
            "identity": issued.identity,
            "not_before": lifetime.from.unix_timestamp(),
            "not_after": lifetime.until.unix_timestamp(),
        });
        append_line(&self.files.issued, &line.to_string())?;
        Ok(issued)
    }
}

#[allow(clippy::needless_pass_by_value)] // It stands in map_err.
fn crypto(error: rcgen::Error) -> PkiError {
    PkiError::crypto("reading the CA's key", error)
}

fn ca_params(federation: &str, lifetime: Lifetime) -> Result<CertificateParams, PkiError> {
    let name = format!("spiffe://{federation}");
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, federation);
    params.distinguished_name.push(DnType::CommonName, "Shouwang federation CA");
    params.subject_alt_names =
        vec![SanType::URI(name.try_into().map_err(|error| PkiError::crypto("naming the CA", error))?)];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = lifetime.from;
    params.not_after = lifetime.until;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    Ok(params)
}

fn serial() -> Result<[u8; SERIAL_BYTES], PkiError> {
    let mut bytes = [0; SERIAL_BYTES];
    aws_lc_rs::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|error| PkiError::crypto("drawing a serial number", error))?;
    // Positive, and the same length always: DER would drop a leading zero.
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(bytes)
}

fn requested_names(sans: &[SanType]) -> Result<(Identity, NodeNames), PkiError> {
    let (mut uris, mut names) = (Vec::new(), NodeNames::default());
    for san in sans {
        match san {
            SanType::URI(uri) => uris.push(uri.as_str()),
            SanType::DnsName(name) => names.dns.push(name.as_str().to_owned()),
            SanType::IpAddress(ip) => names.ip.push(*ip),
            _ => {
                return Err(PkiError::Request(Bilingual::fixed(
                    "含有身份、主机名、地址以外的名称",
                    "it asks for a name other than an identity, host names and addresses",
                )));
            }
        }
    }
    let identity = Identity::from_uri_names(uris).map_err(|error| PkiError::Request(error.text()))?;
    Ok((identity, names))
}

/// The host names and addresses of a certificate.
pub(super) fn names_of(certificate: &X509Certificate<'_>) -> NodeNames {
    let mut names = NodeNames::default();
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => names.ip.extend(ip_address(bytes)),
            _ => {}
        }
    }
    names
}

fn ip_address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// The federation a CA's certificate (DER) names; `None` when it is no CA's, or names none.
pub fn federation_of_ca(der: &[u8]) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    if !parsed.is_ca() {
        return None;
    }
    let names = uri_names(&parsed)?;
    let [name] = names.as_slice() else { return None };
    let federation = name.strip_prefix("spiffe://")?;
    check_federation(federation).ok()?;
    Some(federation.to_owned())
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
