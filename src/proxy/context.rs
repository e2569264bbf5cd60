//! What the phases of one request hand to each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use heliostat_filters::dialect::{Address, Dialect};
use heliostat_filters::json::Document;
use heliostat_filters::loss::Loss;
use heliostat_filters::usage::Usage;

use super::attempt::Said;
use super::body::Place;
use super::cached::Caching;
use super::operation::Operation;
use super::passthrough::Pass;
use crate::config::{Barred, Candidate};
use crate::drain::InFlight;
use crate::live::Live;
use crate::memory::Reservation;
use crate::telemetry::Telemetry;
use crate::telemetry::event::{AttemptRecord, AttributeValue, Labels, Stage, StageKind, Waits};
use crate::telemetry::trace::Trace;

/// One request, from its head to its log line.
pub struct Context {
    /// The configuration it began under, and ends under.
    pub live: Arc<Live>,
    /// Our id for it, or the client's.
    pub request_id: String,
    /// When its head had been read.
    pub started: Instant,
    /// Its place in a trace.
    pub trace: Option<Trace>,
    /// The endpoint, for logs and metrics: `chat`, `embeddings`, `models`, `other`.
    pub endpoint: &'static str,
    /// The client's dialect: errors are told in it.
    pub dialect: &'static dyn Dialect,
    /// The name of the client's key.
    pub client: Option<String>,
    /// What to send, once admitted.
    pub call: Option<Call>,
    /// A raw request, once admitted.
    pub pass: Option<Box<Pass>>,
    /// What the cache has to do with it, where there is one.
    pub caching: Option<Box<Caching>>,
    /// What happened.
    pub outcome: Outcome,
    /// Counts the request as in flight until it is dropped.
    pub in_flight: InFlight,
    /// What its body holds of the memory for all of them, until it is dropped.
    pub body_memory: Reservation,
}

impl Context {
    /// Takes down, for the cache, what goes to the client.
    pub fn record(&mut self, piece: &[u8]) {
        if let Some(caching) = &mut self.caching {
            caching.record(piece);
        }
    }

    /// Where the body of the request goes.
    pub fn body_place(&mut self) -> Place<'_> {
        Place { memory: &mut self.body_memory, waited: &mut self.outcome.waits.client }
    }
}

/// An admitted request for a provider.
pub struct Call {
    /// What it is for.
    pub operation: Operation,
    /// What its path says of it.
    pub address: Address,
    /// The scanned body.
    pub document: Document,
    /// The model as asked, cut to a sane length for the log.
    pub asked: String,
    /// Whether an event stream is wanted.
    pub stream: bool,
    /// Losses are refused, not reported (`x-heliostat-strict`).
    pub strict: bool,
    /// Where to try it, in order; never empty.
    pub candidates: Vec<Candidate>,
    /// What the client named and the route's policy keeps it from.
    pub barred: Vec<(Candidate, Barred)>,
    /// The clocks that span all attempts.
    pub clocks: Clocks,
}

/// Clocks that span all attempts.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// When the first byte must be with the client.
    pub first_byte: Instant,
    /// When the whole answer must be.
    pub total: Instant,
    /// The caller's own limit on the time to the first content (`x-heliostat-first-content-ms`).
    pub first_content: Option<Duration>,
}

/// What happened to a request.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The model as asked.
    pub asked_model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// What the operator's headers said.
    pub labels: Labels,
    /// Every attempt, in order.
    pub attempts: Vec<AttemptRecord>,
    /// So many of them have been counted.
    pub counted: usize,
    /// Which candidate answered: provider and model.
    pub served_by: Option<(String, String)>,
    /// The status the client got.
    pub status: u16,
    /// The code of what went wrong, as the client got it.
    pub error_code: Option<String>,
    /// What the log says of it, where that is more.
    pub error_log: Option<String>,
    /// Token counts.
    pub usage: Usage,
    /// What the request, and then the reply, lost.
    pub losses: Vec<Loss>,
    /// When the first content was there.
    pub first_content: Option<Instant>,
    /// Time spent waiting for others.
    pub waits: Waits,
    /// What was waited for beside providers.
    pub stages: Vec<Stage>,
    /// What `observability.attributes` found so far.
    pub attributes: Vec<(Arc<str>, AttributeValue)>,
    /// The beginning of the prompt, where that is captured.
    pub prompt: Option<String>,
    /// The beginning of the reply, likewise.
    pub reply: Option<String>,
    /// The model, in the provider's words.
    pub response_model: Option<String>,
    /// Why the model stopped, in OpenAI's words.
    pub finish_reason: Option<&'static str>,
    /// Pieces that a stream came in.
    pub chunks: u64,
    /// The client left before the end.
    pub client_gone: bool,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// The provider's own id for the request.
    pub upstream_request_id: Option<String>,
}

/// A shorter wait is none.
const NOTED: Duration = Duration::from_millis(1);
/// Each attempt may wait: so many are told.
const STAGES: usize = 64;

impl Outcome {
    /// Notes how an attempt went. One that failed is counted at once: what comes after it may take long.
    pub fn attempted(&mut self, attempt: AttemptRecord, telemetry: &Telemetry) {
        let failed = attempt.outcome != "ok";
        self.attempts.push(attempt);
        if failed {
            telemetry.attempts(&self.attempts, self.counted, &self.labels);
            self.counted = self.attempts.len();
        }
    }

    /// Takes what a reply says of itself.
    pub fn hear(&mut self, said: Said) {
        self.usage = said.usage;
        self.response_model = said.model;
        self.finish_reason = said.finish;
        self.reply = said.reply.and_then(|reply| reply.into_reply(said.finish));
    }

    /// Notes that the request waited since `began`.
    pub fn waited(&mut self, kind: StageKind, began: Instant) {
        let ended = Instant::now();
        if ended.saturating_duration_since(began) >= NOTED && self.stages.len() < STAGES {
            self.stages.push(Stage { kind, began, ended });
        }
    }
}
