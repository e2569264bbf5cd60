//! A raw request through our own connections: while its body is at hand, another key can take over until an answer is begun.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use heliostat_filters::dialect::openai::Tail;
use heliostat_filters::json::Pieces;
use http::{Method, StatusCode};

use super::headers::{self, Forwarded, Framing, Links};
use super::keys::{self, Keys, Without};
use super::upload::Upload;
use super::{Pass, Way, books, is_web_socket, socket};
use crate::config::{Credential, Secret};
use crate::live::Live;
use crate::proxy::attempt::{self, Attempt, AttemptClocks, Ended, Failure, Interrupt, Waiting};
use crate::proxy::context::Context;
use crate::proxy::problem::Problem;
use crate::proxy::propagate::Carried;
use crate::proxy::relay::{RelayClocks, Rest};
use crate::proxy::session::Session;
use crate::proxy::{Gateway, attributes, body, drill, headers as own, redact, relay, reply};
use crate::telemetry::event::{AttemptTimes, StageKind};
use crate::upstream::head::Head;
use crate::upstream::pool::{Lease, Pool};
use crate::upstream::select::Used;
use crate::upstream::verdict::Scope;

/// So much of an error's body is read before it is passed on, and so long: it tells what is wrong with a key.
const ERROR_BYTES: usize = 64 << 10;
const ERROR_WAIT: Duration = Duration::from_secs(2);

/// An answer of which the head has arrived.
struct Answer {
    head: Head,
    /// What has been read of its body.
    held: Bytes,
    /// The connection, where there may be more.
    rest: Option<Lease>,
}

impl Answer {
    /// The same, should the provider echo the secret that it refused.
    fn without(mut self, secret: &Secret) -> Self {
        if self.rest.is_none() {
            self.held = redact::body(&self.held, secret);
        }
        self
    }
}

/// A raw request on its way.
struct Engine<'a> {
    gateway: &'a Gateway,
    pass: Pass,
    body: Pieces,
    /// The body instead, where it is streamed.
    upload: Option<Upload>,
    method: Method,
    /// An attempt without an answer may be repeated once: a pooled connection had died, or the method changes nothing.
    repeated: bool,
}

/// Runs a raw request to its end.
///
/// # Errors
/// The client left or cannot be written to, or the provider broke off within its answer.
pub async fn run(gateway: &Gateway, session: &mut Session<'_>, context: &mut Context, mut pass: Pass) -> pingora::Result<()> {
    let (body, upload) = match std::mem::take(&mut pass.way) {
        Way::Held(body) => (Pieces::one(body), None),
        Way::Streamed(upload) => (Pieces::default(), Some(*upload)),
    };
    let method = session.req_header().method.clone();
    let provider = pass.keys.candidate.provider.clone();
    let mut engine = Engine { gateway, pass, body, upload, method, repeated: false };
    let mut again = None;
    loop {
        let chosen = match again.take() {
            Some(index) => Some(index),
            None => engine.choose(session, context).await?,
        };
        let Some(credential) = chosen.and_then(|index| provider.credentials.get(index)) else { return Ok(()) };
        let failure = match engine.attempt(session, context, credential).await {
            Ok(answer) if engine.judge(context, credential, &answer) => continue,
            Ok(answer) => return engine.answer(session, context, answer, credential).await,
            Err(Ended::ClientGone) => {
                engine.pass.keys.abandoned(&mut books(gateway, &context.live, &mut context.outcome));
                return match engine.upload.and_then(|upload| upload.refused) {
                    Some(problem) => reply::problem(session, context, &problem).await,
                    None => gone(context),
                };
            }
            Err(Ended::Failed(failure)) => failure,
        };
        let drilled = engine.upload.is_some() && engine.pass.keys.times().drill;
        let another = engine.pass.keys.learn(&mut books(gateway, &context.live, &mut context.outcome), failure.attempt_fault());
        if drilled && another {
            continue;
        }
        if !engine.may_repeat(&failure, &context.live) {
            let problem = if drilled { drill::problem(&failure) } else { problem(&failure, &provider.name, credential) };
            let problem = if engine.is_sending() { problem.closing() } else { problem };
            return reply::problem(session, context, &problem).await;
        }
        engine.repeated = true;
        engine.pass.keys.again(credential.index);
        again = Some(credential.index);
    }
}

impl Engine<'_> {
    /// Whether the client has yet to send some of an upload.
    fn is_sending(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| !upload.has_ended())
    }

    /// The client's side, where a byte from there does not belong to the body.
    fn watched<'w, 's>(&self, session: &'w mut Session<'s>) -> Option<&'w mut Session<'s>> {
        (!self.is_sending()).then_some(session)
    }

    /// A key to go with; `None` where the client has been told that there is none.
    async fn choose(&mut self, session: &mut Session<'_>, context: &mut Context) -> pingora::Result<Option<usize>> {
        loop {
            match self.pass.keys.choose(&context.live) {
                Ok(credential) => return Ok(Some(credential)),
                Err(Without::Problem(problem)) => return reply::problem(session, context, &problem).await.map(|()| None),
                Err(Without::Until(until)) => {
                    let mut waiting = Waiting { client: self.watched(session), waited: &mut context.outcome.waits.queue };
                    let began = Instant::now();
                    let ended = waiting.on(until, std::future::pending::<()>()).await;
                    context.outcome.waited(StageKind::CoolDown, began);
                    if ended == Err(Interrupt::ClientGone) {
                        gone(context)?;
                    }
                }
            }
        }
    }

    async fn attempt(&mut self, session: &mut Session<'_>, context: &mut Context, credential: &Credential) -> Result<Answer, Ended> {
        self.authorise(session, context).await?;
        let candidate = &self.pass.keys.candidate;
        let forwarded = Forwarded {
            provider: &candidate.provider,
            credential,
            token: self.pass.keys.token.as_ref(),
            client: &session.req_header().headers,
            trace: Carried::new(
                &session.req_header().headers,
                context.trace,
                self.pass.keys.times().span,
                &context.live.snapshot.observability,
            ),
        };
        let path = self.pass.target.at(credential.base_path(&candidate.model));
        let head = forwarded.write(&self.method, &path, &self.framing(session));
        let attempt = Attempt {
            pool: &self.gateway.pool,
            candidate,
            credential,
            head: &head,
            body: &self.body,
            same_dialect: true,
            fresh: self.repeated,
            upgrade: super::is_web_socket(session) || self.upload.is_some(),
            others: false,
            clocks: self.clocks(Instant::now()),
        };
        let mut waiting = Waiting { client: self.watched(session), waited: &mut context.outcome.waits.upstream };
        let mut times = self.pass.keys.times();
        let used = Used { provider: &candidate.provider, credential: credential.index, model: &candidate.model };
        if let Some((fault, until)) = context.live.lanes.drilled(&used) {
            times.drill = true;
            let ended = match &self.upload {
                None => drill::fail(fault, until, candidate, attempt.clocks, waiting).await,
                Some(_) => drill::at_once(fault, until, candidate),
            };
            self.pass.keys.note(times);
            return Err(ended);
        }
        let opened = match &mut self.upload {
            None => attempt.open(&mut waiting, &mut times).await,
            Some(upload) => opened_by(upload, attempt, session, context, &mut times).await,
        };
        let mut waiting = Waiting { client: self.watched(session), waited: &mut context.outcome.waits.upstream };
        self.pass.keys.note(times);
        let (head, mut lease) = opened?;
        if self.method == Method::HEAD {
            lease.connection.without_body();
        }
        if head.status < 400 {
            return Ok(Answer { head, held: Bytes::new(), rest: Some(lease) });
        }
        hold(head, lease, &self.gateway.pool, &mut waiting).await
    }

    async fn authorise(&mut self, session: &mut Session<'_>, context: &mut Context) -> Result<(), Ended> {
        let began = Instant::now();
        let until = self.clocks(began).header;
        let mut waiting = Waiting { client: self.watched(session), waited: &mut context.outcome.waits.upstream };
        let authorised = waiting.on(until, self.pass.keys.authorise(&context.live, &self.gateway.pool)).await;
        context.outcome.waited(StageKind::Token, began);
        match authorised {
            Ok(Ok(())) => Ok(()),
            Ok(Err(denied)) => Err(attempt::no_token(&denied.to_string())),
            Err(Interrupt::ClientGone) => Err(Ended::ClientGone),
            Err(Interrupt::Deadline | Interrupt::Stopping) => Err(attempt::no_token("it did not come in time")),
        }
    }

    fn framing(&self, session: &Session<'_>) -> Framing {
        if let Some(upload) = &self.upload {
            return upload.framing();
        }
        let has_body = self.body.len_bytes > 0 || matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        match (is_web_socket(session), has_body) {
            (true, _) => Framing::Socket,
            (false, true) => Framing::Length(self.body.len_bytes as u64),
            (false, false) => Framing::None,
        }
    }

    fn clocks(&self, now: Instant) -> AttemptClocks {
        let Keys { candidate, clocks, .. } = &self.pass.keys;
        let timeouts = &candidate.timeouts;
        // An upload may take long before there is anything to answer.
        let last = if self.upload.is_some() { clocks.total } else { clocks.first_byte };
        let header = timeouts.header_ms.map_or(last, |ms| last.min(now + Duration::from_millis(ms)));
        AttemptClocks { header, first_content: clocks.total, stall: Duration::from_millis(timeouts.stall_ms), slow_stream: None }
    }

    /// Records an answer, and what it says of the key. True if another key is to be tried.
    fn judge(&mut self, context: &mut Context, credential: &Credential, answer: &Answer) -> bool {
        let status = answer.head.status;
        let keys = &mut self.pass.keys;
        let fault = keys.candidate.speech().dialect.fault(status, &answer.held);
        let fault = keys::fault(&fault, status, own::retry_after(&answer.head, &fault));
        let mut books = books(self.gateway, &context.live, &mut context.outcome);
        if status < 400 || fault.outcome.scope() == Scope::Request {
            keys.answered(&mut books, status);
            return false;
        }
        let at_hand = self.upload.as_ref().is_none_or(Upload::may_be_sent_again);
        let again = (keys.renews(&mut books, &fault) || keys.learn(&mut books, fault)) && at_hand;
        let id = self.gateway.telemetry.clean(&context.request_id);
        log::info!("{id} {} with {}: {status}", keys.candidate.provider.name, credential.name);
        context.outcome.error_code = (!again).then(|| fault.outcome.label().to_owned());
        again
    }

    fn may_repeat(&self, failure: &Failure, live: &Live) -> bool {
        let scope = failure.outcome.scope();
        let unsent = self.upload.as_ref().is_some_and(Upload::is_untouched);
        let harmless = (unsent || matches!(self.method, Method::GET | Method::HEAD)) && scope == Scope::Host;
        if !self.upload.as_ref().is_none_or(Upload::may_be_sent_again) {
            return false;
        }
        let in_time = Instant::now() < self.pass.keys.clocks.first_byte;
        let within_budget = || live.lanes.may_repeat(&self.pass.keys.candidate.provider, Instant::now());
        !self.repeated && in_time && (scope == Scope::StaleConnection || (harmless && within_budget()))
    }

    /// Passes an answer on as it is.
    async fn answer(
        &self,
        session: &mut Session<'_>,
        context: &mut Context,
        answer: Answer,
        credential: &Credential,
    ) -> pingora::Result<()> {
        let secret = self.pass.keys.token.as_ref().unwrap_or(&credential.secret);
        let Answer { head, held, rest } = answer.without(secret);
        context.outcome.upstream_request_id = own::upstream_id(&head);
        let live = context.live.clone();
        attributes::of_answer(&live.snapshot.observability.attributes, &mut context.outcome, |name| head.text(name));
        context.outcome.status = head.status;
        let rest = match rest {
            Some(lease) if head.status == 101 => return socket::relay(session, context, &head, lease).await,
            rest => rest,
        };
        context.outcome.stream = head.text("content-type").is_some_and(|value| value.starts_with("text/event-stream"));
        context.outcome.first_content = Some(Instant::now());
        let mut header = own::base(head.status, context)?;
        let links = Links::new(session, &self.pass.target.provider, credential);
        headers::add_upstream(&mut header, &head, Some(&links))?;
        let bodiless = self.method == Method::HEAD || matches!(header.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match (&rest, head.text("content-length")) {
            (_, Some(length)) if bodiless => header.insert_header("content-length", length)?,
            (_, None) if bodiless => {}
            (None, _) => header.insert_header("content-length", held.len().to_string())?,
            (Some(_), Some(length)) => header.insert_header("content-length", length)?,
            (Some(_), None) => relay::unsized_body(session, &mut header)?,
        }
        let unread = self.is_sending();
        if unread {
            session.close_after();
        }
        let _open = context.outcome.stream.then(|| self.gateway.telemetry.stream());
        if !context.outcome.stream {
            relay::own_time(&mut header, context)?;
        }
        reply::begin(session, context, header).await?;
        let clocks = self.clocks(Instant::now());
        let clocks = RelayClocks { total: clocks.first_content, stall: clocks.stall };
        if !held.is_empty() {
            reply::write_until(session, context, held, rest.is_none(), clocks.total).await?;
        }
        if let Some(lease) = rest {
            let rest = Rest { lease, tail: Tail::default() };
            relay::remainder(session, context, rest, &self.gateway.pool, clocks).await?;
        }
        reply::end(session, context).await?;
        if unread {
            body::discard(session).await;
        }
        Ok(())
    }
}

/// Sends an upload, and reads the head of its answer.
async fn opened_by(
    upload: &mut Upload,
    attempt: Attempt<'_>,
    session: &mut Session<'_>,
    context: &mut Context,
    times: &mut AttemptTimes,
) -> Result<(Head, Lease), Ended> {
    let until = attempt.clocks.first_content;
    // Nobody looks at the client but who reads its body.
    let mut unwatched = Waiting { client: None, waited: &mut context.outcome.waits.upstream };
    let mut lease = attempt.connect(&mut unwatched, times).await?;
    upload.send(attempt.head, &mut lease, session, &mut context.outcome, until).await?;
    let patience = attempt.candidate.timeouts.header_ms.map(Duration::from_millis);
    let header = patience.map_or(until, |patience| until.min(Instant::now() + patience));
    let attempt = Attempt { clocks: AttemptClocks { header, ..attempt.clocks }, ..attempt };
    let client = upload.has_ended().then_some(session);
    let mut waiting = Waiting { client, waited: &mut context.outcome.waits.upstream };
    let head = attempt.hear(&mut lease, &mut waiting, times).await?;
    Ok((head, lease))
}

/// Reads the body of an error, as far as that is quickly done.
async fn hold(head: Head, mut lease: Lease, pool: &Pool, waiting: &mut Waiting<'_, '_>) -> Result<Answer, Ended> {
    let until = Instant::now() + ERROR_WAIT;
    let mut held = BytesMut::new();
    while held.len() < ERROR_BYTES {
        match waiting.on(until, lease.connection.next_body()).await {
            Ok(Ok(Some(piece))) => held.extend_from_slice(&piece),
            Ok(Ok(None)) => {
                pool.give_back(lease);
                return Ok(Answer { head, held: held.freeze(), rest: None });
            }
            Err(Interrupt::ClientGone) => return Err(Ended::ClientGone),
            Ok(Err(_)) | Err(Interrupt::Deadline | Interrupt::Stopping) => break,
        }
    }
    Ok(Answer { head, held: held.freeze(), rest: Some(lease) })
}

fn problem(failure: &Failure, provider: &str, credential: &Credential) -> Problem {
    let fault = &failure.fault;
    let message = format!("{provider} failed: {}", redact::without(&fault.message, &credential.secret));
    Problem { code: fault.code.clone().map(Into::into), ..Problem::new(fault.status, "upstream_error", message) }
}

/// The client left.
///
/// # Errors
/// Always.
pub(super) fn gone(context: &mut Context) -> pingora::Result<()> {
    context.outcome.client_gone = true;
    pingora::Error::e_explain(pingora::ErrorType::ConnectionClosed, "client left")
}
