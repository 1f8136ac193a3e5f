//! How long a call may take: what its client says in `grpc-timeout`, or the node for one that says nothing. The door
//! decides it once, and everybody behind it reads the same moment.

use std::time::{Duration, Instant};

use tonic::Request;
use tonic::codegen::http::HeaderMap;

/// The longest a node works on one call.
pub const MAX: Duration = Duration::from_mins(1);

/// What the door waits beside that: whoever answers in time can say more than it.
const GRACE: Duration = Duration::from_secs(1);

/// The moment by which a call must be answered. The door puts it into the request, beside the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of a call with these headers that begins now; `otherwise` is how long one may take that says nothing.
    pub fn begin(headers: &HeaderMap, otherwise: Duration) -> Self {
        Self::within(Instant::now(), said(headers), otherwise)
    }

    /// The deadline of a call that has begun at a moment, and says that it may take so long.
    pub fn within(from: Instant, said: Option<Duration>, otherwise: Duration) -> Self {
        Self(from + allowed(said, otherwise))
    }

    /// When it is over.
    pub fn moment(self) -> Instant {
        self.0
    }

    /// When the door stops waiting: only for what does not look at its deadline, such as a request whose end does not come.
    pub fn patience(self) -> Instant {
        self.0 + GRACE
    }
}

/// The moment by which a request that came through the door must be answered. One that did not has no time at all.
pub fn of<T>(request: &Request<T>) -> Instant {
    request.extensions().get::<Deadline>().map_or_else(Instant::now, |deadline| deadline.0)
}

fn said(headers: &HeaderMap) -> Option<Duration> {
    headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?))
}

fn allowed(said: Option<Duration>, otherwise: Duration) -> Duration {
    // A little is left for the answer to travel: a deadline that passes here comes with a reason, on the wire without.
    said.map_or(otherwise, |said| said.mul_f32(0.95)).min(MAX)
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
        let [one, ten, thirty] = [1, 10, 30].map(Duration::from_secs);
        for (header, otherwise, expected) in [
            (None, one, one),
            (None, thirty, thirty),
            (None, MAX, MAX),
            (None, MAX * 60, MAX),
            (Some("2S"), thirty, Duration::from_millis(1900)),
            // Who says how long he waits is not held to what is meant for those who do not.
            (Some("20S"), one, Duration::from_secs(19)),
            (Some("100m"), thirty, Duration::from_millis(95)),
            (Some("1H"), one, MAX),
            (Some("99999999H"), thirty, MAX),
            (Some("123456789S"), ten, ten),
            (Some("5"), ten, ten),
            (Some("S"), ten, ten),
            (Some("-5S"), ten, ten),
            (Some("5x"), ten, ten),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert("grpc-timeout", header.parse().unwrap());
            }
            let got = allowed(said(&headers), otherwise);
            assert!(got.abs_diff(expected) < Duration::from_millis(1), "{header:?} {otherwise:?}: {got:?}");
        }
    }

    #[test]
    fn what_came_around_the_door_has_no_time() {
        assert!(of(&Request::new(())) <= Instant::now());
    }
}
