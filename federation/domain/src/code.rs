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

/// Up to this many bytes a value is small.
const SMALL: usize = 512;

/// The bytes of a value.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Most values are ledger records of about that size; growing by steps would copy them several times.
    let mut bytes = Vec::with_capacity(512);
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
    // Room for the texts within, none of which is longer than the whole; for the small it is not worth to clear much.
    let value = if bytes.len() <= SMALL {
        ciborium::from_reader_with_buffer(&mut rest, &mut [0; SMALL])
    } else {
        ciborium::from_reader_with_buffer(&mut rest, &mut [0; 4096])
    };
    let value = value.map_err(|e| CodeError { what, detail: e.to_string() })?;
    if rest.is_empty() { Ok(value) } else { Err(CodeError { what, detail: format!("{} bytes too many", rest.len()) }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MunicipalityCode;
    use crate::resource::ItemCode;

    #[test]
    fn a_value_is_all_of_its_bytes_and_nothing_but_a_value() {
        let code = MunicipalityCode::new(150_300).unwrap();
        let bytes = encode(&(code, "乌海"));
        assert_eq!(decode("pair", &bytes), Ok((code, "乌海".to_owned())));
        for end in 0..bytes.len() {
            assert!(decode::<(MunicipalityCode, String)>("pair", &bytes[..end]).is_err(), "cut after {end}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(
            decode::<(MunicipalityCode, String)>("pair", &longer),
            Err(CodeError { what: "pair", detail: "1 bytes too many".to_owned() })
        );
    }

    #[test]
    fn names_that_are_none_do_not_decode() {
        assert!(decode::<MunicipalityCode>("code", &encode(&99_999u32)).is_err());
        assert!(decode::<ItemCode>("item", &encode(&9_990_101u32)).is_err());
    }

    #[test]
    fn nesting_without_end_is_refused() {
        // Arrays of one, one inside the other, as deep as the bytes go.
        assert!(decode::<crate::command::Batch>("batch", &vec![0x81; 100_000]).is_err());
    }
}
