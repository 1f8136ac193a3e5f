//! What a client says to PostgreSQL and hears from it (frontend/backend protocol 3.0), as far as prepared statements need
//! it. A connection carries one statement at a time, and nothing stands between the caller and the socket.

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Version 3.0.
const VERSION: i32 = 3 << 16;
/// In the place of a version: whether the server speaks TLS.
const TLS_WANTED: i32 = 80_877_103;
/// The longest message that is taken.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Asks for TLS on a new connection.
///
/// # Errors
/// The server offers none.
pub async fn ask_for_tls(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<()> {
    let mut request = Vec::from(8_i32.to_be_bytes());
    request.extend(TLS_WANTED.to_be_bytes());
    stream.write_all(&request).await?;
    let answer = stream.read_u8().await?;
    ensure!(answer == b'S', "the server speaks no TLS");
    Ok(())
}

/// The rows of an answer.
pub type Rows = Vec<Vec<Vec<u8>>>;

/// A connection that was let in.
pub struct Session<S> {
    stream: S,
    out: Vec<u8>,
    body: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Introduces somebody to a database, who needs no password.
    ///
    /// # Errors
    /// He is not let in.
    pub async fn begin(stream: S, user: &str, database: &str) -> Result<Self> {
        let mut session = Self { stream, out: Vec::new(), body: Vec::new() };
        session.frame(None, |out| {
            out.extend(VERSION.to_be_bytes());
            for text in ["user", user, "database", database, ""] {
                put_text(out, text);
            }
        })?;
        session.ready().await?;
        Ok(session)
    }

    /// Carries out one or more statements as text. Answers all rows as text, where NULL is empty.
    ///
    /// # Errors
    /// What the server says.
    pub async fn run(&mut self, sql: &str) -> Result<Rows> {
        self.frame(Some(b'Q'), |out| put_text(out, sql))?;
        self.ready().await
    }

    /// Prepares a statement under a name.
    ///
    /// # Errors
    /// What the server says.
    pub async fn prepare(&mut self, name: &str, sql: &str) -> Result<()> {
        self.frame(Some(b'P'), |out| {
            put_text(out, name);
            put_text(out, sql);
            // The statement says of which types its parameters are.
            out.extend(0_i16.to_be_bytes());
        })?;
        self.frame(Some(b'S'), |_| {})?;
        self.ready().await.map(drop)
    }

    /// Carries out a prepared statement in a transaction of its own, in one round trip. Parameters and rows are in their
    /// binary form.
    ///
    /// # Errors
    /// What the server says.
    pub async fn execute(&mut self, name: &str, parameters: &[&[u8]]) -> Result<Rows> {
        let count = i16::try_from(parameters.len())?;
        self.frame(Some(b'B'), |out| {
            // The portal without a name, and of all parameters the same form.
            put_text(out, "");
            put_text(out, name);
            out.extend([0, 1, 0, 1]);
            out.extend(count.to_be_bytes());
            for parameter in parameters {
                // Longer than a message may be is refused below.
                out.extend(i32::try_from(parameter.len()).unwrap_or(i32::MAX).to_be_bytes());
                out.extend(*parameter);
            }
            out.extend([0, 1, 0, 1]);
        })?;
        self.frame(Some(b'E'), |out| {
            put_text(out, "");
            // All rows.
            out.extend(0_i32.to_be_bytes());
        })?;
        self.frame(Some(b'S'), |_| {})?;
        self.ready().await
    }

    /// Adds a message to what goes out next.
    fn frame(&mut self, kind: Option<u8>, fill: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.out.extend(kind);
        let at = self.out.len();
        self.out.extend([0; 4]);
        fill(&mut self.out);
        let length = self.out.len() - at;
        ensure!(length <= MESSAGE_BYTES_MAX, "a message of {length} bytes");
        let length = i32::try_from(length)?;
        self.out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Sends what waits, and reads until the server is ready for more. Answers the rows that came before that.
    async fn ready(&mut self) -> Result<Rows> {
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await?;
        self.out.clear();
        let mut rows = Vec::new();
        loop {
            match self.message().await? {
                b'D' => rows.push(row(&self.body).context("a row that cannot be read")?),
                b'E' => bail!("PostgreSQL: {}", complaint(&self.body)),
                b'R' => ensure!(self.body == [0; 4], "PostgreSQL asks who it is, and not only for a certificate"),
                b'Z' => return Ok(rows),
                // Parameters, keys, notices, what rows look like, and that a step is done.
                _ => {}
            }
        }
    }

    /// Reads one message, and answers its kind.
    async fn message(&mut self) -> Result<u8> {
        let kind = self.stream.read_u8().await?;
        let length = usize::try_from(self.stream.read_i32().await?)?;
        let length = length.checked_sub(4).filter(|length| *length <= MESSAGE_BYTES_MAX);
        self.body.resize(length.context("a message without a sensible length")?, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(kind)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.as_bytes());
    out.push(0);
}

/// The fields of a row; NULL is empty.
fn row(mut body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let count = i16::from_be_bytes(*take::<2>(&mut body)?);
    let field = |_| {
        let length = i32::from_be_bytes(*take::<4>(&mut body)?);
        let length = usize::try_from(length).unwrap_or_default();
        let (field, rest) = body.split_at_checked(length)?;
        body = rest;
        Some(field.to_vec())
    };
    let fields = (0..count).map(field).collect::<Option<_>>()?;
    body.is_empty().then_some(fields)
}

fn take<'a, const N: usize>(body: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(first)
}

/// What an error says: its code and its message.
fn complaint(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0).filter_map(|field| field.split_first());
    let said = fields.filter(|(kind, _)| matches!(kind, b'C' | b'M' | b'D'));
    let said: Vec<_> = said.map(|(_, text)| String::from_utf8_lossy(text)).collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    /// A server that reads so many bytes and answers these, for every pair.
    fn server(turns: Vec<(usize, Vec<u8>)>) -> (DuplexStream, tokio::task::JoinHandle<Vec<Vec<u8>>>) {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let serving = tokio::spawn(async move {
            let mut heard = Vec::new();
            for (length, answer) in turns {
                let mut bytes = vec![0; length];
                far.read_exact(&mut bytes).await.unwrap();
                heard.push(bytes);
                far.write_all(&answer).await.unwrap();
            }
            heard
        });
        (near, serving)
    }

    const READY: &[u8] = b"Z\0\0\0\x05I";
    const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0S\0\0\0\x09a\0bc\0Z\0\0\0\x05I";
    const HELLO: &[u8] = b"\0\0\0\x1d\0\x03\0\0user\0me\0database\0db\0\0";

    #[tokio::test]
    async fn a_statement_goes_out_in_one_piece_and_its_rows_come_back() {
        let bind = b"B\0\0\0\x1b\0s\0\0\x01\0\x01\0\x02\0\0\0\x02hi\0\0\0\0\0\x01\0\x01";
        let execute = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
        let rows = b"2\0\0\0\x04D\0\0\0\x0f\0\x02\0\0\0\x01x\xff\xff\xff\xffC\0\0\0\x06A\0";
        let sent = [&bind[..], &execute[..]].concat();
        let turns = vec![(HELLO.len(), LET_IN.to_vec()), (sent.len(), [&rows[..], READY].concat())];
        let (stream, serving) = server(turns);
        let mut session = Session::begin(stream, "me", "db").await.unwrap();
        let answered = session.execute("s", &[b"hi", b""]).await.unwrap();
        assert_eq!(answered, [[b"x".to_vec(), Vec::new()]]);
        assert_eq!(serving.await.unwrap(), [HELLO.to_vec(), sent]);
    }

    #[tokio::test]
    async fn what_the_server_complains_of_is_an_error() {
        for (answer, expected) in [
            (&b"E\0\0\0\x12C23505\0Mtwice\0\0"[..], "PostgreSQL: 23505 twice"),
            (b"R\0\0\0\x08\0\0\0\x03", "asks who it is"),
            (b"D\0\0\0\x06\0\x01", "a row that cannot be read"),
            (b"D\0\0\0\x03", "without a sensible length"),
            (b"D\x7f\0\0\0", "without a sensible length"),
            (b"D\xff\0\0\0", ""),
            (b"D", ""),
        ] {
            let (stream, serving) = server(vec![(HELLO.len(), answer.to_vec())]);
            let error = Session::begin(stream, "me", "db").await.err().unwrap();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
            serving.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_server_without_tls_is_not_spoken_to() {
        for (answer, offers) in [(b'S', true), (b'N', false)] {
            let (mut stream, serving) = server(vec![(8, vec![answer])]);
            assert_eq!(ask_for_tls(&mut stream).await.is_ok(), offers);
            assert_eq!(serving.await.unwrap(), [[0, 0, 0, 8, 4, 210, 22, 47]]);
        }
    }
}
