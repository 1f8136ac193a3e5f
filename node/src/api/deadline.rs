//! How long a call may take: what the client says in `grpc-timeout`, within bounds.

use std::time::{Duration, Instant};

use tonic::codegen::http::HeaderMap;
use tonic::metadata::MetadataMap;

/// When the client says nothing.
pub const DEFAULT: Duration = Duration::from_secs(10);
/// The longest a node works on one call.
pub const MAX: Duration = Duration::from_mins(1);

/// What the door waits beside that.
const GRACE: Duration = Duration::from_secs(1);

/// How long the call with this metadata may take.
pub fn timeout(metadata: &MetadataMap) -> Duration {
    let said = metadata.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
    // A little is left for the answer to travel: a deadline that passes here comes with a reason, on the wire without.
    said.map_or(DEFAULT, |said| said.mul_f32(0.95)).min(MAX)
}

/// The moment by which the call with this metadata must be answered.
pub fn of(metadata: &MetadataMap) -> Instant {
    Instant::now() + timeout(metadata)
}

/// How long the door waits for the answer to a call, `otherwise` for one that names no deadline: a little longer than the
/// service itself may take, whose answer says more. Only a request whose end does not come is left to the door.
pub fn patience(headers: &HeaderMap, otherwise: Duration) -> Duration {
    let said = headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
    said.map_or(otherwise, |said| said.min(MAX)) + GRACE
}

/// At most eight digits and a unit, as in the gRPC specification.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(count * 3600),
        'M' => Duration::from_secs(count * 60),
        'S' => Duration::from_secs(count),
        'm' => Duration::from_millis(count),
        'u' => Duration::from_micros(count),
        'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_and_bounded() {
        for (header, expected) in [
            (None, DEFAULT),
            (Some("2S"), Duration::from_millis(1900)),
            (Some("100m"), Duration::from_millis(95)),
            (Some("1H"), MAX),
            (Some("99999999H"), MAX),
            (Some("123456789S"), DEFAULT),
            (Some("5"), DEFAULT),
            (Some("S"), DEFAULT),
            (Some("-5S"), DEFAULT),
            (Some("5x"), DEFAULT),
        ] {
            let mut metadata = MetadataMap::new();
            if let Some(header) = header {
                metadata.insert("grpc-timeout", header.parse().unwrap());
            }
            let got = timeout(&metadata);
            assert!(got.abs_diff(expected) < Duration::from_millis(1), "{header:?}: {got:?}");
        }
    }
}
