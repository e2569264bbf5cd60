//! What the client is told when nothing is left to try.

use pingora_proxy::Session;

use super::context::Context;
use super::failover::Exhausted;
use super::problem::Problem;
use super::{body, headers, redact, reply};
use crate::fetch::Fault;
use crate::upstream::verdict::{Outcome, Scope, Skip, conclude};

/// Answers for a request that no candidate served. One attempt in the client's own dialect: the provider's status and body as they are.
///
/// # Errors
/// The client cannot be written to.
pub async fn answer(session: &mut Session, context: &mut Context, exhausted: Exhausted) -> pingora::Result<()> {
    let made = exhausted.faults.iter().filter(|fault| !matches!(fault.outcome, Outcome::Skipped(_))).count();
    if let Some(refusal) = exhausted.refusals.first().filter(|_| made == 0 && only_unfit(&exhausted)) {
        let no_memory = refusal.code == Fault::NO_MEMORY;
        let problem = if no_memory { body::out_of_memory() } else { Problem::from(refusal.clone()) };
        return reply::problem(session, context, &problem).await;
    }
    if made == 1 && exhausted.last_same_dialect && exhausted.last.as_ref().is_some_and(|failure| failure.answer.is_some()) {
        return as_it_is(session, context, exhausted).await;
    }
    let problem = problem(&exhausted, made, context);
    reply::problem(session, context, &problem).await
}

fn only_unfit(exhausted: &Exhausted) -> bool {
    exhausted.faults.iter().all(|fault| fault.outcome == Outcome::Skipped(Skip::Unfit))
}

async fn as_it_is(session: &mut Session, context: &mut Context, exhausted: Exhausted) -> pingora::Result<()> {
    let Some(failure) = exhausted.last else { return Ok(()) };
    let Some((head, body)) = failure.answer else { return Ok(()) };
    let body = exhausted.last_secret.as_ref().map_or_else(|| body.clone(), |secret| redact::body(&body, secret));
    context.outcome.upstream_request_id = headers::upstream_id(&head);
    context.outcome.error_code = Some(failure.fault.code.unwrap_or_else(|| failure.outcome.label().to_owned()));
    context.outcome.error_log = Some(failure.fault.message);
    let mut header = headers::base(head.status, context)?;
    headers::add_upstream(&mut header, &head)?;
    let content_type = head.text("content-type").unwrap_or("application/json").to_owned();
    reply::send(session, context, header, &content_type, body).await
}

fn problem(exhausted: &Exhausted, made: usize, context: &Context) -> Problem {
    let conclusion = conclude(&exhausted.faults);
    let fault = exhausted.last.as_ref().map(|failure| &failure.fault);
    let of_request = exhausted.faults.last().is_some_and(|fault| fault.outcome.scope() == Scope::Request);
    let said = fault.map(|fault| fault.message.trim()).filter(|message| !message.is_empty());
    let said = said.map(|message| exhausted.last_secret.as_ref().map_or(message.into(), |secret| redact::secret(message, secret)));
    let message = match (said.as_deref(), made) {
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
        code: Some(code.map_or(conclusion.code.into(), Into::into)),
        param: fault.filter(|_| of_request).and_then(|fault| fault.param.clone()),
        message,
        log: None,
        retry_after_s: conclusion.retry_after_s,
        should_retry: (!of_request).then_some(conclusion.should_retry),
        close: false,
    }
}

/// `openai/gpt-4o: 529, anthropic/claude: timeout_header`
fn attempts(context: &Context) -> String {
    let each = context.outcome.attempts.iter().take(16).map(|record| format!("{}/{}: {}", record.provider, record.model, record.word));
    each.collect::<Vec<_>>().join(", ")
}
