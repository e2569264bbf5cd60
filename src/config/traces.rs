//! `observability.otel_*`, `sampling`, `attributes` and `content`: where spans go, which are kept, and what they say. What the file
//! leaves out is taken from the standard variables (`OTEL_…`), so that a deployment that sets them for all its services is done.

use std::sync::Arc;

use super::field::{Field, Section};
use super::secret::Secret;
use super::snapshot::Endpoint;
use super::transport::Authorities;
use super::value::{Vault, is_sendable};
use super::{base_url, otel_variables};

pub(super) const KEYS: &[&str] = &[
    "otel_endpoint",
    "otel_protocol",
    "otel_headers",
    "otel_ca_file",
    "otel_compression",
    "otel_timeout_ms",
    "otel_batch_ms",
    "otel_service_name",
    "propagate",
    "sampling",
    "attributes",
    "content",
];
const SAMPLING: &[&str] = &["ratio", "parent_based", "keep_errors", "keep_failovers", "slow_ms"];
const CONTENT: &[&str] = &["capture", "max_bytes"];
const SOURCES: &[&str] = &["request_header", "response_header", "body", "constant"];
const PROTOCOLS: &[(&str, Protocol)] = &[("http/protobuf", Protocol::Http), ("grpc", Protocol::Grpc)];
const PROPAGATORS: &[&str] = &["tracecontext", "baggage"];

/// Where a collector takes traces over HTTP.
const HTTP_PATH: &str = "/v1/traces";
/// Each is a look-up in every request.
const ATTRIBUTES_MAX: usize = 32;
const ATTRIBUTE_NAME_BYTES: usize = 128;
const CONSTANT_BYTES: usize = 1_024;
const POINTER_BYTES: usize = 256;
/// Headers that hold secrets: never an attribute.
const SECRETS: &[&str] =
    &["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "x-goog-api-key", "x-heliostat-admin"];

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP over HTTP/1.1, in protobuf.
    #[default]
    Http,
    /// OTLP over gRPC.
    Grpc,
}

/// Where spans go, which, and what they say.
#[derive(Debug, Clone)]
pub struct Traces {
    /// The collector. With [`Protocol::Http`] its path is where traces are taken.
    pub endpoint: Endpoint,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Sent with every batch.
    pub headers: Vec<(String, Secret)>,
    /// Batches are sent gzipped.
    pub gzip: bool,
    /// How long a batch may take to be sent.
    pub timeout_ms: u64,
    /// How long spans are gathered before they are sent.
    pub batch_ms: u64,
    /// What the process says of itself: `service.name` and the like.
    pub resource: Vec<(String, String)>,
    /// Whether `baggage` goes upstream.
    pub baggage: bool,
    /// Which traces are kept.
    pub sampling: Sampling,
}

/// Which traces are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share of traces that begin here, 0 to 1.
    pub ratio: f64,
    /// A trace that the caller began is kept if the caller keeps it.
    pub parent_based: bool,
    /// Kept all the same: requests that failed.
    pub keep_errors: bool,
    /// Kept all the same: requests that took more than one attempt.
    pub keep_failovers: bool,
    /// Kept all the same: requests that took so long; `None` keeps none for that.
    pub slow_ms: Option<u64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { ratio: 1.0, parent_based: true, keep_errors: true, keep_failovers: true, slow_ms: Some(10_000) }
    }
}

/// Something of a request that becomes an attribute of its spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The attribute's name.
    pub name: Arc<str>,
    /// Where its value comes from.
    pub source: Source,
}

/// Where an attribute's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A header of the client's request, in lower case.
    RequestHeader(Box<str>),
    /// A header of the provider's answer, else of the client's, in lower case.
    ResponseHeader(Box<str>),
    /// A value in the request's JSON body, as a JSON pointer (RFC 6901).
    Body(Box<str>),
    /// Always this.
    Constant(Box<str>),
}

/// Reads where spans go. `None` where they go nowhere: no collector is named, or the variables switch traces off.
pub(super) fn traces(section: Option<&Section<'_>>, vault: &Vault<'_>, root: &Section<'_>) -> Option<Traces> {
    let variables = otel_variables::read(vault, &root.field);
    let protocol = get(section, "otel_protocol").and_then(|field| protocol(&field)).or(variables.protocol).unwrap_or_default();
    let written = get(section, "otel_endpoint").and_then(|field| endpoint(&field, protocol));
    let endpoint = written.or_else(|| variables.endpoint(protocol));
    let mut traces = Traces {
        endpoint: endpoint.unwrap_or_else(|| nowhere(protocol)),
        protocol,
        headers: get(section, "otel_headers").map_or(variables.headers, |field| headers(&field, vault)),
        gzip: get(section, "otel_compression").and_then(|field| compression(&field)).unwrap_or(variables.gzip),
        timeout_ms: variables.timeout_ms.unwrap_or(10_000),
        batch_ms: variables.batch_ms.unwrap_or(1_000),
        resource: variables.resource,
        baggage: get(section, "propagate").map_or(variables.baggage, |field| baggage(&field)),
        sampling: sampling(section, variables.sampling),
    };
    let authorities = get(section, "otel_ca_file").and_then(|field| Authorities::read(&field, vault)?);
    traces.endpoint.transport.authorities = authorities.or(variables.authorities);
    if let Some(section) = section {
        section.milliseconds("otel_timeout_ms", 1, &mut traces.timeout_ms);
        section.milliseconds("otel_batch_ms", 1, &mut traces.batch_ms);
    }
    if let Some(name) = get(section, "otel_service_name").and_then(|field| field.text()) {
        traces.resource.retain(|(key, _)| key != "service.name");
        traces.resource.push(("service.name".to_owned(), name.to_owned()));
    }
    let named = get(section, "otel_endpoint").is_some() || variables.named;
    (named && !variables.off).then_some(traces)
}

/// Reads `attributes`: a map from an attribute's name to where its value comes from.
pub(super) fn attributes(section: &Section<'_>) -> Vec<Attribute> {
    let Some(field) = section.get("attributes") else { return Vec::new() };
    let entries = field.entries();
    if entries.len() > ATTRIBUTES_MAX {
        let _: Option<()> = field.fail(format!("has more than {ATTRIBUTES_MAX} attributes; each is a look-up in every request"));
    }
    entries.into_iter().filter_map(|(key, field)| attribute(&key.text, &field)).collect()
}

/// Reads `content`: how much of prompts and replies is captured; `None` is nothing.
pub(super) fn content(section: &Section<'_>) -> Option<usize> {
    let section = section.get("content")?.section(CONTENT)?;
    let mut max_bytes = 4_096;
    section.size("max_bytes", 1..=16_384, &mut max_bytes);
    section.get("capture").and_then(|field| field.boolean()).unwrap_or(false).then_some(max_bytes)
}

/// The address of a collector, completed as the protocol wants it.
pub(super) fn collector(url: &str, protocol: Protocol) -> Result<Endpoint, &'static str> {
    let mut endpoint = base_url::parse(url)?;
    if protocol == Protocol::Http && !endpoint.path.ends_with(HTTP_PATH) {
        endpoint.path.push_str(HTTP_PATH);
    }
    Ok(endpoint)
}

fn get<'n>(section: Option<&Section<'n>>, key: &str) -> Option<Field<'n>> {
    section?.get(key)
}

/// Where a collector listens by default.
fn nowhere(protocol: Protocol) -> Endpoint {
    let (port, path) = if protocol == Protocol::Http { (4318, HTTP_PATH) } else { (4317, "") };
    Endpoint {
        tls: false,
        host: "localhost".to_owned(),
        port,
        authority: format!("localhost:{port}"),
        path: path.to_owned(),
        transport: super::Transport::default(),
    }
}

fn endpoint(field: &Field<'_>, protocol: Protocol) -> Option<Endpoint> {
    collector(field.text()?, protocol).map_or_else(|what| field.fail(what), Some)
}

fn protocol(field: &Field<'_>) -> Option<Protocol> {
    let asked = field.text()?;
    known_protocol(asked).or_else(|| field.fail("must be http/protobuf or grpc"))
}

/// By its name in `OTEL_EXPORTER_OTLP_PROTOCOL`.
pub(super) fn known_protocol(name: &str) -> Option<Protocol> {
    PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, protocol)| *protocol)
}

fn compression(field: &Field<'_>) -> Option<bool> {
    match field.text()? {
        "gzip" => Some(true),
        "none" => Some(false),
        _ => field.fail("must be gzip or none"),
    }
}

fn headers(field: &Field<'_>, vault: &Vault<'_>) -> Vec<(String, Secret)> {
    let read = |(key, field): (&super::tree::Key, Field<'_>)| {
        let name = key.text.to_ascii_lowercase();
        if http::HeaderName::try_from(&name).is_err() {
            return field.fail("is no header's name");
        }
        let secret = vault.secret(&field)?.secret;
        is_sendable(&field, &secret).then_some((name, secret))
    };
    field.entries().into_iter().filter_map(read).collect()
}

/// What is propagated beside the trace itself, which always is.
fn baggage(field: &Field<'_>) -> bool {
    let names = field.texts().unwrap_or_default();
    if names.iter().any(|name| !PROPAGATORS.contains(&name.as_str())) {
        let _: Option<()> = field.fail("holds tracecontext, baggage, or both");
    }
    names.iter().any(|name| name == "baggage")
}

fn sampling(section: Option<&Section<'_>>, mut sampling: Sampling) -> Sampling {
    let Some(section) = get(section, "sampling").and_then(|field| field.section(SAMPLING)) else { return sampling };
    if let Some(ratio) = section.get("ratio").and_then(|field| field.number(0.0..=1.0)) {
        sampling.ratio = ratio;
    }
    for (key, target) in [
        ("parent_based", &mut sampling.parent_based),
        ("keep_errors", &mut sampling.keep_errors),
        ("keep_failovers", &mut sampling.keep_failovers),
    ] {
        if let Some(on) = section.get(key).and_then(|field| field.boolean()) {
            *target = on;
        }
    }
    let mut slow_ms = sampling.slow_ms.unwrap_or_default();
    section.milliseconds("slow_ms", 0, &mut slow_ms);
    sampling.slow_ms = Some(slow_ms).filter(|ms| *ms > 0);
    sampling
}

fn attribute(name: &str, field: &Field<'_>) -> Option<Attribute> {
    if name.is_empty() || name.len() > ATTRIBUTE_NAME_BYTES || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return field.fail(format!("is no attribute's name: at most {ATTRIBUTE_NAME_BYTES} visible ASCII characters"));
    }
    let section = field.section(SOURCES)?;
    let mut found = SOURCES.iter().filter_map(|key| Some((*key, section.get(key)?)));
    let (Some((key, value)), None) = (found.next(), found.next()) else {
        return field.fail(format!("needs one of {}", SOURCES.join(", ")));
    };
    let source = match key {
        "request_header" => Source::RequestHeader(header(&value)?),
        "response_header" => Source::ResponseHeader(header(&value)?),
        "body" => Source::Body(pointer(&value)?),
        _ => Source::Constant(bounded(&value, CONSTANT_BYTES)?),
    };
    Some(Attribute { name: name.into(), source })
}

fn header(field: &Field<'_>) -> Option<Box<str>> {
    let name = field.text()?.to_ascii_lowercase();
    match name.as_str() {
        secret if SECRETS.contains(&secret) => field.fail("holds a secret, and cannot be an attribute"),
        name if http::HeaderName::try_from(name).is_err() => field.fail("is no header's name"),
        name => Some(name.into()),
    }
}

fn pointer(field: &Field<'_>) -> Option<Box<str>> {
    let pointer = bounded(field, POINTER_BYTES)?;
    if pointer.starts_with('/') { Some(pointer) } else { field.fail("is no JSON pointer: it begins with /, as in /metadata/job") }
}

fn bounded(field: &Field<'_>, bytes: usize) -> Option<Box<str>> {
    let text = field.text()?;
    if text.len() > bytes { field.fail(format!("is longer than {bytes} bytes")) } else { Some(text.into()) }
}
