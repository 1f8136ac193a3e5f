//! Where a figure comes from, and what came of a command long ago: from the ledger, for those who may see it.

use std::path::Path;

use shouwang_domain::ids::RecordId;
use shouwang_driver::ManualClock;
use shouwang_proto::v1::ledger_service_client::LedgerServiceClient;
use shouwang_store::checkpoint::CheckpointStore;
use shouwang_store::index::Index;
use shouwang_store::ledger::{Ledger, LedgerOptions};
use shouwang_store::real_disk;

use super::*;

const HOUR_MS: i64 = 3_600_000;

async fn region_history(town: &Town, of: u32, object: &str) -> Result<v1::ListRegionHistoryResponse, Status> {
    let mut api = LedgerServiceClient::new(town.door(of, "duty"));
    let asked = v1::ListRegionHistoryRequest { object: object.to_owned(), linearizable: true, ..Default::default() };
    api.list_region_history(asked).await.map(tonic::Response::into_inner)
}

async fn registry_history(town: &Town, of: u32, object: &str) -> Result<v1::ListRegistryHistoryResponse, Status> {
    let mut api = LedgerServiceClient::new(town.door(of, "duty"));
    let asked = v1::ListRegistryHistoryRequest { object: object.to_owned(), ..Default::default() };
    api.list_registry_history(asked).await.map(tonic::Response::into_inner)
}

/// The names of everything that happened, in order.
fn told(records: &[v1::LedgerRecord]) -> Vec<&str> {
    records.iter().flat_map(|record| record.events.iter().map(|event| event.r#type.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_figure_opens_to_where_it_came_from() {
    let town = Town::open().await;
    let lots = stock(&town).await;
    pledge(&town, &lots[0]).await;
    let asked = ask(&town).await;
    follow(&town).await;

    let lot = registry_history(&town, OWN, &lots[0]).await.unwrap();
    assert_eq!(told(&lot.records), ["lot_opened", "stock_moved", "stock_moved", "pledge_recorded"]);
    let opened = &lot.records[0];
    let by = opened.actor.as_ref().unwrap();
    assert_eq!((by.operator.as_str(), by.role.as_str(), by.municipality.as_str()), ("op-keeper", "keeper", "150300"));
    assert!(opened.events[0].zh.contains("气密型化学防护服") && opened.events[0].en.contains("entered the books"));
    assert!(opened.at.is_some() && !opened.request_id.is_empty());
    assert!(lot.complete_from == 1 && lot.complete_through >= lot.as_of.unwrap().revision);
    // By its bare id as by its name; a store by the name on its door.
    let bare = registry_history(&town, OWN, lots[0].split_once('/').unwrap().1).await.unwrap();
    assert_eq!(bare.records, lot.records);
    let door = registry_history(&town, OWN, "中心库").await.unwrap();
    assert_eq!(told(&door.records), ["store_added", "lot_opened", "lot_opened"]);

    // The region shows its part to every member, through any node.
    let request = region_history(&town, NEIGHBOUR, &asked).await.unwrap();
    assert_eq!(told(&request.records), ["request_made"]);
    let number = &registry_history(&town, OWN, &asked).await.unwrap().records[0].events[0].zh;
    let number = number.split("支援 ").nth(1).unwrap().split('：').next().unwrap();
    assert_eq!(region_history(&town, NEIGHBOUR, number).await.unwrap().records, request.records);
    let numbered = registry_history(&town, OWN, number).await.unwrap();
    assert_eq!(told(&numbered.records), ["number_allocated", "sent"]);
    let figure = region_history(&town, NEIGHBOUR, "published/150300/2160401").await;
    assert_eq!(reason(figure).0, Code::NotFound, "nothing is published");

    // Nobody else sees the registry's, and a stranger nothing.
    let seen = registry_history(&town, NEIGHBOUR, &lots[0]).await;
    assert_eq!(reason(seen), (Code::PermissionDenied, "DENIED_OTHER_MUNICIPALITY".to_owned()));
    let seen = region_history(&town, 150_100, &asked).await;
    assert_eq!(reason(seen), (Code::PermissionDenied, "NOT_A_MEMBER".to_owned()));
    assert_eq!(reason(registry_history(&town, OWN, "houses/1").await).0, Code::InvalidArgument);
    assert_eq!(reason(registry_history(&town, OWN, "乌-需-1999-0001").await).0, Code::NotFound);

    // Page by page it is the same.
    let mut api = LedgerServiceClient::new(town.door(OWN, "keeper"));
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let query =
            v1::ListRegistryHistoryRequest { object: lots[0].clone(), page_size: 1, page_token, ..Default::default() };
        let page = api.list_registry_history(query).await.unwrap().into_inner();
        assert!(page.records.len() <= 1);
        all.extend(page.records);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(all, lot.records);
    town.close().await;
}

/// A request id of that time.
fn id_at(at_ms: i64) -> String {
    let (seconds, nanos) = (u64::try_from(at_ms / 1000).unwrap(), u32::try_from(at_ms % 1000).unwrap() * 1_000_000);
    uuid::Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)).to_string()
}

async fn add_store(town: &Town, request_id: &str, title: &str) -> Result<v1::Outcome, Status> {
    let mut keeper = RegistryServiceClient::new(town.door(OWN, "keeper"));
    let add = v1::AddStoreRequest {
        request_id: request_id.to_owned(),
        title: title.to_owned(),
        district: "海勃湾区".to_owned(),
        ..v1::AddStoreRequest::default()
    };
    keeper.add_store(add).await.map(|added| added.into_inner().outcome.unwrap())
}

async fn outcome(town: &Town, request_id: &str) -> Result<v1::Outcome, Status> {
    let mut registry = RegistryServiceClient::new(town.door(OWN, "duty"));
    let asked = v1::GetRegistryOutcomeRequest { request_id: request_id.to_owned() };
    registry.get_registry_outcome(asked).await.map(|answer| answer.into_inner().outcome.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_outcome_is_told_from_the_ledger_or_not_at_all() {
    let now = read::clock();
    let clock = Arc::new(ManualClock::at(now));
    let town = Town::open_on(tempfile::tempdir().unwrap(), clock.clone()).await;
    let (old, never) = (id_at(now.0), id_at(now.0));
    let first = add_store(&town, &old, "中心库").await.unwrap();
    assert_eq!(outcome(&town, &old).await.unwrap(), first);
    assert_eq!(reason(outcome(&town, &never).await), (Code::NotFound, "NOT_FOUND".to_owned()));
    clock.advance_ms(25 * HOUR_MS);
    let recent = id_at(now.0 + 25 * HOUR_MS);
    let second = add_store(&town, &recent, "分库").await.unwrap();
    let view = town.registry.view().unwrap();
    let key = request_key::RequestKey::parse(&old).unwrap();
    assert!(view.record.outcome(code(OWN), key.command()).is_none(), "the record has forgotten it");
    assert_eq!(outcome(&town, &old).await.unwrap(), first);
    assert_eq!(reason(outcome(&town, &never).await), (Code::NotFound, "NOT_FOUND".to_owned()));
    drop(view);

    // Without its index the node serves, and does not claim to know.
    let dir = town.close().await;
    let held = Index::open(&dir.path().join("index")).unwrap();
    let town = Town::open_on(dir, clock).await;
    // However little of its log it has applied again.
    assert_eq!(outcome(&town, &recent).await.unwrap(), second);
    for id in [&old, &never] {
        assert_eq!(reason(outcome(&town, id).await), (Code::Unavailable, "UNKNOWN_HERE".to_owned()));
    }
    let door = registry_history(&town, OWN, "中心库").await.unwrap();
    assert_eq!((door.records.len(), door.complete_from, door.complete_through), (0, 0, 0));
    drop(held);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while outcome(&town, &old).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the index never came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(outcome(&town, &old).await.unwrap(), first);
    assert_eq!(told(&registry_history(&town, OWN, "中心库").await.unwrap().records), ["store_added"]);
    town.close().await;
}

/// As on a node that was given the newest checkpoint: it has none before, and what lies before is not in its ledger.
fn forget_history(town_dir: &Path, registry: RecordId, revision: u64) {
    let dir = town_dir.join("records").join(registry.to_string());
    let checkpoints = CheckpointStore::open(real_disk(), &dir.join("checkpoints")).unwrap().held().unwrap();
    let newest = checkpoints.iter().map(|info| info.meta.revision).max().unwrap();
    for older in checkpoints.iter().filter(|info| info.meta.revision < newest) {
        std::fs::remove_file(&older.file).unwrap();
    }
    let dir = dir.join("ledger");
    std::fs::remove_dir_all(&dir).unwrap();
    let mut ledger = Ledger::open(real_disk(), &dir, registry.0, LedgerOptions::default()).unwrap();
    ledger.begin_at(revision + 1).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_stays_so_when_its_record_is_gone() {
    let town = Town::open().await;
    let id = request_id();
    let first = add_store(&town, &id, "中心库").await.unwrap();
    assert!(!first.record_gone);
    town.registry.checkpoint_now().await.unwrap();
    let (registry, revision) = (town.registry.id(), town.registry.revision());
    let dir = town.close().await;
    forget_history(dir.path(), registry, revision);
    let town = Town::open_on(dir, Arc::new(SystemClock::default())).await;
    let known = v1::Outcome { record_gone: true, ..first };
    assert_eq!(outcome(&town, &id).await.unwrap(), known);
    assert_eq!(add_store(&town, &id, "中心库").await.unwrap(), known);
    town.close().await;
}

/// A copy that no quorum confirms may lack what the record has long taken, as after a restart or a cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_quorum_confirms_is_not_said_to_be_nowhere() {
    let town = Town::open_cut_off().await;
    let mut region = RegionServiceClient::new(town.door(OWN, "duty"));
    let mut asked =
        tonic::Request::new(v1::GetRegionOutcomeRequest { region: String::new(), request_id: request_id() });
    asked.set_timeout(Duration::from_millis(300));
    assert_eq!(reason(region.get_region_outcome(asked).await), (Code::Unavailable, "UNKNOWN_HERE".to_owned()));
    town.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_may_have_been_given_is_not_refused_by_an_old_copy() {
    let town = Town::open_cut_off().await;
    let mut aid = AidServiceClient::new(town.door(OWN, "leader"));
    let mut asked = tonic::Request::new(v1::AnswerAidRequest {
        request_id: request_id(),
        aid_request: STORE.to_owned(),
        line: 1,
        kind: v1::AnswerKind::Decline.into(),
        reason: "本市红色预警".to_owned(),
        ..v1::AnswerAidRequest::default()
    });
    asked.set_timeout(Duration::from_millis(300));
    assert_eq!(reason(aid.answer_aid(asked).await), (Code::Unavailable, "NO_LEADER".to_owned()));
    town.close().await;
}
