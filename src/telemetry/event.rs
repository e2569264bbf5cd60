//! What the proxy reports: one record of each request, whatever became of it. The log, the metrics and the spans are made of it and of
//! nothing else.
//!
//! It is filled while the request lives (its names are moved in, not copied), made final once, and then shared: [`super::Telemetry`]
//! counts it and hands it to the sinks' queues. Moments are [`Instant`]s; [`RequestRecord::us`] gives the microseconds since the start.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use heliostat_filters::loss::Loss;
use heliostat_filters::usage::Usage;

use super::trace::{self, SpanId, Trace};

/// A request that ended.
#[derive(Debug, Clone)]
pub struct RequestRecord {
    /// As in `x-request-id`: the client's, or one of ours.
    pub request_id: String,
    /// When its head had been read.
    pub started: Instant,
    /// The same by the clock on the wall.
    pub started_at: SystemTime,
    /// When it was over.
    pub ended: Instant,
    /// Its place in a trace: the caller's, from `traceparent`, or one that began here.
    pub trace: Option<Trace>,
    /// The caller's `tracestate`; empty if it sent none.
    pub trace_state: String,
    /// The name of the client key it came with.
    pub client: Option<String>,
    /// Where it came from; behind a configured balancer, what that says.
    pub client_address: Option<IpAddr>,
    /// What the headers named by `observability.prometheus_labels` said.
    pub labels: Labels,
    /// The client's dialect: `openai`.
    pub dialect: &'static str,
    /// The endpoint's name: `chat`. Never the raw path.
    pub endpoint: &'static str,
    /// What the client asked for, as it wrote it, cut to a sane length; empty if it was not read.
    pub asked_model: String,
    /// HTTP status sent to the client; 499 if it left before one was.
    pub status: u16,
    /// Whether it was a stream.
    pub stream: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The `code` of the error the client got.
    pub error_code: Option<String>,
    /// Every attempt and every skipped candidate, in order. The last one that is no skip is the one that answered, if any did.
    pub attempts: Vec<AttemptRecord>,
    /// So many of them, the first ones, were counted while the request went on.
    pub counted: usize,
    /// The provider's own id of the request it answered.
    pub upstream_request_id: Option<String>,
    /// Tokens, as far as the provider said.
    pub usage: Usage,
    /// The beginning of the prompt, where that is captured: messages as JSON.
    pub prompt: Option<String>,
    /// The beginning of the reply, likewise.
    pub reply: Option<String>,
    /// The model, in the provider's words, if it said so.
    pub response_model: Option<String>,
    /// Why the model stopped, in OpenAI's words; `None` if nobody said.
    pub finish_reason: Option<&'static str>,
    /// What a translation could not carry, of request and reply.
    pub losses: Vec<Loss>,
    /// Body bytes from the client.
    pub request_bytes: u64,
    /// Body bytes to the client.
    pub response_bytes: u64,
    /// Pieces that a stream came in from the provider.
    pub chunks: u64,
    /// When the first content was there for the client.
    pub first_content: Option<Instant>,
    /// Where the time went that was not our own; `None` where nobody measured: a head that was refused.
    pub waits: Option<Waits>,
    /// What it waited for beside providers, one by one, in order.
    pub stages: Vec<Stage>,
    /// What `observability.attributes` found in it, by name.
    pub attributes: Vec<(Arc<str>, AttributeValue)>,
    /// What the cache had to say, where there is one.
    pub cache: Option<Box<CacheTold>>,
}

/// What the cache had to say of a request.
#[derive(Debug, Clone)]
pub struct CacheTold {
    /// What.
    pub result: CacheResult,
    /// When it was asked.
    pub began: Instant,
    /// When it had answered.
    pub ended: Instant,
    /// Who made the answer that was given again: provider and model.
    pub made_by: Option<(String, String)>,
}

/// What came of asking the cache. Its text is the value of `x-cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// The answer to the very same request was given again.
    Hit {
        /// How old it was, in seconds.
        age_s: u64,
    },
    /// There was none.
    Miss,
    /// It was not asked, for this reason.
    Bypass(&'static str),
}

/// Something a request waited for beside providers.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// What.
    pub kind: StageKind,
    /// Since when.
    pub began: Instant,
    /// Until when.
    pub ended: Instant,
}

/// What a request may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageKind {
    /// A place at a bounded provider.
    Queue,
    /// The end of a cool-down.
    CoolDown,
    /// A pause before the same key is tried again.
    BackOff,
    /// Images that it names by URL.
    ImageFetch,
    /// An access token.
    Token,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// Text, cut to a sane length; what is no scalar as its JSON.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other.
    Number(f64),
    /// True or false.
    Boolean(bool),
}

/// Time spent waiting for others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// For the client: to send its body, to take what is written to it.
    pub client: Duration,
    /// For a place at a bounded provider, for the end of a cool-down, between retries.
    pub queue: Duration,
    /// For images that the request names by URL.
    pub image_fetch: Duration,
    /// For providers.
    pub upstream: Duration,
}

/// What some request headers said: labels of series, attributes of spans and lines.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// The headers' names, as configured.
    pub names: Arc<[Box<str>]>,
    /// What each said, cut to a sane length; `None` where it was not sent. As many as there are names.
    pub values: Vec<Option<Box<str>>>,
}

/// An attempt, or a candidate that was skipped.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// The provider.
    pub provider: String,
    /// The model's name at the provider.
    pub model: String,
    /// The credential's name; empty if the candidate was skipped.
    pub credential: String,
    /// The provider's dialect for this model.
    pub dialect: &'static str,
    /// The upstream's status, if it gave one, or the one that an error inside its 200 stands for.
    pub status: Option<u16>,
    /// The verdict: `ok`, `client_gone`, `hedged` (given up: another was quicker), or the failure's label.
    pub outcome: &'static str,
    /// Why a candidate was skipped.
    pub skipped: Option<&'static str>,
    /// Whose fault a failure was; `None` of a success.
    pub blame: Option<Blame>,
    /// When what happened.
    pub times: AttemptTimes,
    /// When it was known how it went: its answer may be committed, or it failed.
    pub settled: Instant,
}

/// The moments of an attempt, `None` where it did not come so far, and its span.
#[derive(Debug, Clone, Copy)]
pub struct AttemptTimes {
    /// Its span: what its upstream is told to be called by.
    pub span: SpanId,
    /// It began.
    pub began: Instant,
    /// It had a connection.
    pub connected: Option<Instant>,
    /// The head of the answer was there.
    pub header: Option<Instant>,
    /// The first content was there; of a whole reply, all of it.
    pub first_content: Option<Instant>,
    /// A drill: an operator makes it fail, and nothing is sent.
    pub drill: bool,
    /// A hedge: made beside one that was silent.
    pub hedge: bool,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in full.
    Ok,
    /// Answered with an error after an attempt, or broken off by one.
    Error,
    /// Answered by the gateway itself, without an attempt: the request is wrong, not allowed, or beyond a bound; or nobody could be tried.
    Refused,
    /// The client left before the end.
    ClientGone,
}

/// Whose fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The request is wrong, or its sender left.
    Client,
    /// Ours: a bound was reached, or something went wrong here.
    Gateway,
    /// The provider's, or that of the way to it.
    Provider,
}

/// How a credential stands, for the gauges of it.
#[derive(Debug, Clone)]
pub struct CredentialStanding<'a> {
    /// The provider.
    pub provider: &'a str,
    /// The credential's name.
    pub credential: &'a str,
    /// In one word.
    pub state: CredentialState,
    /// Attempts under way.
    pub in_flight: usize,
    /// Models whose breaker is not closed.
    pub breakers: Vec<BreakerStanding>,
}

/// A breaker that is not closed.
#[derive(Debug, Clone)]
pub struct BreakerStanding {
    /// The model.
    pub model: String,
    /// Open; else half-open.
    pub open: bool,
}

/// What is in the cache, and what left it since that was last told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStanding {
    /// Answers.
    pub entries: usize,
    /// Their bytes, with what it takes to hold them.
    pub bytes: u64,
    /// Left for want of room.
    pub evicted: u64,
    /// Left because their time was over.
    pub expired: u64,
}

/// How a provider with a bound on requests at the same time stands.
#[derive(Debug, Clone, Copy)]
pub struct QueueStanding<'a> {
    /// The provider.
    pub provider: &'a str,
    /// Places taken.
    pub taken: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

/// How a credential stands, for the gauge `heliostat_credential_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialState {
    /// In use: 0.
    Healthy,
    /// Cooling down: 1.
    Cooling,
    /// Switched off: 2.
    Off,
    /// Taken out by an operator: 3.
    Cordoned,
    /// Made to fail by an operator: 4.
    Drilled,
}

impl RequestRecord {
    /// Of a request that was refused before its head could be read, or for which there was no place.
    #[must_use]
    pub fn refused(request_id: String, client_address: Option<IpAddr>, status: u16, code: &str, response_bytes: u64) -> Self {
        let now = Instant::now();
        Self {
            request_id,
            started: now,
            started_at: SystemTime::now(),
            ended: now,
            trace: None,
            trace_state: String::new(),
            client: None,
            client_address,
            labels: Labels::default(),
            dialect: "openai",
            endpoint: "other",
            asked_model: String::new(),
            status,
            stream: false,
            outcome: Outcome::Refused,
            error_code: Some(code.to_owned()),
            attempts: Vec::new(),
            counted: 0,
            upstream_request_id: None,
            usage: Usage::default(),
            prompt: None,
            reply: None,
            response_model: None,
            finish_reason: None,
            losses: Vec::new(),
            request_bytes: 0,
            response_bytes,
            chunks: 0,
            first_content: None,
            waits: None,
            stages: Vec::new(),
            attributes: Vec::new(),
            cache: None,
        }
    }

    /// Who made the answer that the cache gave again: provider and model.
    #[must_use]
    pub fn given_again(&self) -> Option<(&str, &str)> {
        self.cache.as_ref()?.made_by.as_ref().map(|(provider, model)| (provider.as_str(), model.as_str()))
    }

    /// Who answered; if nobody did, who was tried last.
    #[must_use]
    pub fn served(&self) -> Option<&AttemptRecord> {
        self.attempts.iter().rfind(|attempt| attempt.skipped.is_none())
    }

    /// What a client that left was waiting for: `receiving` its answer; an attempt to `connect`, for the `header`, the `first_content`;
    /// `queue`, `cool_down`, `back_off`, `image_fetch`, `token`; or `sending` its own request.
    #[must_use]
    pub fn left_while(&self) -> &'static str {
        if self.first_content.is_some() {
            return "receiving";
        }
        let attempt = self.attempts.last().filter(|attempt| attempt.skipped.is_none());
        let waited = self.stages.last().filter(|stage| attempt.is_none_or(|attempt| stage.ended >= attempt.settled));
        match (attempt, waited) {
            (_, Some(stage)) => stage.kind.as_str(),
            (Some(attempt), None) => attempt.times.waits_for(),
            (None, None) => "sending",
        }
    }

    /// Microseconds from the start to `moment`.
    #[must_use]
    pub fn us(&self, moment: Instant) -> u64 {
        micros(moment.saturating_duration_since(self.started))
    }

    /// All of it, in microseconds.
    #[must_use]
    pub fn total_us(&self) -> u64 {
        self.us(self.ended)
    }

    /// What Heliostat itself took: all but the waits, in microseconds.
    #[must_use]
    pub fn own_us(&self) -> Option<u64> {
        Some(self.total_us().saturating_sub(micros(self.waits?.total())))
    }

    /// Whose fault it was that the client did not get what it asked for; `None` if it did.
    #[must_use]
    pub fn blame(&self) -> Option<Blame> {
        let of_attempts = || self.attempts.last().and_then(|attempt| attempt.blame);
        match self.outcome {
            Outcome::Ok => None,
            Outcome::ClientGone => Some(Blame::Client),
            Outcome::Refused => Some(of_attempts().unwrap_or(if self.status < 500 { Blame::Client } else { Blame::Gateway })),
            // Whose answer broke off was a success until then.
            Outcome::Error => Some(of_attempts().unwrap_or(Blame::Provider)),
        }
    }
}

impl AttemptRecord {
    /// The status, or a word where there was none: as in `x-heliostat-attempts`.
    #[must_use]
    pub fn word(&self) -> Cow<'static, str> {
        match (self.skipped, self.status) {
            (Some(why), _) => format!("skipped {why}").into(),
            (None, Some(status)) if self.times.drill => format!("drill {status}").into(),
            (None, None) if self.times.drill => format!("drill {}", self.outcome).into(),
            (None, Some(status)) => status.to_string().into(),
            (None, None) => self.outcome.into(),
        }
    }

    /// How a hedge ended: `won`, `lost`, `failed`, `client_gone`; `None` of what was none.
    #[must_use]
    pub fn hedge_end(&self) -> Option<&'static str> {
        self.times.hedge.then_some(match self.outcome {
            "ok" => "won",
            "hedged" => "lost",
            "client_gone" => "client_gone",
            _ => "failed",
        })
    }

    /// How long it took until it was known how it went.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.settled.saturating_duration_since(self.times.began)
    }
}

impl AttemptTimes {
    /// Of an attempt that begins now.
    #[must_use]
    pub fn begin(began: Instant) -> Self {
        Self { span: trace::new_span(), began, connected: None, header: None, first_content: None, drill: false, hedge: false }
    }
}

impl Waits {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.client + self.queue + self.image_fetch + self.upstream
    }
}

impl Labels {
    /// Those that were sent, with their names.
    pub fn sent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().zip(&self.values).filter_map(|(name, value)| Some((&**name, value.as_deref()?)))
    }
}

impl CacheResult {
    /// The word in metrics and spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit { .. } => "hit-exact",
            Self::Miss => "miss",
            Self::Bypass(_) => "bypass",
        }
    }
}

impl fmt::Display for CacheResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.as_str();
        match self {
            Self::Hit { age_s } => write!(f, "{word}; age={age_s}"),
            Self::Miss => f.write_str(word),
            Self::Bypass(why) => write!(f, "{word}; reason={why}"),
        }
    }
}

impl StageKind {
    /// The word in spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::CoolDown => "cool_down",
            Self::BackOff => "back_off",
            Self::ImageFetch => "image_fetch",
            Self::Token => "token",
        }
    }
}

impl AttemptTimes {
    fn waits_for(&self) -> &'static str {
        match (self.connected, self.header) {
            (None, _) => "connect",
            (Some(_), None) => "header",
            (Some(_), Some(_)) => "first_content",
        }
    }
}

impl Outcome {
    /// The word in logs, metrics and spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Refused => "refused",
            Self::ClientGone => "client_gone",
        }
    }
}

impl Blame {
    /// The word in logs, metrics and spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Provider => "provider",
        }
    }
}

impl CredentialState {
    /// The gauge's value.
    #[must_use]
    pub const fn as_gauge(self) -> i64 {
        match self {
            Self::Healthy => 0,
            Self::Cooling => 1,
            Self::Off => 2,
            Self::Cordoned => 3,
            Self::Drilled => 4,
        }
    }
}

/// Whole microseconds.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
