//! One attempt: a request to one candidate with one credential, up to the moment its answer may be committed to the client. Nothing is
//! written to the client here, so whatever goes wrong another attempt can follow.

use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use heliostat_filters::fault::{Fault, FaultKind};
use heliostat_filters::json::Pieces as Body;
use heliostat_filters::loss::Loss;
use heliostat_filters::usage::Usage;

use super::content::Excerpt;
use super::gathered::Gathered;
use super::pump::{self, Pump};
use super::waits::counted;
use crate::config::{Candidate, Credential, SlowStream, Timeouts};
use crate::proxy::session::Session;
use crate::telemetry::event::AttemptTimes;
use crate::upstream::connect::ConnectError;
use crate::upstream::connection::{Pieces, Sent};
use crate::upstream::head::Head;
use crate::upstream::pool::{Lease, Pool};
use crate::upstream::verdict::{self, Outcome, Phase};

/// A whole reply up to this length is held until it is known to be good; of a longer one only so much.
const HOLD_BYTES: usize = 1 << 20;
/// The longest reply that is translated.
const REPLY_LIMIT_BYTES: usize = 256 << 20;
/// How much of an error's body is read, and for how long.
const ERROR_BYTES: usize = 64 << 10;
const ERROR_WAIT: Duration = Duration::from_secs(2);

/// What an attempt needs.
pub struct Attempt<'a> {
    /// Connections.
    pub pool: &'a Pool,
    /// Where to.
    pub candidate: &'a Candidate,
    /// With which secret.
    pub credential: &'a Credential,
    /// The head on the wire.
    pub head: &'a [u8],
    /// The body on the wire.
    pub body: &'a Body,
    /// Whether the client speaks the provider's dialect.
    pub same_dialect: bool,
    /// Never use a pooled connection: the last one was stale.
    pub fresh: bool,
    /// Asks for another protocol (WebSocket), which only HTTP/1.1 can.
    pub upgrade: bool,
    /// Somebody else is left to be asked: an answer that says nothing is not taken.
    pub others: bool,
    /// Its clocks.
    pub clocks: AttemptClocks,
}

/// The clocks of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct AttemptClocks {
    /// When the response header must be there.
    pub header: Instant,
    /// When the first content must be there; for a whole reply, all of it.
    pub first_content: Instant,
    /// Longest silence within a body.
    pub stall: Duration,
    /// How fast a stream must begin.
    pub slow_stream: Option<SlowStream>,
}

/// An answer that may be committed.
pub enum Ready {
    /// A whole reply, or the first [`HOLD_BYTES`] of one.
    Whole(Whole),
    /// A reply in another dialect, translated.
    Translated(Translated),
    /// A stream of which the first content has arrived.
    Stream(Box<Streaming>),
}

impl Ready {
    /// The head of the provider's answer.
    #[must_use]
    pub fn head(&self) -> &Head {
        match self {
            Self::Whole(whole) => &whole.head,
            Self::Translated(translated) => &translated.head,
            Self::Stream(streaming) => &streaming.head,
        }
    }
}

/// A reply in another dialect, as the client gets it.
pub struct Translated {
    /// The head of the provider's.
    pub head: Head,
    /// The body in the client's dialect.
    pub pieces: Vec<Bytes>,
    /// What it says of itself.
    pub said: Said,
    /// What the client's shape had no place for.
    pub losses: Vec<Loss>,
}

/// What a whole reply says of itself.
#[derive(Debug, Default)]
pub struct Said {
    /// Token counts.
    pub usage: Usage,
    /// The model, in the provider's words.
    pub model: Option<String>,
    /// Why it ended, in OpenAI's words.
    pub finish: Option<&'static str>,
    /// What it began with, where that is captured.
    pub reply: Option<Excerpt>,
}

/// A reply that is no stream.
pub struct Whole {
    /// Its head.
    pub head: Head,
    /// What has been read.
    pub body: Bytes,
    /// The connection, where there is more to come.
    pub rest: Option<Lease>,
    /// What it says of itself, once it has been inspected.
    pub said: Said,
}

/// A stream under way.
pub struct Streaming {
    /// Its head.
    pub head: Head,
    /// The connection.
    pub lease: Lease,
    /// What reads it.
    pub pump: Box<Pump>,
    /// What the client gets first.
    pub held: Gathered,
    /// The body has ended already.
    pub ended: bool,
}

/// Why an attempt came to nothing.
#[derive(Debug)]
pub struct Failure {
    /// What happened, as the next step depends on it.
    pub outcome: Outcome,
    /// What it means.
    pub fault: Fault,
    /// The status the provider gave, or that an error inside its 200 stands for.
    pub status: Option<u16>,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
    /// The provider's own answer, where it gave one with an error status.
    pub answer: Option<(Head, Bytes)>,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Too late.
    Deadline,
    /// The client left.
    ClientGone,
    /// A stop's deadline came. Only an answer under way is told so; before one, the closed connection says it best.
    Stopping,
}

/// How an attempt ended without an answer to commit.
#[derive(Debug)]
pub enum Ended {
    /// It failed: another may follow.
    Failed(Box<Failure>),
    /// The client left: nothing follows.
    ClientGone,
}

impl Ended {
    /// What went wrong; `None` where the client left.
    #[must_use]
    pub fn failure(self) -> Option<Box<Failure>> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::ClientGone => None,
        }
    }
}

impl Attempt<'_> {
    /// Runs the attempt with `pump` ready to read a stream. Its moments are noted in `times`.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn run(&self, mut waiting: Waiting<'_, '_>, pump: Option<Box<Pump>>, times: &mut AttemptTimes) -> Result<Ready, Ended> {
        let (mut head, mut lease) = self.open(&mut waiting, times).await?;
        // All that is read here is also looked into: errors, usage, the first content.
        let decoded = lease.connection.decode(&mut head);
        if !(200..300).contains(&head.status) {
            return Err(match decoded {
                Ok(()) => self.refused(head, lease, &mut waiting).await,
                // Its body cannot be read, but its status can.
                Err(_) => Ended::Failed(Box::new(self.refusal(&head, b""))),
            });
        }
        decoded.map_err(|coding| broken(&io::Error::new(io::ErrorKind::InvalidData, coding), false, true))?;
        let ready = match pump {
            Some(pump) if is_event_stream(&head) => self.hold_stream(head, lease, pump, &mut waiting).await,
            _ => self.hold_whole(head, lease, &mut waiting).await,
        }?;
        times.first_content = Some(Instant::now());
        Ok(ready)
    }

    /// Sends the request and reads the head of the answer, whatever its status.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn open(&self, waiting: &mut Waiting<'_, '_>, times: &mut AttemptTimes) -> Result<(Head, Lease), Ended> {
        let mut lease = self.connect(waiting, times).await?;
        let head = self.exchange(&mut lease, waiting).await?;
        times.header = Some(Instant::now());
        Ok((head, lease))
    }

    async fn lease(&self, timeouts: &Timeouts) -> Result<Lease, ConnectError> {
        let endpoint = &self.credential.endpoint;
        if self.upgrade { self.pool.lease_http1(endpoint, timeouts).await } else { self.pool.lease(endpoint, timeouts, self.fresh).await }
    }

    /// A connection to send the request on.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn connect(&self, waiting: &mut Waiting<'_, '_>, times: &mut AttemptTimes) -> Result<Lease, Ended> {
        let timeouts = &self.candidate.timeouts;
        let lease = pin!(self.lease(timeouts));
        let leased = waiting.on(self.clocks.header, lease).await;
        match leased.map_err(|interrupt| interrupt.ended(Phase::Connect))? {
            Ok(lease) => {
                times.connected = Some(Instant::now());
                Ok(lease)
            }
            Err(error) => Err(unreachable(&error)),
        }
    }

    /// Reads the head of the answer to a request that was sent apart.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn hear(&self, lease: &mut Lease, waiting: &mut Waiting<'_, '_>, times: &mut AttemptTimes) -> Result<Head, Ended> {
        let head = waiting.on(self.clocks.header, pin!(lease.connection.read_head())).await;
        let head = self.heard(head, lease)?;
        times.header = Some(Instant::now());
        Ok(head)
    }

    async fn exchange(&self, lease: &mut Lease, waiting: &mut Waiting<'_, '_>) -> Result<Head, Ended> {
        let head = {
            let connection = &mut lease.connection;
            let both = pin!(async {
                let sent = connection.send(Pieces::new(self.head, &self.body.pieces)).await;
                if matches!(sent, Ok(Sent::Cut)) {
                    log::debug!("{} stopped reading the request", self.candidate.provider.name);
                }
                connection.read_head().await
            });
            waiting.on(self.clocks.header, both).await
        };
        self.heard(head, lease)
    }

    fn heard(&self, head: Result<io::Result<Head>, Interrupt>, lease: &Lease) -> Result<Head, Ended> {
        let head = head.map_err(|interrupt| interrupt.ended(Phase::Header))?;
        let head = head.map_err(|error| broken(&error, lease.connection.is_stale(), lease.connection.has_received()))?;
        if head.status == 101 && !self.upgrade {
            return Err(broken(&io::Error::new(io::ErrorKind::InvalidData, "a protocol nobody asked for"), false, true));
        }
        Ok(head)
    }

    /// An error status: what its body says decides what is done next.
    async fn refused(&self, head: Head, mut lease: Lease, waiting: &mut Waiting<'_, '_>) -> Ended {
        let until = (Instant::now() + ERROR_WAIT).min(self.clocks.first_content);
        let mut body = BytesMut::new();
        while body.len() < ERROR_BYTES {
            match waiting.on(until, pin!(lease.connection.next_body())).await {
                Ok(Ok(Some(piece))) => body.extend_from_slice(&piece),
                Err(Interrupt::ClientGone) => return Ended::ClientGone,
                _ => break,
            }
        }
        body.truncate(ERROR_BYTES);
        self.pool.give_back(lease);
        let body = body.freeze();
        let failure = self.refusal(&head, &body);
        Ended::Failed(Box::new(Failure { answer: Some((head, body)), ..failure }))
    }

    /// What an error status means, with as much as there is of its body.
    fn refusal(&self, head: &Head, body: &[u8]) -> Failure {
        let mut fault = self.candidate.speech().dialect.fault(head.status, body);
        if verdict::is_transient(fault.kind, head.text("x-should-retry")) {
            fault.kind = FaultKind::Server;
        }
        let retry_after = super::headers::retry_after(head, &fault);
        Failure { outcome: Outcome::Fault(fault.kind), fault, status: Some(head.status), retry_after, answer: None }
    }

    async fn hold_stream(&self, head: Head, mut lease: Lease, mut pump: Box<Pump>, waiting: &mut Waiting<'_, '_>) -> Result<Ready, Ended> {
        let mut held = Gathered::default();
        let mut ended = false;
        let mut began = None;
        pump.counts = self.clocks.slow_stream.is_some();
        while !self.has_said_enough(&pump) && held.len() < HOLD_BYTES && !ended {
            let (until, phase) = self.patience(began);
            let next = match waiting.on(until, pin!(lease.connection.next_body())).await {
                // Not slow: the client's own patience was shorter than the window.
                Err(Interrupt::Deadline) if began.is_some() && phase == Phase::FirstContent => break,
                next => next.map_err(|interrupt| interrupt.ended(phase))?,
            };
            let now = Instant::now();
            match next {
                Ok(Some(chunk)) => pump.feed(&chunk, now, &mut held),
                Ok(None) => {
                    ended = true;
                    pump.end(now, &mut held);
                }
                Err(error) => return Err(broken(&error, false, true)),
            }
            if let Some(fault) = pump.failure().filter(|_| !self.has_said_enough(&pump)) {
                return Err(in_stream(fault.clone()));
            }
            if !pump.seen.said && (ended || pump.has_said_all()) {
                match pump.seen.content_at {
                    None => return Err(in_stream(pump::truncated())),
                    Some(_) if self.others => return Err(empty()),
                    Some(_) => {}
                }
            }
            began = began.or(pump.seen.content_at);
            // Where there is always more to read, nothing else looks at the clock.
            if began.is_none() && now >= until {
                return Err(Interrupt::Deadline.ended(phase));
            }
        }
        Ok(Ready::Stream(Box::new(Streaming { head, lease, pump, held, ended })))
    }

    /// Whether a stream may be committed: there is content, and where it must not be slow, enough of it.
    fn has_said_enough(&self, pump: &Pump) -> bool {
        let least = self.clocks.slow_stream.map_or(0, SlowStream::least_bytes);
        let said = pump.seen.said || (pump.seen.content_at.is_some() && !self.others);
        said && pump.seen.content_bytes as u64 >= least
    }

    /// How long a stream whose content began then may take to say enough, and what it is if it does not.
    fn patience(&self, began: Option<Instant>) -> (Instant, Phase) {
        let slow = began.zip(self.clocks.slow_stream).map(|(began, slow)| began + Duration::from_millis(slow.window_ms));
        match slow.filter(|end| *end < self.clocks.first_content) {
            Some(end) => (end, Phase::SlowStream),
            None => (self.clocks.first_content, Phase::FirstContent),
        }
    }

    async fn hold_whole(&self, head: Head, mut lease: Lease, waiting: &mut Waiting<'_, '_>) -> Result<Ready, Ended> {
        let limit = if self.same_dialect { HOLD_BYTES } else { REPLY_LIMIT_BYTES };
        let mut first = None;
        let mut body = BytesMut::new();
        loop {
            let now = Instant::now();
            // Where there is always more to read, nothing else looks at the clock.
            if now >= self.clocks.first_content {
                return Err(Interrupt::Deadline.ended(Phase::Stall));
            }
            let until = self.clocks.first_content.min(now + self.clocks.stall);
            let next = waiting.on(until, pin!(lease.connection.next_body())).await;
            match next.map_err(|interrupt| interrupt.ended(Phase::Stall))? {
                // A reply that came in one piece is passed on as that piece.
                Ok(Some(piece)) if first.is_none() && body.is_empty() => first = Some(piece),
                Ok(Some(piece)) => {
                    body.extend_from_slice(&first.take().unwrap_or_default());
                    body.extend_from_slice(&piece);
                }
                Ok(None) => {
                    self.pool.give_back(lease);
                    let body = first.unwrap_or_else(|| body.freeze());
                    return Ok(Ready::Whole(Whole { head, body, rest: None, said: Said::default() }));
                }
                Err(error) => return Err(broken(&error, false, true)),
            }
            if body.len() > limit {
                return Ok(Ready::Whole(Whole { head, body: body.freeze(), rest: Some(lease), said: Said::default() }));
            }
        }
    }
}

/// The session while an attempt waits for a provider: notices a client that leaves, and counts the time.
pub struct Waiting<'a, 's> {
    /// The client's side; `None` where somebody else watches it.
    pub client: Option<&'a mut Session<'s>>,
    /// Time spent waiting.
    pub waited: &'a mut Duration,
}

impl Waiting<'_, '_> {
    /// Waits for `upstream` until `deadline`, or until the client leaves. Cancels `upstream` then; where it is large, pin it: a future that
    /// is handed on is moved, and room for it is kept, at each step.
    ///
    /// # Errors
    /// [`Interrupt`].
    pub async fn on<T>(&mut self, deadline: Instant, upstream: impl Future<Output = T>) -> Result<T, Interrupt> {
        self.unless(tokio::time::sleep_until(deadline.into()), upstream).await
    }

    /// [`Waiting::on`], with a clock of the caller's.
    ///
    /// # Errors
    /// [`Interrupt`].
    pub async fn unless<T>(&mut self, late: impl Future<Output = ()>, upstream: impl Future<Output = T>) -> Result<T, Interrupt> {
        let Self { client, waited } = self;
        let either = async {
            tokio::select! {
                biased;
                value = upstream => Ok(value),
                () = left(client) => Err(Interrupt::ClientGone),
                () = late => Err(Interrupt::Deadline),
            }
        };
        counted(waited, pin!(either)).await
    }
}

/// Until the client has left; for ever where somebody else watches it.
async fn left(client: &mut Option<&mut Session<'_>>) {
    match client {
        Some(session) => session.gone().await,
        None => std::future::pending().await,
    }
}

impl Interrupt {
    /// What it makes of an attempt.
    pub fn ended(self, phase: Phase) -> Ended {
        match self {
            Self::ClientGone => Ended::ClientGone,
            Self::Deadline | Self::Stopping => {
                let fault = transport(
                    504,
                    FaultKind::Timeout,
                    format!("The provider did not answer in time ({}).", Outcome::Timeout(phase).label()),
                    "upstream_timeout",
                );
                failed(Outcome::Timeout(phase), fault)
            }
        }
    }
}

fn is_event_stream(head: &Head) -> bool {
    head.text("content-type").is_some_and(|value| value.get(..17).is_some_and(|value| value.eq_ignore_ascii_case("text/event-stream")))
}

/// It never came to a connection.
pub fn unreachable(error: &ConnectError) -> Ended {
    let (outcome, code) = match error {
        ConnectError::Dns(_) => (Outcome::Dns, "upstream_unresolved"),
        ConnectError::Connect(_) => (Outcome::Connect, "upstream_unreachable"),
        ConnectError::Tls(_) => (Outcome::Tls, "upstream_tls"),
        ConnectError::Timeout => (Outcome::Timeout(Phase::Connect), "upstream_timeout"),
        ConnectError::TlsTimeout => (Outcome::Timeout(Phase::Tls), "upstream_timeout"),
    };
    let status = if matches!(outcome, Outcome::Timeout(_)) { 504 } else { 502 };
    let kind = if status == 504 { FaultKind::Timeout } else { FaultKind::Server };
    failed(outcome, transport(status, kind, format!("The provider could not be reached: {error}."), code))
}

/// The connection broke.
pub fn broken(error: &io::Error, reused: bool, received: bool) -> Ended {
    let outcome = match error.kind() {
        io::ErrorKind::InvalidData => Outcome::Malformed,
        io::ErrorKind::UnexpectedEof if received => Outcome::Truncated,
        _ => Outcome::Reset { before_any_byte: !received, reused },
    };
    failed(outcome, transport(502, FaultKind::Server, format!("The connection to the provider broke: {error}."), "upstream_reset"))
}

/// An error inside a 200.
pub fn in_stream(fault: Fault) -> Ended {
    if fault == pump::truncated() {
        return failed(Outcome::Truncated, fault);
    }
    if fault.kind == FaultKind::Malformed {
        return failed(Outcome::Malformed, fault);
    }
    let outcome = Outcome::Fault(fault.kind);
    let (status, retry_after) = (Some(fault.status), fault.retry_after_ms.map(Duration::from_millis));
    Ended::Failed(Box::new(Failure { outcome, fault, status, retry_after, answer: None }))
}

/// An answer that is whole and says nothing.
pub fn empty() -> Ended {
    failed(Outcome::Empty, transport(502, FaultKind::Server, "The provider's answer says nothing.".to_owned(), "upstream_empty"))
}

/// No access token could be had for the credential.
pub fn no_token(why: &str) -> Ended {
    let message = format!("The gateway has no access token for this provider: {why}.");
    failed(Outcome::Token, transport(502, FaultKind::Authentication, message, "upstream_token"))
}

fn failed(outcome: Outcome, fault: Fault) -> Ended {
    Ended::Failed(Box::new(Failure { outcome, fault, status: None, retry_after: None, answer: None }))
}

fn transport(status: u16, kind: FaultKind, message: String, code: &str) -> Fault {
    Fault { status, kind, message, code: Some(code.to_owned()), param: None, retry_after_ms: None }
}
