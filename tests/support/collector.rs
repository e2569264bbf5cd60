//! A strict collector: takes OTLP over HTTP or gRPC, and holds a sender to everything the specification says of it. What is wrong
//! fails the test that looks at the spans, or ends.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::within;

/// How it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otlp {
    Http,
    Grpc,
}

/// What it does with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Takes it.
    Takes,
    /// Takes it, but for so many spans.
    Rejects(i64),
    /// Answers this HTTP status, or over gRPC this status of the call.
    Answers(u16),
    /// Reads it, and never answers.
    Silent,
}

/// A running collector.
pub struct Collector {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    otlp: Otlp,
    manner: Mutex<Manner>,
    broken: Mutex<Vec<String>>,
    heads: Mutex<Vec<HeaderMap>>,
    batches: watch::Sender<usize>,
    taken: watch::Sender<Vec<Span>>,
    resource: Mutex<HashMap<String, String>>,
}

impl Collector {
    /// Listens on a free port.
    pub async fn start(otlp: Otlp) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            otlp,
            manner: Mutex::new(Manner::Takes),
            broken: Mutex::default(),
            heads: Mutex::default(),
            batches: watch::Sender::new(0),
            taken: watch::Sender::new(Vec::new()),
            resource: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// The lines of a configuration that send spans here, without waiting for more of them.
    pub fn yaml(&self) -> String {
        let protocol = if self.shared.otlp == Otlp::Http { "http/protobuf" } else { "grpc" };
        format!("otel_endpoint: 'http://{}', otel_protocol: {protocol}, otel_batch_ms: 50", self.address)
    }

    /// From now on it does this with batches.
    pub fn will(&self, manner: Manner) -> &Self {
        *self.shared.manner.lock().unwrap() = manner;
        self
    }

    /// The spans of the request with this id, once its own is there.
    pub async fn trace(&self, request_id: &str) -> Trace {
        let mut taken = self.shared.taken.subscribe();
        let is_its = |span: &Span| text(span, "heliostat.request_id") == Some(request_id);
        let there = taken.wait_for(|spans| spans.iter().any(|span| is_its(span) && span.kind == 2));
        let spans: Vec<Span> = within("the spans of a request", there).await.unwrap().iter().filter(|span| is_its(span)).cloned().collect();
        self.assert_sound();
        Trace { spans }
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        self.assert_sound();
        self.shared.taken.borrow().clone()
    }

    /// Waits until so many batches came, taken or not.
    pub async fn batches(&self, count: usize) {
        let mut batches = self.shared.batches.subscribe();
        within("batches", batches.wait_for(|batches| *batches >= count)).await.unwrap();
    }

    /// The heads of all batches.
    pub fn heads(&self) -> Vec<HeaderMap> {
        self.shared.heads.lock().unwrap().clone()
    }

    /// What the sender said of itself.
    pub fn resource(&self) -> HashMap<String, String> {
        self.shared.resource.lock().unwrap().clone()
    }

    fn assert_sound(&self) {
        let broken = self.shared.broken.lock().unwrap();
        assert!(broken.is_empty(), "no sound OTLP:\n{}", broken.join("\n"));
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
        if !std::thread::panicking() {
            self.assert_sound();
        }
    }
}

/// The spans of one request.
#[derive(Debug)]
pub struct Trace {
    pub spans: Vec<Span>,
}

impl Trace {
    /// The request's own.
    pub fn request(&self) -> &Span {
        self.spans.iter().find(|span| span.kind == 2).expect("a span of the request")
    }

    /// Those of its attempts, in order.
    pub fn attempts(&self) -> Vec<&Span> {
        let mut attempts: Vec<&Span> = self.spans.iter().filter(|span| span.kind == 3).collect();
        attempts.sort_by_key(|span| integer(span, "heliostat.attempt"));
        attempts
    }

    /// The others, by name.
    pub fn stages(&self) -> Vec<&str> {
        self.spans.iter().filter(|span| span.kind == 1).map(|span| span.name.as_str()).collect()
    }
}

/// An attribute's value as text.
pub fn text<'s>(span: &'s Span, key: &str) -> Option<&'s str> {
    match any(&span.attributes, key)? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}

/// An attribute's value as a whole number.
pub fn integer(span: &Span, key: &str) -> Option<i64> {
    match any(&span.attributes, key)? {
        Any::IntValue(whole) => Some(*whole),
        _ => None,
    }
}

/// An attribute's value, whatever it is.
pub fn any<'s>(attributes: &'s [KeyValue], key: &str) -> Option<&'s Any> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

/// An id in hexadecimal, as headers have it.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(serve(socket, Arc::clone(&shared)));
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let service = |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(take(request, &shared).await) }
    };
    let socket = TokioIo::new(socket);
    // A sender that has left is no failure of the fake.
    match shared.otlp {
        Otlp::Http => drop(http1::Builder::new().serve_connection(socket, service_fn(service)).await),
        Otlp::Grpc => drop(http2::Builder::new(TokioExecutor::new()).serve_connection(socket, service_fn(service)).await),
    }
}

async fn take(request: Request<Incoming>, shared: &Shared) -> Response<BoxBody<Bytes, Infallible>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else { return Response::default() };
    let mut wrong = Wrong::default();
    wrong.unless(head.method == "POST", || format!("the method {}", head.method));
    let message = match shared.otlp {
        Otlp::Http => over_http(head.uri.path(), &head.headers, &body, &mut wrong),
        Otlp::Grpc => over_grpc(head.uri.path(), &head.headers, &body, &mut wrong),
    };
    let batch = ExportTraceServiceRequest::decode(message.as_slice());
    shared.heads.lock().unwrap().push(head.headers);
    let manner = shared.manner.lock().unwrap().clone();
    match batch {
        Ok(batch) => {
            wrong.unless(batch.encoded_len() == message.len(), || "fields that OTLP does not have".to_owned());
            check(&batch, &mut wrong, &mut shared.resource.lock().unwrap());
            if matches!(manner, Manner::Takes | Manner::Rejects(_)) {
                let spans = batch.resource_spans.into_iter().flat_map(|of| of.scope_spans).flat_map(|of| of.spans);
                shared.taken.send_modify(|taken| taken.extend(spans));
            }
        }
        Err(error) => wrong.0.push(format!("a body that is no protobuf: {error}")),
    }
    shared.broken.lock().unwrap().append(&mut wrong.0);
    shared.batches.send_modify(|batches| *batches += 1);
    answer(shared.otlp, manner).await
}

async fn answer(otlp: Otlp, manner: Manner) -> Response<BoxBody<Bytes, Infallible>> {
    let rejected_spans = if let Manner::Rejects(count) = manner { count } else { 0 };
    let partial = ExportTracePartialSuccess { rejected_spans, error_message: "not these".to_owned() };
    let message = ExportTraceServiceResponse { partial_success: (rejected_spans > 0).then_some(partial) }.encode_to_vec();
    let status = match manner {
        Manner::Silent => std::future::pending().await,
        Manner::Answers(status) => status,
        _ => 0,
    };
    match otlp {
        Otlp::Http => {
            let status = if status == 0 { StatusCode::OK } else { StatusCode::from_u16(status).unwrap() };
            let head = Response::builder().status(status).header("content-type", "application/x-protobuf");
            head.body(Full::new(Bytes::from(message)).boxed()).unwrap()
        }
        Otlp::Grpc => {
            let framed = [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat();
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.to_string().parse().unwrap())]);
            let body = Full::new(Bytes::from(framed)).with_trailers(async move { Some(Ok(trailers)) });
            Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
        }
    }
}

/// What is wrong with a batch.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

fn over_http(path: &str, headers: &HeaderMap, body: &Bytes, wrong: &mut Wrong) -> Vec<u8> {
    wrong.unless(path == "/v1/traces", || format!("the path {path}"));
    wrong.unless(headers.get("content-type").is_some_and(|value| value == "application/x-protobuf"), || "no protobuf".to_owned());
    wrong.unless(headers.contains_key("host") && headers.contains_key("user-agent"), || "no host, or no user agent".to_owned());
    unpacked(headers.get("content-encoding").is_some_and(|value| value == "gzip"), body)
}

fn over_grpc(path: &str, headers: &HeaderMap, body: &Bytes, wrong: &mut Wrong) -> Vec<u8> {
    wrong.unless(path == "/opentelemetry.proto.collector.trace.v1.TraceService/Export", || format!("the path {path}"));
    let is = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    wrong.unless(is("content-type", "application/grpc") && is("te", "trailers"), || "no gRPC".to_owned());
    let timeout = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()?.strip_suffix('m')?.parse::<u64>().ok());
    wrong.unless(timeout.is_some(), || "no grpc-timeout".to_owned());
    let (Some(flag), Some(length)) = (body.first(), body.get(1..5)) else {
        wrong.0.push("no message".to_owned());
        return Vec::new();
    };
    let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
    wrong.unless(body.len() == 5 + length, || format!("a message of {length} bytes in {}", body.len()));
    wrong.unless((*flag == 1) == is("grpc-encoding", "gzip"), || "a flag that does not fit the encoding".to_owned());
    unpacked(*flag == 1, &body[5..])
}

fn unpacked(gzip: bool, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    if !gzip {
        return body.to_vec();
    }
    flate2::read::GzDecoder::new(body).read_to_end(&mut message).expect("gzip");
    message
}

/// The types of attributes whose names have a meaning; all others may be any.
const TYPES: &[(&str, &str)] = &[
    ("gen_ai.operation.name", "text"),
    ("gen_ai.provider.name", "text"),
    ("gen_ai.request.model", "text"),
    ("gen_ai.request.stream", "boolean"),
    ("gen_ai.response.model", "text"),
    ("gen_ai.response.finish_reasons", "texts"),
    ("gen_ai.response.time_to_first_chunk", "number"),
    ("gen_ai.usage.input_tokens", "integer"),
    ("gen_ai.usage.output_tokens", "integer"),
    ("gen_ai.usage.cache_read.input_tokens", "integer"),
    ("gen_ai.usage.cache_creation.input_tokens", "integer"),
    ("gen_ai.usage.reasoning.output_tokens", "integer"),
    ("gen_ai.input.messages", "text"),
    ("gen_ai.output.messages", "text"),
    ("http.response.status_code", "integer"),
    ("http.request.body.size", "integer"),
    ("http.response.body.size", "integer"),
    ("error.type", "text"),
    ("client.address", "text"),
    ("heliostat.attempt", "integer"),
    ("heliostat.attempts", "integer"),
    ("heliostat.own_us", "integer"),
    ("heliostat.verdict", "text"),
    ("heliostat.request_id", "text"),
];

fn check(batch: &ExportTraceServiceRequest, wrong: &mut Wrong, resource: &mut HashMap<String, String>) {
    for of in &batch.resource_spans {
        let said = of.resource.as_ref().map(|resource| resource.attributes.as_slice()).unwrap_or_default();
        attributes(said, "the resource", wrong);
        wrong.unless(any(said, "service.name").is_some(), || "a resource without service.name".to_owned());
        for attribute in said {
            if let Some(Any::StringValue(value)) = any(said, &attribute.key) {
                resource.insert(attribute.key.clone(), value.clone());
            }
        }
        let spans: Vec<&Span> = of.scope_spans.iter().flat_map(|scope| &scope.spans).collect();
        wrong.unless(!spans.is_empty(), || "a batch without spans".to_owned());
        wrong.unless(of.scope_spans.iter().all(|scope| scope.scope.as_ref().is_some_and(|scope| !scope.name.is_empty())), || {
            "spans without a scope".to_owned()
        });
        let ids: HashSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
        wrong.unless(ids.len() == spans.len(), || "a span's id twice".to_owned());
        spans.iter().for_each(|span| one(span, &spans, wrong));
    }
}

fn one(span: &Span, spans: &[&Span], wrong: &mut Wrong) {
    let name = span.name.as_str();
    let is_id = |id: &[u8], bytes: usize| id.len() == bytes && id.iter().any(|byte| *byte != 0);
    wrong.unless(is_id(&span.trace_id, 16) && is_id(&span.span_id, 8), || format!("{name}: ids of the wrong length, or zero"));
    wrong.unless(!name.is_empty() && name.len() <= 600, || format!("a name of {} bytes", name.len()));
    wrong.unless((1..=5).contains(&span.kind), || format!("{name}: no kind"));
    wrong.unless(span.flags & 0xff == 1 && span.flags & 0x100 != 0, || format!("{name}: flags {:x}", span.flags));
    let (began, ended) = (span.start_time_unix_nano, span.end_time_unix_nano);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    wrong.unless(began <= ended && began > nanos(now.saturating_sub(Duration::from_secs(600))) && ended <= nanos(now), || {
        format!("{name}: from {began} to {ended}, now {}", nanos(now))
    });
    if span.flags & 0x200 == 0 && !span.parent_span_id.is_empty() {
        let parent = spans.iter().find(|parent| parent.span_id == span.parent_span_id && parent.trace_id == span.trace_id);
        wrong.unless(parent.is_some(), || format!("{name}: a parent that is not there"));
        let within = |parent: &&&Span| parent.start_time_unix_nano <= began && ended <= parent.end_time_unix_nano;
        wrong.unless(parent.is_none_or(|parent| within(&parent)), || format!("{name}: outlasts its parent"));
    }
    wrong.unless(span.parent_span_id.is_empty() || is_id(&span.parent_span_id, 8), || format!("{name}: no parent's id"));
    attributes(&span.attributes, name, wrong);
    for event in &span.events {
        wrong.unless((began..=ended).contains(&event.time_unix_nano), || format!("{name}: {} at another time", event.name));
        attributes(&event.attributes, &event.name, wrong);
    }
    if let Some(status) = &span.status {
        wrong.unless(status.code == 2 && !status.message.is_empty(), || format!("{name}: the status {status:?}"));
    }
}

fn attributes(attributes: &[KeyValue], of: &str, wrong: &mut Wrong) {
    let keys: HashSet<&str> = attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    wrong.unless(keys.len() == attributes.len() && !keys.contains(""), || format!("{of}: an attribute's name twice, or empty"));
    for attribute in attributes {
        let key = attribute.key.as_str();
        let Some(value) = any(attributes, key) else {
            wrong.0.push(format!("{of}: {key} without a value"));
            continue;
        };
        let kind = kind(value);
        let wanted = TYPES.iter().find(|(known, _)| *known == key).map(|(_, kind)| *kind);
        wrong.unless(wanted.is_none_or(|wanted| wanted == kind), || format!("{of}: {key} is {kind}"));
        wrong.unless(!kind.is_empty(), || format!("{of}: {key} is of a type that attributes have not"));
    }
}

fn kind(value: &Any) -> &'static str {
    match value {
        Any::StringValue(_) => "text",
        Any::IntValue(_) => "integer",
        Any::DoubleValue(number) if number.is_finite() => "number",
        Any::BoolValue(_) => "boolean",
        Any::ArrayValue(array) => {
            let all_text = array.values.iter().all(|value| matches!(value.value, Some(Any::StringValue(_))));
            if all_text && !array.values.is_empty() { "texts" } else { "" }
        }
        _ => "",
    }
}
