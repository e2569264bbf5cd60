//! A simulated collector of traces: takes what the gateway sends over OTLP, and shows it as text. It keeps the last of them in memory.
//!
//! `POST /v1/traces` takes spans; `GET /` lists requests, newest first; `GET /{request id or trace id}` shows one, span by span.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The longest batch that is taken.
const BATCH_BYTES: usize = 4 << 20;
/// So many spans are kept.
const SPANS: usize = 5_000;
/// So many requests are listed.
const LISTED: usize = 20;
/// Attributes that the first line of a span tells already.
const TOLD: &[&str] = &["heliostat.verdict", "http.response.status_code", "heliostat.request_id"];

/// A running collector. Dropping it stops it.
#[derive(Debug)]
pub struct Collector {
    /// Where it listens.
    pub addr: SocketAddr,
    task: JoinHandle<()>,
}

type Kept = Arc<Mutex<VecDeque<Span>>>;

/// Starts a collector. Call it within a tokio runtime.
///
/// # Errors
/// Where the address cannot be bound.
pub async fn start(addr: SocketAddr) -> io::Result<Collector> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let task = tokio::spawn(run(listener, Kept::default()));
    Ok(Collector { addr, task })
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(listener: TcpListener, kept: Kept) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(stream, kept.clone()));
    }
}

async fn converse(stream: TcpStream, kept: Kept) {
    let service = service_fn(|request| {
        let kept = kept.clone();
        async move { Ok::<_, Infallible>(respond(request, &kept).await) }
    });
    // A client that leaves is no failure.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(request: Request<Incoming>, kept: &Kept) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let (status, text) = match (&head.method, head.uri.path()) {
        (&Method::POST, "/v1/traces") => match Limited::new(body, BATCH_BYTES).collect().await {
            Ok(body) => take(&body.to_bytes(), kept),
            Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, String::new()),
        },
        (&Method::GET, "/") => (StatusCode::OK, list(&lock(kept))),
        (&Method::GET, path) => show(path.trim_start_matches('/'), &lock(kept)),
        _ => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}

fn take(body: &[u8], kept: &Kept) -> (StatusCode, String) {
    let Ok(batch) = ExportTraceServiceRequest::decode(body) else { return (StatusCode::BAD_REQUEST, String::new()) };
    let mut kept = lock(kept);
    kept.extend(batch.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans));
    while kept.len() > SPANS {
        kept.pop_front();
    }
    (StatusCode::OK, String::new())
}

fn list(kept: &VecDeque<Span>) -> String {
    let requests = kept.iter().rev().filter(|span| is_request(span)).take(LISTED);
    let line = |span: &Span| {
        let said = |key| attribute(span, key).unwrap_or_default();
        let who = [said("heliostat.provider"), said("heliostat.model")].join("/");
        format!(
            "{}  {}  {} attempts, last {who}: {}\n",
            said("heliostat.request_id"),
            headline(span),
            said("heliostat.attempts"),
            verdict(span)
        )
    };
    let lines: String = requests.map(line).collect();
    if lines.is_empty() { "No requests yet. Spans come within a second.\n".to_owned() } else { lines }
}

fn show(id: &str, kept: &VecDeque<Span>) -> (StatusCode, String) {
    let of_id = |span: &&Span| attribute(span, "heliostat.request_id").as_deref() == Some(id) || hex(&span.trace_id) == id;
    let mut spans: Vec<&Span> = kept.iter().filter(of_id).collect();
    // A request before what is below it, then by time.
    spans.sort_by_key(|span| (!is_request(span), span.start_time_unix_nano));
    let Some(first) = spans.first() else {
        return (StatusCode::NOT_FOUND, format!("Nothing of {id} yet. Spans come within a second.\n"));
    };
    let mut text = format!("trace {}\n", hex(&first.trace_id));
    for span in &spans {
        let indent = if is_request(span) { "" } else { "  " };
        let after = span.start_time_unix_nano.saturating_sub(first.start_time_unix_nano);
        let _ = writeln!(text, "\n{indent}{}  after {}: {}", headline(span), milliseconds(after), verdict(span));
        for KeyValue { key, value, .. } in span.attributes.iter().filter(|attribute| !TOLD.contains(&attribute.key.as_str())) {
            let _ = writeln!(text, "{indent}    {key} = {}", shown(value.as_ref()));
        }
        for event in &span.events {
            let at = event.time_unix_nano.saturating_sub(span.start_time_unix_nano);
            let _ = writeln!(text, "{indent}    + {} {}", milliseconds(at), event.name);
        }
    }
    (StatusCode::OK, text)
}

/// What it was, and how long it took.
fn headline(span: &Span) -> String {
    format!("{} ({})", span.name, milliseconds(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano)))
}

/// How it went, with the status where there is one.
fn verdict(span: &Span) -> String {
    let words = ["heliostat.verdict", "http.response.status_code"].into_iter().filter_map(|key| attribute(span, key));
    words.collect::<Vec<_>>().join(" ")
}

/// A server's span (OTLP's `SPAN_KIND_SERVER`).
fn is_request(span: &Span) -> bool {
    span.kind == 2
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| shown(attribute.value.as_ref()))
}

fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(whole)) => whole.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(boolean)) => boolean.to_string(),
        Some(Value::ArrayValue(array)) => array.values.iter().map(|value| shown(Some(value))).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}

fn milliseconds(nanos: u64) -> String {
    format!("{:.1} ms", nanos as f64 / 1e6)
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn lock(kept: &Kept) -> std::sync::MutexGuard<'_, VecDeque<Span>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
