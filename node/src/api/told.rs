//! What the metrics recorder is told of calls. Names and units stand here and nowhere else.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Instant;

use axum::response::Response as HttpResponse;
use metrics::{Counter, Histogram, counter, histogram};

/// The handles of a method's calls that succeeded, or stream. They are made once: the recorder looks a name with labels up
/// again each time, and almost every call is one of these.
#[derive(Clone)]
struct Handles {
    calls: Counter,
    seconds: Histogram,
}

/// By the methods of the table of rights, which has some dozens.
static HANDLES: LazyLock<RwLock<HashMap<&'static str, Handles>>> = LazyLock::new(RwLock::default);

/// A call was answered, or begins to be, and took so long.
pub fn called(method: &'static str, response: &HttpResponse, since: Instant) {
    let handles = handles(method);
    handles.seconds.record(since.elapsed().as_secs_f64());
    // A call that failed carries its code in the headers; what succeeded, or streams, carries it later.
    match response.headers().get("grpc-status").and_then(|code| code.to_str().ok()) {
        None | Some("0") => handles.calls.increment(1),
        Some(code) => calls(method, code.to_owned()).increment(1),
    }
}

fn calls(method: &'static str, code: String) -> Counter {
    counter!("shouwang_api_calls_total", "method" => method, "code" => code)
}

fn handles(method: &'static str) -> Handles {
    // Single insertions: whole after any panic.
    if let Some(known) = HANDLES.read().unwrap_or_else(PoisonError::into_inner).get(method) {
        return known.clone();
    }
    let made = Handles {
        calls: calls(method, "0".to_owned()),
        seconds: histogram!("shouwang_api_call_seconds", "method" => method),
    };
    HANDLES.write().unwrap_or_else(PoisonError::into_inner).insert(method, made.clone());
    made
}
