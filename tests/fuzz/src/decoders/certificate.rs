//! The names in certificates: X.509 as a caller shows it, and SPIFFE names as text.

use shouwang::auth::{Identity, Municipality, Role};
use shouwang::pki::{Authority, NodeNames, TlsKey, federation_of_ca};

use super::Target;

/// Of an identity as text; what is no certificate is taken for one.
const SCHEME: &[u8] = b"spiffe://";

pub struct Names {
    samples: Vec<Vec<u8>>,
}

impl Names {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the authority");
        let authority =
            Authority::found("wuhai-region", &folder.path().join("ca"), 30).expect("an authority is founded");
        let municipality = Municipality::new(150_300).expect("the code of 乌海");
        let identities = [
            Identity::node("wuhai-region", municipality, 1).expect("a node's name"),
            Identity::operator("wuhai-region", municipality, "d01", Role::Duty).expect("an operator's name"),
        ];
        let mut samples: Vec<Vec<u8>> = identities.iter().map(|name| name.to_string().into_bytes()).collect();
        let request = TlsKey::generate().and_then(|key| key.request(&identities[0], &NodeNames::default()));
        let issued = authority.sign(&request.expect("a request is made"), 10).expect("a request is signed");
        samples.push(der(&issued.pem));
        samples.push(authority.certificate_der().to_vec());
        Self { samples }
    }
}

fn der(pem: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).expect("what was issued is PEM").to_vec()
}

impl Target for Names {
    fn samples(&self) -> &[Vec<u8>] {
        &self.samples
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            SCHEME,
            b"/municipality/150300",
            b"/node/1",
            b"/operator/d01/duty",
            b"..",
            b"%2e",
            b"/",
            b"\x86\x41",
            b"\x30\x80",
            b"\x82\xff\xff",
        ]
    }

    fn decode(&mut self, input: &[u8]) -> Result<(), String> {
        if input.starts_with(SCHEME) {
            let text = String::from_utf8_lossy(input);
            let identity = text.parse::<Identity>().map_err(|error| error.to_string())?;
            assert_eq!(identity.to_string(), text, "two spellings of one identity");
            return Ok(());
        }
        if federation_of_ca(input).is_some() {
            return Ok(());
        }
        let identity = Identity::from_certificate(input).map_err(|error| error.to_string())?;
        assert_eq!(identity.to_string().parse(), Ok(identity), "a name that cannot be read again");
        Ok(())
    }
}
