//! The access log: one JSON object per line and request.
//!
//! Fields, stable: `time` (RFC 3339, of the end), `request_id`, `trace_id`, `span_id`, `client`, `client_address`, `dialect`, `endpoint`,
//! `asked_model`, `provider`, `model`, `credential` (its name), `status`, `stream`, `outcome` (`ok`, `error`, `client_gone`),
//! `error_code`, `attempts` [{`provider`, `model`, `credential`, `status`, `outcome`, `took_us`}], `usage` {`prompt_tokens`,
//! `completion_tokens`, `cached_tokens`, `cache_write_tokens`, `reasoning_tokens`}, `losses` [text] with `losses_total`,
//! `request_bytes`, `response_bytes`, `own_us`, `first_content_us`, `total_us`. What is not known is left out. No prompt, no
//! reply, no secret is among them.

use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use heliostat_filters::loss::Loss;
use heliostat_filters::usage::Usage;
use prometheus::IntCounter;
use serde::Serialize;

use super::event::{AttemptFinished, RequestFinished};
use super::timestamp::rfc3339;

/// Lines that may wait for a slow reader of the log; more are dropped and counted.
const QUEUE: usize = 8_192;
/// How long lines are gathered before they are written.
const REST: Duration = Duration::from_millis(5);
/// Names come from clients: longer ones are cut.
const NAME_BYTES_MAX: usize = 256;
/// So many losses are listed; `losses_total` counts all.
const LOSSES_MAX: usize = 32;

/// The log: a bounded queue, emptied by a thread of its own. Never blocks the one who writes.
pub(super) struct AccessLog {
    queue: SyncSender<Message>,
    dropped: IntCounter,
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl AccessLog {
    pub(super) fn start(out: impl Write + Send + 'static, dropped: IntCounter) -> std::io::Result<Self> {
        let (queue, lines) = sync_channel(QUEUE);
        let lost = dropped.clone();
        std::thread::Builder::new().name("access-log".into()).spawn(move || write_all(&lines, out, &lost))?;
        Ok(Self { queue, dropped })
    }

    pub(super) fn request(&self, event: &RequestFinished<'_>) {
        let line = serde_json::to_vec(&Line::of(event, SystemTime::now()));
        let sent = line.is_ok_and(|mut line| {
            line.push(b'\n');
            self.queue.try_send(Message::Line(line)).is_ok()
        });
        if !sent {
            self.dropped.inc();
        }
    }

    pub(super) fn flush(&self, patience: Duration) {
        let (done, wait) = sync_channel(1);
        let until = std::time::Instant::now() + patience;
        let mut message = Message::Flush(done);
        // A full queue is being emptied: offer again until there is room or patience ends.
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if std::time::Instant::now() >= until {
                return log::warn!("the access log's reader is too slow: lines still queued at the stop are lost");
            }
            message = back;
            std::thread::yield_now();
        }
        let rest = until.saturating_duration_since(std::time::Instant::now());
        if wait.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
            log::warn!("the access log could not be written out in time: lines still queued at the stop are lost");
        }
    }
}

/// The thread's work: writes what is queued, hands it on, and rests for a moment. A resting thread need not be woken, so a busy gateway
/// pays for a few writes a second, not for one a request. Ends when the log is dropped.
fn write_all(lines: &Receiver<Message>, out: impl Write, dropped: &IntCounter) {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    let mut complained = false;
    while let Ok(first) = lines.recv() {
        let mut failed = write_one(&mut out, first);
        while let Ok(message) = lines.try_recv() {
            failed += write_one(&mut out, message);
        }
        let flushed = out.flush();
        dropped.inc_by(failed);
        if (failed > 0 || flushed.is_err()) && !std::mem::replace(&mut complained, true) {
            log::error!("the access log cannot be written; further failures are only counted");
        }
        std::thread::sleep(REST);
    }
}

/// Writes a line, or answers a flush. Returns how many lines were lost.
fn write_one(out: &mut impl Write, message: Message) -> u64 {
    match message {
        Message::Line(line) => u64::from(out.write_all(&line).is_err()),
        Message::Flush(done) => {
            let lost = u64::from(out.flush().is_err());
            // One who no longer waits needs no answer.
            let _ = done.try_send(());
            lost
        }
    }
}

/// A line's fields, in their order.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_address: Option<IpAddr>,
    dialect: &'a str,
    endpoint: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    asked_model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'a str>,
    status: u16,
    stream: bool,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt<'a>>,
    #[serde(skip_serializing_if = "Tokens::is_empty")]
    usage: Tokens,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    losses: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    losses_total: usize,
    request_bytes: u64,
    response_bytes: u64,
    own_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_content_us: Option<u64>,
    total_us: u64,
}

#[derive(Serialize)]
struct Attempt<'a> {
    provider: &'a str,
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    credential: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    outcome: &'static str,
    took_us: u64,
}

#[derive(Serialize, Default, PartialEq, Eq)]
struct Tokens {
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
}

impl<'a> Line<'a> {
    fn of(event: &RequestFinished<'a>, time: SystemTime) -> Self {
        Self {
            time: rfc3339(time),
            request_id: event.request_id,
            trace_id: event.trace.map(|trace| trace.trace_id().to_string()),
            span_id: event.trace.map(|trace| trace.span_id().to_string()),
            client: event.client,
            client_address: event.client_address,
            dialect: event.dialect,
            endpoint: event.endpoint,
            asked_model: cut(event.asked_model),
            provider: event.served.map(|served| served.provider),
            model: event.served.map(|served| cut(served.model)),
            credential: event.served.map(|served| served.credential),
            status: event.status,
            stream: event.stream,
            outcome: event.outcome.as_str(),
            error_code: event.error_code.map(cut),
            attempts: event.attempts.iter().map(Attempt::of).collect(),
            usage: Tokens::of(&event.usage),
            losses: event.losses.iter().take(LOSSES_MAX).map(loss).collect(),
            losses_total: event.losses.len(),
            request_bytes: event.request_bytes,
            response_bytes: event.response_bytes,
            own_us: event.own_us,
            first_content_us: event.first_content_us,
            total_us: event.total_us,
        }
    }
}

impl<'a> Attempt<'a> {
    fn of(attempt: &AttemptFinished<'a>) -> Self {
        let AttemptFinished { provider, model, credential, status, outcome, took_us } = *attempt;
        Self { provider, model: cut(model), credential, status, outcome, took_us }
    }
}

impl Tokens {
    fn of(usage: &Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            cached_tokens: usage.cached_tokens,
            cache_write_tokens: usage.cache_write_tokens,
            reasoning_tokens: usage.reasoning_tokens,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn loss(loss: &Loss) -> String {
    let mut text = loss.to_string();
    text.truncate(cut(&text).len());
    text
}

/// At most [`NAME_BYTES_MAX`] bytes, whole characters.
fn cut(text: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}
