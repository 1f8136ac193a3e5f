//! Many lots in one call: every row is a command of its own with a verdict of its own, and all travel together.

use std::time::Instant;

use shouwang_domain::ids::LotId;
use shouwang_domain::refusal::Refusal;
use shouwang_domain::registry::command::RegistryCommand;
use shouwang_proto::v1;
use tokio::task::JoinSet;
use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::change::propose;
use super::convert::{stock, words};
use super::fields::{Named, Parsing};
use super::read::view;
use super::request_key::RequestKey;
use super::{Node, deadline, status};

/// Most rows of one call.
pub const ROWS_MAX: usize = 1000;

/// Enters lots. A row with wrong fields is refused by itself; when the record cannot be reached the call fails as a whole,
/// and asking again with the same request id goes on where it stopped.
///
/// # Errors
/// A wrong request id or number of rows, or why the record cannot be reached.
pub async fn open_lots(
    node: &Node,
    request: Request<v1::OpenLotsRequest>,
) -> Result<Response<v1::OpenLotsResponse>, Status> {
    let caller = Caller::of(&request)?;
    let by = deadline::of(&request);
    let request = request.into_inner();
    let mut parsing = node.parsing(&request.request_id);
    let counted = parsing.count("rows", request.rows.len(), 1, ROWS_MAX);
    let key = parsing.key;
    parsing.finish(counted)?;
    let view = view(node.registry()?)?;
    let mut results = Vec::with_capacity(request.rows.len());
    let mut commands = Vec::new();
    for (index, row) in request.rows.iter().enumerate() {
        let (lot, read) = read_row(node.parsing(&request.request_id), index, row);
        let already_there = lot.is_some_and(|lot| view.record.machine().lot(lot).is_some());
        let mut result =
            v1::OpenLotsResult { lot: lot.map(Named::name).unwrap_or_default(), outcome: None, already_there };
        match read {
            Ok(command) => commands.push((index, command)),
            Err(refusal) => result.outcome = Some(unread(&refusal)),
        }
        results.push(result);
    }
    for (index, outcome) in propose_all(node, &caller, &key, commands, by).await? {
        results[index].outcome = Some(outcome);
    }
    Ok(Response::new(v1::OpenLotsResponse { results }))
}

fn read_row(
    mut parsing: Parsing<'_>,
    index: usize,
    row: &v1::OpenLotsRow,
) -> (Option<LotId>, Result<RegistryCommand, Refusal>) {
    let command = stock::read_row(&mut parsing, index, row);
    let wrong = parsing.violations();
    let fields: Vec<&str> = wrong.iter().map(|violation| violation.field.as_str()).collect();
    let rules: Vec<String> = wrong.iter().map(|v| format!("{}: {} / {}", v.field, v.rule.en, v.rule.zh)).collect();
    let refusal = Refusal::field(&fields.join(", "), &rules.join("; "));
    let lot = match &command {
        Some(RegistryCommand::OpenLot { lot, .. }) => Some(*lot),
        _ => stock::read_row_id(&mut parsing, index, row),
    };
    (lot, command.ok_or(refusal))
}

/// The verdict on a row that never became a command.
fn unread(refusal: &Refusal) -> v1::Outcome {
    v1::Outcome {
        verdict: v1::Verdict::Refused.into(),
        refusal: Some(words::refusal(refusal)),
        ..v1::Outcome::default()
    }
}

async fn propose_all(
    node: &Node,
    caller: &Caller,
    key: &RequestKey,
    commands: Vec<(usize, RegistryCommand)>,
    by: Instant,
) -> Result<Vec<(usize, v1::Outcome)>, Status> {
    let mut waiting = JoinSet::new();
    for (index, command) in commands {
        let (registry, caller, key) = (node.registry()?.clone(), caller.clone(), *key);
        waiting.spawn(async move {
            let id = key.derived_command(&format!("row:{index}"));
            (index, propose(&registry, &caller, &key, id, command, by).await)
        });
    }
    let mut outcomes = Vec::new();
    while let Some(done) = waiting.join_next().await {
        let (index, outcome) = done.map_err(|_| status::internal("a row's task ended badly"))?;
        let outcome = outcome?;
        outcomes.push((index, words::outcome(&outcome, String::new())));
    }
    Ok(outcomes)
}
