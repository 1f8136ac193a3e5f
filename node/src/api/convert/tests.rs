//! Table tests: every request that is one command becomes that command, and says which fields are wrong when it cannot.

use prost_types::Timestamp as WireTime;
use shouwang_domain::ids::{MunicipalityCode, RegionId};
use shouwang_proto::{admin, v1};

use super::{RegionRequest, RegistryRequest, stock};
use crate::api::fields::{Parsing, Regions};
use crate::lang::Bilingual;

struct One;

impl Regions for One {
    fn region(&self, text: &str) -> Result<RegionId, Bilingual> {
        let known = text.is_empty() || text == "wuhai";
        if known { Ok(RegionId::default()) } else { Err(Bilingual::fixed("没有该区域", "no such region")) }
    }
}

const REQUEST: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const OTHER: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

fn id() -> String {
    REQUEST.to_owned()
}

fn other() -> String {
    OTHER.to_owned()
}

fn parsing(request_id: &str) -> Parsing<'static> {
    Parsing::new(request_id, MunicipalityCode::new(150_300).unwrap(), &One)
}

/// The command's name, or the wrong fields.
fn registry(request: &impl RegistryRequest) -> Result<&'static str, Vec<String>> {
    let mut parsing = parsing(request.request_id());
    let command = request.command(&mut parsing);
    said(&parsing, command.map(|command| command.name()))
}

/// See [`registry`].
fn region(request: &impl RegionRequest) -> Result<&'static str, Vec<String>> {
    let mut parsing = parsing(request.request_id());
    let command = request.command(&mut parsing);
    said(&parsing, command.map(|command| command.name()))
}

fn said(parsing: &Parsing<'_>, name: Option<&'static str>) -> Result<&'static str, Vec<String>> {
    let wrong: Vec<String> = parsing.violations().iter().map(|violation| violation.field.clone()).collect();
    if wrong.is_empty() { Ok(name.expect("a request without violations is a command")) } else { Err(wrong) }
}

fn wrong<T>(fields: &[&str]) -> Result<T, Vec<String>> {
    Err(fields.iter().map(|field| (*field).to_owned()).collect())
}

fn suits() -> v1::Resource {
    v1::Resource { kind: Some(v1::resource::Kind::Item("2160401".to_owned())) }
}

fn later() -> WireTime {
    WireTime { seconds: 1_900_000_000, nanos: 0 }
}

fn details() -> v1::LotDetails {
    v1::LotDetails {
        holding: Some(v1::Holding { kind: Some(v1::holding::Kind::Local("防化服".to_owned())) }),
        title: "气密型化学防护服".to_owned(),
        unit: "套".to_owned(),
        store: other(),
        class: v1::StockClass::Government.into(),
        ..v1::LotDetails::default()
    }
}

#[test]
fn stock_requests() {
    let request_id = id();
    let add = v1::AddStoreRequest {
        request_id,
        title: "中心库".to_owned(),
        district: "海勃湾区".to_owned(),
        ..Default::default()
    };
    assert_eq!(registry(&add), Ok("add_store"));
    assert_eq!(registry(&v1::AddStoreRequest::default()), wrong(&["request_id", "title", "district"]));
    let receive =
        v1::ReceiveStockRequest { request_id: id(), lot: other(), quantity: 5, document: "入库单".to_owned() };
    assert_eq!(registry(&receive), Ok("receive"));
    let nothing = v1::ReceiveStockRequest { quantity: 0, lot: "x".to_owned(), ..receive };
    assert_eq!(registry(&nothing), wrong(&["lot", "quantity"]));
    let count = v1::CountStockRequest { request_id: id(), lot: other(), counted: 0, reason: "月盘".to_owned() };
    assert_eq!(registry(&count), Ok("count"));
    let inspect = v1::InspectLotRequest { request_id: id(), lot: other(), condition: 1 };
    assert_eq!(registry(&inspect), Ok("inspect"));
    for condition in [0, 99, -1] {
        let unknown = v1::InspectLotRequest { condition, ..inspect.clone() };
        assert_eq!(registry(&unknown), wrong(&["condition"]));
    }
    let map = v1::MapItemRequest { request_id: id(), local: "防化服".to_owned(), item: "2160401".to_owned() };
    assert_eq!(registry(&map), Ok("map_item"));
    assert_eq!(registry(&v1::MapItemRequest { item: "9".to_owned(), ..map }), wrong(&["item"]));
    let details = Some(details());
    let restock =
        v1::ReceiveRestockRequest { request_id: id(), mission: other(), details, quantity: 44, ..Default::default() };
    assert_eq!(registry(&restock), Ok("receive_restock"));
    assert_eq!(registry(&v1::ReceiveRestockRequest { details: None, ..restock }), wrong(&["details"]));
}

#[test]
fn imported_rows() {
    let row = |details: v1::LotDetails| v1::OpenLotsRow { lot: String::new(), details: Some(details), quantity: 60 };
    let read = |row: &v1::OpenLotsRow| {
        let mut parsing = parsing(REQUEST);
        let command = stock::read_row(&mut parsing, 3, row);
        said(&parsing, command.map(|command| command.name()))
    };
    assert_eq!(read(&row(details())), Ok("open_lot"));
    let changed = |change: fn(&mut v1::LotDetails)| {
        let mut details = details();
        change(&mut details);
        read(&row(details))
    };
    assert_eq!(changed(|d| d.holding = None), wrong(&["details.holding"]));
    assert_eq!(changed(|d| d.class = 0), wrong(&["details.class"]));
    assert_eq!(changed(|d| d.expires = "2027.6.30".to_owned()), wrong(&["details.expires"]));
    assert_eq!(changed(|d| d.unit_price_fen = Some(-1)), wrong(&["details.unit_price_fen"]));
    assert_eq!(changed(|d| d.title = "字".repeat(201)), wrong(&["details.title"]));
    assert_eq!(changed(|d| d.owner = "自治区".to_owned()), wrong(&["details.owner"]));
    assert_eq!(changed(|d| d.owner = "150000".to_owned()), Ok("open_lot"));
    assert_eq!(read(&v1::OpenLotsRow::default()), wrong(&["details", "quantity"]));
}

#[test]
fn owner_requests() {
    let floors = v1::Floors { resource: Some(suits()), red: 40, ..Default::default() };
    let set = v1::SetFloorsRequest { request_id: id(), floors: Some(floors) };
    assert_eq!(registry(&set), Ok("set_floors"));
    assert_eq!(registry(&v1::SetFloorsRequest { floors: None, ..set }), wrong(&["floors"]));
    assert_eq!(registry(&v1::SetWarningRequest { request_id: id(), warning: 5 }), Ok("set_warning"));
    assert_eq!(registry(&v1::SetWarningRequest { request_id: id(), warning: 0 }), wrong(&["warning"]));
    let see = v1::SetVisibilityRequest {
        request_id: id(),
        region: "wuhai".to_owned(),
        resource: Some(suits()),
        visibility: 2,
    };
    assert_eq!(registry(&see), Ok("set_visibility"));
    assert_eq!(registry(&v1::SetVisibilityRequest { region: "x".to_owned(), ..see }), wrong(&["region"]));
    let pledge = v1::MakePledgeRequest {
        request_id: id(),
        lot: other(),
        quantity: 50,
        expires_at: Some(later()),
        ..v1::MakePledgeRequest::default()
    };
    assert_eq!(registry(&pledge), Ok("pledge"));
    assert_eq!(registry(&v1::MakePledgeRequest { expires_at: None, ..pledge }), wrong(&["expires_at"]));
    let glass = v1::BreakGlassRequest { request_id: id(), pledge: other(), quantity: 3, reason: String::new() };
    assert_eq!(registry(&glass), wrong(&["reason"]));
}

#[test]
fn aid_requests_and_answers() {
    let line = |quantity| v1::LineAsked { resource: Some(suits()), title: "防护服".to_owned(), quantity };
    let ask = v1::RequestAidRequest {
        request_id: id(),
        subject: "氯气泄漏".to_owned(),
        place: "乌达区".to_owned(),
        priority: 3,
        needed_by: Some(later()),
        expires_at: Some(later()),
        lines: vec![line(60), line(4)],
        ..v1::RequestAidRequest::default()
    };
    assert_eq!(registry(&ask), Ok("request_aid"));
    let lines = vec![line(60), line(0)];
    assert_eq!(registry(&v1::RequestAidRequest { lines, ..ask.clone() }), wrong(&["lines[1].quantity"]));
    let lines = vec![line(1); 101];
    assert_eq!(registry(&v1::RequestAidRequest { lines, ..ask.clone() }), wrong(&["lines"]));
    let addressed = vec!["152900".to_owned(), "x".to_owned()];
    assert_eq!(registry(&v1::RequestAidRequest { addressed, ..ask }), wrong(&["addressed[1]"]));
    let offer = v1::Offer { lot: other(), quantity: 50, pledge: String::new() };
    let yes = v1::AnswerAidRequest {
        request_id: id(),
        aid_request: other(),
        line: 1,
        kind: 1,
        quantity: 50,
        offers: vec![offer],
        expires_at: Some(later()),
        ..v1::AnswerAidRequest::default()
    };
    assert_eq!(registry(&yes), Ok("answer_aid"));
    assert_eq!(registry(&v1::AnswerAidRequest { expires_at: None, ..yes.clone() }), wrong(&["expires_at"]));
    assert_eq!(registry(&v1::AnswerAidRequest { kind: 3, ..yes.clone() }), wrong(&["offers", "reason"]));
    let on_what_is_pledged = v1::AnswerAidRequest { offers: Vec::new(), expires_at: None, ..yes.clone() };
    assert_eq!(registry(&on_what_is_pledged), Ok("answer_aid"));
    let no = v1::AnswerAidRequest { kind: 3, reason: "本地橙色预警".to_owned(), ..on_what_is_pledged };
    assert_eq!(registry(&no), Ok("answer_aid"));
    assert_eq!(registry(&v1::AnswerAidRequest { line: 0, kind: 0, ..no }), wrong(&["line", "kind"]));
}

#[test]
fn holds_and_lines() {
    let hold = v1::HoldRequest {
        request_id: id(),
        aid_request: other(),
        line: 1,
        pledge: other(),
        quantity: 50,
        ..v1::HoldRequest::default()
    };
    assert_eq!(region(&hold), Ok("hold"));
    assert_eq!(region(&v1::HoldRequest { pledge: String::new(), ..hold }), wrong(&["pledge"]));
    let mission = other();
    assert_eq!(
        region(&v1::ReleaseHoldRequest { request_id: id(), region: String::new(), mission }),
        Ok("release_hold")
    );
    let line = v1::WithdrawLineRequest { request_id: id(), region: String::new(), aid_request: other(), line: 0 };
    assert_eq!(region(&line), wrong(&["line"]));
}

#[test]
fn steps_of_a_mission() {
    let (request_id, mission) = (id(), other());
    let dispatch =
        v1::DispatchRequest { request_id, mission, quantity: 50, seal: "封-1".to_owned(), ..Default::default() };
    assert_eq!(registry(&dispatch), Ok("dispatch"));
    let spoken = v1::SpokenMission {
        pledge: other(),
        lot: other(),
        aid_request: other(),
        line: 1,
        owner: "640200".to_owned(),
        holder: "640200".to_owned(),
        requester: "150300".to_owned(),
        resource: Some(suits()),
        title: "防护服".to_owned(),
        unit: "套".to_owned(),
        quantity: 50,
        place: "乌达区".to_owned(),
        needed_by: Some(later()),
        spoken_code: "00001234".to_owned(),
        reason: "线路中断".to_owned(),
        ..v1::SpokenMission::default()
    };
    let emergency = Some(spoken.clone());
    assert_eq!(registry(&v1::DispatchRequest { emergency, ..dispatch.clone() }), Ok("dispatch"));
    let emergency = Some(v1::SpokenMission { spoken_code: "1234".to_owned(), line: 0, ..spoken });
    let heard_wrong = registry(&v1::DispatchRequest { emergency, ..dispatch });
    assert_eq!(heard_wrong, wrong(&["emergency.line", "emergency.spoken_code"]));
    let usage =
        v1::ReportUsageRequest { request_id: id(), mission: other(), consumed: 41, damaged: 3, ..Default::default() };
    assert_eq!(registry(&usage), Ok("report_usage"));
    let long_ago = Some(WireTime { seconds: -1, nanos: 0 });
    assert_eq!(registry(&v1::ReportUsageRequest { happened_at: long_ago, ..usage }), wrong(&["happened_at"]));
    let relay = v1::RelayDispatchRequest {
        request_id: id(),
        mission: other(),
        spoken_code: "12345678".to_owned(),
        quantity: 50,
        ..v1::RelayDispatchRequest::default()
    };
    assert_eq!(region(&relay), Ok("relay_dispatch"));
    let cancel = v1::CancelMissionRequest { request_id: id(), mission: other(), ..Default::default() };
    assert_eq!(region(&cancel), wrong(&["reason"]));
}

#[test]
fn debts_and_discrepancies() {
    let claim = v1::ClaimRequest {
        request_id: id(),
        mission: other(),
        kind: 1,
        evidence: "核销单-7".to_owned(),
        ..v1::ClaimRequest::default()
    };
    assert_eq!(region(&claim), Ok("claim"));
    assert_eq!(region(&v1::ClaimRequest { kind: 0, amount_fen: -5, ..claim }), wrong(&["kind", "amount_fen"]));
    let recognise =
        v1::RecogniseRequest { request_id: id(), mission: other(), kind: 1, basis: 1, ..Default::default() };
    assert_eq!(region(&recognise), Ok("recognise"));
    let finding = Some(v1::Finding { charge_requester: 2, note: "到货即损".to_owned() });
    let propose =
        v1::ProposeFindingRequest { request_id: id(), mission: other(), kind: 8, finding, ..Default::default() };
    assert_eq!(region(&propose), Ok("propose_finding"));
    assert_eq!(region(&v1::ProposeFindingRequest { finding: None, ..propose }), wrong(&["finding"]));
}

#[test]
fn changes_of_the_charter() {
    use v1::charter_change::Change;
    let propose = |change| v1::ProposeChangeRequest {
        request_id: id(),
        region: String::new(),
        base_version: 1,
        change: Some(v1::CharterChange { change: Some(change) }),
    };
    let node = v1::MemberNode { node: "150600/2".to_owned(), public_key: vec![7; 32], ..Default::default() };
    let member = v1::Member {
        code: "150600".to_owned(),
        title: "鄂尔多斯市".to_owned(),
        short: "鄂".to_owned(),
        standing: 1,
        nodes: vec![node.clone()],
        ..v1::Member::default()
    };
    let rotation = v1::KeyRotation {
        node: "150600/2".to_owned(),
        public_key: vec![8; 32],
        old_until: Some(later()),
        ..v1::KeyRotation::default()
    };
    for change in [
        Change::AdmitMember(member.clone()),
        Change::RemoveMember("150600".to_owned()),
        Change::AddNode(node.clone()),
        Change::RemoveNode("150600/2".to_owned()),
        Change::RotateKey(rotation),
        Change::Hub("150300".to_owned()),
        Change::Rules(v1::Rules { voting: 2, hold_minutes_max: 60, paper_hours: 48, basis: 1 }),
    ] {
        assert_eq!(region(&propose(change)), Ok("propose_change"));
    }
    let keyless = v1::MemberNode { public_key: Vec::new(), ..node };
    let change = Change::AdmitMember(v1::Member { nodes: vec![keyless], ..member });
    assert_eq!(region(&propose(change)), wrong(&["change.admit_member.nodes[0].public_key"]));
    assert_eq!(
        region(&v1::ProposeChangeRequest { request_id: id(), ..Default::default() }),
        wrong(&["base_version", "change"])
    );
    let sign = v1::SignChangeRequest { request_id: id(), region: String::new(), change: format!("changes/{OTHER}") };
    assert_eq!(region(&sign), Ok("sign_change"));
    let voter = admin::v1::SetVoterRequest { request_id: id(), node: "150600/2".to_owned(), ..Default::default() };
    assert_eq!(region(&voter), Ok("set_voter"));
    let raise = admin::v1::RaiseLevelRequest { request_id: id(), to: 2, ..Default::default() };
    assert_eq!(region(&raise), Ok("raise_level"));
}

#[test]
fn the_same_request_is_the_same_command_again() {
    let ask = v1::MakePledgeRequest {
        request_id: id(),
        lot: other(),
        quantity: 50,
        expires_at: Some(later()),
        ..v1::MakePledgeRequest::default()
    };
    let command = || ask.command(&mut parsing(&ask.request_id));
    assert_eq!(command(), command());
    let dispatch = v1::DispatchRequest {
        request_id: id(),
        mission: other(),
        quantity: 1,
        seal: "x".to_owned(),
        ..Default::default()
    };
    let command = || dispatch.command(&mut parsing(&dispatch.request_id));
    assert_eq!(command(), command());
}
