//! Raw pass-through: `/{provider}/…` is the provider's own API, with the gateway's keys. Nothing is translated; the answer comes back
//! as it is.
//!
//! It goes through our own connections ([`engine`]), so that another key of the provider takes over when one is refused; a WebSocket too
//! ([`socket`]). An upload is streamed ([`upload`]): of that, another key takes over only at the beginning. Never another provider: what
//! is asked here means nothing elsewhere.

mod engine;
mod headers;
mod keys;
mod socket;
mod stored;
mod target;
mod upload;
mod vectors;

use std::time::Instant;

use bytes::Bytes;
use heliostat_filters::json::{Document, ScanError, ScanLimits, Shape};
use http::{HeaderMap, header};

use self::keys::{Books, Keys};
pub use self::target::{Target, decoded};
use self::upload::Upload;
use super::accept;
use super::attempt::{Interrupt, Waiting};
use super::context::{Context, Outcome};
use super::endpoint::Ask;
use super::problem::Problem;
use super::waits::counted;
use super::{Gateway, attributes, body, plan, reply};
use crate::config::{Candidate, Limits};
use crate::live::Live;
use crate::proxy::session::Session;
use crate::telemetry::event::StageKind;
use crate::upstream::limit::{Full, Gate, Permit};

/// A body of this length, if announced, is held so that it can be sent again; JSON up to `limits.body_bytes`.
const HELD_BYTES: u64 = 4 << 20;

/// What of a body is read: which model it is for.
static MODEL: Shape = Shape::Open { members: &[("model", &Shape::Opaque)], elements: None };

/// An admitted raw request.
pub struct Pass {
    target: Target,
    keys: Keys,
    way: Way,
    /// Its place at the provider, until the request ends.
    permit: Option<Permit>,
}

/// How the body of a raw request goes upstream.
enum Way {
    /// It is here.
    Held(Bytes),
    /// As it arrives.
    Streamed(Box<Upload>),
}

impl Default for Way {
    fn default() -> Self {
        Self::Held(Bytes::new())
    }
}

/// Admits a request for no endpoint of the gateway's own, if it is a raw one: who sends it, how it goes, which model it is for.
///
/// # Errors
/// `unknown` where its path names no provider; 400 for a bad path, 401, or what [`body::read_raw`] refuses.
pub async fn admit(session: &mut Session<'_>, context: &mut Context, unknown: Problem) -> Result<Ask, Problem> {
    let live = context.live.clone();
    let uri = &session.req_header().uri;
    let target = match Target::read(uri.path(), uri.query(), &live.snapshot)? {
        Some(target) => target,
        None => match stored::target(uri.path(), uri.query(), &live.snapshot)? {
            Some(target) => target,
            None => vectors::target(uri.path(), uri.query(), &live.snapshot)?.ok_or(unknown)?,
        },
    };
    context.dialect = target.provider.speaks(target.model().unwrap_or_default()).dialect;
    context.endpoint = Ask::PassThrough.name();
    let headers = &session.req_header().headers;
    let in_url = target.key.as_deref().or_else(|| headers::key_in_protocol(headers)).map(str::as_bytes);
    context.client = accept::authenticate_by(accept::offered(headers).or(in_url), &live.snapshot)?.map(str::to_owned);
    let limits = &live.snapshot.limits;
    let way = match is_upload(session) {
        true => Way::Streamed(Box::new(Upload::new(session, limits)?)),
        // The bytes of a socket are no body.
        false if is_web_socket(session) => Way::default(),
        false => Way::Held(body::read_raw(session, limits, context.body_place()).await?),
    };
    let wanted = &live.snapshot.observability.attributes;
    let looked_into = target.model().is_none() || attributes::look_into_bodies(wanted);
    let document = if looked_into { document(&way, &session.req_header().headers, limits)? } else { None };
    let model = model(&target, document.as_ref());
    if let Some(document) = &document {
        attributes::of_body(wanted, document, &mut context.outcome);
    }
    context.outcome.asked_model = model.chars().take(256).collect();
    context.outcome.bytes_in = if let Way::Held(body) = &way { body.len() as u64 } else { 0 };
    let candidate = Candidate::new(&target.provider, model);
    let clocks = plan::clocks(&session.req_header().headers, std::slice::from_ref(&candidate), context.started)?;
    context.pass = Some(Box::new(Pass { target, keys: Keys::new(candidate, clocks), way, permit: None }));
    Ok(Ask::PassThrough)
}

/// Serves an admitted raw request.
///
/// # Errors
/// The client cannot be written to.
pub async fn serve(gateway: &Gateway, session: &mut Session<'_>, context: &mut Context, mut pass: Box<Pass>) -> pingora::Result<()> {
    let live = context.live.clone();
    if let Some(gate) = live.gates.of(pass.keys.candidate.provider.index) {
        match enter(gate, session, context, &pass).await? {
            Ok(permit) => pass.permit = Some(permit),
            Err(full) => {
                let problem =
                    Problem::new(503, "concurrency_limit", format!("The provider is at its limit here: {full}. Try again in a second."));
                return reply::problem(session, context, &Problem { retry_after_s: Some(1), ..problem.closing() }).await;
            }
        }
    }
    engine::run(gateway, session, context, *pass).await
}

/// Waits for a place. What is held whole is given up when its client leaves meanwhile; the bytes of an upload are not to be touched here.
///
/// # Errors
/// The client left.
async fn enter(gate: &Gate, session: &mut Session<'_>, context: &mut Context, pass: &Pass) -> pingora::Result<Result<Permit, Full>> {
    let (began, deadline) = (Instant::now(), pass.keys.clocks.first_byte);
    let waited = &mut context.outcome.waits.queue;
    let entered = match pass.way {
        Way::Streamed(_) => Ok(counted(waited, gate.enter(deadline)).await),
        Way::Held(_) => Waiting { client: Some(session), waited }.on(deadline, gate.enter(deadline)).await,
    };
    context.outcome.waited(StageKind::Queue, began);
    match entered {
        Ok(entered) => return Ok(entered),
        Err(Interrupt::ClientGone) => engine::gone(context)?,
        Err(Interrupt::Deadline | Interrupt::Stopping) => {}
    }
    Ok(Err(Full::Waited))
}

/// Where attempts are written down.
fn books<'a>(gateway: &'a Gateway, live: &'a Live, outcome: &'a mut Outcome) -> Books<'a> {
    Books { live, telemetry: &gateway.telemetry, outcome }
}

/// Bodies of unknown length, and long ones, unless they are JSON.
fn is_upload(session: &mut Session<'_>) -> bool {
    if is_web_socket(session) || session.is_body_empty() {
        return false;
    }
    let headers = &session.req_header().headers;
    !is_json(headers) && body::announced_bytes(session).is_none_or(|length| length > HELD_BYTES)
}

/// Any other upgrade is ignored, as HTTP allows.
fn is_web_socket(session: &Session<'_>) -> bool {
    let upgrade = session.req_header().headers.get(header::UPGRADE);
    session.is_upgrade_req() && upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

/// The model a request is for, as far as can be seen: by its path, else by its JSON body. It decides which keys may be used.
fn model(target: &Target, document: Option<&Document>) -> String {
    let of_body = || Some(document?.root().get("model")?.text()?.into_owned());
    target.model().map(str::to_owned).or_else(of_body).unwrap_or_default()
}

/// A JSON body, scanned. One that names its model twice is refused, for the provider might read the other one.
fn document(way: &Way, headers: &HeaderMap, limits: &Limits) -> Result<Option<Document>, Problem> {
    let Way::Held(body) = way else { return Ok(None) };
    if body.is_empty() || !is_json(headers) || headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(None);
    }
    let limits = ScanLimits { depth: limits.depth, ..ScanLimits::default() };
    match Document::scan(body.clone(), &MODEL, limits) {
        Ok(document) => Ok(Some(document)),
        Err(error @ (ScanError::Duplicate { .. } | ScanError::Depth { .. })) => Err(error.into()),
        // What is no JSON is the provider's to refuse.
        Err(_) => Ok(None),
    }
}
