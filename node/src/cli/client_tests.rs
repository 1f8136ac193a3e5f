//! What every command that talks to a node may count on.

use tonic_types::ErrorDetails;

use super::*;

#[test]
fn failures_end_with_the_code_that_scripts_decide_by() {
    for (code, exit) in [
        (Code::FailedPrecondition, Exit::Refused),
        (Code::AlreadyExists, Exit::Exists),
        (Code::InvalidArgument, Exit::Usage),
        (Code::NotFound, Exit::NotFound),
        (Code::PermissionDenied, Exit::Permission),
        (Code::DeadlineExceeded, Exit::Deadline),
        (Code::Unavailable, Exit::Unavailable),
        (Code::DataLoss, Exit::Damaged),
        (Code::Internal, Exit::Failure),
    ] {
        assert_eq!(failed(&Status::new(code, "x"), Lang::En).exit, exit, "{code:?}");
    }
}

#[test]
fn a_connection_that_ends_under_a_call_is_no_answer_of_the_node() {
    let status = Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::BrokenPipe)));
    assert_eq!(status.code(), Code::Unknown);
    let failure = failed(&status, Lang::En);
    assert_eq!((failure.exit, failure.code), (Exit::Unavailable, "CONNECTION_LOST"));
    assert_eq!(failed(&Status::unknown("the node does not know"), Lang::En).exit, Exit::Failure);
}

#[test]
fn who_is_not_let_in_any_more_is_told_so_and_need_not_try_again() {
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRevoked);
    let status = Status::from_error(Box::new(std::io::Error::other(alert)));
    let failure = failed(&status, Lang::En);
    assert_eq!((failure.exit, failure.code), (Exit::Permission, "CERTIFICATE_REFUSED"));
    assert!(failure.text.en.contains("CertificateRevoked") && failure.text.zh.contains("吊销"), "{failure:?}");
    assert!(!super::super::watch::passes(&status), "a watch would go on knocking for ever");
}

#[test]
fn a_refusal_is_told_in_the_readers_language_with_its_reason() {
    let mut details = ErrorDetails::new();
    details.set_error_info("NOT_ENOUGH", "shouwang", std::collections::HashMap::new());
    details.set_localized_message("zh-CN", "承诺中只剩 20");
    details.add_bad_request_violation("quantity", "at most 20");
    let status = Status::with_error_details(Code::FailedPrecondition, "only 20 free", details);
    let zh = failed(&status, Lang::Zh);
    assert_eq!((zh.exit, zh.code), (Exit::Refused, "NOT_ENOUGH"));
    assert_eq!(zh.text.zh, "承诺中只剩 20\n  quantity: at most 20");
    assert!(failed(&status, Lang::En).text.en.starts_with("only 20 free"));
}

fn client(request_id: uuid::Uuid) -> Client {
    let identity: crate::auth::Identity =
        "spiffe://wuhai.example/municipality/150300/operator/op-1/duty".parse().unwrap();
    Client {
        channel: tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy(),
        region: String::new(),
        output: Format::Table,
        lang: Lang::En,
        identity,
        linearizable: false,
        timeout: Duration::from_secs(1),
        request_id,
        journal: PathBuf::new(),
    }
}

#[tokio::test]
async fn a_command_repeated_under_its_id_says_the_same_times() {
    let id = uuid::Uuid::parse_str("0190f3a2-7b1c-7d2e-8f00-0123456789ab").unwrap();
    let later = crate::cli::parse::when("+4h").unwrap();
    assert_eq!(client(id).moment(later), client(id).moment(later));
    let asked = id.get_timestamp().unwrap().to_unix().0;
    assert_eq!(client(id).moment(later).seconds, i64::try_from(asked).unwrap() + 4 * 3600);
    let slip = crate::cli::parse::when("+1h").unwrap();
    assert_eq!(client(uuid::Uuid::now_v7()).happened(Some(slip)).unwrap_err().code, "TIME_TO_COME");
    assert_eq!(client(id).happened(None).unwrap(), None);
}

#[tokio::test]
async fn ids_are_in_the_journal_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("deep").join("requests.jsonl");
    let client = Client { journal: journal.clone(), ..client(uuid::Uuid::now_v7()) };
    let answer = client.change("stock count", async |request_id| {
        let text = std::fs::read_to_string(&journal).unwrap();
        assert!(text.contains(&request_id) && text.contains("stock count") && text.ends_with('\n'), "{text}");
        Err::<Response<shouwang_proto::v1::CountStockResponse>, _>(Status::deadline_exceeded("late"))
    });
    let failure = answer.await.unwrap_err();
    assert_eq!(failure.exit, Exit::Deadline);
    assert!(failure.text.en.contains(&format!("shouwang outcome {}", client.request_id)), "{}", failure.text.en);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    use shouwang_proto::v1::{ListStoresResponse, Store};
    let client = client(uuid::Uuid::now_v7());
    let mut tokens = Vec::new();
    let whole = client
        .all(async |token: String| {
            tokens.push(token.clone());
            let next_page_token = match token.as_str() {
                "" => "a".to_owned(),
                "a" => "b".to_owned(),
                _ => String::new(),
            };
            let stores = vec![Store::default()];
            Ok(Response::new(ListStoresResponse { stores, next_page_token, ..ListStoresResponse::default() }))
        })
        .await
        .unwrap();
    assert_eq!((tokens, whole.stores.len()), (vec![String::new(), "a".to_owned(), "b".to_owned()], 3));
    let endless = client.all(async |_| {
        let next_page_token = "more".to_owned();
        Ok(Response::new(ListStoresResponse { next_page_token, ..ListStoresResponse::default() }))
    });
    assert_eq!(endless.await.unwrap_err().code, "LIST_TOO_LONG");
}
