//! The stored form of domain values: CBOR (RFC 8949) with named fields, through serde.
//!
//! Why not generated protobuf types: the domain's enums with data *are* the vocabulary, and a second set of two hundred
//! types with conversions between them is where meaning gets lost. Named fields keep a ledger readable in twenty years.
//! Evolution is additive: new fields carry `#[serde(default)]`, new variants are gated by the record's feature level,
//! nothing is renamed. Received bytes are kept and hashed as they came, never encoded again.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes are not a value of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: {detail} / 数据格式无法识别")]
pub struct CodeError {
    /// What was expected.
    pub what: &'static str,
    /// What the decoder met.
    pub detail: String,
}

/// The bytes of a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    // Writing to memory cannot fail, and our types have no serializer that refuses.
    ciborium::into_writer(value, &mut bytes).expect("domain values always encode");
    bytes
}

/// The value of some bytes; all of them must be used.
///
/// # Errors
/// Bytes that are not CBOR, not a `T`, or longer than one value.
pub fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, CodeError> {
    let mut rest = bytes;
    let value = ciborium::from_reader_with_buffer(&mut rest, &mut [0; 4096])
        .map_err(|e| CodeError { what, detail: e.to_string() })?;
    if rest.is_empty() { Ok(value) } else { Err(CodeError { what, detail: format!("{} bytes too many", rest.len()) }) }
}
