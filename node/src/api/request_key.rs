//! The client's request id: the command's id, the time it was asked, and every further id a compound operation needs.
//!
//! A record remembers commands by their whole bytes. So whatever the edge adds to a command must be the same when the
//! client asks again, through another node or after a crash: ids, times and limits that the client leaves out are
//! derived from the request id, never from this node's clock.

use sha2::{Digest, Sha256};
use shouwang_domain::ids::CommandId;
use shouwang_domain::time::{DAY_MS, Timestamp};
use uuid::{Builder, Uuid};

/// For how long a command is valid after the time in its request id.
pub const VALID_FOR_MS: i64 = DAY_MS;

/// Separates derived ids from every other use of the hash.
const DERIVED_DOMAIN: &[u8] = b"shouwang.api.derived.v1\0";

/// A request id, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestKey {
    id: Uuid,
    asked_at: Timestamp,
}

impl RequestKey {
    /// Reads a UUID of version 7 in its usual form.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?;
        // Version 7 begins with 48 bits of milliseconds since 1970; no other version says when it was made.
        if text.len() != 36 || id.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
        let ms = i64::try_from(seconds).ok()?.checked_mul(1000)? + i64::from(nanoseconds / 1_000_000);
        Some(Self { id, asked_at: Timestamp(ms) })
    }

    /// A key for what cannot be read: it lets the other fields be checked too, and never reaches a record.
    pub fn placeholder() -> Self {
        Self { id: Uuid::nil(), asked_at: Timestamp::ZERO }
    }

    /// The command's id.
    pub fn command(&self) -> CommandId {
        CommandId(self.id)
    }

    /// When the client asked, by its own clock.
    pub fn asked_at(&self) -> Timestamp {
        self.asked_at
    }

    /// After this the record refuses the command as expired.
    pub fn valid_until(&self) -> Timestamp {
        self.asked_at.plus_ms(VALID_FOR_MS)
    }

    /// A further id that the same request always gives: UUID version 8 over SHA-256, as version 5 is over SHA-1.
    pub fn derive(&self, label: &str) -> Uuid {
        let hash = Sha256::new().chain_update(DERIVED_DOMAIN).chain_update(self.id).chain_update(label).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The id of a further command of the same request.
    pub fn derived_command(&self, label: &str) -> CommandId {
        CommandId(self.derive(label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn the_time_in_the_id_bounds_the_command() {
        let key = RequestKey::parse(ID).unwrap();
        assert_eq!(key.asked_at(), Timestamp(0x0189_0a5d_ac96));
        assert_eq!(key.valid_until(), Timestamp(0x0189_0a5d_ac96 + 24 * 3_600_000));
        assert_eq!(key.command().to_string(), ID);
    }

    #[test]
    fn only_version_seven_in_its_usual_form_is_a_request_id() {
        for wrong in [
            "",
            "x",
            "00000000-0000-0000-0000-000000000000",
            "f47ac10b-58cc-4372-a567-0e02b2c3d479",
            "01890a5dac96774bbcceb302099a8057",
            "{01890a5d-ac96-774b-bcce-b302099a8057}",
        ] {
            assert!(RequestKey::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn derived_ids_are_the_same_every_time_and_differ_by_label() {
        let key = RequestKey::parse(ID).unwrap();
        assert_eq!(key.derive("lot"), RequestKey::parse(ID).unwrap().derive("lot"));
        assert_ne!(key.derive("lot"), key.derive("pledge"));
        assert_ne!(key.derive("lot"), RequestKey::parse("01890a5d-ac96-774b-bcce-b302099a8058").unwrap().derive("lot"));
        assert_eq!(key.derive("lot").get_version_num(), 8);
    }
}
