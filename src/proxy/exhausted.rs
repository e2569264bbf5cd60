//! What the client is told when nothing is left to try.

use heliostat_filters::dialect::Kind;
use heliostat_filters::fault::FaultKind;

use super::attempt::Failure;
use super::context::{Call, Context};
use super::failover::Exhausted;
use super::problem::Problem;
use super::{body, headers, redact, reply};
use crate::fetch::Fault;
use crate::proxy::session::Session;
use crate::upstream::verdict::{Outcome, Scope, Skip, conclude};

/// How much of a provider's words, and of a name in them, the client gets to read, in characters.
const SAID: usize = 1_000;
const NAME: usize = 128;

/// Answers for a request that no candidate served. One attempt in the client's own dialect: the provider's status and body as they are.
///
/// # Errors
/// The client cannot be written to.
pub async fn answer(session: &mut Session<'_>, context: &mut Context, exhausted: Exhausted, call: &Call) -> pingora::Result<()> {
    if call.operation.kind == Kind::CountTokens && !call.strict && nobody_counts(&exhausted) {
        return reply::estimate(session, context, call).await;
    }
    let made = exhausted.faults.iter().filter(|fault| !matches!(fault.outcome, Outcome::Skipped(_))).count();
    if let Some(refusal) = exhausted.refusals.first().filter(|_| made == 0 && only_unfit(&exhausted)) {
        let no_memory = refusal.code == Fault::NO_MEMORY;
        let problem = if no_memory { body::out_of_memory() } else { Problem::from(refusal.clone()) };
        return reply::problem(session, context, &problem).await;
    }
    if made == 1 && exhausted.last_same_dialect && exhausted.last.as_ref().is_some_and(is_an_error) {
        return as_it_is(session, context, exhausted).await;
    }
    let problem = problem(&exhausted, made, context);
    reply::problem(session, context, &problem).await
}

/// Whether no candidate has such a call: by its dialect, or by what it said.
fn nobody_counts(exhausted: &Exhausted) -> bool {
    let absent = |failure: &Failure| failure.fault.kind == FaultKind::NotFound;
    let unsupported = exhausted.refusals.iter().all(|refusal| refusal.code == "unsupported_operation");
    unsupported && exhausted.last.as_ref().map_or_else(|| only_unfit(exhausted), absent)
}

fn only_unfit(exhausted: &Exhausted) -> bool {
    exhausted.faults.iter().all(|fault| fault.outcome == Outcome::Skipped(Skip::Unfit))
}

/// A status that an error may have. A redirect, or a number that is no status, would only puzzle the client.
fn is_an_error(failure: &Failure) -> bool {
    failure.answer.as_ref().is_some_and(|(head, _)| (400..600).contains(&head.status))
}

async fn as_it_is(session: &mut Session<'_>, context: &mut Context, exhausted: Exhausted) -> pingora::Result<()> {
    let Some(failure) = exhausted.last else { return Ok(()) };
    context.outcome.error_log = Some(failure.for_log().to_owned());
    let Some((head, body)) = failure.answer else { return Ok(()) };
    context.outcome.upstream_request_id = headers::upstream_id(&head);
    context.outcome.error_code = Some(failure.fault.code.unwrap_or_else(|| failure.outcome.label().to_owned()));
    let header = headers::relayed(head.status, context, &head)?;
    let content_type = head.text("content-type").unwrap_or("application/json").to_owned();
    reply::send(session, context, header, &content_type, body).await
}

fn problem(exhausted: &Exhausted, made: usize, context: &Context) -> Problem {
    let conclusion = conclude(&exhausted.faults);
    let fault = exhausted.last.as_ref().map(|failure| &failure.fault);
    let of_request = exhausted.faults.last().is_some_and(|fault| fault.outcome.scope() == Scope::Request);
    let said = fault.map(|fault| redact::cut(fault.message.trim(), SAID)).filter(|message| !message.is_empty());
    let message = match (said, made) {
        // The request is wrong: the provider's own words help most.
        (Some(said), _) if of_request => said.to_owned(),
        (_, 0) => format!("No provider could be tried: {}.", attempts(context)),
        (Some(said), 1) => format!("The provider failed: {said} (attempts: {})", attempts(context)),
        (Some(said), _) => format!("All {made} attempts failed: {}. The last said: {said}", attempts(context)),
        (None, _) => format!("All attempts failed: {}.", attempts(context)),
    };
    let code = if of_request { fault.and_then(|fault| fault.code.clone()) } else { None };
    Problem {
        status: conclusion.status,
        code: Some(code.map_or(conclusion.code.into(), |code| redact::cut(&code, NAME).to_owned().into())),
        param: fault.filter(|_| of_request).and_then(|fault| fault.param.as_deref()).map(|param| redact::cut(param, NAME).to_owned()),
        message,
        log: exhausted.last.as_ref().filter(|_| of_request).map(|failure| failure.for_log().to_owned()),
        retry_after_s: conclusion.retry_after_s,
        should_retry: (!of_request).then_some(conclusion.should_retry),
        close: false,
    }
}

/// `openai/gpt-4o: 529, anthropic/claude: timeout_header`
fn attempts(context: &Context) -> String {
    let each = context
        .outcome
        .attempts
        .iter()
        .take(16)
        .map(|record| format!("{}/{}: {}", record.provider, redact::cut(&record.model, NAME), record.word()));
    each.collect::<Vec<_>>().join(", ")
}
