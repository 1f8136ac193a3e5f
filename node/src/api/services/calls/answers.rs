//! What came of a stream's calls, on its way out: whatever is there goes out together, and nothing waits for more.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use prost::Message as _;
use shouwang_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::{Code, Status};

use super::intake::Begun;
use crate::api::{MESSAGE_BYTES_MAX, status};
use crate::lang::Bilingual;

/// A frame with that much in it takes no further answer.
const FRAME_BYTES: usize = 64 << 10;
/// The largest answer: as the last one of a frame it makes no frame that is larger than a message may be.
pub(super) const ANSWER_BYTES_MAX: usize = MESSAGE_BYTES_MAX - FRAME_BYTES - 64;
/// For how long answers wait for whoever has asked.
pub(super) const UNREAD_MAX: Duration = Duration::from_mins(1);
/// Most calls that are looked after at once: places bound those that work, this one those that were refused.
const UNDER_WAY_MAX: usize = 4096;

/// Sends what comes of the calls until all have been answered; answers wait no longer than `unread_max` to be taken.
///
/// # Errors
/// Why no more calls come in, or that nobody takes the answers.
pub(super) async fn answer(
    begun: impl Stream<Item = Begun>,
    out: mpsc::Sender<v1::CallsResponse>,
    unread_max: Duration,
) -> Result<(), Status> {
    let mut answers = pin!(begun.map(Begun::answer).buffer_unordered(UNDER_WAY_MAX));
    let (mut frame, mut ended, mut why) = (Frame::new(), false, Ok(()));
    loop {
        tokio::select! {
            biased;
            answer = answers.next(), if !ended && !frame.is_full() => match answer {
                Some(Ok(answer)) => frame.push(answer),
                // Those that have begun are answered all the same.
                Some(Err(status)) => why = Err(status),
                None => ended = true,
            },
            room = tokio::time::timeout_at((frame.since + unread_max).into(), out.reserve()), if !frame.is_empty() => {
                match room {
                    Ok(Ok(room)) => room.send(std::mem::replace(&mut frame, Frame::new()).answers),
                    // Nobody is there any more.
                    Ok(Err(_)) => return Ok(()),
                    Err(_) => return Err(unread()),
                }
            }
            else => return why,
        }
    }
}

/// Answers that go out next.
struct Frame {
    answers: v1::CallsResponse,
    bytes: usize,
    /// When the first of them came.
    since: Instant,
}

impl Frame {
    fn new() -> Self {
        Self { answers: v1::CallsResponse::default(), bytes: 0, since: Instant::now() }
    }

    fn is_empty(&self) -> bool {
        self.answers.answers.is_empty()
    }

    fn is_full(&self) -> bool {
        self.bytes >= FRAME_BYTES
    }

    fn push(&mut self, answer: v1::CallAnswer) {
        if self.is_empty() {
            self.since = Instant::now();
        }
        self.bytes += answer.encoded_len();
        self.answers.answers.push(answer);
    }
}

fn unread() -> Status {
    let text = Bilingual::fixed(
        "应答一分钟无人接收，批量调用流已结束；未收到应答的调用结果未知，请用同一请求编号重试或查询结果",
        "nobody has taken the answers for a minute, and the stream ends; what came of calls without an answer is not known: \
         ask again with the same request id, or ask for the outcome",
    );
    status::error(Code::ResourceExhausted, "ANSWERS_UNREAD", &text, &[])
}
