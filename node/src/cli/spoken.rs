//! What was said on the telephone about a mission that the own registry has not heard of (口令补录).

use clap::Args;
use shouwang_proto::v1::{GetLotRequest, Resource, SpokenMission};

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
    /// The pledge it takes from 承诺
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
    /// Whose goods they are [default: the holder's] 物权单位
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
    /// What [default: as the own lot says] 资源
    #[arg(
        long = "spoken-resource",
        value_name = "RESOURCE",
        requires = "code",
        id = "spoken_resource",
        value_parser = parse::resource
    )]
    resource: Option<Resource>,
    /// In the holder's words [default: as the own lot says] 名称
    #[arg(long = "spoken-title", value_name = "NAME", requires = "code", id = "spoken_title")]
    title: Option<String>,
    /// Base unit [default: as the own lot says] 计量单位
    #[arg(long = "spoken-unit", value_name = "UNIT", requires = "code", id = "spoken_unit")]
    unit: Option<String>,
    /// How much was ordered [default: what this step says] 下令数量
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
    /// By when [default: as soon as it is asked] 需要的时刻
    #[arg(
        long = "spoken-needed-by",
        value_name = "TIME",
        requires = "code",
        id = "spoken_needed_by",
        value_parser = parse::when,
        default_value = "+0m",
        hide_default_value = true
    )]
    needed_by: When,
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
    /// What was said, or `None`. What is not said of the goods stands in the holder's own lot.
    ///
    /// # Errors
    /// The own lot cannot be read.
    pub async fn told(self, client: &Client, side: Side, quantity: u64) -> Result<Option<SpokenMission>, Failure> {
        let Some(spoken_code) = self.code else { return Ok(None) };
        let own = client.identity.municipality().to_string();
        let with = self.with.unwrap_or_default();
        let (holder, requester) = if side == Side::Holder { (own, with) } else { (with, own) };
        let mut told = SpokenMission {
            region: client.region.clone(),
            pledge: self.pledge.unwrap_or_default(),
            lot: self.lot.unwrap_or_default(),
            aid_request: self.request.unwrap_or_default(),
            line: self.line.unwrap_or_default(),
            number: self.number.unwrap_or_default(),
            owner: self.owner.unwrap_or_else(|| holder.clone()),
            holder,
            requester,
            resource: self.resource,
            title: self.title.unwrap_or_default(),
            unit: self.unit.unwrap_or_default(),
            quantity: self.quantity.unwrap_or(quantity),
            place: self.place.unwrap_or_default(),
            needed_by: Some(client.moment(self.needed_by)),
            exercise: self.exercise,
            spoken_code,
            reason: self.reason.unwrap_or_default(),
        };
        if side == Side::Holder && !told.lot.is_empty() {
            let query = GetLotRequest { name: told.lot.clone(), linearizable: client.linearizable };
            let lot = client.done(client.registry().get_lot(client.request(query)).await)?.lot.unwrap_or_default();
            let details = lot.details.unwrap_or_default();
            told.resource = told.resource.or(lot.resource);
            told.exercise |= details.exercise;
            if told.title.is_empty() {
                told.title = details.title;
            }
            if told.unit.is_empty() {
                told.unit = details.unit;
            }
        }
        Ok(Some(told))
    }
}
