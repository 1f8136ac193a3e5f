//! Certificate verifiers: the chain up to the federation's CA, then the identity in the URI name.
//!
//! Host names play no part. A node is who its certificate says it is, at whatever address it answers.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore, SignatureScheme};

use crate::auth::identity::{Identity, IdentityError, Municipality};
use crate::auth::revoked::Revoked;
use crate::auth::tls::Surface;

/// Why a certificate whose chain is good was refused all the same.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unwelcome {
    /// Its name is no identity.
    #[error(transparent)]
    Name(#[from] IdentityError),
    /// It belongs to another federation.
    #[error("{found} belongs to another federation than {expected}")]
    Federation {
        /// Who it is.
        found: Identity,
        /// The federation expected.
        expected: String,
    },
    /// It is an operator's, where only nodes are let in.
    #[error("{0} is an operator; the peer listener takes nodes only")]
    NotANode(Identity),
    /// It is a node's, where only operators are let in.
    #[error("{0} is a node; the operator listener takes operators only")]
    NotAnOperator(Identity),
    /// The CA has taken its word back.
    #[error("the certificate of {0} was revoked by the federation's CA")]
    Revoked(Identity),
    /// Another node answered than the one dialled.
    #[error("{found} answered; {expected} was expected")]
    OtherNode {
        /// Who answered.
        found: Identity,
        /// Who was dialled.
        expected: ExpectedNode,
    },
}

impl std::fmt::Debug for Unwelcome {
    /// The sentence itself: the TLS library shows an error of ours to people in its debug form.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Unwelcome> for rustls::Error {
    fn from(unwelcome: Unwelcome) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(unwelcome))))
    }
}

/// Which node a dialler expects to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedNode {
    /// The federation it must belong to.
    pub federation: String,
    /// Whose node it must be; `None` takes any municipality's.
    pub municipality: Option<Municipality>,
    /// Its number; `None` takes any node of the municipality.
    pub node: Option<u32>,
}

impl ExpectedNode {
    /// Exactly the node with this identity; `None` when it is an operator.
    pub fn exactly(identity: &Identity) -> Option<Self> {
        let name = identity.node_name()?;
        let federation = identity.federation().to_owned();
        Some(Self { federation, municipality: Some(name.municipality), node: Some(name.node) })
    }

    /// Any node of the federation.
    pub fn any_of(federation: &str) -> Self {
        Self { federation: federation.to_owned(), municipality: None, node: None }
    }

    /// Checks who answered.
    ///
    /// # Errors
    /// [`Unwelcome`].
    pub fn check(&self, found: &Identity) -> Result<(), Unwelcome> {
        if found.federation() != self.federation {
            return Err(Unwelcome::Federation { found: found.clone(), expected: self.federation.clone() });
        }
        let matches = found.node_name().is_some_and(|name| {
            self.municipality.is_none_or(|expected| expected == name.municipality)
                && self.node.is_none_or(|expected| expected == name.node)
        });
        if matches { Ok(()) } else { Err(Unwelcome::OtherNode { found: found.clone(), expected: self.clone() }) }
    }
}

impl std::fmt::Display for ExpectedNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "spiffe://{}/municipality/", self.federation)?;
        match self.municipality {
            Some(municipality) => write!(f, "{municipality}/node/")?,
            None => f.write_str("*/node/")?,
        }
        match self.node {
            Some(node) => write!(f, "{node}"),
            None => f.write_str("*"),
        }
    }
}

/// Verifies those who call one of a node's listeners.
#[derive(Debug)]
pub(super) struct CallerVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    revoked: Arc<Revoked>,
    federation: String,
    surface: Surface,
}

impl CallerVerifier {
    pub(super) fn new(
        (roots, revoked): (Arc<RootCertStore>, Arc<Revoked>),
        provider: Arc<CryptoProvider>,
        federation: &str,
        surface: Surface,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
        Ok(Self { chain, revoked, federation: federation.to_owned(), surface })
    }

    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Unwelcome> {
        let found = Identity::from_certificate(certificate)?;
        if found.federation() != self.federation {
            return Err(Unwelcome::Federation { found, expected: self.federation.clone() });
        }
        if self.revoked.holds(certificate) {
            return Err(Unwelcome::Revoked(found));
        }
        match (self.surface, &found) {
            (Surface::Peer, Identity::Operator { .. }) => Err(Unwelcome::NotANode(found)),
            (Surface::Operator, Identity::Node { .. }) => Err(Unwelcome::NotAnOperator(found)),
            _ => Ok(()),
        }
    }
}

impl ClientCertVerifier for CallerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // The chain first: a name is not even parsed unless the federation's CA has signed it.
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        self.check(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Verifies the node that answers.
#[derive(Debug)]
pub(super) struct NodeVerifier {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    expected: ExpectedNode,
    revoked: Arc<Revoked>,
}

impl NodeVerifier {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        provider: &CryptoProvider,
        expected: ExpectedNode,
        revoked: Arc<Revoked>,
    ) -> Self {
        Self { roots, algorithms: provider.signature_verification_algorithms, expected, revoked }
    }
}

/// Checks that `end_entity` is within its time, is a server's, and chains to `roots`.
pub(super) fn verify_chain(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
    algorithms: &WebPkiSupportedAlgorithms,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let certificate = ParsedCertificate::try_from(end_entity)?;
    verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms.all)
}

impl ServerCertVerifier for NodeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        verify_chain(end_entity, intermediates, &self.roots, &self.algorithms, now)?;
        let found = Identity::from_certificate(end_entity).map_err(Unwelcome::from)?;
        self.expected.check(&found)?;
        if self.revoked.holds(end_entity) {
            return Err(Unwelcome::Revoked(found).into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expected_node_takes_itself_and_nobody_else() {
        let wuhai = Municipality::new(150_300).unwrap();
        let alxa = Municipality::new(152_900).unwrap();
        let node = |federation: &str, municipality, n| Identity::node(federation, municipality, n).unwrap();
        let exact = ExpectedNode::exactly(&node("f", wuhai, 1)).unwrap();
        let city = ExpectedNode { node: None, ..exact.clone() };
        let any = ExpectedNode::any_of("f");
        for (identity, welcome) in [
            (node("f", wuhai, 1), [true, true, true]),
            (node("f", wuhai, 2), [false, true, true]),
            (node("f", alxa, 1), [false, false, true]),
            (node("g", wuhai, 1), [false, false, false]),
            (Identity::operator("f", wuhai, "x", crate::auth::Role::Admin).unwrap(), [false, false, false]),
        ] {
            let found = [&exact, &city, &any].map(|expected| expected.check(&identity).is_ok());
            assert_eq!(found, welcome, "{identity}");
        }
        let shown = [exact, city, any].map(|expected| expected.to_string());
        assert_eq!(shown[0], "spiffe://f/municipality/150300/node/1");
        assert_eq!(shown[1], "spiffe://f/municipality/150300/node/*");
        assert_eq!(shown[2], "spiffe://f/municipality/*/node/*");
    }
}
