//! The load generator against a server that counts: what it reports is what was done, and a failure is never a figure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use shouwang_bench::etcd::EtcdClient;
use shouwang_bench::etcd::api::kv_server::{Kv, KvServer};
use shouwang_bench::etcd::api::{KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse, ResponseHeader};
use shouwang_bench::load::{Ask, Pace, Span, drive};
use shouwang_bench::payload::{BYTES, Mark};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

/// Counts what it is asked; refuses everything behind its limit.
#[derive(Clone)]
struct Counting {
    puts: Arc<AtomicU64>,
    ranges: Arc<AtomicU64>,
    limit: u64,
}

#[tonic::async_trait]
impl Kv for Counting {
    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let put = request.into_inner();
        let whole = put.value.len() == BYTES && Mark::of_payload(&put.value).is_some() && !put.key.is_empty();
        let revision = self.puts.fetch_add(1, Ordering::SeqCst) + 1;
        if !whole || revision > self.limit {
            return Err(Status::resource_exhausted("no more"));
        }
        let header = ResponseHeader { member_id: 1, revision: i64::try_from(revision).unwrap_or(i64::MAX) };
        Ok(Response::new(PutResponse { header: Some(header) }))
    }

    async fn range(&self, request: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let asked = request.into_inner();
        if asked.serializable {
            return Err(Status::invalid_argument("not linearizable"));
        }
        self.ranges.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(RangeResponse { header: None, kvs: vec![KeyValue::default()] }))
    }
}

async fn serve(limit: u64) -> Result<(Counting, Channel)> {
    let counting = Counting { puts: Arc::default(), ranges: Arc::default(), limit };
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    let address = incoming.local_addr()?;
    let service = Server::builder().add_service(KvServer::new(counting.clone()));
    tokio::spawn(service.serve_with_incoming(incoming));
    Ok((counting, Endpoint::from_shared(format!("http://{address}"))?.connect().await?))
}

fn clients(channel: &Channel) -> Vec<EtcdClient> {
    (0..4).map(|n| EtcdClient::new(channel.clone(), &format!("bench/{n}"))).collect()
}

const SPAN: Span = Span { warm: Duration::from_millis(50), measured: Duration::from_millis(250) };

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_counted_once() -> Result<()> {
    let (counting, channel) = serve(u64::MAX).await?;
    let run = drive(clients(&channel), Ask::Write, SPAN).await?;
    assert_eq!(run.all, counting.puts.load(Ordering::SeqCst));
    assert!(run.done > 0 && run.done < run.all, "{} of {} within the measured time", run.done, run.all);
    assert_eq!(run.latencies.len() as u64, run.done);
    assert!(run.latencies.iter().all(|took| *took <= SPAN.measured + SPAN.warm));
    let reading = drive(clients(&channel), Ask::Read, SPAN).await?;
    assert_eq!(reading.all, counting.ranges.load(Ordering::SeqCst));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_is_no_figure() -> Result<()> {
    let (_, channel) = serve(20).await?;
    let failed = drive(clients(&channel), Ask::Write, SPAN).await;
    assert!(failed.is_err_and(|error| error.to_string().contains("no more")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn paced_writes_know_when_they_were_accepted_and_seen() -> Result<()> {
    let (counting, channel) = serve(30).await?;
    let pace = Pace::begin(clients(&channel), 200);
    let begun = std::time::Instant::now();
    while counting.puts.load(Ordering::SeqCst) < 40 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no pace");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let failed = Arc::clone(&pace.failed);
    let book = pace.end().await?;
    let writes = book.all();
    assert_eq!(writes.len() as u64, counting.puts.load(Ordering::SeqCst));
    assert_eq!(writes.iter().filter(|write| write.accepted.is_some()).count(), 30);
    assert_eq!(failed.load(Ordering::SeqCst), writes.len() as u64 - 30);
    assert!(writes.iter().all(|write| write.seen.is_none()));
    book.saw(Mark::next());
    assert_eq!(book.all().len(), writes.len(), "another's write");
    assert!(
        book.first_accepted_after(begun).is_some() && book.first_accepted_after(std::time::Instant::now()).is_none()
    );
    Ok(())
}
