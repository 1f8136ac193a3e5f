//! What the owner lets others count on: publication, pledges, requests, answers. Escrow moves before a word leaves.

use super::command::{Offer, RegistryCommand as C};
use super::draft::Draft;
use super::event::RegistryEvent as E;
use super::state::{Account, NumberKind, RegistryPledge};
use crate::channel::{Answer, AnswerGiven, PledgeMade, Publication, RequestMade, UpMessage};
use crate::ids::{LineNumber, LotId, PledgeId, RegionId, RequestId};
use crate::quantity::{Fen, Qty};
use crate::refusal::Refusal;
use crate::region::draft::{check_qty, check_text};
use crate::resource::{Condition, Figure, Resource, Visibility};
use crate::time::Timestamp;

/// Most offers of one answer.
pub const OFFERS_MAX: usize = 100;

pub(super) fn decide(draft: &mut Draft, command: &C) -> Result<(), Refusal> {
    match command {
        C::JoinRegion { region, name } => {
            check_text("name", name, 100)?;
            if draft.registry.channels.get(region).is_none_or(|channel| channel.name != *name) {
                draft.push(E::RegionJoined { region: *region, name: name.clone() });
            }
            Ok(())
        }
        C::AllocateNumber { kind } => {
            allocate(draft, *kind);
            Ok(())
        }
        C::SetVisibility { region, resource, visibility } => {
            check_region(draft, *region)?;
            let (region, resource, visibility) = (*region, resource.clone(), *visibility);
            draft.push(E::VisibilitySet { region, resource, visibility });
            publish(draft, region)
        }
        C::RefreshPublication { region } => publish(draft, *region),
        C::Pledge { region, pledge, lot, qty, expires_at, cross_floor } => {
            let promise = Promise {
                region: *region,
                for_line: None,
                expires_at: *expires_at,
                cross_floor: cross_floor.as_deref(),
            };
            escrow(draft, &promise, *pledge, *lot, *qty)
        }
        C::WithdrawPledge { pledge, qty, reason } => {
            check_qty(*qty)?;
            check_text("reason", reason, 500)?;
            let region = draft.pledge(*pledge)?.region;
            draft.send(region, UpMessage::WithdrawPledge { pledge: *pledge, qty: *qty, reason: reason.clone() })
        }
        C::RequestAid { .. } => request_aid(draft, command),
        C::AnswerAid { .. } => answer_aid(draft, command),
        C::BreakGlass { pledge, qty, reason } => {
            check_qty(*qty)?;
            check_text("reason", reason, 500)?;
            let known = draft.pledge(*pledge)?;
            let (region, lot) = (known.region, known.made.lot);
            draft.shift_all(lot, Account::Pledged(*pledge), Account::Overdrawn(*pledge), *qty, reason)?;
            draft.send(region, UpMessage::Overdrawn { pledge: *pledge, qty: *qty, reason: reason.clone() })
        }
        C::CoverOverdraft { pledge, qty } => {
            check_qty(*qty)?;
            let known = draft.pledge(*pledge)?;
            let (region, lot) = (known.region, known.made.lot);
            draft.shift_all(lot, Account::Overdrawn(*pledge), Account::Consumed, *qty, "overdraft covered")?;
            draft.shift_all(lot, Account::Local, Account::Pledged(*pledge), *qty, "overdraft covered")?;
            draft.send(region, UpMessage::OverdraftCovered { pledge: *pledge, qty: *qty })
        }
        other => Err(Refusal::Malformed { detail: format!("{} is no promise", other.name()) }),
    }
}

fn check_region(draft: &Draft, region: RegionId) -> Result<(), Refusal> {
    if draft.registry.channels.contains_key(&region) {
        Ok(())
    } else {
        Err(Refusal::not_found("region", region.short()))
    }
}

/// The next working number of a kind, gap-free per year in Asia/Shanghai: 乌-调-2026-0012.
fn allocate(draft: &mut Draft, kind: NumberKind) -> String {
    let year = draft.at.shanghai_date().year;
    let count = draft.registry.numbers.get(&(kind, year)).copied().unwrap_or_default() + 1;
    let number = kind.write(&draft.registry.head.genesis.short, year, count);
    draft.push(E::NumberAllocated { kind, year, count, number: number.clone() });
    number
}

/// Sends every figure that the signing leader has released and that looks different from what was last said.
fn publish(draft: &mut Draft, region: RegionId) -> Result<(), Refusal> {
    check_region(draft, region)?;
    if draft.registry.channels.get(&region).is_some_and(|channel| channel.adopting.is_some()) {
        // All of it is published once the region is adopted.
        return Ok(());
    }
    let rules: Vec<(Resource, Visibility)> = draft
        .registry
        .visibility
        .range((region, first_resource())..)
        .take_while(|((of, _), _)| *of == region)
        .map(|((_, resource), visibility)| (resource.clone(), *visibility))
        .collect();
    for (resource, visibility) in rules {
        for exercise in [false, true] {
            if draft.registry.shelves.first(&resource, exercise).is_none() {
                continue;
            }
            let figure = Figure::of(draft.registry.floor_view(&resource, exercise, draft.at).usable, visibility);
            let key = (region, resource.clone(), exercise);
            let last = draft.registry.figures.get(&key).copied().unwrap_or(Figure::Withdrawn);
            if last != figure
                && let Some((name, unit)) = draft.registry.words_for(&resource, exercise)
            {
                draft.push(E::FigureSent { region, resource: resource.clone(), exercise, figure });
                let publication = Publication { resource: resource.clone(), name, unit, figure, exercise };
                draft.send(region, UpMessage::Publish(publication))?;
            }
        }
    }
    Ok(())
}

/// The least resource in the order of the map.
fn first_resource() -> Resource {
    // 1000000 is the smallest code that `ItemCode` accepts, and items sort before teams and vehicles.
    Resource::Item(crate::resource::ItemCode::new(1_000_000).expect("the smallest code"))
}

/// The common terms of one or more pledges.
struct Promise<'a> {
    region: RegionId,
    for_line: Option<(RequestId, LineNumber)>,
    expires_at: Timestamp,
    cross_floor: Option<&'a str>,
}

/// LOCAL → PLEDGED, then the word goes out: the same unit cannot be promised twice, not in two regions, not on two lines.
fn escrow(draft: &mut Draft, promise: &Promise<'_>, id: PledgeId, lot_id: LotId, qty: Qty) -> Result<(), Refusal> {
    check_qty(qty)?;
    check_region(draft, promise.region)?;
    // What LOCAL shows may be promised already, in a region whose word is still to come; one that was left is promised nothing.
    let silent = draft.registry.adopting().map(|(region, _)| *region).find(|region| *region == promise.region);
    if let Some(region) = silent.or_else(|| draft.registry.awaited().next()) {
        return Err(Refusal::Restoring { region: region.short() });
    }
    if draft.registry.pledges.contains_key(&id) {
        return Err(Refusal::exists("pledge", id));
    }
    if promise.expires_at <= draft.at {
        return Err(Refusal::TooLate { due: promise.expires_at });
    }
    let lot = draft.lot(lot_id)?.clone();
    let refuse = |why: &str| Err(Refusal::NotPledgeable { why: why.to_owned() });
    if lot.custody.is_some() {
        return refuse("goods of another in custody / 代管物资");
    }
    if lot.details.condition != Condition::Usable {
        return refuse("not usable as it is / 非可用状态");
    }
    if lot.details.expires.is_some_and(|day| day.end() < promise.expires_at) {
        return refuse("it expires before the pledge does / 物资先于承诺到期");
    }
    let Some(resource) = draft.registry.resource_of(&lot.details.holding) else {
        return refuse("uncoded: map it to a catalogue code first / 未编码，请先对码");
    };
    let free = draft.registry.balance(lot_id, Account::Local);
    if qty > free {
        return Err(Refusal::NotEnough { wanted: qty, free, place: "LOCAL 在库".to_owned() });
    }
    let own = lot.details.owner == draft.registry.owner();
    let view = draft.registry.floor_view(&resource, lot.details.exercise, draft.at);
    if own && qty > view.pledgeable {
        let Some(reason) = promise.cross_floor else {
            let (pledgeable, floor) = (view.pledgeable, view.floor);
            return Err(Refusal::BelowFloor { wanted: qty, pledgeable, floor });
        };
        check_text("cross_floor", reason, 500)?;
    }
    if !(planted!(OfferWithoutEscrow) && promise.for_line.is_some()) {
        draft.shift(lot_id, Account::Local, Account::Pledged(id), qty, "pledge");
    }
    let made = PledgeMade {
        pledge: id,
        lot: lot_id,
        owner: lot.details.owner,
        class: lot.details.class,
        resource,
        name: lot.details.name,
        unit: lot.details.unit,
        qty,
        expires_at: promise.expires_at,
        unit_price: lot.details.unit_price.unwrap_or(Fen(0)),
        for_line: promise.for_line,
        exercise: lot.details.exercise,
    };
    let state = RegistryPledge { region: promise.region, made: made.clone(), short: Qty::ZERO, closed: false };
    draft.push(E::PledgeRecorded { pledge: id, state: Box::new(state) });
    draft.send(promise.region, UpMessage::Pledge(made))
}

fn request_aid(draft: &mut Draft, command: &C) -> Result<(), Refusal> {
    let C::RequestAid { region, request, subject, place, priority, needed_by, expires_at, addressed, lines, exercise } =
        command
    else {
        return Err(Refusal::Malformed { detail: "no request".to_owned() });
    };
    check_region(draft, *region)?;
    check_text("subject", subject, 200)?;
    check_text("place", place, 200)?;
    if lines.is_empty() || lines.len() > crate::region::LINES_MAX {
        return Err(Refusal::field("lines", "1 to 100"));
    }
    for line in lines {
        check_qty(line.qty)?;
        check_text("lines.name", &line.name, 200)?;
    }
    if *expires_at <= draft.at {
        return Err(Refusal::TooLate { due: *expires_at });
    }
    if addressed.contains(&draft.registry.owner()) {
        return Err(Refusal::field("addressed", "others than the requester"));
    }
    let made = RequestMade {
        request: *request,
        number: allocate(draft, NumberKind::Request),
        subject: subject.clone(),
        place: place.clone(),
        priority: *priority,
        needed_by: *needed_by,
        expires_at: *expires_at,
        addressed: addressed.clone(),
        lines: lines.clone(),
        exercise: *exercise,
    };
    draft.send(*region, UpMessage::Request(made))
}

fn answer_aid(draft: &mut Draft, command: &C) -> Result<(), Refusal> {
    let C::AnswerAid { region, request, line, answer, cost, eta, offers, expires_at, cross_floor } = command else {
        return Err(Refusal::Malformed { detail: "no answer".to_owned() });
    };
    check_region(draft, *region)?;
    let offered: Qty = offers.iter().map(|Offer { qty, .. }| *qty).sum();
    match answer {
        Answer::Accept { qty } => {
            check_qty(*qty)?;
            if offers.len() > OFFERS_MAX {
                return Err(Refusal::LimitReached { what: "offers".to_owned(), limit: OFFERS_MAX as u64 });
            }
            // Without offers the acceptance stands on what is pledged already.
            if !offers.is_empty() && offered != *qty {
                return Err(Refusal::Mismatch { wanted: qty.to_string(), given: offered.to_string() });
            }
        }
        Answer::Provisional { qty, reason } => {
            check_qty(*qty)?;
            check_text("reason", reason, 500)?;
        }
        Answer::Decline { reason } => check_text("reason", reason, 500)?,
    }
    if !matches!(answer, Answer::Accept { .. }) && !offers.is_empty() {
        return Err(Refusal::field("offers", "only with an acceptance"));
    }
    if cost.0 < 0 {
        return Err(Refusal::field("cost", "not negative"));
    }
    let for_line = Some((*request, *line));
    let promise = Promise { region: *region, for_line, expires_at: *expires_at, cross_floor: cross_floor.as_deref() };
    for offer in offers {
        escrow(draft, &promise, offer.pledge, offer.lot, offer.qty)?;
    }
    let number = allocate(draft, NumberKind::Answer);
    let given = AnswerGiven { request: *request, line: *line, number, answer: answer.clone(), cost: *cost, eta: *eta };
    draft.send(*region, UpMessage::Answer(given))
}
