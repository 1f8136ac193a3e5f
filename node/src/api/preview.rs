//! "What is left for us if we say yes": the floor before and after, and where an offer could come from.

use shouwang_domain::ids::{LineNumber, LotId, MunicipalityCode, RequestId};
use shouwang_domain::quantity::Qty;
use shouwang_domain::region::Region;
use shouwang_domain::region::state::Request as AidRequest;
use shouwang_domain::registry::Registry;
use shouwang_domain::registry::state::{Account, FloorView, Lot};
use shouwang_domain::resource::Resource;
use shouwang_domain::time::Timestamp;
use shouwang_proto::v1;
use tonic::{Request, Response, Status};

use super::convert::words::{date, resource, warning};
use super::convert::{aid, registry as render};
use super::fields::{Named as _, Parsing};
use super::{Node, status};

/// Most lots shown.
const CHOICES_MAX: usize = 100;

/// Shows what an answer would leave.
///
/// # Errors
/// Wrong fields, a request or line that is not on record, or records that cannot be reached.
pub async fn answer(
    node: &Node,
    request: Request<v1::PreviewAnswerRequest>,
) -> Result<Response<v1::PreviewAnswerResponse>, Status> {
    let asked = request.get_ref();
    let registry = node.look_at_registry(&request, asked.linearizable).await?;
    let (_, region) = node.look_at_region(&request, &asked.region, asked.linearizable).await?;
    let mut parsing = Parsing::reading(node.node.municipality(), node);
    let id: Option<RequestId> = parsing.id("aid_request", &asked.aid_request);
    let (line, qty) = (parsing.line("line", asked.line), parsing.total("quantity", asked.quantity));
    let ((id, line), qty) = parsing.finish(id.zip(line).zip(qty))?;
    let known = region.state().request(id).ok_or_else(|| status::not_found("request", &id.to_string()))?;
    let (line_asked, _) = known.line(line).ok_or_else(|| status::not_found("line", &line.to_string()))?;
    let (of, exercise, now) = (&line_asked.resource, known.made.exercise, registry.now());
    let left = registry.state().floor_view(of, exercise, now);
    let choices = choices(registry.state(), of, exercise, qty, now);
    let there: Qty = choices.iter().map(|choice| Qty(choice.available)).sum();
    let from_others: Qty = others(registry.state(), of, exercise, now);
    Ok(Response::new(v1::PreviewAnswerResponse {
        resource: Some(resource(of)),
        asked: line_asked.qty.0,
        open: aid::open_quantity(region.state(), known, line).0,
        now: Some(render::floor_view(left)),
        after: Some(render::floor_view(after(left, qty.saturating_sub(from_others)))),
        crosses_floor: qty.saturating_sub(from_others) > left.pledgeable,
        more_than_there_is: qty > there,
        pledged_free: pledged_free(region.state(), registry.state().owner(), (id, line), known).0,
        warning: warning(registry.state().warning()).into(),
        choices,
        as_of: Some(registry.as_of),
        region_as_of: Some(region.as_of),
    }))
}

/// The floor after `qty` of the owner's own goods have left.
fn after(now: FloorView, qty: Qty) -> FloorView {
    let usable = now.usable.saturating_sub(qty);
    FloorView { usable, floor: now.floor, pledgeable: usable.saturating_sub(now.floor) }
}

fn lots_of<'a>(
    registry: &'a Registry,
    of: &'a Resource,
    exercise: bool,
    now: Timestamp,
) -> impl Iterator<Item = (LotId, &'a Lot, Qty)> {
    let usable = registry.lots().filter(move |(_, lot)| {
        lot.details.exercise == exercise
            && registry.is_usable(lot, now)
            && registry.resource_of(&lot.details.holding).as_ref() == Some(of)
    });
    usable.map(|(id, lot)| (*id, lot, registry.balance(*id, Account::Local))).filter(|(_, _, qty)| !qty.is_zero())
}

/// Goods kept here for another owner, whom the floor does not count.
fn others(registry: &Registry, of: &Resource, exercise: bool, now: Timestamp) -> Qty {
    let kept = lots_of(registry, of, exercise, now).filter(|(_, lot, _)| lot.details.owner != registry.owner());
    kept.map(|(_, _, qty)| qty).sum()
}

/// Where an offer could come from: what is kept for a superior first (it is there for this), then what expires first.
fn choices(registry: &Registry, of: &Resource, exercise: bool, qty: Qty, now: Timestamp) -> Vec<v1::OfferChoice> {
    let mut lots: Vec<_> = lots_of(registry, of, exercise, now).collect();
    lots.sort_by_key(|(id, lot, _)| {
        let own = lot.details.owner == registry.owner();
        (own, lot.details.expires.is_none(), lot.details.expires, *id)
    });
    let mut wanted = qty;
    let choice = |(id, lot, available): (LotId, &Lot, Qty)| {
        let suggested = wanted.min(available);
        wanted = wanted.saturating_sub(suggested);
        v1::OfferChoice {
            lot: id.name(),
            title: lot.details.name.clone(),
            unit: lot.details.unit.clone(),
            store: lot.details.store.name(),
            available: available.0,
            expires: date(lot.details.expires),
            suggested: suggested.0,
        }
    };
    lots.into_iter().take(CHOICES_MAX).map(choice).collect()
}

/// What a hold for this line could take from our pledges already.
fn pledged_free(region: &Region, own: MunicipalityCode, line: (RequestId, LineNumber), request: &AidRequest) -> Qty {
    let Some((asked, _)) = request.line(line.1) else { return Qty::ZERO };
    let ours = region.pledges().filter(|(_, pledge)| {
        pledge.holder == own
            && pledge.made.resource == asked.resource
            && pledge.made.exercise == request.made.exercise
            && pledge.made.for_line.is_none_or(|for_line| for_line == line)
    });
    ours.map(|(_, pledge)| pledge.free()).sum()
}
