//! OTLP over HTTP: a POST of protobuf (OTLP specification, "OTLP/HTTP").

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;

use super::Answer;
use super::connection::Received;
use crate::config::Traces;

const PROTOBUF: &str = "application/x-protobuf";

/// A batch as a request.
pub(super) fn request(settings: &Traces, path: &str, body: Bytes) -> http::Result<Request<Full<Bytes>>> {
    let mut request = Request::post(path)
        .header("host", &settings.endpoint.authority)
        .header("content-type", PROTOBUF)
        .header("content-length", body.len())
        .header("user-agent", concat!("heliostat/", env!("CARGO_PKG_VERSION")));
    if settings.gzip {
        request = request.header("content-encoding", "gzip");
    }
    for (name, value) in &settings.headers {
        request = request.header(name, value.expose());
    }
    request.body(Full::new(body))
}

/// What an answer means.
pub(super) fn answer(received: &Received) -> Answer {
    let status = received.status.as_u16();
    match status {
        200..=299 => taken(&received.body),
        429 | 502 | 503 | 504 => {
            let after = received.headers.get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Answer::Later { after: after.map(Duration::from_secs), why: format!("it answered {status}") }
        }
        _ => Answer::Refused(format!("it answered {status}")),
    }
}

/// A message taken, but for what it says it rejected. An answer that cannot be read rejects nothing.
pub(super) fn taken(body: &[u8]) -> Answer {
    let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
    let partial = answer.partial_success.unwrap_or_default();
    if partial.rejected_spans > 0 {
        let why: String = partial.error_message.chars().filter(|letter| !letter.is_control()).take(256).collect();
        log::warn!("traces: the collector rejected {} spans: {why}", partial.rejected_spans);
    }
    Answer::Taken { rejected: u64::try_from(partial.rejected_spans).unwrap_or(0) }
}
