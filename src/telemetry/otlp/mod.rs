//! Traces on their way to a collector (OTLP). A thread of its own takes records from a bounded queue, decides which are kept, makes
//! spans of them, and sends them in batches: whatever the collector does, no request waits for it.

mod attribute;
mod clean;
mod connection;
mod grpc;
mod http;
mod keep;
mod spans;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prometheus::IntCounter;
use prost::Message as _;

use self::attribute::Attributes;
use self::connection::Connection;
pub(super) use self::keep::known;
use super::queue::Message;
use super::redact;
use crate::config::{Protocol, Traces};

/// The name of this sink in `heliostat_telemetry_dropped_total`.
pub(super) const SINK: &str = "traces";

/// A batch is sent when it has so many requests, or so many bytes: collectors take 4 MiB by default.
const BATCH_REQUESTS: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
/// How often the queue is looked into while a batch is gathered. A thread at rest need not be woken by a request.
const REST: Duration = Duration::from_millis(50);
/// A batch is sent so often, with a pause that doubles, then given up: newer ones wait behind it.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What becomes of a batch.
#[derive(Debug)]
pub(super) enum Answer {
    /// The collector has it, all but so many spans.
    Taken { rejected: u64 },
    /// It may take it later, at the earliest after so long.
    Later { after: Option<Duration>, why: String },
    /// It never will.
    Refused(String),
}

/// Spans that are sent together.
#[derive(Default)]
struct Batch {
    spans: Vec<Span>,
    requests: u64,
    bytes: usize,
    /// Who waits until all of it is sent.
    flush: Option<SyncSender<()>>,
}

struct Exporter {
    settings: Arc<ArcSwapOption<Traces>>,
    redactor: redact::InForce,
    dropped: IntCounter,
    runtime: tokio::runtime::Runtime,
    connection: Option<Connection>,
    /// The collector did not take the last batch: said once.
    failing: bool,
}

/// Starts the exporter's thread. Nothing is looked up or connected to before there is something to send.
pub(super) fn start(
    records: Receiver<Message>,
    settings: Arc<ArcSwapOption<Traces>>,
    redactor: redact::InForce,
    dropped: IntCounter,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut exporter = Exporter { settings, redactor, dropped, runtime, connection: None, failing: false };
    std::thread::Builder::new().name("traces".into()).spawn(move || exporter.run(&records))?;
    Ok(())
}

impl Exporter {
    fn run(&mut self, records: &Receiver<Message>) {
        while let Ok(first) = records.recv() {
            let batch = self.gather(first, records);
            let settings = self.settings.load_full();
            if let (Some(settings), false) = (settings, batch.spans.is_empty()) {
                self.send(&settings, batch.spans, batch.requests);
            }
            if let Some(done) = batch.flush {
                // One who no longer waits needs no answer.
                let _ = done.try_send(());
            }
        }
    }

    /// Takes what is queued until a batch is full, its time has come, or somebody waits for it.
    fn gather(&self, first: Message, records: &Receiver<Message>) -> Batch {
        let settings = self.settings.load_full();
        let until = Instant::now() + Duration::from_millis(settings.as_ref().map_or(0, |settings| settings.batch_ms));
        let mut batch = Batch::default();
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Message::Record(record)) => {
                    if let Some(trace) = settings.as_ref().and_then(|settings| keep::kept(&settings.sampling, &record)) {
                        let mut spans = spans::of(&record, trace);
                        clean::all(&mut spans, &self.redactor.load());
                        batch.add(spans);
                    }
                }
                Ok(Message::Flush(done)) => {
                    batch.flush = Some(done);
                    return batch;
                }
                Err(TryRecvError::Empty) if Instant::now() < until => {
                    std::thread::sleep(REST.min(until.saturating_duration_since(Instant::now())));
                }
                Err(_) => return batch,
            }
            if batch.is_full() {
                return batch;
            }
            next = records.try_recv();
        }
    }

    fn send(&mut self, settings: &Traces, spans: Vec<Span>, requests: u64) {
        let message = Bytes::from(message(settings, spans).encode_to_vec());
        for tried in 1..=TRIES {
            let (after, why) = match self.try_once(settings, &message) {
                Answer::Taken { rejected } => {
                    self.dropped.inc_by(rejected);
                    if std::mem::take(&mut self.failing) {
                        log::info!("traces: the collector at {} takes spans again", settings.endpoint.authority);
                    }
                    return;
                }
                Answer::Refused(why) => {
                    self.complain(settings, &why);
                    break;
                }
                Answer::Later { after, why } => (after, why),
            };
            self.complain(settings, &why);
            if tried < TRIES {
                std::thread::sleep(after.unwrap_or(PAUSE * (1 << (tried - 1))).min(PAUSE_MAX));
            }
        }
        self.dropped.inc_by(requests);
    }

    /// Once; and at once again where a connection had been closed meanwhile.
    fn try_once(&mut self, settings: &Traces, message: &Bytes) -> Answer {
        let patience = Duration::from_millis(settings.timeout_ms);
        let Self { runtime, connection, .. } = self;
        let late = || Answer::Later { after: None, why: format!("it did not answer within {} ms", settings.timeout_ms) };
        runtime.block_on(async {
            let sent = tokio::time::timeout(patience, async {
                if let Some(known) = connection.take_if(|known| !known.is_for(settings) || known.is_closed()) {
                    drop(known);
                }
                if let Some(known) = connection
                    && let Some(answer) = known.export(settings, message).await
                {
                    return answer;
                }
                *connection = None;
                match Connection::open(settings).await {
                    Ok(mut fresh) => {
                        let answer = fresh.export(settings, message).await;
                        *connection = Some(fresh);
                        answer.unwrap_or_else(|| Answer::Later { after: None, why: "it closed the connection".to_owned() })
                    }
                    Err(why) => Answer::Later { after: None, why },
                }
            });
            let answer = sent.await.unwrap_or_else(|_| late());
            if !matches!(answer, Answer::Taken { .. }) {
                *connection = None;
            }
            answer
        })
    }

    fn complain(&mut self, settings: &Traces, why: &str) {
        if !std::mem::replace(&mut self.failing, true) {
            let why: String = why.chars().filter(|letter| !letter.is_control()).take(256).collect();
            log::warn!(
                "traces: the collector at {} takes no spans: {why}; what it does not get is only counted",
                settings.endpoint.authority
            );
        }
    }
}

impl Batch {
    fn add(&mut self, spans: Vec<Span>) {
        self.bytes += spans.iter().map(Span::encoded_len).sum::<usize>();
        self.requests += 1;
        self.spans.extend(spans);
    }

    fn is_full(&self) -> bool {
        self.requests as usize >= BATCH_REQUESTS || self.bytes >= BATCH_BYTES
    }
}

/// What the collector gets, whatever the protocol.
fn message(settings: &Traces, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let mut resource = Attributes::default();
    settings.resource.iter().for_each(|(key, value)| resource.text(key, &**value));
    resource.text("service.version", env!("CARGO_PKG_VERSION"));
    let scope = InstrumentationScope { name: "heliostat".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    let resource = Some(Resource { attributes: resource.into_inner(), ..Default::default() });
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans, schema_url: String::new() }] }
}

/// The body of a message, compressed if that is wanted.
fn packed(settings: &Traces, message: &Bytes) -> Bytes {
    use std::io::Write as _;
    if !settings.gzip {
        return message.clone();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Into memory: it cannot fail.
    let _ = gzip.write_all(message);
    gzip.finish().map(Bytes::from).unwrap_or_default()
}

/// The path of a request to the collector.
fn path(settings: &Traces) -> &str {
    match settings.protocol {
        Protocol::Http if settings.endpoint.path.is_empty() => "/",
        Protocol::Http => &settings.endpoint.path,
        Protocol::Grpc => grpc::PATH,
    }
}

#[cfg(test)]
mod tests;
