//! Taking certificates back and renewing them: what a CA does after it has signed.

use std::path::Path;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, PKCS_ECDSA_P256_SHA256, RevocationReason, RevokedCertParams,
    SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use shouwang_domain::hash::Bytes;
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::auth::identity::Identity;
use crate::auth::revoked::REVOKED_FILE;
use crate::lang::Bilingual;
use crate::pki::authority::{MAX_LEAF_DAYS, names_of};
use crate::pki::files::{Access, append_line, read_text, replace};
use crate::pki::signing::hex;
use crate::pki::{Authority, Issued, Lifetime, PkiError};

/// After this long people should ask for a newer list; nodes take an older one all the same.
const NEXT_UPDATE: Duration = Duration::days(365);
/// The most certificates one CA can take back, so that its list stays below a file's limit.
const REVOKED_MAX: usize = 10_000;

/// A certificate the CA took back: a line of `revoked.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Whom it names.
    pub identity: String,
    /// Since when, seconds since 1970.
    pub at: i64,
    /// Why.
    pub reason: String,
}

/// A line of `issued.jsonl`, as far as it is needed here.
#[derive(Deserialize)]
struct IssuedLine {
    serial: String,
    identity: serde_json::Value,
}

/// Whether `authority` (a CA's certificate, DER, with an ECDSA P-256 key) has signed these bytes.
pub fn is_signed_by(authority: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let Ok((_, authority)) = X509Certificate::from_der(authority) else { return false };
    let key = authority.public_key().subject_public_key.data.as_ref();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(signed, signature).is_ok()
}

impl Authority {
    /// Takes a certificate back by its serial number (hexadecimal), and writes the list that nodes read. The same again
    /// changes nothing.
    ///
    /// # Errors
    /// [`PkiError`]: this CA never issued it, the reason is empty, or a file cannot be written.
    pub fn revoke(&self, serial: &str, reason: &str) -> Result<TakenBack, PkiError> {
        if reason.trim().is_empty() || reason.chars().count() > 200 {
            let text = Bilingual::fixed("须写明吊销理由（1 至 200 字）", "say why, in 1 to 200 characters");
            return Err(PkiError::Request(text));
        }
        let mut taken_back = self.taken_back()?;
        if let Some(known) = taken_back.iter().find(|known| known.serial == serial) {
            self.write_list(&taken_back)?;
            return Ok(known.clone());
        }
        if taken_back.len() >= REVOKED_MAX {
            let text = Bilingual::fixed("吊销名单已满，请建立新的 CA", "the list is full; found a new CA");
            return Err(PkiError::Request(text));
        }
        let issued = self.issued(serial)?;
        let at = OffsetDateTime::now_utc().unix_timestamp();
        let identity = issued.identity.as_str().map_or_else(|| issued.identity.to_string(), str::to_owned);
        let line = TakenBack { serial: serial.to_owned(), identity, at, reason: reason.trim().to_owned() };
        let text = serde_json::to_string(&line).map_err(|error| PkiError::crypto("writing a line", error))?;
        append_line(&self.files().revoked, &text)?;
        taken_back.push(line.clone());
        self.write_list(&taken_back)?;
        Ok(line)
    }

    /// What this CA has taken back, oldest first.
    ///
    /// # Errors
    /// [`PkiError`] for a record that cannot be read.
    pub fn taken_back(&self) -> Result<Vec<TakenBack>, PkiError> {
        lines(&self.files().revoked)
    }

    /// Signs the same identity and key once more, for another `days`: the holder proved the key when it was first signed.
    ///
    /// # Errors
    /// [`PkiError`]: it is no certificate of this CA, or it was taken back.
    pub fn renew(&self, path: &Path, days: u32) -> Result<Issued, PkiError> {
        let refused = |zh: &str, en: &str| PkiError::content(path, zh, en);
        let der = self.own_certificate(path)?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|_| refused("证书无法解析", "the certificate cannot be parsed"))?;
        let serial = hex(parsed.raw_serial());
        if self.taken_back()?.iter().any(|taken| taken.serial == serial) {
            return Err(refused(
                "该证书已吊销，不能续期；请重新申请",
                "it was revoked and cannot be renewed; make a new request",
            ));
        }
        let identity = Identity::from_certificate(&der).map_err(PkiError::from)?;
        let key = SubjectPublicKeyInfo::from_der(parsed.public_key().raw)
            .map_err(|error| PkiError::crypto("reading the certificate's key", error))?;
        if rcgen::PublicKeyData::algorithm(&key) != &PKCS_ECDSA_P256_SHA256 {
            return Err(refused("密钥须为 ECDSA P-256", "its key must be ECDSA over P-256"));
        }
        self.issue(&identity, &names_of(&parsed), &key, Lifetime::days(days, MAX_LEAF_DAYS)?)
    }

    /// The serial number of a certificate of this CA, hexadecimal.
    ///
    /// # Errors
    /// [`PkiError::Content`] when it is not of this CA.
    pub fn serial_of(&self, path: &Path) -> Result<String, PkiError> {
        let der = self.own_certificate(path)?;
        let (_, parsed) = X509Certificate::from_der(&der)
            .map_err(|_| PkiError::content(path, "证书无法解析", "the certificate cannot be parsed"))?;
        Ok(hex(parsed.raw_serial()))
    }

    /// A certificate (DER) of a file that this CA has signed.
    fn own_certificate(&self, path: &Path) -> Result<CertificateDer<'static>, PkiError> {
        let refused = |zh: &str, en: &str| PkiError::content(path, zh, en);
        let der = CertificateDer::from_pem_slice(read_text(path)?.as_bytes())
            .map_err(|_| refused("不是 PEM 格式的证书", "it is no certificate in PEM form"))?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|_| refused("证书无法解析", "the certificate cannot be parsed"))?;
        if is_signed_by(self.certificate_der(), parsed.tbs_certificate.as_ref(), &parsed.signature_value.data) {
            Ok(der)
        } else {
            Err(refused("不是本 CA 签发的证书", "this CA has not signed it"))
        }
    }

    fn issued(&self, serial: &str) -> Result<IssuedLine, PkiError> {
        let path = &self.files().issued;
        let issued: Vec<IssuedLine> = lines(path)?;
        let found = issued.into_iter().find(|line| line.serial == serial);
        found.ok_or_else(|| {
            PkiError::content(
                path,
                format!("没有序列号 {serial} 的签发记录"),
                format!("no certificate with the serial {serial} was issued; `shouwang pki show FILE` tells a serial"),
            )
        })
    }

    fn write_list(&self, taken_back: &[TakenBack]) -> Result<(), PkiError> {
        let now = OffsetDateTime::now_utc().truncate_to_second();
        let entry = |taken: &TakenBack| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial(&taken.serial).ok_or_else(|| {
                    PkiError::content(&self.files().revoked, "序列号有误", "a serial number is no hexadecimal number")
                })?),
                revocation_time: OffsetDateTime::from_unix_timestamp(taken.at).unwrap_or(now),
                reason_code: Some(RevocationReason::Unspecified),
                invalidity_date: None,
            })
        };
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: now + NEXT_UPDATE,
            // A list only grows, so its length numbers it.
            crl_number: SerialNumber::from(taken_back.len() as u64),
            issuing_distribution_point: None,
            revoked_certs: taken_back.iter().map(entry).collect::<Result<_, PkiError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(self.issuer()).map_err(|error| PkiError::crypto("signing the list", error))?;
        let pem = signed.pem().map_err(|error| PkiError::crypto("writing the list", error))?;
        replace(&self.files().cert.with_file_name(REVOKED_FILE), pem.as_bytes(), Access::Public)
    }
}

/// The objects of a file with one a line; none when there is no such file yet.
fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>, PkiError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            PkiError::content(
                path,
                format!("第 {} 行无法读取：{error}", number + 1),
                format!("line {} cannot be read: {error}", number + 1),
            )
        })
    };
    read_text(path)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

fn serial(text: &str) -> Option<Vec<u8>> {
    Bytes::from_hex(text).map(|bytes| bytes.0).filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::{Municipality, Role};
    use crate::auth::revoked::Revoked;

    fn ca() -> (tempfile::TempDir, Authority) {
        let dir = tempfile::tempdir().unwrap();
        let ca = Authority::found("wuhai", &dir.path().join("ca"), 30).unwrap();
        (dir, ca)
    }

    fn operator(ca: &Authority, dir: &Path, id: &str) -> (String, std::path::PathBuf) {
        let wuhai = Municipality::new(150_300).unwrap();
        let (issued, files) = ca.operator(wuhai, id, Role::Duty, 10, &dir.join("operators")).unwrap();
        (issued.serial, files.cert)
    }

    #[test]
    fn the_list_holds_what_was_taken_back_and_only_grows() {
        let (dir, ca) = ca();
        let (first, first_file) = operator(&ca, dir.path(), "d01");
        let (second, second_file) = operator(&ca, dir.path(), "d02");
        let list = ca.files().cert.with_file_name(REVOKED_FILE);
        let authorities = [ca.certificate_der().clone()];
        let read = || Revoked::read(&list, &authorities).unwrap();
        assert!(read().is_empty(), "no file, nothing taken back");
        assert_eq!(ca.serial_of(&first_file).unwrap(), first);
        let told = ca.revoke(&first, " 手机遗失 ").unwrap();
        assert_eq!((told.serial.as_str(), told.reason.as_str()), (first.as_str(), "手机遗失"));
        assert_eq!(ca.revoke(&first, "again").unwrap(), told);
        let one = read();
        ca.revoke(&second, "离职").unwrap();
        let two = read();
        assert_eq!((one.len(), two.len()), (1, 2));
        assert!(two.includes(&one) && !one.includes(&two));
        let der = |path: &Path| CertificateDer::from_pem_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(one.holds(&der(&first_file)) && !one.holds(&der(&second_file)) && two.holds(&der(&second_file)));
        assert_eq!(Authority::open(&dir.path().join("ca")).unwrap().taken_back().unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_known_is_not_taken_back_and_a_strangers_list_is_none() {
        let (dir, ours) = ca();
        let (_other_dir, theirs) = ca();
        assert!(ours.revoke("00ff", "x").unwrap_err().to_string().contains("00ff"));
        let (serial, _) = operator(&ours, dir.path(), "d01");
        assert!(ours.revoke(&serial, " ").is_err());
        ours.revoke(&serial, "x").unwrap();
        let list = ours.files().cert.with_file_name(REVOKED_FILE);
        let error = Revoked::read(&list, std::slice::from_ref(theirs.certificate_der())).unwrap_err().to_string();
        assert!(error.contains("not signed by the CA"), "{error}");
        std::fs::write(&list, "nothing").unwrap();
        assert!(Revoked::read(&list, std::slice::from_ref(ours.certificate_der())).is_err());
    }

    #[test]
    fn a_certificate_is_renewed_with_its_key_and_names_unless_it_was_taken_back() {
        let (dir, ca) = ca();
        let (serial, file) = operator(&ca, dir.path(), "d01");
        let renewed = ca.renew(&file, 20).unwrap();
        assert_ne!(renewed.serial, serial);
        let key = |pem: &str| {
            let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let (_, parsed) = X509Certificate::from_der(&der).unwrap();
            (Identity::from_certificate(&der).unwrap(), parsed.public_key().raw.to_vec())
        };
        assert_eq!(key(&renewed.pem), key(&std::fs::read_to_string(&file).unwrap()));
        ca.revoke(&serial, "x").unwrap();
        assert!(ca.renew(&file, 20).unwrap_err().to_string().contains("revoked"));
        let (_stranger_dir, stranger) = super::tests::ca();
        assert!(stranger.renew(&file, 20).unwrap_err().to_string().contains("has not signed it"));
    }
}
