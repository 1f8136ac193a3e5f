//! Which objects each event is about, as a table: whoever asks for the history of one finds all of it.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod common;

use std::collections::BTreeSet;

use common::{ALXA, Scene, debt, item, lot, mission, pledge, request, store, suits, text};
use serde::Serialize;
use shouwang_domain::actor::{Actor, Role};
use shouwang_domain::adoption::Life;
use shouwang_domain::channel::{
    Answer, AnswerGiven, DownMessage as D, Fact, PledgeMade, Publication, RequestMade, Step, UpMessage as U,
};
use shouwang_domain::charter::{Basis, CharterChange};
use shouwang_domain::hash::{Bytes, Hash32, SignatureAlgorithm};
use shouwang_domain::ids::{CommandId, MunicipalityCode, NodeId};
use shouwang_domain::machine::Machine;
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::region::Region;
use shouwang_domain::region::event::RegionEvent as E;
use shouwang_domain::region::lifecycle::{MissionState, ObligationState};
use shouwang_domain::region::state::{DiscrepancyKind, Finding, LineEnd};
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::event::RegistryEvent as G;
use shouwang_domain::registry::state::{Account, Floors, Lot, NumberKind, RegistryNode, Restock, Shortfall, Store};
use shouwang_domain::resource::{Condition, Figure, Resource, Visibility, Warning};
use shouwang_domain::subject::Subject as S;
use shouwang_domain::testing::{region_events, registry_events};
use shouwang_domain::time::Timestamp;

const NUMBER: &str = "乌-调-2026-0001";

fn keeper() -> RegistryNode {
    let node = NodeId::new(member(), 2).unwrap();
    RegistryNode { node, algorithm: SignatureAlgorithm::Ed25519, public_key: Bytes::default() }
}

fn member() -> MunicipalityCode {
    MunicipalityCode::new(150_300).unwrap()
}

fn node() -> NodeId {
    NodeId::new(member(), 1).unwrap()
}

fn by() -> Actor {
    Actor { municipality: member(), operator: text("op-1"), role: Role::Leader }
}

fn change() -> CommandId {
    CommandId::from_u128(9)
}

fn number() -> S {
    S::Number(text(NUMBER))
}

fn answer() -> AnswerGiven {
    let answer = Answer::Accept { qty: Qty(3) };
    AnswerGiven { request: request(1), line: 1, number: text(NUMBER), answer, cost: Fen(0), eta: None }
}

fn fact() -> Fact {
    Fact { mission: mission(1), step: Step::Picked, happened_at: Timestamp::ZERO }
}

/// Values out of a scene where there is one of everything.
struct Samples {
    scene: Scene,
    made: PledgeMade,
    offer: PledgeMade,
    asked: RequestMade,
    publication: Publication,
}

impl Samples {
    fn new() -> Self {
        let scene = Scene::used();
        let made = scene.pledge(1).made.clone();
        let offer = PledgeMade { for_line: Some((request(1), 1)), ..made.clone() };
        let (_, asked) = scene.region().requests().next().unwrap();
        let asked = RequestMade { number: text(NUMBER), request: request(1), ..asked.made.clone() };
        let publication = Publication {
            resource: suits(),
            name: text("防护服"),
            unit: text("套"),
            figure: Figure::AskUs,
            exercise: false,
        };
        Self { scene, made, offer, asked, publication }
    }

    fn region(&self) -> Vec<(E, Vec<S>)> {
        let (m, p, r) = (S::Mission(mission(1)), S::Pledge(pledge(1)), S::Request(request(1)));
        let c = S::Change(change());
        let up = E::UpTaken { member: member(), incarnation: 1, number: 1, digest: Hash32::default(), refusal: None };
        let down = |message| E::Sent { to: member(), number: 1, message };
        let mut notice = self.scene.notice(1);
        notice.number = text(NUMBER);
        let what = CharterChange::RemoveMember(member());
        let mut table = vec![
            (up, vec![]),
            (down(D::Outcome { number: 1, refusal: None }), vec![]),
            (down(D::Released { pledge: pledge(1), qty: Qty(1), closed: true }), vec![p.clone()]),
            (down(D::Ordered(notice.clone())), vec![m.clone(), number()]),
            (down(D::Inbound(notice)), vec![m.clone(), number()]),
            (down(D::Ended { mission: mission(1), reason: text("取消") }), vec![m.clone()]),
            (down(D::Fact(fact())), vec![m.clone()]),
            (E::DownTaken { member: member(), through: 4 }, vec![]),
            (E::LifeBegun { member: member(), life: Life { incarnation: 2, mark: Hash32::default() } }, vec![]),
            (E::ChangeProposed { change: change(), base_version: 1, what }, vec![c.clone()]),
            (E::ChangeSigned { change: change(), by: member() }, vec![c.clone()]),
            (E::CharterChanged { change: change(), version: 2 }, vec![c]),
            (E::KeyRetired { node: node() }, vec![]),
            (E::VoterSet { node: node(), voter: true }, vec![]),
            (E::LevelAnnounced { node: node(), level: 2 }, vec![]),
            (E::LevelRaised { to: 2 }, vec![]),
            (E::HeadMarked { epoch: 0, revision: 9, root: Hash32::default() }, vec![]),
            (E::Countersigned { node: node(), revision: 9, stands_at: 11 }, vec![]),
            (E::HeadDisputed { node: node(), revision: 9, root: Hash32::default(), stands_at: 11 }, vec![]),
            (E::Rescued { epoch: 1, by: node(), voters: vec![node()], lost: vec![] }, vec![]),
            (
                E::Published { member: member(), publication: self.publication.clone() },
                vec![S::Figure(member(), suits())],
            ),
            (E::Pledged { holder: member(), pledge: self.made.clone() }, vec![p.clone()]),
            (E::Pledged { holder: member(), pledge: self.offer.clone() }, vec![p.clone(), r.clone()]),
            (E::RequestMade { requester: member(), request: self.asked.clone() }, vec![r.clone(), number()]),
            (E::Answered { by: member(), answer: answer() }, vec![r.clone(), number()]),
            (
                E::MissionHeld { mission: Box::new(self.scene.mission(1).clone()) },
                vec![m.clone(), r.clone(), p.clone()],
            ),
            (
                E::MissionOrdered { mission: mission(1), number: text(NUMBER), by: by(), paper_due: None },
                vec![m, number()],
            ),
        ];
        table.extend(self.about_one_mission().into_iter().map(|event| (event, vec![S::Mission(mission(1))])));
        table.extend(about_one_debt(self).into_iter().map(|event| (event, vec![S::Mission(debt().0)])));
        table.extend(about_one_pledge().into_iter().map(|event| (event, vec![p.clone()])));
        table.extend(about_one_request().into_iter().map(|event| (event, vec![r.clone()])));
        table
    }

    fn about_one_mission(&self) -> Vec<E> {
        let (mission, qty, by) = (mission(1), Qty(2), by());
        let discrepancy = (mission, DiscrepancyKind::DeliveryShort);
        let finding = Finding { charge_requester: qty, note: text("各半") };
        vec![
            E::MissionMoved { mission, to: MissionState::Picking },
            E::CommitmentSeen { mission },
            E::PaperConfirmed { mission, by: by.clone() },
            E::MissionReduced { mission, to: qty },
            E::ReservationEnded { mission },
            E::MissionRecalled { mission, reason: text("情况缓解") },
            E::DispatchRelayed { mission, qty, by: by.clone() },
            E::FactRecorded { by: self.scene.code(0), fact: fact() },
            E::DispatchCorrected { mission, more: qty },
            E::LostInTransit { mission, qty },
            E::Charged { mission, qty },
            E::DiscrepancyOpened { discrepancy, qty, by: member() },
            E::DiscrepancyChanged { discrepancy, qty },
            E::FindingProposed { discrepancy, finding: finding.clone(), by: by.clone() },
            E::DiscrepancyClosed { discrepancy, finding, by },
        ]
    }

    fn registry(&self) -> Vec<(G, Vec<S>)> {
        let (l, m, p, r) = (S::Lot(lot(1)), S::Mission(mission(1)), S::Pledge(pledge(1)), S::Request(request(1)));
        let of = S::Resource(suits());
        let region = self.scene.world.region_id(0);
        let details = self.scene.details(ALXA);
        let (plain, kept) =
            (Lot { details: details.clone(), custody: None }, Lot { details, custody: Some(mission(1)) });
        let moved = |from, to| G::StockMoved { lot: lot(1), from, to, qty: Qty(1), document: text("单-1") };
        let up = |message| G::Sent { region, number: 1, message: Box::new(message) };
        let holder = self.scene.registry(ALXA);
        let (_, pledged) = holder.pledges().find(|(id, _)| **id == pledge(1)).unwrap();
        let known = holder.mission(mission(1)).unwrap().clone();
        let restock =
            Restock { mission: mission(1), received_by: text("op-1"), qty: Qty(1), accepted: Qty(0), rejected: Qty(0) };
        let short = |lot| Shortfall { at: Timestamp::ZERO, lot, wanted: Qty(2), moved: Qty(1), what: text("ordered") };
        let stood = Store { name: text("中心库"), district: text("海勃湾区") };
        let revoke = U::Revoke { mission: mission(1), reason: text("自用") };
        let taken = D::CancelRequested { mission: mission(1), reason: text("情况缓解") };
        vec![
            (G::StoreAdded { store: store(), details: stood }, vec![S::Store(store())]),
            (G::LotOpened { lot: lot(1), details: Box::new(plain) }, vec![l.clone(), S::Store(store())]),
            (G::LotOpened { lot: lot(1), details: Box::new(kept) }, vec![l.clone(), S::Store(store()), m.clone()]),
            (moved(Account::Source, Account::Local), vec![l.clone()]),
            (moved(Account::Local, Account::Pledged(pledge(1))), vec![l.clone(), p.clone()]),
            (moved(Account::Pledged(pledge(1)), Account::Held(mission(1))), vec![l.clone(), p.clone(), m.clone()]),
            (moved(Account::InTransit(mission(1)), Account::Lost), vec![l.clone(), m.clone()]),
            (moved(Account::Local, Account::Overdrawn(pledge(1))), vec![l.clone(), p.clone()]),
            (G::LotInspected { lot: lot(1), condition: Condition::Usable }, vec![l.clone()]),
            (
                G::ItemMapped { local: text("防护服"), code: item(2_990_101) },
                vec![S::Resource(Resource::Item(item(2_990_101)))],
            ),
            (G::FloorsSet { resource: suits(), floors: Floors::default() }, vec![of.clone()]),
            (G::WarningSet { warning: Warning::Red }, vec![]),
            (G::VisibilitySet { region, resource: suits(), visibility: Visibility::Exact }, vec![of.clone()]),
            (G::FigureSent { region, resource: suits(), exercise: false, figure: Figure::AskUs }, vec![of.clone()]),
            (G::RegionJoined { region, name: text("乌海") }, vec![]),
            (G::Restored { mark: Hash32::default(), keeper: keeper(), left: Vec::new() }, vec![]),
            (G::Adopted { region, incarnation: 2, down: 7 }, vec![]),
            (
                G::NumberAllocated { kind: NumberKind::Mission, year: 2026, count: 1, number: text(NUMBER) },
                vec![number()],
            ),
            (up(U::Publish(self.publication.clone())), vec![of]),
            (up(U::Pledge(self.offer.clone())), vec![p.clone(), r.clone()]),
            (up(U::Request(self.asked.clone())), vec![r.clone(), number()]),
            (up(U::Answer(answer())), vec![r, number()]),
            (up(revoke), vec![m.clone()]),
            (up(U::Fact(fact())), vec![m.clone()]),
            (up(U::Overdrawn { pledge: pledge(1), qty: Qty(1), reason: text("危及生命") }), vec![p.clone()]),
            (G::Answered { region, number: 1 }, vec![]),
            (G::InboxTaken { region, number: 1, message: Box::new(taken) }, vec![m.clone()]),
            (
                G::PledgeRecorded { pledge: pledge(1), state: Box::new(pledged.clone()) },
                vec![p, S::Lot(pledged.made.lot)],
            ),
            (G::MissionRecorded { mission: mission(1), state: Box::new(known) }, vec![m.clone()]),
            (G::RestockRecorded { lot: lot(1), state: restock }, vec![l.clone(), m]),
            (G::ShortfallRecorded { shortfall: short(Some(lot(1))) }, vec![l]),
            (G::ShortfallRecorded { shortfall: short(None) }, vec![]),
        ]
    }
}

fn about_one_debt(samples: &Samples) -> Vec<E> {
    let (key, qty, by, evidence) = (debt(), Qty(2), by(), text("单-2"));
    let obligation = Box::new(samples.scene.debt().clone());
    vec![
        E::ObligationOpened { key, obligation },
        E::ObligationChanged { key, qty, amount: Fen(1) },
        E::ObligationMoved { key, to: ObligationState::Claimed },
        E::ObligationClaimed { key, evidence: evidence.clone(), by: by.clone() },
        E::ObligationRecognised { key, basis: Basis::Restock, in_money: false, by: by.clone() },
        E::ObligationDisputed { key, reason: text("成色有异议"), by: by.clone() },
        E::PaymentReported { key, evidence, by },
        E::RestockReceived { key, total: qty },
        E::RestockVerified { key, accepted: qty, rejected: Qty(0) },
    ]
}

fn about_one_pledge() -> Vec<E> {
    let (pledge, qty) = (pledge(1), Qty(2));
    vec![
        E::PledgeReleased { pledge, qty },
        E::PledgeClosing { pledge, expired: true },
        E::PledgeOverdrawn { pledge, qty, reason: text("危及生命") },
        E::OverdraftCovered { pledge, qty },
        E::DeficitAbsorbed { pledge, qty },
        E::PledgeDeparted { pledge, qty },
    ]
}

fn about_one_request() -> Vec<E> {
    let request = request(1);
    vec![
        E::LineUnmet { request, line: 1, declined: vec![member()] },
        E::LineEnded { request, line: 1, end: LineEnd::Withdrawn },
        E::RequestExpired { request },
        E::RequestClosed { request },
    ]
}

/// The name of an event in the ledger.
fn tag(event: &impl Serialize) -> String {
    let value = serde_json::to_value(event).unwrap();
    value.as_object().and_then(|fields| fields.keys().next()).unwrap().clone()
}

#[test]
fn every_event_names_what_it_is_about() {
    let samples = Samples::new();
    let (region, registry) = (samples.region(), samples.registry());
    for (event, expected) in &region {
        assert_eq!(Region::subjects(event), *expected, "{event:?}");
    }
    for (event, expected) in &registry {
        assert_eq!(Registry::subjects(event), *expected, "{event:?}");
    }
    let told: BTreeSet<String> = region.iter().map(|(event, _)| tag(event)).collect();
    assert_eq!(told, region_events());
    let told: BTreeSet<String> = registry.iter().map(|(event, _)| tag(event)).collect();
    assert_eq!(told, registry_events());
}

#[test]
fn subjects_are_written_as_people_name_them() {
    for (subject, written) in [
        (S::Mission(mission(1)), "missions/"),
        (S::Change(change()), "changes/"),
        (number(), NUMBER),
        (S::Figure(member(), suits()), "published/150300/"),
        (S::Resource(suits()), "resources/"),
    ] {
        assert!(subject.to_string().starts_with(written), "{subject}");
    }
}
