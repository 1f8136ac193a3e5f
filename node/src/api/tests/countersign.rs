//! The node says by itself what its disk holds of a region's ledger: once for each head, and never about its own words.

use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::charter::CharterChange;
use shouwang_domain::code as stored;
use shouwang_domain::command::Envelope;
use shouwang_domain::ids::CommandId;
use shouwang_domain::record::{LedgerRecord, Verdict};
use shouwang_domain::region::command::RegionCommand as R;
use shouwang_domain::region::event::RegionEvent;
use shouwang_proto::v1::ledger_service_client::LedgerServiceClient;

use super::every_method::settled;
use super::*;

/// Something is said in the region by this node or one of its people.
async fn say(town: &Town, role: Role, body: R) {
    let actor = Actor { role, ..Actor::node(town.region.node()) };
    let (id, valid_until) = (CommandId(uuid::Uuid::now_v7()), read::clock().plus_ms(60_000));
    let envelope = Envelope { id, actor, valid_until, body };
    let outcome = town.region.propose(envelope, std::time::Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(outcome.verdict, Verdict::Accepted);
}

async fn mark(town: &Town) -> Result<v1::MarkRegionHeadResponse, Status> {
    let mut api = LedgerServiceClient::new(town.door(OWN, "leader"));
    let request = v1::MarkRegionHeadRequest { request_id: request_id(), region: String::new() };
    api.mark_region_head(request).await.map(tonic::Response::into_inner)
}

/// The head, once this node has countersigned a later head than `before`.
async fn countersigned(town: &Town, before: u64) -> v1::GetRegionHeadResponse {
    let mut api = LedgerServiceClient::new(town.door(OWN, "duty"));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let head = api.get_region_head(v1::GetRegionHeadRequest::default()).await.unwrap().into_inner();
        if head.countersigned.iter().any(|word| word.revision > before) {
            return head;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing is countersigned: {head:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The leaves of the region's ledger, and what happened in it.
async fn ledger(town: &Town) -> (Vec<Hash32>, Vec<RegionEvent>) {
    let mut api = LedgerServiceClient::new(town.door(OWN, "duty"));
    let pages = api.read_region_ledger(v1::ReadRegionLedgerRequest::default()).await.unwrap().into_inner();
    let pages: Vec<_> = pages.collect().await;
    let records: Vec<_> = pages.into_iter().flat_map(|page| page.unwrap().records).collect();
    let events = |bytes: &Vec<u8>| {
        let record: LedgerRecord<RegionEvent> = stored::decode("ledger record", bytes).unwrap();
        record.events
    };
    (records.iter().map(|bytes| merkle::leaf(bytes)).collect(), records.iter().flat_map(events).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marked_head_is_countersigned_once_and_nothing_follows_from_it() {
    let town = Town::open_alone(tempfile::tempdir().unwrap()).await;
    say(&town, Role::Node, R::AnnounceLevel { level: 2 }).await;
    say(&town, Role::Admin, R::RaiseLevel { to: 2 }).await;
    let lots = stock(&town).await;
    pledge(&town, &lots[0]).await;
    ask(&town).await;
    settled(&town).await;
    assert!(mark(&town).await.unwrap().outcome.is_some());
    let first = countersigned(&town, 0).await;
    let [word] = &first.countersigned[..] else { panic!("one node has spoken: {first:?}") };
    let revision = usize::try_from(word.revision).unwrap();
    let (leaves, _) = ledger(&town).await;
    assert_eq!(word.root, merkle::root(&leaves[..revision]).to_string(), "the root that its records give");
    assert!(word.agrees && word.node == "150300/1" && word.stands_at == word.revision + 2, "{word:?}");
    assert_eq!(reason(mark(&town).await), (Code::FailedPrecondition, "HEAD_TOO_SOON".to_owned()));

    // After a restart the word stands, and is not said again; the next head gets its own.
    let town = Town::open_alone(town.close().await).await;
    let change = CharterChange::Rules(Rules { paper_hours: 24, ..Rules::default() });
    say(&town, Role::Leader, R::ProposeChange { base_version: 1, change }).await;
    mark(&town).await.unwrap();
    let second = countersigned(&town, word.revision).await;
    assert!(second.countersigned[0].stands_at > word.stands_at);
    settled(&town).await;
    let (_, events) = ledger(&town).await;
    let count = |is: fn(&RegionEvent) -> bool| events.iter().filter(|event| is(event)).count();
    assert_eq!(count(|event| matches!(event, RegionEvent::HeadMarked { .. })), 2);
    assert_eq!(count(|event| matches!(event, RegionEvent::Countersigned { .. })), 2);
    assert_eq!(count(|event| matches!(event, RegionEvent::HeadDisputed { .. })), 0);
    town.close().await;
}
