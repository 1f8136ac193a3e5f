//! Refusals: the record's "no". An ordinary outcome with a stable code, typed parameters, and a sentence in both
//! languages that says what, where and how to mend it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::actor::Role;
use crate::ids::MunicipalityCode;
use crate::quantity::Qty;
use crate::time::Timestamp;

/// How an edge should treat a refusal (google.rpc.Code names).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong, whatever the state.
    InvalidArgument,
    /// A named object does not exist.
    NotFound,
    /// The object exists already.
    AlreadyExists,
    /// The actor may not do this.
    PermissionDenied,
    /// The state does not allow it (now).
    FailedPrecondition,
    /// Too much of something.
    ResourceExhausted,
}

/// A parameter as a Chinese sentence says it: kinds of objects and posts have their own words, the rest is written as it is.
macro_rules! in_chinese {
    (kind, $kind:ident) => {
        chinese_for($kind)
    };
    (role, $role:ident) => {
        chinese_for($role.slug())
    };
    ($other:ident, $value:ident) => {
        $value
    };
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $({$($field:ident: $ty:ty),* $(,)?})? = $code:literal, $kind:ident, $zh:literal, $en:literal;)*) => {
        /// Why the record says no.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "reason")]
        #[expect(missing_docs, reason = "the fields are the parameters of the sentence beside them")]
        pub enum Refusal {
            $($(#[$doc])* #[serde(rename = $code)] $name $({$($field: $ty),*})?,)*
        }

        impl Refusal {
            /// The stable code, for programs.
            pub fn code(&self) -> &'static str {
                match self { $(Self::$name $({$($field: _),*})? => $code,)* }
            }

            /// What kind of "no" it is.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$name $({$($field: _),*})? => Kind::$kind,)* }
            }

            /// The sentence in Chinese.
            pub fn zh(&self) -> String {
                match self { $(Self::$name $({$($field),*})? => { $($(let $field = in_chinese!($field, $field);)*)? format!($zh) })* }
            }

            /// The sentence in English.
            pub fn en(&self) -> String {
                match self { $(Self::$name $({$($field),*})? => format!($en),)* }
            }
        }

        /// Every code with its kind and its sentences in Chinese and English, as templates: the table in the docs.
        pub const SENTENCES: &[(&str, Kind, &str, &str)] = &[$(($code, Kind::$kind, $zh, $en)),*];
    };
}

refusals! {
    /// The bytes are no command this record knows at its feature level.
    Malformed { detail: String } = "MALFORMED", InvalidArgument,
        "命令无法识别：{detail}。请升级客户端或检查请求内容。", "the command cannot be read: {detail}; upgrade the client or mend the request";
    /// A field breaks its rule.
    InvalidField { field: String, rule: String } = "INVALID_FIELD", InvalidArgument,
        "字段 {field} 不合要求：{rule}。", "field {field} is not acceptable: {rule}";
    /// A quantity must be at least one and at most 10^12.
    QuantityOutOfRange { qty: Qty } = "QUANTITY_OUT_OF_RANGE", InvalidArgument,
        "数量 {qty} 不在 1 至 10^12 之间。", "quantity {qty} is not within 1 and 10^12";
    /// The named object is not in this record.
    NotFound { kind: String, id: String } = "NOT_FOUND", NotFound,
        "未找到{kind} {id}。请核对编号，或等待记录同步。", "no {kind} {id} in this record; check the id, or wait until this node has caught up";
    /// The object exists already with other content.
    AlreadyExists { kind: String, id: String } = "ALREADY_EXISTS", AlreadyExists,
        "{kind} {id} 已存在。", "{kind} {id} exists already";
    /// The role has no right to this command.
    RoleNotAllowed { role: Role, command: String } = "ROLE_NOT_ALLOWED", PermissionDenied,
        "岗位 {role} 无权执行 {command}。", "the role {role:?} may not {command}";
    /// The municipality is not the one that may do this.
    NotYours { municipality: MunicipalityCode, action: String } = "NOT_YOURS", PermissionDenied,
        "{municipality} 不是有权{action}的一方。", "{municipality} is not the party that may {action}";
    /// The municipality is not a member in force.
    NotAMember { municipality: MunicipalityCode } = "NOT_A_MEMBER", PermissionDenied,
        "{municipality} 不是本联动区域的成员。", "{municipality} is not a member of this region";
    /// The same person may not do both steps.
    SamePerson { step: String } = "SAME_PERSON", PermissionDenied,
        "经办与{step}不能为同一人，请由另一人办理。", "the person who began may not also {step}; another must";
    /// The life cycle has no such step from where it stands.
    WrongState { kind: String, state: String, step: String } = "WRONG_STATE", FailedPrecondition,
        "{kind}当前状态为 {state}，不能{step}。", "the {kind} is {state}; it cannot {step} from there";
    /// Not enough is free.
    NotEnough { wanted: Qty, free: Qty, place: String } = "NOT_ENOUGH", FailedPrecondition,
        "{place}可用数量为 {free}，不足 {wanted}。", "only {free} free in {place}, {wanted} wanted";
    /// The step would cross the owner's own floor.
    BelowFloor { wanted: Qty, pledgeable: Qty, floor: Qty } = "BELOW_FLOOR", FailedPrecondition,
        "保底 {floor} 后可承诺 {pledgeable}，不足 {wanted}；确需突破保底，须由签发领导说明理由。",
        "{pledgeable} can be pledged above the floor of {floor}, {wanted} wanted; a signing leader may cross the floor with a reason";
    /// The lot cannot be promised.
    NotPledgeable { why: String } = "NOT_PLEDGEABLE", FailedPrecondition,
        "该批次不可承诺：{why}。", "this lot cannot be pledged: {why}";
    /// The line does not need that much more.
    MoreThanRequested { wanted: Qty, open: Qty } = "MORE_THAN_REQUESTED", FailedPrecondition,
        "该需求行尚缺 {open}，不能再占用 {wanted}。", "the line still lacks {open}; {wanted} more cannot be held";
    /// What is offered is not what is asked.
    Mismatch { wanted: String, given: String } = "MISMATCH", FailedPrecondition,
        "需求为 {wanted}，所给为 {given}，不符。", "asked for {wanted}, given {given}";
    /// Exercise objects never touch actual ones.
    ExerciseMixed = "EXERCISE_MIXED", FailedPrecondition,
        "演练与实战对象不得混用。", "exercise objects and actual ones never mix";
    /// The moment has passed.
    TooLate { due: Timestamp } = "TOO_LATE", FailedPrecondition,
        "已于 {due} 到期。", "it was due by {due}";
    /// The courier's number is not the next one.
    ChannelGap { expected: u64, got: u64 } = "CHANNEL_GAP", FailedPrecondition,
        "信使序号应为 {expected}，收到 {got}。", "the courier's next number is {expected}, it sent {got}";
    /// The same number came with other content: the registry has forked.
    ChannelFork { number: u64 } = "CHANNEL_FORK", FailedPrecondition,
        "信使序号 {number} 的内容与已入账的不同：台账可能由备份恢复，请按新化身对账。",
        "message {number} differs from the one on record: the registry may have been restored; reconcile it as a new incarnation";
    /// The registry that speaks is not the one on record.
    WrongIncarnation { expected: u32, got: u32 } = "WRONG_INCARNATION", FailedPrecondition,
        "台账化身应为 {expected}，收到 {got}。", "the registry on record is incarnation {expected}, {got} spoke";
    /// Restored from a backup, and the region's record is not adopted yet.
    Restoring { region: String } = "RESTORING", FailedPrecondition,
        "台账已由备份恢复或确认过损失，尚未与区域 {region} 对账；对账前只能动用本地储备并记录事实，请待连通后再办（见 shouwang courier status）。本市若已退出该区域，请备份后以 restore --left 重新恢复。",
        "restored from a backup or gone on with after a loss, and what region {region} has on record is not adopted yet; until then only local stock and facts: wait for the line (shouwang courier status tells). If this municipality has left the region, back up and restore with --left";
    /// Nobody has said what becomes of a region that the registry has a channel to.
    RegionUndecided { region: String } = "REGION_UNDECIDED", FailedPrecondition,
        "台账与区域 {region} 有信使通道：请在配置中写明该区域，或在本市确已退出时以 --left 指明（二者取一）。",
        "the registry has a channel to region {region}: name the region in the configuration, or, if this municipality has left it, with --left; one of the two";
    /// Another's log reaches further: what it holds may have been acknowledged.
    NotLongest { node: String, revision: u64 } = "NOT_LONGEST", FailedPrecondition,
        "节点 {node} 的日志更完整（其账本至版次 {revision}）：须在该节点上执行 rescue begin。",
        "the log of node {node} reaches further (its ledger up to revision {revision}): run rescue begin there";
    /// A voter that has neither given its word nor been named as lost.
    VoterUnaccounted { node: String } = "VOTER_UNACCOUNTED", FailedPrecondition,
        "有表决权的节点 {node} 既未交出承诺书（rescue stand），也未声明失联（--lost）。请先取得其承诺书；确已无法恢复的，以 --lost {node} 声明。",
        "node {node} votes and has neither given its word (rescue stand) nor been named as lost: get its word, or name it with --lost {node} if it will not come back";
    /// What is asked belongs to a later level than the record stands at.
    LevelNotReached { level: u32, needs: u32 } = "LEVEL_NOT_REACHED", FailedPrecondition,
        "记录的功能级别为 {level}，此命令须级别 {needs}：待各节点升级后，由区域中心的管理员执行 shouwang region raise-level。",
        "the record is at feature level {level}, this needs level {needs}: once every node is upgraded, the hub's administrator runs shouwang region raise-level";
    /// Some nodes have not said that their program knows a level.
    NodesBelowLevel { level: u32, nodes: String } = "NODES_BELOW_LEVEL", FailedPrecondition,
        "节点 {nodes} 尚未声明支持功能级别 {level}：请先升级（或取消 hold_level）并启动这些节点；确已停用的节点，先按协议变更移除。",
        "node(s) {nodes} have not said that they know feature level {level}: upgrade them (or stop holding them back with hold_level) and start them; remove those that are gone by a change of the charter";
    /// Too little has happened since the newest head of the ledger for another.
    HeadTooSoon { revision: u64 } = "HEAD_TOO_SOON", FailedPrecondition,
        "自版次 {revision} 的账本头以来新记录不足，暂不另立账本头：各节点正在或已经会签该账本头（见 shouwang ledger head）。",
        "too little has happened since the head of revision {revision} to mark another: the nodes countersign that one (see shouwang ledger head)";
    /// Something is still open.
    StillOpen { what: String } = "STILL_OPEN", FailedPrecondition,
        "仍有未了事项：{what}。", "still open: {what}";
    /// The spoken approval has not been confirmed on paper.
    PaperOwed { due: Timestamp } = "PAPER_OWED", FailedPrecondition,
        "口头批准的书面手续尚未补办（应于 {due} 前）。", "the paper for the spoken approval is still owed (by {due})";
    /// A limit of the record.
    LimitReached { what: String, limit: u64 } = "LIMIT_REACHED", ResourceExhausted,
        "{what}已达上限 {limit}。", "the limit of {limit} {what} is reached";
    /// The change no longer fits the charter in force.
    StaleVersion { expected: u32, got: u32 } = "STALE_VERSION", FailedPrecondition,
        "协议现行版本为 {expected}，所据版本为 {got}。", "the charter in force is version {expected}, the change was drawn on {got}";
}

/// Kinds of objects and posts, which stand in refusals by their English words.
const IN_CHINESE: &[(&str, &str)] = &[
    ("lot", "批次"),
    ("store", "库"),
    ("region", "区域"),
    ("member", "成员"),
    ("node", "节点"),
    ("pledge", "承诺"),
    ("signature", "签名"),
    ("retired node", "已撤除的节点"),
    ("request", "支援请求"),
    ("line", "需求行"),
    ("mission", "调派"),
    ("change", "协议变更"),
    ("head", "账本头"),
    ("countersignature", "会签"),
    ("restock", "补库物资"),
    ("obligation", "补偿义务"),
    ("discrepancy", "差异"),
    ("proposal", "认定意见"),
    ("outcome", "命令结果"),
    ("object", "对象"),
    ("duty", "值班员"),
    ("leader", "签发领导"),
    ("keeper", "库管"),
    ("coordinator", "联络员"),
    ("secretariat", "秘书处"),
    ("superior", "上级督导"),
    ("admin", "管理员"),
];

fn chinese_for(word: &str) -> &str {
    IN_CHINESE.iter().find(|(known, _)| *known == word).map_or(word, |(_, zh)| zh)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {} / {}", self.code(), self.zh(), self.en())
    }
}

impl Refusal {
    /// "No such object".
    pub fn not_found(kind: &str, id: impl fmt::Display) -> Self {
        Self::NotFound { kind: kind.to_owned(), id: id.to_string() }
    }

    /// "That exists already".
    pub fn exists(kind: &str, id: impl fmt::Display) -> Self {
        Self::AlreadyExists { kind: kind.to_owned(), id: id.to_string() }
    }

    /// "This field breaks its rule".
    pub fn field(field: &str, rule: &str) -> Self {
        Self::InvalidField { field: field.to_owned(), rule: rule.to_owned() }
    }

    /// "You are not the one who may".
    pub fn not_yours(municipality: MunicipalityCode, action: &str) -> Self {
        Self::NotYours { municipality, action: action.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chinese_sentence_has_chinese_words() {
        assert_eq!(Refusal::not_found("lot", 7).zh(), "未找到批次 7。请核对编号，或等待记录同步。");
        assert_eq!(Refusal::not_found("object", "lots/7").zh(), "未找到对象 lots/7。请核对编号，或等待记录同步。");
        assert_eq!(Refusal::exists("something new", 7).zh(), "something new 7 已存在。");
        let refusal = Refusal::RoleNotAllowed { role: Role::Duty, command: "pledge".to_owned() };
        assert_eq!(refusal.zh(), "岗位 值班员 无权执行 pledge。");
        assert_eq!(refusal.en(), "the role Duty may not pledge");
    }
}
