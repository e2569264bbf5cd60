//! Answers the gateway gives by itself: errors, the list of models, health.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use heliostat_filters::dialect::{Client, Model};
use heliostat_filters::loss::{Loss, LossKind};
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use pingora::{Error, ErrorType};

use super::body;
use super::context::{Call, Context};
use super::headers;
use super::plan;
use super::problem::Problem;
use super::waits::counted;
use crate::config::Resolution;
use crate::proxy::session::Session;

/// Answers with a problem in the client's dialect.
///
/// # Errors
/// The client cannot be written to.
pub async fn problem(session: &mut Session<'_>, context: &mut Context, problem: &Problem) -> pingora::Result<()> {
    context.outcome.error_code = Some(problem.code().to_owned());
    context.outcome.error_log = Some(problem.log.clone().unwrap_or_else(|| problem.message.clone()));
    let mut header = headers::base(problem.status(context.dialect), context)?;
    if header.status == StatusCode::UNAUTHORIZED {
        // Every 401 says how to do better (RFC 9110 §11.6.1).
        header.insert_header(WWW_AUTHENTICATE, "Bearer")?;
    }
    if let Some(seconds) = problem.retry_after_s {
        header.insert_header("retry-after", seconds.to_string())?;
    }
    if let Some(retry) = problem.should_retry {
        header.insert_header("x-should-retry", if retry { "true" } else { "false" })?;
    }
    if problem.close {
        session.close_after();
    }
    let body = problem.body(context.dialect, &context.request_id);
    send(session, context, header, "application/json", body).await?;
    if problem.close {
        body::discard(session).await;
    }
    Ok(())
}

/// Answers with the configured models in the asker's shape.
///
/// # Errors
/// The client cannot be written to.
pub async fn models(session: &mut Session<'_>, context: &mut Context, client: &dyn Client) -> pingora::Result<()> {
    let models: Vec<_> = context.live.snapshot.model_ids().into_iter().map(|(id, owner)| Model { id, owner }).collect();
    let header = headers::base(200, context)?;
    send(session, context, header, "application/json", client.write_models(&models)).await
}

/// Answers with one model, if it is one that may be asked for.
///
/// # Errors
/// The client cannot be written to.
pub async fn model(session: &mut Session<'_>, context: &mut Context, client: &dyn Client, id: &str) -> pingora::Result<()> {
    let owner = match context.live.snapshot.resolve(id) {
        Resolution::Route(_) => "heliostat".to_owned(),
        Resolution::Candidate(candidate) => candidate.provider.name.clone(),
        Resolution::Unknown { known } => return problem(session, context, &plan::unknown_model(id, &known, "model")).await,
    };
    let body = client.write_model(&Model { id: id.to_owned(), owner });
    let header = headers::base(200, context)?;
    send(session, context, header, "application/json", body).await
}

/// Answers with a count of tokens that no provider made, and says so.
///
/// # Errors
/// The client cannot be written to.
pub async fn estimate(session: &mut Session<'_>, context: &mut Context, call: &Call) -> pingora::Result<()> {
    let body = call.operation.client.write_count(call.operation.estimate(&call.document));
    context.outcome.losses.push(Loss { path: "input_tokens".into(), kind: LossKind::Estimated });
    let header = headers::base(200, context)?;
    send(session, context, header, "application/json", body).await
}

/// Answers with a constant.
///
/// # Errors
/// The client cannot be written to.
pub async fn json(session: &mut Session<'_>, context: &mut Context, status: u16, body: &'static str) -> pingora::Result<()> {
    let header = headers::base(status, context)?;
    send(session, context, header, "application/json", Bytes::from_static(body.as_bytes())).await
}

/// Writes the head of any answer. During a stop it says that the connection closes.
///
/// # Errors
/// The client cannot be written to.
pub async fn begin(session: &mut Session<'_>, context: &mut Context, header: pingora::http::ResponseHeader) -> pingora::Result<()> {
    if context.in_flight.is_last() {
        session.close_after();
    }
    let written = pin!(session.write_head(header));
    counted(&mut context.outcome.waits.client, written).await
}

/// Writes a piece of an answer's body, and waits until the client's socket has taken it.
///
/// # Errors
/// The client cannot be written to.
pub async fn write(session: &mut Session<'_>, context: &mut Context, piece: Bytes, last: bool) -> pingora::Result<()> {
    let written = pin!(session.write_body(piece, last));
    counted(&mut context.outcome.waits.client, written).await
}

/// The same, until a time: no answer lasts longer because its client does not read. A clock is only set where the client does not take it
/// at once.
///
/// # Errors
/// The client cannot be written to, or has not taken it by then.
pub async fn write_until(
    session: &mut Session<'_>,
    context: &mut Context,
    piece: Bytes,
    last: bool,
    until: Instant,
) -> pingora::Result<()> {
    let mut written = pin!(counted(&mut context.outcome.waits.client, session.write_body(piece, last)));
    let at_once = poll_fn(|cx| match written.as_mut().poll(cx) {
        Poll::Ready(written) => Poll::Ready(Some(written)),
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(written) = at_once.await {
        return written;
    }
    let Ok(written) = tokio::time::timeout_at(until.into(), written).await else {
        let why = "the client did not read the reply within network.timeouts.total_ms";
        context.outcome.error_log = Some(why.to_owned());
        return Error::e_explain(ErrorType::WriteTimedout, why);
    };
    written
}

/// Ends an answer's body.
///
/// # Errors
/// The client cannot be written to.
pub async fn end(session: &mut Session<'_>, context: &mut Context) -> pingora::Result<()> {
    let ended = pin!(session.end_body());
    counted(&mut context.outcome.waits.client, ended).await
}

/// Writes a whole answer.
///
/// # Errors
/// The client cannot be written to.
pub async fn send(
    session: &mut Session<'_>,
    context: &mut Context,
    mut header: pingora::http::ResponseHeader,
    content_type: &str,
    body: Bytes,
) -> pingora::Result<()> {
    context.outcome.status = header.status.as_u16();
    header.insert_header("content-type", content_type)?;
    header.insert_header("content-length", body.len().to_string())?;
    let head_only = session.req_header().method == http::Method::HEAD;
    begin(session, context, header).await?;
    if !head_only {
        write(session, context, body, true).await?;
    }
    end(session, context).await
}
