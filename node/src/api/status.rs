//! Every "no" of the API as a gRPC status: code, google.rpc.ErrorInfo with a stable reason, and the sentence in both
//! languages. The one place where statuses with reasons are made.

use std::collections::{BTreeMap, HashMap};

use shouwang_domain::record::{Outcome, Verdict};
use shouwang_domain::refusal::{Kind, Refusal};
use tonic::{Code, Status};
use tonic_types::{BadRequest, ErrorDetail, ErrorInfo, FieldViolation, LocalizedMessage, StatusExt as _};

use crate::auth::Denied;
use crate::lang::{Bilingual, shortened};

/// The domain of every reason code of this API.
pub const ERROR_DOMAIN: &str = "shouwang";

// A status travels in HTTP headers, of which clients take 16 KiB; an answer with more is a broken connection to them. All
// of this together stays below, in the longest script and encoding.
/// Most characters of a sentence.
const TEXT_CHARS_MAX: usize = 300;
/// Most characters of a parameter.
const PARAMETER_CHARS_MAX: usize = 100;
/// Most fields that are told at once.
const VIOLATIONS_MAX: usize = 8;
/// Most characters of a field's path, and of its rule in each language.
const FIELD_CHARS_MAX: usize = 60;
const RULE_CHARS_MAX: usize = 100;

/// A field that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, e.g. `lines[2].quantity`.
    pub field: String,
    /// The rule, in both languages.
    pub rule: Bilingual,
}

/// A status with its reason, parameters and sentence.
pub fn error(code: Code, reason: &str, text: &Bilingual, parameters: &[(&str, String)]) -> Status {
    let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    with_details(code, reason, text, parameters, Vec::new())
}

fn with_details(
    code: Code,
    reason: &str,
    text: &Bilingual,
    parameters: HashMap<String, String>,
    more: Vec<ErrorDetail>,
) -> Status {
    let parameters = parameters.into_iter().map(|(key, value)| (key, shortened(&value, PARAMETER_CHARS_MAX)));
    let (zh, en) = (shortened(&text.zh, TEXT_CHARS_MAX), shortened(&text.en, TEXT_CHARS_MAX));
    let mut details: Vec<ErrorDetail> = vec![
        ErrorInfo::new(reason, ERROR_DOMAIN, parameters.collect::<HashMap<_, _>>()).into(),
        LocalizedMessage::new("zh-CN", zh).into(),
        LocalizedMessage::new("en", en.as_str()).into(),
    ];
    details.extend(more);
    Status::with_error_details_vec(code, en, details)
}

/// The gRPC code of a refusal.
pub fn code_of(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::ResourceExhausted => Code::ResourceExhausted,
    }
}

/// The parameters of a refusal's sentence, as text.
pub fn parameters_of(refusal: &Refusal) -> BTreeMap<String, String> {
    // A refusal is an object of its tag and its parameters; the tag is the reason and travels beside them.
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(refusal) else { return BTreeMap::new() };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    fields.into_iter().filter(|(key, _)| key != "reason").map(|(key, value)| (key, text(value))).collect()
}

/// The record's "no".
pub fn refused(refusal: &Refusal) -> Status {
    refused_as(refusal, &Bilingual::new(refusal.zh(), refusal.en()))
}

/// The region's "no" to what the registry has on record already.
pub fn refused_by_region(refusal: &Refusal) -> Status {
    let zh = format!("台账已记录，区域未予接受：{}", refusal.zh());
    refused_as(
        refusal,
        &Bilingual::new(zh, format!("the registry has it on record, the region refused: {}", refusal.en())),
    )
}

fn refused_as(refusal: &Refusal, text: &Bilingual) -> Status {
    let mut more = Vec::new();
    if let Refusal::InvalidField { field, rule } = refusal {
        let (field, rule) = (shortened(field, FIELD_CHARS_MAX), shortened(rule, RULE_CHARS_MAX));
        more.push(BadRequest::with_violation(field, rule).into());
    }
    let parameters = parameters_of(refusal).into_iter().collect();
    with_details(code_of(refusal.kind()), refusal.code(), text, parameters, more)
}

/// The status of an outcome that is not a yes; `None` for a yes.
pub fn not_accepted(outcome: &Outcome) -> Option<Status> {
    let revision = ("revision", outcome.revision.to_string());
    match &outcome.verdict {
        Verdict::Accepted => None,
        Verdict::Refused(refusal) => Some(refused(refusal)),
        Verdict::Expired => {
            let text = Bilingual::fixed(
                "该命令已过有效期（请求编号中的时间起 24 小时），请用新的请求编号重新提出；并请核对本机时钟。",
                "the command came after its time (24 hours after the time in its request id); ask again under a new request \
                 id, and check this machine's clock",
            );
            Some(error(Code::FailedPrecondition, "EXPIRED", &text, &[revision]))
        }
        Verdict::IdReused => {
            let text = Bilingual::fixed(
                "该请求编号已用于内容不同的命令，请使用新的请求编号。",
                "this request id was used before for another command; use a new one",
            );
            Some(error(Code::InvalidArgument, "REQUEST_ID_REUSED", &text, &[revision]))
        }
    }
}

/// Fields that break their rules.
pub fn violated(violations: &[Violation]) -> Status {
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    let fields = fields.join(", ");
    let text = Bilingual::new(format!("请求中的字段不合要求：{fields}"), format!("fields break their rules: {fields}"));
    let describe = |violation: &Violation| {
        // Each language for itself: cut as one, the end of the first and the beginning of the second would be gone.
        let [en, zh] = [&violation.rule.en, &violation.rule.zh].map(|rule| shortened(rule, RULE_CHARS_MAX));
        FieldViolation::new(shortened(&violation.field, FIELD_CHARS_MAX), format!("{en} / {zh}"))
    };
    let bad = BadRequest::new(violations.iter().take(VIOLATIONS_MAX).map(describe).collect::<Vec<_>>());
    with_details(Code::InvalidArgument, "INVALID_FIELDS", &text, HashMap::new(), vec![bad.into()])
}

/// One field that breaks its rule.
pub fn violated_one(field: &str, zh: &'static str, en: &'static str) -> Status {
    violated(&[Violation { field: field.to_owned(), rule: Bilingual::fixed(zh, en) }])
}

/// The table of rights said no.
pub fn denied(denied: &Denied) -> Status {
    let code = match denied {
        Denied::NoSuchMethod { .. } => Code::Unimplemented,
        _ => Code::PermissionDenied,
    };
    error(code, denied.code(), &denied.text(), &[])
}

/// Nothing of that kind and name.
pub fn not_found(kind: &str, id: &str) -> Status {
    refused(&Refusal::not_found(kind, id))
}

/// A look that took longer than its caller waits.
pub fn too_slow() -> Status {
    let text =
        Bilingual::fixed("查询超时，请放宽时限或缩小范围", "the look took too long; allow more time, or ask for less");
    error(Code::DeadlineExceeded, "TOO_SLOW", &text, &[])
}

/// A stream that ends because the node does, or what it does not begin any more.
pub fn stopping() -> Status {
    let en = "this node is stopping; go to another one, or come again in a moment";
    error(Code::Unavailable, "STOPPED", &Bilingual::fixed("本节点正在停止，请改用其他节点，或稍后再试", en), &[])
}

/// A failure of this node that no caller can mend.
pub fn internal(what: &'static str) -> Status {
    tracing::error!(what, "an internal failure");
    error(Code::Internal, "INTERNAL", &Bilingual::new("本节点内部故障", what), &[])
}

/// The reason code of a status made here.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

#[cfg(test)]
mod tests {
    use shouwang_domain::actor::Role;
    use shouwang_domain::quantity::Qty;
    use shouwang_domain::time::Timestamp;

    use super::*;

    #[test]
    fn a_status_fits_the_headers_it_travels_in() {
        let long = "乌".repeat(100_000);
        let violation = Violation { field: long.clone(), rule: Bilingual::new(long.clone(), long.clone()) };
        let text = Bilingual::new(long.clone(), long.clone());
        for status in [
            violated(&vec![violation; 1000]),
            error(Code::NotFound, "NOT_FOUND", &text, &[("kind", long.clone()), ("id", long.clone())]),
            refused(&Refusal::field(&long, &long)),
            not_found(&long, &long),
        ] {
            let headers = status
                .into_http::<()>()
                .headers()
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 32)
                .sum::<usize>();
            assert!(headers < 16 * 1024, "{headers} bytes of headers");
        }
    }

    #[test]
    fn refusals_carry_code_reason_parameters_and_both_sentences() {
        let cases = [
            (Refusal::not_found("lot", 7), Code::NotFound, "NOT_FOUND", ("kind", "lot")),
            (Refusal::exists("lot", 7), Code::AlreadyExists, "ALREADY_EXISTS", ("id", "7")),
            (Refusal::field("qty", "more"), Code::InvalidArgument, "INVALID_FIELD", ("field", "qty")),
            (
                Refusal::RoleNotAllowed { role: Role::Duty, command: "pledge".to_owned() },
                Code::PermissionDenied,
                "ROLE_NOT_ALLOWED",
                ("role", "duty"),
            ),
            (
                Refusal::BelowFloor { wanted: Qty(9), pledgeable: Qty(4), floor: Qty(5) },
                Code::FailedPrecondition,
                "BELOW_FLOOR",
                ("pledgeable", "4"),
            ),
            (Refusal::TooLate { due: Timestamp(5) }, Code::FailedPrecondition, "TOO_LATE", ("due", "5")),
            (
                Refusal::LimitReached { what: "offers".to_owned(), limit: 100 },
                Code::ResourceExhausted,
                "LIMIT_REACHED",
                ("limit", "100"),
            ),
        ];
        for (refusal, code, expected, (key, value)) in cases {
            let status = refused(&refusal);
            assert_eq!(status.code(), code, "{expected}");
            let details = status.check_error_details_vec().unwrap();
            let info = status.get_details_error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (expected, ERROR_DOMAIN));
            assert_eq!(info.metadata.get(key).map(String::as_str), Some(value), "{expected}");
            assert!(!info.metadata.contains_key("reason"));
            let locales: Vec<String> = details
                .iter()
                .filter_map(|detail| match detail {
                    ErrorDetail::LocalizedMessage(message) => Some(message.locale.clone()),
                    _ => None,
                })
                .collect();
            assert_eq!(locales, ["zh-CN", "en"]);
        }
    }

    #[test]
    fn only_a_yes_is_no_error() {
        let outcome = |verdict| Outcome { revision: 3, at: Timestamp(1), verdict };
        assert!(not_accepted(&outcome(Verdict::Accepted)).is_none());
        for (verdict, code, expected) in [
            (Verdict::Refused(Refusal::ExerciseMixed), Code::FailedPrecondition, "EXERCISE_MIXED"),
            (Verdict::Expired, Code::FailedPrecondition, "EXPIRED"),
            (Verdict::IdReused, Code::InvalidArgument, "REQUEST_ID_REUSED"),
        ] {
            let status = not_accepted(&outcome(verdict)).unwrap();
            assert_eq!((status.code(), reason(&status).as_deref()), (code, Some(expected)));
        }
    }

    #[test]
    fn violations_name_every_field() {
        let violation =
            |field: &str| Violation { field: field.to_owned(), rule: Bilingual::fixed("必填", "required") };
        let status = violated(&[violation("request_id"), violation("lines[2].quantity")]);
        assert_eq!(status.code(), Code::InvalidArgument);
        let bad = status.get_details_bad_request().unwrap();
        let fields: Vec<&str> = bad.field_violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["request_id", "lines[2].quantity"]);
        assert_eq!(bad.field_violations[0].description, "required / 必填");
    }

    #[test]
    fn a_rule_is_told_whole_in_both_languages() {
        let (zh, en) = ("须".repeat(RULE_CHARS_MAX), "x".repeat(RULE_CHARS_MAX));
        let rule = Bilingual::new(zh.clone(), en.clone());
        let bad = violated(&[Violation { field: "lines".to_owned(), rule }]).get_details_bad_request().unwrap();
        assert_eq!(bad.field_violations[0].description, format!("{en} / {zh}"));
    }
}
