//! What was said on the telephone about a mission that the own registry has not heard of (口令补录). The region's copy on
//! this node may know the mission as it was before the line was cut: what is not said stands there.

use clap::Args;
use shouwang_proto::v1::{GetLotRequest, GetMissionRequest, LotDetails, Mission, Resource, SpokenMission};

use super::client::Client;
use super::parse::{self, When};
use crate::exit::Failure;

/// What was said, on the command line. It counts as said when there is a code.
#[derive(Debug, Args)]
pub struct SpokenArgs {
    /// The eight digits both sides read to each other; only for a mission not heard of here 口令（仅用于未收到令的调派）
    #[arg(long = "spoken-code", value_name = "CODE", requires = "spoken_reason")]
    code: Option<String>,
    /// Why it could not wait for the record 未等记录的原因
    #[arg(long = "spoken-reason", value_name = "REASON", requires = "code", id = "spoken_reason")]
    reason: Option<String>,
    /// The pledge it takes from [default, here and below: as the region's copy on this node says] 承诺（本项及以下默认按本节点的区域副本）
    #[arg(long = "spoken-pledge", value_name = "PLEDGE", requires = "code", id = "spoken_pledge")]
    pledge: Option<String>,
    /// The lot in the holder's registry 批次
    #[arg(long = "spoken-lot", value_name = "LOT", requires = "code", id = "spoken_lot")]
    lot: Option<String>,
    /// The aid request it serves 请求
    #[arg(long = "spoken-request", value_name = "REQUEST", requires = "code", id = "spoken_request")]
    request: Option<String>,
    /// The line of the request 行号
    #[arg(long = "spoken-line", value_name = "N", requires = "code", id = "spoken_line")]
    line: Option<u32>,
    /// The order's working number as told 业务编号
    #[arg(long = "spoken-number", value_name = "NUMBER", requires = "code", id = "spoken_number")]
    number: Option<String>,
    /// Whose goods they are 物权单位
    #[arg(
        long = "spoken-owner",
        value_name = "CODE",
        requires = "code",
        id = "spoken_owner",
        value_parser = parse::municipality
    )]
    owner: Option<String>,
    /// The other side: who receives, or who sent 对方单位
    #[arg(
        long = "spoken-with",
        value_name = "CODE",
        requires = "code",
        id = "spoken_with",
        value_parser = parse::municipality
    )]
    with: Option<String>,
    /// What 资源
    #[arg(
        long = "spoken-resource",
        value_name = "RESOURCE",
        requires = "code",
        id = "spoken_resource",
        value_parser = parse::resource
    )]
    resource: Option<Resource>,
    /// In the holder's words 名称
    #[arg(long = "spoken-title", value_name = "NAME", requires = "code", id = "spoken_title")]
    title: Option<String>,
    /// Base unit 计量单位
    #[arg(long = "spoken-unit", value_name = "UNIT", requires = "code", id = "spoken_unit")]
    unit: Option<String>,
    /// How much was ordered 下令数量
    #[arg(
        long = "spoken-qty",
        value_name = "QTY",
        requires = "code",
        id = "spoken_qty",
        value_parser = parse::quantity
    )]
    quantity: Option<u64>,
    /// Whereto 送达地点
    #[arg(long = "spoken-place", value_name = "PLACE", requires = "code", id = "spoken_place")]
    place: Option<String>,
    /// By when 需要的时刻
    #[arg(
        long = "spoken-needed-by",
        value_name = "TIME",
        requires = "code",
        id = "spoken_needed_by",
        value_parser = parse::when
    )]
    needed_by: Option<When>,
    /// It belongs to an exercise 演练
    #[arg(long = "spoken-exercise", requires = "code", id = "spoken_exercise")]
    exercise: bool,
}

/// On which side of the mission the speaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Whose registry holds and sends.
    Holder,
    /// Who receives.
    Requester,
}

impl SpokenArgs {
    /// What was said, or `None`. What was not said of the mission stands in the region's copy, of the goods also in the
    /// holder's own lot.
    ///
    /// # Errors
    /// The own lot cannot be read.
    pub async fn told(
        self,
        client: &Client,
        mission: &str,
        side: Side,
        quantity: u64,
    ) -> Result<Option<SpokenMission>, Failure> {
        if self.code.is_none() {
            return Ok(None);
        }
        let known = known(client, mission).await;
        let mut told = self.over(client, known, side, quantity);
        if side == Side::Holder && !told.lot.is_empty() && told.resource.is_none() {
            let query = GetLotRequest { name: told.lot.clone(), linearizable: client.linearizable };
            let lot = client.done(client.registry().get_lot(client.request(query)).await)?.lot.unwrap_or_default();
            told.resource = lot.resource;
            goods(&mut told, lot.details.unwrap_or_default());
        }
        Ok(Some(told))
    }

    /// What was said, over what was known before.
    fn over(self, client: &Client, known: Option<Mission>, side: Side, quantity: u64) -> SpokenMission {
        let on_record = known.is_some();
        let known = known.unwrap_or_default();
        let own = client.identity.municipality().to_string();
        let (holder, requester) = match (side, self.with) {
            (Side::Holder, with) => (own, with.unwrap_or(known.requester)),
            (Side::Requester, with) => (with.unwrap_or(known.holder), own),
        };
        let owner = if on_record { known.owner } else { holder.clone() };
        let asked = Some(client.moment(self.needed_by.unwrap_or(When::In(jiff::SignedDuration::ZERO))));
        SpokenMission {
            region: client.region.clone(),
            pledge: self.pledge.unwrap_or(known.pledge),
            lot: self.lot.unwrap_or(known.lot),
            aid_request: self.request.unwrap_or(known.aid_request),
            line: self.line.unwrap_or(known.line),
            number: self.number.unwrap_or(known.number),
            owner: self.owner.unwrap_or(owner),
            holder,
            requester,
            resource: self.resource.or(known.resource),
            title: self.title.unwrap_or(known.title),
            unit: self.unit.unwrap_or(known.unit),
            quantity: self.quantity.unwrap_or(if on_record { known.quantity } else { quantity }),
            place: self.place.unwrap_or(known.place),
            needed_by: if self.needed_by.is_some() { asked } else { known.needed_by.or(asked) },
            exercise: self.exercise || known.exercise,
            spoken_code: self.code.unwrap_or_default(),
            reason: self.reason.unwrap_or_default(),
        }
    }
}

/// The mission as the region's copy on this node knows it, if it does.
async fn known(client: &Client, mission: &str) -> Option<Mission> {
    let query =
        GetMissionRequest { region: client.region.clone(), name: mission.to_owned(), ..GetMissionRequest::default() };
    // A copy that does not know it, or cannot be read, is no failure: then everything has to be said.
    super::mission::api(client).get_mission(client.request(query)).await.ok()?.into_inner().mission
}

/// What the holder's lot says of the goods.
fn goods(told: &mut SpokenMission, details: LotDetails) {
    told.exercise |= details.exercise;
    if told.title.is_empty() {
        told.title = details.title;
    }
    if told.unit.is_empty() {
        told.unit = details.unit;
    }
}
