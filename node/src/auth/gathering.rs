//! Answers of the same moment to one caller leave together.
//!
//! Many calls may be under way on a connection, and a batch of them is answered at once. HTTP/2 would hand each answer to the
//! operating system by itself: the runtime prefers the task that was woken last, which is the connection, to the
//! next one that has an answer. So a connection that has something to say lets those run first that are waiting, as long as
//! that pays: where nothing comes meanwhile it is soon given up, and tried again now and then. Who has one call under way is
//! not kept waiting.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that gather at the most: of one TLS record (RFC 8446, 5.1).
const GATHERED_BYTES: usize = 16 * 1024;
/// After a try in which nothing came, so many more times at the most are let pass without one.
const PASSED_MAX: u32 = 63;

/// A stream whose writes gather until those who are about to write have written.
#[derive(Debug)]
pub(super) struct Gathering<S> {
    stream: S,
    gathered: Vec<u8>,
    /// Of these so many have been handed over.
    handed: usize,
    /// Others are let run, from when on so many bytes had gathered.
    resting: Option<usize>,
    /// So many times are let pass yet, and after the next try in which nothing comes.
    pass: u32,
    pass_next: u32,
}

impl<S> Gathering<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, gathered: Vec::new(), handed: 0, resting: None, pass: 0, pass_next: 1 }
    }

    /// Whether what has gathered is to wait for others once more.
    fn rests(&mut self, cx: &Context<'_>) -> bool {
        if let Some(before) = self.resting.take() {
            let came = self.gathered.len() > before;
            (self.pass, self.pass_next) =
                if came { (0, 1) } else { (self.pass_next, PASSED_MAX.min(2 * self.pass_next)) };
            return false;
        }
        if self.pass > 0 {
            self.pass -= 1;
            return false;
        }
        self.resting = Some(self.gathered.len());
        // Woken while it runs, a task goes behind all that wait.
        cx.waker().wake_by_ref();
        true
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    /// Hands over what has gathered.
    fn hand_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.handed < self.gathered.len() {
            let taken = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered[self.handed..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.handed += taken;
        }
        self.gathered.clear();
        // Whoever was waited for has filled it, or flushing has ended the wait.
        (self.handed, self.resting) = (0, None);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.handed > 0 || self.gathered.len() >= GATHERED_BYTES {
            ready!(self.hand_over(cx))?;
        }
        let before = self.gathered.len();
        for buf in bufs {
            let room = GATHERED_BYTES - self.gathered.len();
            self.gathered.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        Poll::Ready(Ok(self.gathered.len() - before))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What has been begun is not held up.
        if self.handed == 0 && !self.gathered.is_empty() && self.rests(cx) {
            return Poll::Pending;
        }
        ready!(self.hand_over(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.hand_over(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes so many bytes at a time, and nothing where `room` is used up.
    #[derive(Debug, Default)]
    struct Line {
        took: Vec<Vec<u8>>,
        room: usize,
        flushed: usize,
        shut: bool,
    }

    impl AsyncWrite for Line {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let taken = buf.len().min(self.room);
            if taken == 0 {
                return Poll::Pending;
            }
            self.room -= taken;
            self.took.push(buf[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushed += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.shut = true;
            Poll::Ready(Ok(()))
        }
    }

    fn line(room: usize) -> Gathering<Line> {
        Gathering::new(Line { room, ..Line::default() })
    }

    /// Writes, and answers how many bytes were taken; `None` if it must wait.
    fn write(line: &mut Gathering<Line>, bytes: &[u8]) -> Option<usize> {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(line).poll_write(&mut cx, bytes) {
            Poll::Ready(taken) => Some(taken.unwrap()),
            Poll::Pending => None,
        }
    }

    /// Whether all is handed over.
    fn flush(line: &mut Gathering<Line>) -> bool {
        Pin::new(line).poll_flush(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn what_is_written_while_others_run_goes_out_with_what_was_there() {
        let mut line = line(usize::MAX);
        for _ in 0..3 {
            assert_eq!(write(&mut line, b"one "), Some(4));
            assert!(!flush(&mut line), "others run first");
            assert_eq!(write(&mut line, b"two"), Some(3));
            assert!(flush(&mut line));
        }
        assert_eq!(line.stream.took, vec![b"one two".to_vec(); 3]);
        assert_eq!(line.stream.flushed, 3);
        assert!(flush(&mut line), "nothing waits, so nothing is waited for");
    }

    #[test]
    fn who_fills_it_meanwhile_has_come() {
        let mut line = line(usize::MAX);
        for _ in 0..3 {
            write(&mut line, b"one ");
            assert!(!flush(&mut line), "as it paid the time before");
            assert_eq!(write(&mut line, &[7; GATHERED_BYTES]), Some(GATHERED_BYTES - 4));
            assert_eq!(write(&mut line, b"more"), Some(4), "what filled it is gone");
            assert!(!flush(&mut line), "and others may come yet");
            write(&mut line, b"last");
            assert!(flush(&mut line));
        }
    }

    #[test]
    fn who_is_alone_waits_ever_more_rarely_and_is_tried_again() {
        let mut line = line(usize::MAX);
        let mut waited = Vec::new();
        for n in 0..400 {
            write(&mut line, b"answer");
            if !flush(&mut line) {
                waited.push(n);
                assert!(flush(&mut line), "once");
            }
        }
        assert_eq!(waited, [0, 2, 5, 10, 19, 36, 69, 133, 197, 261, 325, 389]);
        assert_eq!(line.stream.took.len(), 400);
        // Then there are others again: the next try finds it out, and every one after it pays.
        let mut waits = 0;
        for _ in 0..200 {
            write(&mut line, b"one ");
            if !flush(&mut line) {
                waits += 1;
                write(&mut line, b"two");
                assert!(flush(&mut line));
            }
        }
        assert!(waits > 130, "{waits}");
    }

    #[test]
    fn a_line_that_takes_little_gets_all_of_it_in_order() {
        let mut line = line(5);
        let said = vec![7; GATHERED_BYTES - 1];
        assert_eq!(write(&mut line, &said), Some(GATHERED_BYTES - 1));
        assert_eq!(write(&mut line, b"abc"), Some(1), "as much as there is room for");
        assert_eq!(write(&mut line, b"bc"), None, "full, and the line takes five bytes and no more");
        assert!(!flush(&mut line));
        line.stream.room = usize::MAX;
        assert_eq!(write(&mut line, b"bc"), Some(2), "there is room when the rest is gone");
        assert!(!flush(&mut line));
        assert!(flush(&mut line));
        let took = line.stream.took.concat();
        assert_eq!(took, [said.as_slice(), b"abc"].concat());
        write(&mut line, b"last");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut line).poll_shutdown(&mut cx).is_ready());
        assert!(line.stream.shut && line.stream.took.concat().ends_with(b"last"), "nothing is left behind");
    }
}
