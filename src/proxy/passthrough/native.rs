//! Uploads: Pingora's native loop streams them, and calls these from its phases, in this order: [`begin`] →
//! [`peer`] (again after [`unreachable`], or after [`answer`] asked for another key) → [`request`] → [`body`] → [`answer`] →
//! [`rewrite`]; [`broken`] and [`failed`] if something goes wrong. Each does nothing for other requests, which never come here.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};
use pingora_proxy::{FailToProxy, Session as Driven};

use super::headers::{self, Forwarded};
use super::keys::{self, Keys, Without};
use super::target::Target;
use super::{Pass, Way, books};
use crate::config::Limits;
use crate::proxy::attempt::Ended;
use crate::proxy::context::Context;
use crate::proxy::problem::Problem;
use crate::proxy::propagate::Carried;
use crate::proxy::session::Session;
use crate::proxy::{Gateway, attributes, body as whole, drill, headers as own, reply};
use crate::telemetry::event::{AttemptTimes, StageKind};
use crate::upstream::connect::ConnectError;
use crate::upstream::retry_after as wait;
use crate::upstream::select::Used;
use crate::upstream::verdict::{AttemptFault, Outcome, Phase, Scope};

/// What the phases of one request hand to each other.
#[derive(Debug)]
pub struct State {
    /// Most bytes of body that pass.
    limit_bytes: u64,
    sent_bytes: u64,
    /// The client's headers, as it sent them.
    client: HeaderMap,
    /// A connection had failed once already.
    reconnected: bool,
    /// Another key takes over.
    next_key: bool,
    /// What to tell the client.
    problem: Option<Problem>,
}

impl State {
    /// Before anything was sent.
    ///
    /// # Errors
    /// 413 for a body announced as longer than `limits.upload_bytes`.
    pub fn new(session: &Session<'_>, limits: &Limits) -> Result<Self, Problem> {
        let limit_bytes = limits.upload_bytes as u64;
        if whole::announced_bytes(session).is_some_and(|length| length > limit_bytes) {
            return Err(too_large(limit_bytes));
        }
        Ok(Self {
            limit_bytes,
            sent_bytes: 0,
            client: session.req_header().headers.clone(),
            reconnected: false,
            next_key: false,
            problem: None,
        })
    }
}

/// Before the loop: lets the client send its body.
///
/// # Errors
/// The client cannot be written to.
pub async fn begin(session: &mut Session<'_>) -> pingora::Result<()> {
    if whole::expects_continue(session) {
        session.write_continue().await?;
    }
    Ok(())
}

/// Chooses a key, and with it where to connect.
///
/// # Errors
/// There is no key, or no address.
pub async fn peer(gateway: &Gateway, context: &mut Context) -> pingora::Result<Box<HttpPeer>> {
    let live = context.live.clone();
    let Some(Parts { keys, state, .. }) = parts(&mut context.pass) else {
        return Error::e_explain(ErrorType::InternalError, "only raw requests go through the native loop");
    };
    if let Err(without) = keys.choose(&live) {
        return refuse(state, told(without));
    }
    let (began, patience) = (Instant::now(), Duration::from_millis(keys.candidate.timeouts.total_ms));
    let authorised = tokio::time::timeout(patience, keys.authorise(&live, &gateway.pool)).await;
    context.outcome.waited(StageKind::Token, began);
    if !matches!(authorised, Ok(Ok(()))) {
        return refuse(state, Problem::new(502, "upstream_authentication", "No access token is granted to the gateway's service account."));
    }
    let Some(credential) = keys.current() else { return Error::e_explain(ErrorType::InternalError, "no key") };
    let used = Used { provider: &keys.candidate.provider, credential: credential.index, model: &keys.candidate.model };
    if let Some((fault, until)) = live.lanes.drilled(&used) {
        let Ended::Failed(failure) = drill::at_once(fault, until, &keys.candidate) else {
            return refuse(state, unanswered(true, "A drill."));
        };
        keys.note(AttemptTimes { drill: true, ..keys.times() });
        // The next key, where the drill leaves one; nothing of the upload has been sent.
        if keys.learn(&mut books(gateway, &context.live, &mut context.outcome), failure.attempt_fault()) {
            return Box::pin(peer(gateway, context)).await;
        }
        return refuse(state, drill::problem(&failure));
    }
    let timeouts = keys.candidate.timeouts;
    let mut peer = match gateway.pool.native_peer(&credential.endpoint, &timeouts).await {
        Ok(peer) => peer,
        Err(error) => {
            let late = matches!(error, ConnectError::Timeout);
            let outcome = if late { Outcome::Timeout(Phase::Connect) } else { Outcome::Dns };
            keys.learn(&mut books(gateway, &context.live, &mut context.outcome), AttemptFault { outcome, status: None, retry_after: None });
            return refuse(state, unanswered(late, "The provider's name could not be resolved."));
        }
    };
    let patience = timeouts.header_ms.unwrap_or(timeouts.total_ms);
    // One clock serves the wait for an answer and every silence after it.
    peer.options.read_timeout = Some(Duration::from_millis(patience));
    peer.options.write_timeout = Some(Duration::from_millis(timeouts.total_ms));
    // A connection of its own: most of a long body could not be sent again, were a pooled one found dead.
    peer.group_key = fastrand::u64(..);
    peer.options.idle_timeout = Some(Duration::from_millis(1));
    Ok(Box::new(peer))
}

/// No connection: once more, perhaps to another address, for nothing of the request has been sent.
pub fn unreachable(gateway: &Gateway, context: &mut Context, mut error: Box<Error>) -> Box<Error> {
    let late = matches!(error.etype(), ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout);
    let outcome = if late { Outcome::Timeout(Phase::Connect) } else { Outcome::Connect };
    let Some(Parts { keys, state, .. }) = parts(&mut context.pass) else { return error };
    keys.learn(&mut books(gateway, &context.live, &mut context.outcome), AttemptFault { outcome, status: None, retry_after: None });
    error.set_retry(!std::mem::replace(&mut state.reconnected, true));
    state.problem = Some(unanswered(late, "The provider could not be reached."));
    error
}

/// Makes the client's request the provider's.
///
/// # Errors
/// None in practice.
pub fn request(session: &Driven, to: &mut RequestHeader, context: &mut Context) -> pingora::Result<()> {
    let Some(Parts { target, keys, state }) = parts(&mut context.pass) else { return Ok(()) };
    let Some(credential) = keys.current() else { return Ok(()) };
    let framing: Vec<_> = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
        .into_iter()
        .filter_map(|name| Some((name.clone(), to.headers.get(&name)?.clone())))
        .collect();
    let trace = Carried::new(&state.client, context.trace, keys.times().span, &context.live.snapshot.observability);
    let provider = &keys.candidate.provider;
    let mut fields = Forwarded { provider, credential, token: keys.token.as_ref(), client: &state.client, trace }.fields();
    fields.push((header::CONNECTION, HeaderValue::from_static("close")));
    let path = target.at(credential.base_path(&keys.candidate.model));
    let mut fresh = RequestHeader::build(session.req_header().method.clone(), path.as_bytes(), Some(fields.len() + 2))?;
    fresh.set_version(http::Version::HTTP_11);
    fresh.insert_header(header::HOST, credential.endpoint.authority.as_str())?;
    for (name, value) in fields.into_iter().chain(framing) {
        fresh.append_header(name, value)?;
    }
    *to = fresh;
    Ok(())
}

/// Counts the body as it passes.
///
/// # Errors
/// It is longer than `limits.upload_bytes`.
pub fn body(piece: Option<&Bytes>, context: &mut Context) -> pingora::Result<()> {
    let length = piece.map_or(0, |piece| piece.len() as u64);
    context.outcome.bytes_in += length;
    let Some(Parts { state, .. }) = parts(&mut context.pass) else { return Ok(()) };
    state.sent_bytes += length;
    if state.sent_bytes <= state.limit_bytes {
        return Ok(());
    }
    let problem = too_large(state.limit_bytes);
    refuse(state, problem)
}

/// Learns from an answer's status. Asks for another key where that may help and the body can still be sent again.
///
/// # Errors
/// Another key is to be tried.
pub fn answer(gateway: &Gateway, session: &Driven, answer: &ResponseHeader, context: &mut Context) -> pingora::Result<()> {
    let status = answer.status.as_u16();
    if answer.status.is_informational() {
        return Ok(());
    }
    let Some(Parts { keys, state, .. }) = parts(&mut context.pass) else { return Ok(()) };
    let mut books = books(gateway, &context.live, &mut context.outcome);
    let fault = keys.candidate.speech().dialect.fault(status, b"");
    let text = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
    let stated = wait::parse(text("retry-after-ms"), text("retry-after"), std::time::SystemTime::now());
    let fault = keys::fault(&fault, status, stated);
    if status < 400 || fault.outcome.scope() == Scope::Request {
        keys.answered(&mut books, status);
        return Ok(());
    }
    if (keys.renews(&mut books, &fault) || keys.learn(&mut books, fault)) && !session.as_downstream().retry_buffer_truncated() {
        state.next_key = true;
        let mut error = Error::explain(ErrorType::HTTPStatus(status), "another key takes over").into_up();
        error.set_retry(true);
        return Err(error);
    }
    context.outcome.error_code = Some(fault.outcome.label().to_owned());
    Ok(())
}

/// Makes the provider's answer the client's.
///
/// # Errors
/// None in practice.
pub fn rewrite(answer: &mut ResponseHeader, context: &mut Context) -> pingora::Result<()> {
    if parts(&mut context.pass).is_none() || answer.status.is_informational() {
        return Ok(());
    }
    let text = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    context.outcome.upstream_request_id = own::UPSTREAM_IDS.iter().find_map(|name| text(name));
    context.outcome.status = answer.status.as_u16();
    context.outcome.stream = text("content-type").is_some_and(|value| value.starts_with("text/event-stream"));
    context.outcome.first_content = Some(Instant::now());
    let live = context.live.clone();
    let said = |name: &str| answer.headers.get(name)?.to_str().ok();
    attributes::of_answer(&live.snapshot.observability.attributes, &mut context.outcome, said);
    headers::rewrite(answer, context)
}

/// Something broke while bytes went back and forth, or another key takes over.
pub fn broken(gateway: &Gateway, session: &Driven, context: &mut Context, mut error: Box<Error>) -> Box<Error> {
    let Some(Parts { keys, state, .. }) = parts(&mut context.pass) else { return error };
    if std::mem::take(&mut state.next_key) {
        return error;
    }
    error.set_retry(false);
    if state.problem.is_some() {
        return error;
    }
    if *error.esource() == ErrorSource::Downstream {
        context.outcome.client_gone = true;
        return error;
    }
    let late = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
    state.problem = Some(unanswered(late, "The connection to the provider broke before it answered."));
    let outcome = if late { Outcome::Timeout(Phase::Header) } else { Outcome::Reset { before_any_byte: true, reused: false } };
    keys.learn(&mut books(gateway, &context.live, &mut context.outcome), AttemptFault { outcome, status: None, retry_after: None });
    if session.response_written().is_some() {
        context.outcome.error_code = Some("reply_truncated".to_owned());
    }
    error
}

/// The end of a request that failed: tells the client why, unless it left or has an answer already. Runs for every request whose
/// phases returned an error.
pub async fn failed(gateway: &Gateway, session: &mut Session<'_>, error: &Error, context: &mut Context) -> FailToProxy {
    use ErrorType::{ConnectionClosed, ReadError, WriteError, WriteTimedout};
    let problem = parts(&mut context.pass).and_then(|parts| parts.state.problem.take());
    if let (Some(Parts { keys, .. }), true) = (parts(&mut context.pass), context.outcome.client_gone) {
        keys.abandoned(&mut books(gateway, &context.live, &mut context.outcome));
    }
    // Without a problem of the provider's these speak of the client's connection.
    let broke = matches!(error.etype(), ConnectionClosed | ReadError | WriteError | WriteTimedout);
    let gone = context.outcome.client_gone || (broke && problem.is_none());
    let untold = session.response_written().is_none_or(|written| written.status.is_informational());
    let problem = problem.unwrap_or_else(|| {
        let problem = Problem::new(500, "internal_error", "The gateway failed on this request. Its log says why.");
        Problem { log: Some(error.to_string()), ..problem }
    });
    let told = untold && !gone && reply::problem(session, context, &problem.closing()).await.is_ok();
    FailToProxy { error_code: if told { context.outcome.status } else { 0 }, can_reuse_downstream: false }
}

/// A raw request, taken apart.
struct Parts<'p> {
    target: &'p Target,
    keys: &'p mut Keys,
    state: &'p mut State,
}

/// `None` for what does not go through the native loop.
fn parts(pass: &mut Option<Box<Pass>>) -> Option<Parts<'_>> {
    let Pass { target, keys, way, .. } = pass.as_mut()?.as_mut();
    match way {
        Way::Native(state) => Some(Parts { target, keys, state }),
        Way::Engine(_) => None,
    }
}

fn refuse<T>(state: &mut State, problem: Problem) -> pingora::Result<T> {
    let status = problem.status;
    state.problem = Some(problem);
    Error::e_explain(ErrorType::HTTPStatus(status), "refused here")
}

fn told(without: Without) -> Problem {
    match without {
        Without::Problem(problem) => problem,
        // The body is under way: it cannot wait here.
        Without::Until(until) => {
            let seconds = until.saturating_duration_since(Instant::now()).as_secs().saturating_add(1);
            let message = format!("Every key of the provider is rate-limited. Try again in {seconds} s.");
            Problem { retry_after_s: Some(seconds), should_retry: Some(true), ..Problem::new(429, "rate_limit_exceeded", message) }
        }
    }
}

fn unanswered(late: bool, what: &str) -> Problem {
    match late {
        true => Problem::new(504, "upstream_timeout", format!("{what} It took too long.")),
        false => Problem::new(502, "upstream_unreachable", what),
    }
}

fn too_large(limit_bytes: u64) -> Problem {
    let message = format!("The request body is larger than {limit_bytes} bytes. Send less, or raise limits.upload_bytes.");
    Problem::new(413, "request_too_large", message).closing()
}
