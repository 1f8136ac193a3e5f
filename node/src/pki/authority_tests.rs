//! What the CA signs, what it refuses, and what it writes.

use std::os::unix::fs::PermissionsExt as _;

use rcgen::string::Ia5String;
use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::*;
use crate::pki::{Inspected, inspect};

const NODE: &str = "spiffe://wuhai/municipality/150300/node/1";

fn ca() -> (tempfile::TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::found("wuhai", &dir.path().join("ca"), 30).unwrap();
    (dir, ca)
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

fn csr(sans: Vec<SanType>, pair: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names = sans;
    params.serialize_request(pair).unwrap().pem().unwrap()
}

#[test]
fn a_ca_is_founded_once_and_opens_again() {
    let (dir, ca) = ca();
    let folder = dir.path().join("ca");
    assert_eq!(ca.federation(), "wuhai");
    assert_eq!(ca.files().key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert!(matches!(Authority::found("wuhai", &folder, 30), Err(PkiError::Exists(_))));
    assert_eq!(Authority::open(&folder).unwrap().certificate_pem(), ca.certificate_pem());
    let Inspected::Certificate { identity, ca, days_left, .. } = inspect(&folder.join("ca.pem")).unwrap() else {
        panic!("no certificate")
    };
    assert_eq!((identity.as_str(), ca, days_left), ("spiffe://wuhai", true, 29));
}

#[test]
fn a_ca_with_a_strangers_key_does_not_open() {
    let (dir, ca) = ca();
    std::fs::remove_file(&ca.files().key).unwrap();
    TlsKey::generate().unwrap().save(&ca.files().key).unwrap();
    let error = Authority::open(&dir.path().join("ca")).unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
}

#[test]
fn bad_names_and_lifetimes_found_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ca");
    assert!(matches!(Authority::found("Wu Hai", &folder, 30), Err(PkiError::Identity(_))));
    for days in [0, MAX_CA_DAYS + 1] {
        assert!(matches!(Authority::found("wuhai", &folder, days), Err(PkiError::Lifetime { .. })));
    }
    assert!(!folder.exists());
}

#[test]
fn a_nodes_request_is_signed_with_its_names_and_no_more() {
    let (dir, ca) = ca();
    let key = TlsKey::generate().unwrap();
    let names = NodeNames { dns: vec!["n1.example".into()], ip: vec!["127.0.0.1".parse().unwrap()] };
    let request = key.request(&NODE.parse().unwrap(), &names).unwrap();
    let issued = ca.sign(&request, 365).unwrap();
    assert_eq!(issued.identity.to_string(), NODE);
    assert_ne!(issued.serial, ca.sign(&request, 365).unwrap().serial);
    let path = dir.path().join("node.pem");
    write_new(&path, issued.pem.as_bytes(), Access::Public).unwrap();
    let Inspected::Certificate { identity, ca: is_ca, serial, names, days_left, .. } = inspect(&path).unwrap() else {
        panic!("no certificate")
    };
    assert_eq!((identity.as_str(), is_ca, serial), (NODE, false, issued.serial));
    assert_eq!(names, [format!("URI:{NODE}"), "DNS:n1.example".into(), "IP:127.0.0.1".into()]);
    // It asked for a year; the CA itself ends in 30 days.
    assert_eq!(days_left, 29);
    assert_eq!(std::fs::read_to_string(&ca.files().issued).unwrap().lines().count(), 2);
}

#[test]
fn a_request_for_powers_is_signed_without_them() {
    let (_dir, ca) = ca();
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![uri(NODE)];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let request = params.serialize_request(&pair).unwrap().pem().unwrap();
    // rcgen leaves basic constraints out of a request or writes them; either way the certificate must not have them.
    let pem = ca.sign(&request, 10).unwrap().pem;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert!(!parsed.is_ca());
    assert!(!parsed.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert!(!parsed.extended_key_usage().unwrap().unwrap().value.code_signing);
}

#[test]
fn requests_that_are_not_right_are_refused() {
    let (_dir, ca) = ca();
    let pair = KeyPair::generate().unwrap();
    let host = || SanType::DnsName(Ia5String::try_from("n1.example").unwrap());
    let operator = "spiffe://wuhai/municipality/150300/operator/d1/duty";
    let many = std::iter::repeat_with(host).take(17).chain([uri(NODE)]).collect();
    for (what, sans) in [
        ("no URI name", vec![]),
        ("no URI name", vec![host()]),
        ("has 2 URI names", vec![uri(NODE), uri(operator)]),
        ("federation \"other\"", vec![uri("spiffe://other/municipality/150300/node/1")]),
        ("six digits", vec![uri("spiffe://wuhai/municipality/15/node/1")]),
        ("neither", vec![uri("spiffe://wuhai")]),
        ("no host names", vec![uri(operator), host()]),
        ("other than", vec![uri(NODE), SanType::Rfc822Name(Ia5String::try_from("a@b").unwrap())]),
        ("at most 16", many),
    ] {
        let error = ca.sign(&csr(sans, &pair), 10).unwrap_err();
        assert!(matches!(error, PkiError::Request(_)) && error.to_string().contains(what), "{what}: {error}");
    }
    for algorithm in [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384] {
        let other = KeyPair::generate_for(algorithm).unwrap();
        let error = ca.sign(&csr(vec![uri(NODE)], &other), 10).unwrap_err();
        assert!(error.to_string().contains("P-256"), "{error}");
    }
    for junk in ["", "junk", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"] {
        assert!(matches!(ca.sign(junk, 10), Err(PkiError::Request(_))));
    }
    assert!(!ca.files().issued.exists());
}

#[test]
fn an_altered_request_is_refused() {
    let (_dir, ca) = ca();
    let request = csr(vec![uri(NODE)], &KeyPair::generate().unwrap());
    let mut der = rustls::pki_types::CertificateSigningRequestDer::from_pem_slice(request.as_bytes()).unwrap().to_vec();
    let at = der.windows(6).position(|window| window == b"node/1").unwrap() + 5;
    der[at] = b'2';
    let error = CertificateSigningRequestParams::from_der(&der.as_slice().into()).unwrap_err();
    assert_eq!(error, rcgen::Error::InvalidCertificationRequestSignature);
    assert!(ca.sign(&request, 10).is_ok());
}

#[test]
fn an_operator_gets_key_certificate_and_ca_once() {
    let (dir, ca) = ca();
    let folder = dir.path().join("operators");
    let wuhai = Municipality::new(150_300).unwrap();
    let (issued, files) = ca.operator(wuhai, "d01", Role::Duty, 20, &folder).unwrap();
    assert_eq!(issued.identity.to_string(), "spiffe://wuhai/municipality/150300/operator/d01/duty");
    assert_eq!(files.key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(inspect(&files.key).unwrap(), Inspected::TlsKey { .. }));
    assert!(matches!(ca.operator(wuhai, "d01", Role::Duty, 20, &folder), Err(PkiError::Exists(_))));
    ca.operator(wuhai, "d02", Role::Admin, 20, &folder).unwrap();
    assert!(matches!(ca.operator(wuhai, "../x", Role::Duty, 20, &folder), Err(PkiError::Identity(_))));
}
