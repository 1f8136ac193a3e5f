//! The contract's values as people read and write them: states, colours and kinds in both languages, times in
//! Asia/Shanghai, money in yuan, resources.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use jiff::tz::{TimeZone, offset};
use shouwang_proto::v1::{Figure, FigureForm, Resource, resource};

use crate::lang::Lang;

/// The words of an enum: number, the word on the command line (in English with hyphens), the Chinese word.
#[derive(Clone, Copy, Debug)]
pub struct Words(&'static [(i32, &'static str, &'static str)]);

impl Words {
    /// The word for a value; the number itself for one this program does not know.
    pub fn get(self, value: i32, lang: Lang) -> String {
        match self.0.iter().find(|(number, ..)| *number == value) {
            Some((_, _, zh)) if lang == Lang::Zh => (*zh).to_owned(),
            Some((_, slug, _)) => slug.replace('-', " "),
            None if value == 0 => "-".to_owned(),
            None => value.to_string(),
        }
    }

    /// The value of a word in either language.
    pub fn value(self, word: &str) -> Option<i32> {
        self.0.iter().find(|(_, slug, zh)| *slug == word || *zh == word).map(|(number, ..)| *number)
    }

    /// Reads a word of the command line.
    pub fn parser(self) -> impl TypedValueParser<Value = i32> {
        let values = self.0.iter().map(|(_, slug, zh)| PossibleValue::new(*slug).alias(*zh).help(*zh));
        // Only words of the table get here.
        PossibleValuesParser::new(values).map(move |word| self.value(&word).unwrap_or_default())
    }
}

/// How a command ended.
pub const VERDICT: Words = Words(&[
    (1, "accepted", "已接受"),
    (2, "refused", "被拒绝"),
    (3, "expired", "已过期"),
    (4, "id-reused", "编号重复"),
]);
/// How a resource may be seen.
pub const VISIBILITY: Words =
    Words(&[(1, "exact", "精确"), (2, "banded", "区间"), (3, "ask-us", "面议"), (4, "hidden", "不发布")]);
/// Warning colours.
pub const WARNING: Words =
    Words(&[(1, "none", "无"), (2, "blue", "蓝"), (3, "yellow", "黄"), (4, "orange", "橙"), (5, "red", "红")]);
/// How pressing a request is.
pub const PRIORITY: Words = Words(&[(1, "routine", "一般"), (2, "urgent", "紧急"), (3, "immediate", "特急")]);
/// Stock classes.
pub const STOCK_CLASS: Words = Words(&[
    (1, "government", "政府"),
    (2, "enterprise-contracted", "企业代储"),
    (3, "enterprise-own", "企业自储"),
    (4, "charity", "慈善"),
    (5, "superior", "上级"),
]);
/// Conditions of stock.
pub const CONDITION: Words = Words(&[
    (1, "usable", "可用"),
    (2, "awaiting-inspection", "待检"),
    (3, "under-repair", "待修"),
    (4, "condemned", "报废"),
]);
/// States of a request's line.
pub const LINE_STATE: Words = Words(&[
    (1, "open", "已发出"),
    (2, "partly-committed", "部分落实"),
    (3, "committed", "全部落实"),
    (4, "moving", "调运中"),
    (5, "arrived", "到位"),
    (6, "in-use", "使用中"),
    (7, "accounting", "核销中"),
    (8, "settling", "结算中"),
    (9, "closed", "已办结"),
    (10, "withdrawn", "撤回"),
    (11, "expired", "到期"),
    (12, "unmet", "无法满足"),
    (13, "disputed", "争议"),
]);
/// Kinds of answers.
pub const ANSWER_KIND: Words =
    Words(&[(1, "accept", "同意"), (2, "provisional", "有条件"), (3, "decline", "不能提供")]);
/// States of a mission.
pub const MISSION_STATE: Words = Words(&[
    (1, "held", "占用"),
    (2, "ordered", "已下令"),
    (3, "committed", "已落实"),
    (4, "picking", "备货"),
    (5, "cancelling", "取消中"),
    (6, "dispatched", "已出发"),
    (7, "delivered", "已送达"),
    (8, "on-site", "使用中"),
    (9, "demobilised", "解除任务"),
    (10, "returned", "已返还"),
    (11, "accounted", "已核销"),
    (12, "lapsed", "占用到期"),
    (13, "hold-released", "释放占用"),
    (14, "cancelled", "已取消"),
    (15, "turned-back", "已折返"),
    (16, "revoked", "已撤销"),
]);
/// States of an obligation.
pub const OBLIGATION_STATE: Words = Words(&[
    (1, "open", "待申报"),
    (2, "claimed", "已申报"),
    (3, "disputed", "争议"),
    (4, "recognised", "已认定"),
    (5, "paid", "待确认到账"),
    (6, "settled", "结清"),
]);
/// Kinds of debts.
pub const DEBT_KIND: Words =
    Words(&[(1, "goods", "物资"), (2, "service", "服务"), (3, "injury", "伤亡"), (4, "late-return", "逾期")]);
/// Grounds of debts.
pub const BASIS: Words = Words(&[
    (1, "restock", "协议补库"),
    (2, "liable-enterprise", "责任企业承担"),
    (3, "free-aid", "无偿救助"),
    (4, "requisition", "征用补偿"),
    (5, "contract-price", "代储合同价"),
    (6, "charity", "慈善不补偿"),
]);
/// Kinds of discrepancies.
pub const DISCREPANCY_KIND: Words = Words(&[
    (1, "dispatched-uncommitted", "未见令先发"),
    (2, "dispatched-after-end", "终止后发出"),
    (3, "dispatched-too-much", "超发"),
    (4, "delivery-short", "短少"),
    (5, "delivery-over", "溢收"),
    (6, "delivery-damaged", "到货损坏"),
    (7, "signatures-differ", "双签不符"),
    (8, "return-damaged", "返还损坏"),
    (9, "over-accounted", "超核销"),
    (10, "relay-differs", "口令不符"),
    (11, "total-fell", "累计下降"),
    (12, "unknown-mission", "未知调派"),
    (13, "not-its-word", "越权报事"),
]);
/// What a member is in a region.
pub const STANDING: Words = Words(&[(1, "party", "成员方"), (2, "superior", "上级"), (3, "observer", "观察方")]);
/// Voting rules.
pub const VOTING: Words = Words(&[(1, "majority", "过半数"), (2, "two-thirds", "三分之二"), (3, "unanimous", "一致")]);
/// What a node is in a Raft group.
pub const RAFT_ROLE: Words =
    Words(&[(1, "leader", "主"), (2, "follower", "从"), (3, "candidate", "候选"), (4, "learner", "学习者")]);
/// Kinds of records.
pub const RECORD_KIND: Words = Words(&[(1, "registry", "台账"), (2, "region", "区域")]);

/// A point in time in Asia/Shanghai to the second, "-" for none.
pub fn time(at: Option<prost_types::Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.to_zoned(shanghai()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// China Standard Time: eight hours ahead of UTC, without daylight saving.
pub fn shanghai() -> TimeZone {
    TimeZone::fixed(offset(8))
}

/// Money in yuan.
pub fn yuan(fen: i64) -> String {
    shouwang_domain::quantity::Fen(fen).to_string()
}

/// A resource as it is written on the command line.
pub fn resource(of: Option<&Resource>) -> String {
    match of.and_then(|of| of.kind.as_ref()) {
        Some(resource::Kind::Item(code)) => code.clone(),
        Some(resource::Kind::Team(kind)) => format!("team:{kind}"),
        Some(resource::Kind::Vehicle(kind)) => format!("vehicle:{kind}"),
        None => "-".to_owned(),
    }
}

/// A published figure.
pub fn figure(of: Option<&Figure>, lang: Lang) -> String {
    let zh = lang == Lang::Zh;
    let Some(of) = of else { return "-".to_owned() };
    match of.form() {
        FigureForm::Exact => of.quantity.to_string(),
        FigureForm::AtLeast => format!("≥ {}", of.quantity),
        FigureForm::AskUs => if zh { "面议" } else { "ask us" }.to_owned(),
        FigureForm::Withdrawn => if zh { "不再发布" } else { "withdrawn" }.to_owned(),
        FigureForm::Unspecified => "-".to_owned(),
    }
}

/// The last part of a resource name: `lots/<uuid>` without its collection.
pub fn id(name: &str) -> String {
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

/// What a person should read for nothing.
pub fn dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_reflect::DescriptorPool;

    #[test]
    fn every_value_of_the_contract_has_its_words() {
        let pool = DescriptorPool::decode(shouwang_proto::FILE_DESCRIPTOR_SET).unwrap();
        for (name, words) in [
            ("v1.Verdict", VERDICT),
            ("v1.Visibility", VISIBILITY),
            ("v1.Warning", WARNING),
            ("v1.Priority", PRIORITY),
            ("v1.StockClass", STOCK_CLASS),
            ("v1.Condition", CONDITION),
            ("v1.LineState", LINE_STATE),
            ("v1.AnswerKind", ANSWER_KIND),
            ("v1.MissionState", MISSION_STATE),
            ("v1.ObligationState", OBLIGATION_STATE),
            ("v1.DebtKind", DEBT_KIND),
            ("v1.Basis", BASIS),
            ("v1.DiscrepancyKind", DISCREPANCY_KIND),
            ("v1.Standing", STANDING),
            ("v1.Voting", VOTING),
            ("admin.v1.RaftRole", RAFT_ROLE),
            ("admin.v1.RecordKind", RECORD_KIND),
        ] {
            let described = pool.get_enum_by_name(&format!("shouwang.{name}")).unwrap();
            let unspecified = described.get_value(0).unwrap().name().to_owned();
            let prefix = unspecified.strip_suffix("UNSPECIFIED").unwrap();
            let expected: Vec<(i32, String)> = described
                .values()
                .filter(|value| value.number() != 0)
                .map(|value| {
                    let slug = value.name().strip_prefix(prefix).unwrap().to_lowercase().replace('_', "-");
                    (value.number(), slug)
                })
                .collect();
            let told: Vec<(i32, String)> = words.0.iter().map(|(n, slug, _)| (*n, (*slug).to_owned())).collect();
            assert_eq!(told, expected, "{name}");
            assert!(words.0.iter().all(|(.., zh)| !zh.is_ascii()), "{name}");
        }
    }

    #[test]
    fn words_read_back_in_both_languages() {
        assert_eq!((WARNING.value("red"), WARNING.value("红"), WARNING.value("pink")), (Some(5), Some(5), None));
        assert_eq!(MISSION_STATE.get(8, Lang::En), "on site");
        assert_eq!(MISSION_STATE.get(8, Lang::Zh), "使用中");
        assert_eq!((MISSION_STATE.get(0, Lang::En), MISSION_STATE.get(99, Lang::En)), ("-".into(), "99".into()));
    }

    #[test]
    fn values_are_shown_as_people_read_them() {
        let at = prost_types::Timestamp { seconds: 1_772_380_800, nanos: 5 };
        assert_eq!((time(Some(at)), time(None)), ("2026-03-02 00:00:00".to_owned(), "-".to_owned()));
        assert_eq!((yuan(1_820_050), yuan(-5)), ("18200.50".to_owned(), "-0.05".to_owned()));
        let team = Resource { kind: Some(resource::Kind::Team("hazmat".to_owned())) };
        assert_eq!((resource(Some(&team)), resource(None)), ("team:hazmat".to_owned(), "-".to_owned()));
        let band = Figure { form: FigureForm::AtLeast.into(), quantity: 50 };
        assert_eq!(figure(Some(&band), Lang::En), "≥ 50");
        assert_eq!(id("obligations/a/goods"), "goods");
    }
}
