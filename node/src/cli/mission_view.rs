//! Missions as they are read: of the region, or of the own registry, which knows its own even when the line is cut.

use clap::Args;
use shouwang_proto::v1::{
    Amounts, GetMissionRequest, ListMissionsRequest, ListRegistryMissionsResponse, Mission, RegistryMission,
};

use super::client::{Client, PAGE};
use super::mission::api;
use super::parse;
use super::render::Heads;
use super::words::{self, dash, id, resource, time};
use crate::exit::Failure;

/// Which missions to list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those in this state 仅此状态
    #[arg(long, value_parser = words::MISSION_STATE.parser())]
    state: Option<i32>,
    /// Only those of this request 仅此请求
    #[arg(long)]
    request: Option<String>,
    /// Only those this member holds or receives 仅此成员
    #[arg(long, value_name = "CODE", value_parser = parse::municipality)]
    member: Option<String>,
    /// Those that are over, too 含已结束的
    #[arg(long)]
    all: bool,
    /// As the own registry knows them: works when the line is cut 按本台账所知，断线时也可用
    #[arg(long, conflicts_with_all = ["state", "request", "member"])]
    own: bool,
}

/// Writes the missions that match.
///
/// # Errors
/// As [`Client::all`].
pub async fn list(client: &Client, args: ListArgs) -> Result<(), Failure> {
    const HEADS: &Heads = &[
        ("调派", "MISSION"),
        ("业务编号", "NUMBER"),
        ("状态", "STATE"),
        ("资源", "RESOURCE"),
        ("名称", "NAME"),
        ("数量", "QTY"),
        ("单位", "UNIT"),
        ("发出方", "FROM"),
        ("接收方", "TO"),
        ("发出", "SENT"),
        ("签收", "GOOD"),
        ("损坏", "DAMAGED"),
        ("未核销", "OUTSTANDING"),
        ("需要时刻", "NEEDED"),
    ];
    if args.own {
        return own(client, args.all).await;
    }
    let aid_request = match &args.request {
        Some(request) => client.aid_request(request).await?,
        None => String::new(),
    };
    let query = ListMissionsRequest {
        region: client.region.clone(),
        page_size: PAGE,
        linearizable: client.linearizable,
        state: args.state.unwrap_or_default(),
        aid_request,
        member: args.member.unwrap_or_default(),
        // A state asked for by name is shown whatever it is.
        show_over: args.all || args.state.is_some(),
        ..ListMissionsRequest::default()
    };
    let mut api = api(client);
    let answer = client
        .all(async |page_token| {
            api.list_missions(client.request(ListMissionsRequest { page_token, ..query.clone() })).await
        })
        .await?;
    let row = |mission: &Mission| {
        let amounts = mission.amounts.unwrap_or_default();
        let figures = [amounts.dispatched, amounts.received_good, amounts.received_damaged, amounts.outstanding];
        let mut cells = vec![
            id(&mission.name),
            dash(&mission.number),
            words::MISSION_STATE.get(mission.state, client.lang),
            resource(mission.resource.as_ref()),
            mission.title.clone(),
            mission.quantity.to_string(),
            mission.unit.clone(),
            mission.holder.clone(),
            mission.requester.clone(),
        ];
        cells.extend(figures.iter().map(ToString::to_string));
        cells.push(time(mission.needed_by));
        cells
    };
    let rows: Vec<_> = answer.missions.iter().map(row).collect();
    client.list(&answer, HEADS, &rows)
}

const OWN: &Heads = &[
    ("调派", "MISSION"),
    ("业务编号", "NUMBER"),
    ("资源", "RESOURCE"),
    ("名称", "NAME"),
    ("数量", "QTY"),
    ("单位", "UNIT"),
    ("发出方", "FROM"),
    ("接收方", "TO"),
    ("备齐", "COMMITTED"),
    ("发出", "SENT"),
    ("签收", "GOOD"),
    ("返回", "BACK"),
    ("口令", "CODE"),
    ("送达地点", "PLACE"),
    ("在本库批次", "CUSTODY LOT"),
];

fn own_row(mission: &RegistryMission) -> Vec<String> {
    let figures = [mission.committed, mission.dispatched, mission.received_good, mission.returned_good];
    let mut cells = vec![
        id(&mission.name),
        dash(&mission.number),
        resource(mission.resource.as_ref()),
        mission.title.clone(),
        mission.quantity.to_string(),
        mission.unit.clone(),
        mission.holder.clone(),
        mission.requester.clone(),
    ];
    cells.extend(figures.iter().map(ToString::to_string));
    cells.extend([mission.spoken_code.clone(), mission.place.clone(), dash(&id(&mission.custody_lot))]);
    cells
}

async fn own(client: &Client, all: bool) -> Result<(), Failure> {
    let mut answer = client.own_missions().await?;
    answer.missions.retain(|mission| all || !mission.ended);
    let rows: Vec<_> = answer.missions.iter().map(own_row).collect();
    client.list(&answer, OWN, &rows)
}

/// Writes one mission.
///
/// # Errors
/// As [`Client::done`]; the record does not know it.
pub async fn show(client: &Client, name: String, own: bool) -> Result<(), Failure> {
    const HEADS: &Heads = &[("项目", "FIELD"), ("内容", "VALUE")];
    if own {
        let mission = client.own_mission(&name).await?;
        let rows = [own_row(&mission)];
        let answer =
            ListRegistryMissionsResponse { missions: vec![mission], ..ListRegistryMissionsResponse::default() };
        return client.show(&answer, OWN, &rows);
    }
    let query = GetMissionRequest { region: client.region.clone(), name, linearizable: client.linearizable };
    let answer = client.done(api(client).get_mission(client.request(query)).await)?;
    let rows = fields(client, &answer.mission.clone().unwrap_or_default());
    client.show(&answer, HEADS, &rows)?;
    client.age(answer.as_of.as_ref());
    Ok(())
}

/// A mission as a list of what is known of it; what is not known yet is left out.
fn fields(client: &Client, mission: &Mission) -> Vec<Vec<String>> {
    let at = |at: Option<prost_types::Timestamp>| at.map(|at| time(Some(at))).unwrap_or_default();
    let by = |actor: &Option<shouwang_proto::v1::Actor>| {
        actor.as_ref().map(|by| format!("{} {} {}", by.municipality, by.role, by.operator)).unwrap_or_default()
    };
    let request = format!("{}#{}", id(&mission.aid_request), mission.line);
    let of = format!("{} {}", resource(mission.resource.as_ref()), mission.title);
    let way = format!("{} → {}（{}）", mission.holder, mission.requester, mission.place);
    let rows = [
        ("调派", "mission", id(&mission.name)),
        ("业务编号", "number", mission.number.clone()),
        ("状态", "state", words::MISSION_STATE.get(mission.state, client.lang)),
        ("物资", "goods", of),
        ("数量", "quantity", format!("{} {}", mission.quantity, mission.unit)),
        ("物权", "owner", mission.owner.clone()),
        ("路线", "way", way),
        ("请求", "request", request),
        ("承诺", "pledge", id(&mission.pledge)),
        ("口令", "spoken code", mission.spoken_code.clone()),
        ("需要时刻", "needed by", at(mission.needed_by)),
        ("占用至", "held until", at(mission.hold_until)),
        ("占用人", "held by", by(&mission.held_by)),
        ("签发人", "ordered by", by(&mission.ordered_by)),
        ("手续补办期限", "paper due", at(mission.paper_due)),
        ("占用", "held", at(mission.held_at)),
        ("下令", "ordered", at(mission.ordered_at)),
        ("落实", "committed", at(mission.committed_at)),
        ("出发", "dispatched", at(mission.dispatched_at)),
        ("签收", "received", at(mission.received_at)),
        ("核销", "accounted", at(mission.accounted_at)),
    ];
    let amounts = mission.amounts.as_ref().map(amounts).unwrap_or_default();
    rows.into_iter()
        .chain(amounts)
        .filter(|(.., value)| !value.is_empty())
        .map(|(zh, en, value)| vec![client.lang.pick(zh, en).to_owned(), value])
        .collect()
}

/// The quantities that are not zero.
fn amounts(of: &Amounts) -> Vec<(&'static str, &'static str, String)> {
    let rows = [
        ("发出数", "sent", of.dispatched),
        ("更正", "corrected", of.corrected),
        ("交付数", "handed over", of.handed_over.unwrap_or_default()),
        ("完好签收", "received good", of.received_good),
        ("损坏签收", "received damaged", of.received_damaged),
        ("消耗", "consumed", of.consumed),
        ("用坏", "damaged in use", of.damaged),
        ("丢失", "lost", of.lost),
        ("返程", "sent back", of.return_sent),
        ("完好返库", "back good", of.returned_good),
        ("损坏返库", "back damaged", of.returned_damaged),
        ("折返", "turned back", of.turned_back),
        ("途中损失", "lost on the way", of.lost_in_transit),
        ("认定由请求方承担", "charged", of.charged),
        ("未核销", "outstanding", of.outstanding),
    ];
    rows.into_iter().filter(|(.., value)| *value > 0).map(|(zh, en, value)| (zh, en, value.to_string())).collect()
}
