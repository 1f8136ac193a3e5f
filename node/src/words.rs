//! The words of the contract's values in both languages: one table per enumeration, for screens, papers and the command
//! line alike.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::lang::Lang;

/// A time of the record (ISO 8601 in Asia/Shanghai) as people read it: everybody's clock shows Beijing's anyway.
pub fn moment(iso: &str) -> String {
    iso.strip_suffix("+08:00").unwrap_or(iso).replace('T', " ")
}

/// The words of an enumeration: its number in the contract, the word on the command line (in English with hyphens), the
/// name in Chinese, the name in English.
#[derive(Clone, Copy, Debug)]
pub struct Words(&'static [(i32, &'static str, &'static str, &'static str)]);

impl Words {
    /// The row of a value, if this program knows it: its word, its name in Chinese, its name in English.
    pub fn row(self, value: i32) -> Option<(&'static str, &'static str, &'static str)> {
        self.0.iter().find(|(number, ..)| *number == value).map(|(_, slug, zh, en)| (*slug, *zh, *en))
    }

    /// The name of a value; the number itself for one this program does not know.
    pub fn get(self, value: i32, lang: Lang) -> String {
        match self.row(value) {
            Some((_, zh, en)) => lang.pick(zh, en).to_owned(),
            None if value == 0 => "-".to_owned(),
            None => value.to_string(),
        }
    }

    /// The value of a word, or of a name in Chinese.
    pub fn value(self, word: &str) -> Option<i32> {
        self.0.iter().find(|(_, slug, zh, _)| *slug == word || *zh == word).map(|(number, ..)| *number)
    }

    /// Reads a word of the command line.
    pub fn parser(self) -> impl TypedValueParser<Value = i32> {
        let values = self.0.iter().map(|(_, slug, zh, _)| PossibleValue::new(*slug).alias(*zh).help(*zh));
        // Only words of the table get here.
        PossibleValuesParser::new(values).map(move |word| self.value(&word).unwrap_or_default())
    }
}

/// How a command ended.
pub const VERDICT: Words = Words(&[
    (1, "accepted", "已接受", "accepted"),
    (2, "refused", "被拒绝", "refused"),
    (3, "expired", "已过期", "expired"),
    (4, "id-reused", "编号重复", "request id used before"),
]);
/// How a resource may be seen.
pub const VISIBILITY: Words = Words(&[
    (1, "exact", "精确", "exact"),
    (2, "banded", "区间", "banded"),
    (3, "ask-us", "面议", "ask us"),
    (4, "hidden", "不发布", "hidden"),
]);
/// Warning colours.
pub const WARNING: Words = Words(&[
    (1, "none", "无", "none"),
    (2, "blue", "蓝", "blue"),
    (3, "yellow", "黄", "yellow"),
    (4, "orange", "橙", "orange"),
    (5, "red", "红", "red"),
]);
/// How pressing a request is.
pub const PRIORITY: Words =
    Words(&[(1, "routine", "一般", "routine"), (2, "urgent", "紧急", "urgent"), (3, "immediate", "特急", "immediate")]);
/// Stock classes.
pub const STOCK_CLASS: Words = Words(&[
    (1, "government", "政府", "government"),
    (2, "enterprise-contracted", "企业代储", "contracted enterprise"),
    (3, "enterprise-own", "企业自储", "enterprise's own"),
    (4, "charity", "慈善", "charity"),
    (5, "superior", "上级", "superior"),
]);
/// Conditions of stock.
pub const CONDITION: Words = Words(&[
    (1, "usable", "可用", "usable"),
    (2, "awaiting-inspection", "待检", "awaiting inspection"),
    (3, "under-repair", "待修", "under repair"),
    (4, "condemned", "报废", "condemned"),
]);
/// States of a request's line.
pub const LINE_STATE: Words = Words(&[
    (1, "open", "已发出", "open"),
    (2, "partly-committed", "部分落实", "partly committed"),
    (3, "committed", "全部落实", "committed"),
    (4, "moving", "调运中", "moving"),
    (5, "arrived", "到位", "arrived"),
    (6, "in-use", "使用中", "in use"),
    (7, "accounting", "核销中", "accounting"),
    (8, "settling", "结算中", "settling"),
    (9, "closed", "已办结", "closed"),
    (10, "withdrawn", "撤回", "withdrawn"),
    (11, "expired", "到期", "expired"),
    (12, "unmet", "无法满足", "unmet"),
    (13, "disputed", "争议", "disputed"),
]);
/// Kinds of answers.
pub const ANSWER_KIND: Words = Words(&[
    (1, "accept", "同意", "accept"),
    (2, "provisional", "有条件", "provisional"),
    (3, "decline", "婉拒", "decline"),
]);
/// States of a mission.
pub const MISSION_STATE: Words = Words(&[
    (1, "held", "占用", "held"),
    (2, "ordered", "已下令", "ordered"),
    (3, "committed", "已落实", "committed"),
    (4, "picking", "备货", "picking"),
    (5, "cancelling", "取消中", "cancelling"),
    (6, "dispatched", "已出发", "dispatched"),
    (7, "delivered", "已送达", "delivered"),
    (8, "on-site", "使用中", "on site"),
    (9, "demobilised", "解除任务", "demobilised"),
    (10, "returned", "已返还", "returned"),
    (11, "accounted", "已核销", "accounted"),
    (12, "lapsed", "占用到期", "lapsed"),
    (13, "hold-released", "释放占用", "hold released"),
    (14, "cancelled", "已取消", "cancelled"),
    (15, "turned-back", "已折返", "turned back"),
    (16, "revoked", "已撤销", "revoked"),
]);
/// States of an obligation.
pub const OBLIGATION_STATE: Words = Words(&[
    (1, "open", "待申报", "open"),
    (2, "claimed", "已申报", "claimed"),
    (3, "disputed", "争议", "disputed"),
    (4, "recognised", "已认定", "recognised"),
    (5, "paid", "待确认到账", "paid"),
    (6, "settled", "结清", "settled"),
]);
/// Kinds of debts.
pub const DEBT_KIND: Words = Words(&[
    (1, "goods", "物资", "goods"),
    (2, "service", "服务工时", "service"),
    (3, "injury", "人员伤害", "injury"),
    (4, "late-return", "逾期归还", "late return"),
]);
/// Grounds of debts.
pub const BASIS: Words = Words(&[
    (1, "restock", "协议补库", "restock"),
    (2, "liable-enterprise", "责任企业承担", "liable enterprise"),
    (3, "free-aid", "无偿救助", "free aid"),
    (4, "requisition", "征用补偿", "requisition"),
    (5, "contract-price", "代储合同价", "contract price"),
    (6, "charity", "慈善不补偿", "charity, not repaid"),
]);
/// Kinds of discrepancies.
pub const DISCREPANCY_KIND: Words = Words(&[
    (1, "dispatched-uncommitted", "未落实先发出", "left before its owner had seen the order"),
    (2, "dispatched-after-end", "终止后发出", "left although it was ended"),
    (3, "dispatched-too-much", "超量发出", "more left than ordered"),
    (4, "delivery-short", "到货短少", "less arrived than left"),
    (5, "delivery-over", "到货超出", "more arrived than left"),
    (6, "delivery-damaged", "到货破损", "arrived damaged"),
    (7, "signatures-differ", "交接数不符", "carrier and receiver signed differently"),
    (8, "return-damaged", "归还破损", "came back damaged"),
    (9, "over-accounted", "核销超出发出", "more accounted for than left"),
    (10, "relay-differs", "与电话通报不符", "differs from what was heard by telephone"),
    (11, "total-fell", "累计数减少", "a later total is lower"),
    (12, "unknown-mission", "无此调派", "unknown mission"),
    (13, "not-its-word", "非应报方所报", "reported by the wrong side"),
]);
/// What a member is in a region.
pub const STANDING: Words = Words(&[
    (1, "party", "成员方", "party"),
    (2, "superior", "上级", "superior"),
    (3, "observer", "观察方", "observer"),
]);
/// Voting rules.
pub const VOTING: Words = Words(&[
    (1, "majority", "过半数", "majority"),
    (2, "two-thirds", "三分之二", "two thirds"),
    (3, "unanimous", "一致", "unanimous"),
]);
/// Whether a node is in touch.
pub const TOUCH: Words = Words(&[
    (1, "in-touch", "在线", "in touch"),
    (2, "out-of-touch", "失联", "out of touch"),
    (3, "unknown", "未知", "unknown"),
]);
/// What a node is in a Raft group.
pub const RAFT_ROLE: Words = Words(&[
    (1, "leader", "主", "leader"),
    (2, "follower", "从", "follower"),
    (3, "candidate", "候选", "candidate"),
    (4, "learner", "学习者", "learner"),
]);
/// Kinds of records.
pub const RECORD_KIND: Words = Words(&[(1, "registry", "台账", "registry"), (2, "region", "区域", "region")]);
/// What became of damage on the disk.
pub const STORE_REMEDY: Words = Words(&[
    (1, "mended", "已修复", "mended"),
    (2, "fetching", "正向其他节点索取", "being fetched from another node"),
    (3, "operator", "需人工处理", "an operator must act"),
]);

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;
    use shouwang_domain::region::lifecycle::{MissionState, ObligationState};

    use super::*;
    use crate::api::convert::{compensation, mission};

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
            ("v1.Touch", TOUCH),
            ("admin.v1.RaftRole", RAFT_ROLE),
            ("admin.v1.RecordKind", RECORD_KIND),
            ("admin.v1.StoreRemedy", STORE_REMEDY),
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
            let told: Vec<(i32, String)> = words.0.iter().map(|(n, slug, ..)| (*n, (*slug).to_owned())).collect();
            assert_eq!(told, expected, "{name}");
            assert!(words.0.iter().all(|(_, _, zh, en)| !zh.is_ascii() && en.is_ascii()), "{name}");
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
    fn states_are_called_as_the_record_calls_them() {
        let of = |words: Words, value| words.row(value).map(|(slug, zh, _)| (slug.replace('-', "_"), zh));
        for state in MissionState::ALL {
            let told = of(MISSION_STATE, mission::mission_state(state).into());
            assert_eq!(told, Some((state.slug().to_owned(), state.zh())), "{state:?}");
        }
        for state in ObligationState::ALL {
            let told = of(OBLIGATION_STATE, compensation::obligation_state(state).into());
            assert_eq!(told, Some((state.slug().to_owned(), state.zh())), "{state:?}");
        }
    }
}
