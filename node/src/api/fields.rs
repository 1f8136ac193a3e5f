//! Reading the fields of a request: every violation is collected, so that a client mends them all at once.
//!
//! Each reader gives `None` and notes the violation when a field breaks its rule; [`Parsing::finish`] turns what was noted
//! into one status.

use prost_types::Timestamp as WireTime;
use shouwang_domain::hash::Hash32;
use shouwang_domain::ids::{
    CommandId, LineNumber, LotId, MissionId, MunicipalityCode, NodeId, PledgeId, RegionId, RequestId, StoreId,
};
use shouwang_domain::quantity::{Fen, Qty};
use shouwang_domain::resource::{ItemCode, Resource, UnitKind};
use shouwang_domain::time::{Date, Timestamp};
use shouwang_proto::v1;
use tonic::Status;
use uuid::Uuid;

use super::request_key::RequestKey;
use super::status::{Violation, violated};
use crate::lang::Bilingual;

/// An id that is a UUID with a collection of its own in resource names. A change of the charter goes by the id of the
/// command that proposed it.
pub trait Named: Copy {
    /// The collection, e.g. `lots`.
    const COLLECTION: &'static str;

    /// The id of this UUID.
    fn of(uuid: Uuid) -> Self;

    /// The UUID.
    fn uuid(self) -> Uuid;

    /// The resource name, e.g. `lots/0190…`.
    fn name(self) -> String {
        format!("{}/{}", Self::COLLECTION, self.uuid())
    }
}

macro_rules! named {
    ($($id:ident = $collection:literal),* $(,)?) => {$(
        impl Named for $id {
            const COLLECTION: &'static str = $collection;
            fn of(uuid: Uuid) -> Self {
                Self(uuid)
            }
            fn uuid(self) -> Uuid {
                self.0
            }
        }
    )*};
}

named! {
    StoreId = "stores",
    LotId = "lots",
    PledgeId = "pledges",
    RequestId = "requests",
    MissionId = "missions",
    CommandId = "changes",
}

/// Which regions there are, by the names that people use.
pub trait Regions: Sync {
    /// The region that `text` names, empty for the only one.
    ///
    /// # Errors
    /// Says why it names none, or more than one.
    fn region(&self, text: &str) -> Result<RegionId, Bilingual>;
}

/// A request being read.
pub struct Parsing<'a> {
    /// The request id.
    pub key: RequestKey,
    /// The municipality this node belongs to.
    pub own: MunicipalityCode,
    regions: &'a dyn Regions,
    violations: Vec<Violation>,
}

impl<'a> Parsing<'a> {
    /// Begins with the request id.
    pub fn new(request_id: &str, own: MunicipalityCode, regions: &'a dyn Regions) -> Self {
        let mut parsing = Self { key: RequestKey::placeholder(), own, regions, violations: Vec::new() };
        match RequestKey::parse(request_id) {
            Some(key) => parsing.key = key,
            None => parsing.violate(
                "request_id",
                "须为版本 7 的 UUID（RFC 9562），每次操作一个",
                "must be a UUID of version 7 (RFC 9562), one per operation",
            ),
        }
        parsing
    }

    /// Begins a request that changes nothing and so needs no request id.
    pub fn reading(own: MunicipalityCode, regions: &'a dyn Regions) -> Self {
        Self { key: RequestKey::placeholder(), own, regions, violations: Vec::new() }
    }

    /// Notes that a field breaks its rule.
    pub fn violate(&mut self, field: &str, zh: &'static str, en: &'static str) {
        self.note(field, Bilingual::fixed(zh, en));
    }

    fn note(&mut self, field: &str, rule: Bilingual) {
        self.violations.push(Violation { field: field.to_owned(), rule });
    }

    fn noted<T>(&mut self, field: &str, zh: &'static str, en: &'static str) -> Option<T> {
        self.violate(field, zh, en);
        None
    }

    /// The violations so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What was read, or everything that is wrong.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with every violation.
    pub fn finish<T>(mut self, read: Option<T>) -> Result<T, Status> {
        match read {
            Some(read) if self.violations.is_empty() => Ok(read),
            _ => {
                if self.violations.is_empty() {
                    self.violate("request", "内容不完整", "incomplete");
                }
                Err(violated(&self.violations))
            }
        }
    }

    /// A UUID, bare or as a resource name.
    pub fn id<T: Named>(&mut self, field: &str, text: &str) -> Option<T> {
        read_id(text).or_else(|| {
            let (zh, en) = (format!("须为 {}/<UUID>", T::COLLECTION), format!("must be {}/<UUID>", T::COLLECTION));
            self.note(field, Bilingual::new(zh, en));
            None
        })
    }

    /// Like [`Parsing::id`]; empty means none.
    pub fn optional_id<T: Named>(&mut self, field: &str, text: &str) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { self.id(field, text).map(Some) }
    }

    /// Like [`Parsing::id`]; empty derives one from the request id and `label`.
    pub fn id_or_derived<T: Named>(&mut self, field: &str, text: &str, label: &str) -> Option<T> {
        if text.is_empty() { Some(T::of(self.key.derive(label))) } else { self.id(field, text) }
    }

    /// The region, by its name or the beginning of its id.
    pub fn region(&mut self, text: &str) -> Option<RegionId> {
        match self.regions.region(text) {
            Ok(region) => Some(region),
            Err(rule) => {
                self.note("region", rule);
                None
            }
        }
    }

    /// A text of 1 to `max` characters.
    pub fn text(&mut self, field: &str, text: &str, max: usize) -> Option<String> {
        if text.is_empty() {
            return self.noted(field, "必填", "required");
        }
        self.optional_text(field, text, max)
    }

    /// A text of at most `max` characters.
    pub fn optional_text(&mut self, field: &str, text: &str, max: usize) -> Option<String> {
        if text.chars().count() > max || text.chars().any(char::is_control) {
            let zh = format!("最多 {max} 个字符，不含控制字符");
            self.note(field, Bilingual::new(zh, format!("at most {max} characters, no control characters")));
            return None;
        }
        Some(text.to_owned())
    }

    /// A text of 1 to `max` characters; empty means none.
    pub fn reason_if_any(&mut self, field: &str, text: &str, max: usize) -> Option<Option<String>> {
        if text.is_empty() { Some(None) } else { self.text(field, text, max).map(Some) }
    }

    /// A quantity of at least one.
    pub fn quantity(&mut self, field: &str, quantity: u64) -> Option<Qty> {
        if quantity == 0 {
            return self.noted(field, "至少为 1", "at least 1");
        }
        self.total(field, quantity)
    }

    /// A quantity that may be zero.
    pub fn total(&mut self, field: &str, quantity: u64) -> Option<Qty> {
        if quantity > Qty::MAX.0 {
            return self.noted(field, "最多为 10^12", "at most 10^12");
        }
        Some(Qty(quantity))
    }

    /// An amount of money that is not negative.
    pub fn amount(&mut self, field: &str, fen: i64) -> Option<Fen> {
        if fen < 0 {
            return self.noted(field, "不能为负数", "must not be negative");
        }
        Some(Fen(fen))
    }

    /// A point in time that must be given.
    pub fn time(&mut self, field: &str, time: Option<&WireTime>) -> Option<Timestamp> {
        match time {
            Some(time) => self.read_time(field, time),
            None => self.noted(field, "必填", "required"),
        }
    }

    /// A point in time that may be left out.
    pub fn optional_time(&mut self, field: &str, time: Option<&WireTime>) -> Option<Option<Timestamp>> {
        time.map_or(Some(None), |time| self.read_time(field, time).map(Some))
    }

    /// When something happened; left out, the time in the request id.
    pub fn happened_at(&mut self, time: Option<&WireTime>) -> Option<Timestamp> {
        let asked_at = self.key.asked_at();
        time.map_or(Some(asked_at), |time| self.read_time("happened_at", time))
    }

    fn read_time(&mut self, field: &str, time: &WireTime) -> Option<Timestamp> {
        // The bounds of google.protobuf.Timestamp are the years 1 to 9999; nothing here happened before 1970.
        if !(0..=253_402_300_799).contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
            return self.noted(field, "须在 1970 年至 9999 年之间", "must be in the years 1970 to 9999");
        }
        Some(Timestamp(time.seconds * 1000 + i64::from(time.nanos / 1_000_000)))
    }

    /// A day such as `2027-06-30`; empty means none.
    pub fn optional_date(&mut self, field: &str, text: &str) -> Option<Option<Date>> {
        if text.is_empty() {
            return Some(None);
        }
        match read_date(text) {
            Some(date) => Some(Some(date)),
            None => self.noted(field, "须为 YYYY-MM-DD 形式且存在的日期", "must be an existing day as YYYY-MM-DD"),
        }
    }

    /// A municipality's code.
    pub fn municipality(&mut self, field: &str, text: &str) -> Option<MunicipalityCode> {
        let code = Some(text).filter(|text| text.len() == 6).and_then(|text| text.parse().ok());
        code.or_else(|| self.noted(field, "须为六位行政区划代码", "must be a six-digit GB/T 2260 code"))
    }

    /// A municipality's code; empty means none.
    pub fn optional_municipality(&mut self, field: &str, text: &str) -> Option<Option<MunicipalityCode>> {
        if text.is_empty() { Some(None) } else { self.municipality(field, text).map(Some) }
    }

    /// A node as `<code>/<number>`.
    pub fn node(&mut self, field: &str, text: &str) -> Option<NodeId> {
        let node = read_node(text);
        node.or_else(|| self.noted(field, "须为 <代码>/<编号>，如 150300/1", "must be <code>/<number>, e.g. 150300/1"))
    }

    /// A line's number, from 1.
    pub fn line(&mut self, field: &str, line: u32) -> Option<LineNumber> {
        let number = LineNumber::try_from(line).ok().filter(|number| *number > 0);
        number.or_else(|| self.noted(field, "行号从 1 起", "lines are numbered from 1"))
    }

    /// A catalogued item, team or vehicle.
    pub fn resource(&mut self, field: &str, resource: Option<&v1::Resource>) -> Option<Resource> {
        match resource.and_then(|resource| resource.kind.as_ref()) {
            None => self.noted(field, "必填：item、team 或 vehicle 之一", "required: one of item, team, vehicle"),
            Some(v1::resource::Kind::Item(code)) => self.item(&format!("{field}.item"), code).map(Resource::Item),
            Some(v1::resource::Kind::Team(kind)) => self.unit(&format!("{field}.team"), kind).map(Resource::Team),
            Some(v1::resource::Kind::Vehicle(kind)) => {
                self.unit(&format!("{field}.vehicle"), kind).map(Resource::Vehicle)
            }
        }
    }

    /// Like [`Parsing::resource`]; unset means none.
    pub fn optional_resource(&mut self, field: &str, resource: Option<&v1::Resource>) -> Option<Option<Resource>> {
        match resource {
            None => Some(None),
            given => self.resource(field, given).map(Some),
        }
    }

    /// A catalogue code.
    pub fn item(&mut self, field: &str, code: &str) -> Option<ItemCode> {
        let read = code.parse().ok();
        read.or_else(|| {
            self.noted(
                field,
                "须为 GB/T 38565 七位分类编码（以 1、2 或 3 开头）",
                "must be a seven-digit GB/T 38565 code starting with 1, 2 or 3",
            )
        })
    }

    /// The kind of a team or vehicle.
    pub fn unit(&mut self, field: &str, kind: &str) -> Option<UnitKind> {
        let read = UnitKind::new(kind).ok();
        read.or_else(|| self.noted(field, "1 至 32 个小写字母、数字或连字符", "must be 1 to 32 of a-z, 0-9 and '-'"))
    }

    /// A value of an enumeration that must be said; `read` knows its words.
    pub fn chosen<W: TryFrom<i32>, T>(&mut self, field: &str, value: i32, read: impl Fn(W) -> Option<T>) -> Option<T> {
        let chosen = W::try_from(value).ok().and_then(read);
        chosen.or_else(|| self.noted(field, "必填，且须为已知的取值", "required, and one of the known values"))
    }

    /// A value of an enumeration that may be left out.
    pub fn optional_chosen<W: TryFrom<i32>, T>(
        &mut self,
        field: &str,
        value: i32,
        read: impl Fn(W) -> Option<T>,
    ) -> Option<Option<T>> {
        if value == 0 { Some(None) } else { self.chosen(field, value, read).map(Some) }
    }

    /// How many items a repeated field may have.
    pub fn count(&mut self, field: &str, count: usize, least: usize, most: usize) -> Option<()> {
        if (least..=most).contains(&count) {
            return Some(());
        }
        let rule = Bilingual::new(format!("{least} 至 {most} 项"), format!("{least} to {most} items"));
        self.note(field, rule);
        None
    }
}

/// The fewest hex digits that name a region.
const REGION_DIGITS_MIN: usize = 8;

/// The region that `text` names among these: by name, by the beginning of its id, or the only one for empty text.
///
/// # Errors
/// Says why it names none, or more than one.
pub fn find_region(regions: &[(RegionId, String)], text: &str) -> Result<RegionId, Bilingual> {
    let is_prefix =
        text.len() >= REGION_DIGITS_MIN && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let named = regions
        .iter()
        .filter(|(id, name)| text.is_empty() || name == text || (is_prefix && id.to_string().starts_with(text)));
    let found: Vec<RegionId> = named.map(|(id, _)| *id).collect();
    match (found.as_slice(), text) {
        ([only], _) => Ok(*only),
        ([], "") => Err(Bilingual::fixed("本节点未加入任何区域", "this node hosts no region")),
        ([], _) => {
            let names = regions.iter().map(|(id, name)| if name.is_empty() { id.short() } else { name.clone() });
            let names = names.collect::<Vec<_>>().join(", ");
            Err(Bilingual::new(
                format!("本节点没有区域“{text}”（可用区域名，或编号的前 8 位以上）；现有：{names}"),
                format!(
                    "this node hosts no region \"{text}\" (say its name, or the first 8 or more digits of its id); \
                     there are: {names}"
                ),
            ))
        }
        (_, "") => Err(Bilingual::fixed("本节点有多个区域，请指明", "this node hosts several regions: say which")),
        _ => Err(Bilingual::fixed("不止一个区域符合，请给出更多位数", "more than one region matches: say more digits")),
    }
}

/// An id by its resource name or its bare UUID.
pub fn read_id<T: Named>(text: &str) -> Option<T> {
    let bare = text.strip_prefix(T::COLLECTION).and_then(|rest| rest.strip_prefix('/')).unwrap_or(text);
    // Only the usual form with hyphens: an id has one spelling.
    Uuid::try_parse(bare).ok().filter(|_| bare.len() == 36).map(T::of)
}

/// A day such as `2027-06-30`, if it exists.
pub fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |part: &str, width: usize| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || !digits(year, 4) || !digits(month, 2) || !digits(day, 2) {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// A node as `<code>/<number>`.
pub fn read_node(text: &str) -> Option<NodeId> {
    let (code, number) = text.split_once('/')?;
    if code.len() != 6 || number.starts_with('0') || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    NodeId::new(code.parse().ok()?, number.parse().ok()?).ok()
}

/// A record's id of 64 hex digits.
pub fn read_record(text: &str) -> Option<RegionId> {
    Hash32::from_hex(text)
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
