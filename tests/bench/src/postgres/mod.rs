//! PostgreSQL: stock in tables as an ordinary application keeps it, and the client that speaks to it.

mod cluster;
mod wire;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::net::TcpStream;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use self::cluster::Cluster;
use self::wire::{Rows, Session, ask_for_tls};
use crate::stock::{Books, Keeper, Kind, LOTS, Movement, OPENING, STORES, Stockroom, id, store_id};
use crate::system::{CALL_TIMEOUT, Served};
use crate::tls::{Dialler, Papers};

const SCHEMA: &str = include_str!("schema.sql");

/// Whom clients connect as, and to which database.
const USER: &str = "bureau";
const DATABASE: &str = "postgres";
/// Who enters a movement: what Shouwang reads out of his certificate, an application knows from its own login.
const OPERATOR: &str = "keeper-1";

/// How long the server may take to come up, or for what is not measured; and how often it is asked whether it is there.
const PATIENCE: Duration = Duration::from_mins(1);
const PACE: Duration = Duration::from_millis(50);

/// What must hold for the two to be compared: an answer means that it is on the disk.
const DURABLE: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

// Each movement is one statement, and one transaction: the lot's row is locked, checked and changed, then the ledger row is
// written. So numbers grow in the order in which movements of one lot are carried out. Parameters: request id, lot, quantity,
// operator, document.

const RECEIVE: &str = "
WITH moved AS (
    UPDATE lot SET source = source + $3::bigint, at_hand = at_hand + $3::bigint WHERE id = $2::uuid RETURNING id
)
INSERT INTO movement (request_id, lot, debit, credit, qty, operator, document)
SELECT $1::uuid, id, 'source', 'at_hand', $3::bigint, $4::text, $5::text FROM moved RETURNING number";

const ISSUE: &str = "
WITH moved AS (
    UPDATE lot SET at_hand = at_hand - $3::bigint, consumed = consumed + $3::bigint
    WHERE id = $2::uuid AND at_hand >= $3::bigint RETURNING id
)
INSERT INTO movement (request_id, lot, debit, credit, qty, operator, document)
SELECT $1::uuid, id, 'at_hand', 'consumed', $3::bigint, $4::text, $5::text FROM moved RETURNING number";

const COUNT: &str = "SELECT count_stock($1::uuid, $2::uuid, $3::bigint, $4::text, $5::text)";

/// What is at hand of each lot, and what follows from the ledger; and how many movements there are beside the openings.
const BOOKS: &str = "
SELECT lot.id, lot.at_hand,
    sum(CASE WHEN credit = 'at_hand' THEN qty WHEN debit = 'at_hand' THEN -qty ELSE 0 END), count(*) - 1
FROM lot JOIN movement ON movement.lot = lot.id GROUP BY lot.id";

/// One client with a connection of its own, as PostgreSQL wants it: it carries one transaction at a time.
pub struct PostgresKeeper(Session<TlsStream<TcpStream>>);

impl PostgresKeeper {
    async fn prepared(mut session: Session<TlsStream<TcpStream>>) -> Result<Self> {
        for kind in [Kind::Receive, Kind::Issue, Kind::Count] {
            let (name, sql) = statement(kind);
            session.prepare(name, sql).await?;
        }
        Ok(Self(session))
    }
}

fn statement(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Receive => ("receive", RECEIVE),
        Kind::Issue => ("issue", ISSUE),
        Kind::Count => ("count", COUNT),
    }
}

impl Keeper for PostgresKeeper {
    async fn enter(&mut self, movement: &Movement) -> Result<u64> {
        let (request, lot, qty) = (movement.mark.id(), id(movement.lot), movement.qty.to_be_bytes());
        let document = movement.document();
        let parameters = [&request.as_bytes()[..], lot.as_bytes(), &qty, OPERATOR.as_bytes(), document.as_bytes()];
        let answered = timeout(CALL_TIMEOUT, self.0.execute(statement(movement.kind).0, &parameters)).await??;
        let [row] = &answered[..] else { bail!("refused: {movement:?}") };
        let number = row.first().and_then(|field| field[..].try_into().ok()).context("a movement without a number")?;
        Ok(u64::from_be_bytes(number))
    }
}

/// A server with the stock in it.
pub struct Postgres {
    cluster: Cluster,
    dialler: Dialler,
    version: String,
}

impl Postgres {
    /// Starts a server in `folder`, which shows these papers, and enters the lots.
    ///
    /// # Errors
    /// PostgreSQL is missing, or does not come up; with the end of its log.
    pub async fn start(folder: &Path, papers: &Papers, dialler: Dialler) -> Result<Self> {
        let cluster = block_in_place(|| Cluster::start(folder, papers, USER))?;
        let mut postgres = Self { cluster, dialler, version: String::new() };
        let mut session = postgres.come_up().await?;
        let version = cell(&ask(&mut session, "SHOW server_version").await?)?;
        postgres.version = version.split(['.', ' ']).next().unwrap_or_default().to_owned();
        for setting in DURABLE {
            let value = cell(&ask(&mut session, &format!("SHOW {setting}")).await?)?;
            ensure!(value == "on", "{setting} is {value}: nothing would be compared");
        }
        ask(&mut session, SCHEMA).await?;
        ask(&mut session, &opening()).await?;
        Ok(postgres)
    }

    /// Its name and the version that matters, as it says itself.
    pub fn version(&self) -> String {
        format!("PostgreSQL {}", self.version)
    }

    async fn connect(&self) -> Result<Session<TlsStream<TcpStream>>> {
        let connect = async {
            let mut tcp = TcpStream::connect(("127.0.0.1", self.cluster.port)).await?;
            tcp.set_nodelay(true)?;
            ask_for_tls(&mut tcp).await?;
            Session::begin(self.dialler.secure(tcp).await?, USER, DATABASE).await
        };
        timeout(CALL_TIMEOUT, connect).await?
    }

    /// The first connection that it takes.
    async fn come_up(&mut self) -> Result<Session<TlsStream<TcpStream>>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.cluster.check()?;
            match self.connect().await {
                Ok(session) => return Ok(session),
                Err(error) if Instant::now() >= deadline => {
                    bail!("postgres after {PATIENCE:?}: {error:#}\n{}", self.cluster.log_tail())
                }
                // There is no event to wait for across a process border.
                Err(_) => tokio::time::sleep(PACE).await,
            }
        }
    }
}

/// The statements that enter stores and lots.
fn opening() -> String {
    let stores = (0..STORES).map(|n| format!("('{}', '{n} 号库', '乌达区')", store_id(n)));
    let lot = |n| {
        let store = store_id(n % STORES);
        format!("('{}', '{store}', '物资 {}', '件', '{n}', {OPENING}, {OPENING})", id(n), n / STORES)
    };
    let movement = |n| {
        let (request, lot) = (crate::payload::Mark::next().id(), id(n));
        format!("('{request}', '{lot}', 'source', 'at_hand', {OPENING}, '{OPERATOR}', 'opening')")
    };
    let rows = |rows: Vec<String>| rows.join(",\n");
    format!(
        "INSERT INTO store VALUES {};
        INSERT INTO lot (id, store, title, unit, batch, source, at_hand) VALUES {};
        INSERT INTO movement (request_id, lot, debit, credit, qty, operator, document) VALUES {};
        ANALYZE",
        rows(stores.collect()),
        rows((0..LOTS).map(lot).collect()),
        rows((0..LOTS).map(movement).collect()),
    )
}

/// What is not measured: statements that may take a while.
async fn ask(session: &mut Session<TlsStream<TcpStream>>, sql: &str) -> Result<Rows> {
    timeout(PATIENCE, session.run(sql)).await.with_context(|| format!("no answer within {PATIENCE:?}: {sql}"))?
}

/// The only field of the only row.
fn cell(rows: &Rows) -> Result<String> {
    let [row] = &rows[..] else { bail!("{} rows where one was asked for", rows.len()) };
    let field = row.first().context("a row without a field")?;
    Ok(String::from_utf8_lossy(field).into_owned())
}

/// The books, out of the rows that [`BOOKS`] asks for.
fn read_books(rows: &Rows) -> Result<Books> {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    let mut entered = 0;
    for row in rows {
        let text: Vec<_> = row.iter().map(|field| String::from_utf8_lossy(field)).collect();
        let [lot, at_hand, ledger, movements] = &text[..] else { bail!("{} fields of four", text.len()) };
        ensure!(at_hand == ledger, "{lot}: {at_hand} at hand, {ledger} by the ledger");
        told.insert(lot.to_string(), at_hand.parse()?);
        entered += movements.parse::<u64>()?;
    }
    ensure!(told.len() == LOTS, "{} lots of {LOTS}", told.len());
    let at_hand = (0..LOTS).map(|n| told.get(&id(n).to_string()).copied()).collect::<Option<_>>();
    Ok(Books { at_hand: at_hand.context("a lot is missing")?, entered })
}

impl Served for Postgres {
    const NAME: &'static str = "postgresql";

    fn processes(&self) -> Vec<u32> {
        vec![self.cluster.process()]
    }
}

impl Stockroom for Postgres {
    type Keeper = PostgresKeeper;

    async fn keepers(&self, count: usize) -> Result<Vec<PostgresKeeper>> {
        let mut keepers = Vec::with_capacity(count);
        for _ in 0..count {
            keepers.push(PostgresKeeper::prepared(self.connect().await?).await?);
        }
        Ok(keepers)
    }

    async fn books(&self) -> Result<Books> {
        read_books(&ask(&mut self.connect().await?, BOOKS).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(at_hand: u64, ledger: u64) -> Rows {
        let row = |n: usize| [id(n).to_string(), at_hand.to_string(), ledger.to_string(), (n % 2).to_string()];
        (0..LOTS).map(|n| row(n).map(String::into_bytes).to_vec()).collect()
    }

    #[test]
    fn books_are_read_lot_by_lot_and_must_follow_from_the_ledger() {
        let mut good = rows(OPENING, OPENING);
        good.reverse();
        let expected = Books { entered: 500, ..Books::opened() };
        assert_eq!(read_books(&good).unwrap(), expected);
        let (mut missing, mut strange) = (good.clone(), good.clone());
        missing.pop();
        strange[0][0] = b"another".to_vec();
        for (wrong, why) in [(rows(5, 6), "5 at hand, 6 by"), (missing, "999 lots"), (strange, "a lot is missing")] {
            let error = read_books(&wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_cell_is_the_only_one() {
        let row = || vec![b"on".to_vec()];
        assert_eq!(cell(&vec![row()]).unwrap(), "on");
        assert!(cell(&vec![]).is_err() && cell(&vec![row(), row()]).is_err() && cell(&vec![vec![]]).is_err());
    }
}
