//! OTLP over gRPC: one unary call a batch. A message is five bytes (a flag and a length) and protobuf; how the call went stands in
//! `grpc-status`, after the body or, where there is none, in the head (gRPC over HTTP2).

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request};
use http_body_util::Full;

use super::connection::Received;
use super::{Answer, http as over_http};
use crate::config::Traces;

/// The call.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Flag and length.
const PREFIX: usize = 5;
/// Statuses after which a batch may be sent again (OTLP specification, "OTLP/gRPC Response"): cancelled, deadline exceeded, resource
/// exhausted, aborted, out of range, unavailable, data loss.
const LATER: &[&str] = &["1", "4", "8", "10", "11", "14", "15"];

/// A batch as a call.
pub(super) fn request(settings: &Traces, path: &str, message: &Bytes) -> http::Result<Request<Full<Bytes>>> {
    let scheme = if settings.endpoint.tls { "https" } else { "http" };
    let mut request = Request::post(format!("{scheme}://{}{path}", settings.endpoint.authority))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", format!("{}m", settings.timeout_ms))
        .header("user-agent", concat!("heliostat/", env!("CARGO_PKG_VERSION")));
    if settings.gzip {
        request = request.header("grpc-encoding", "gzip");
    }
    for (name, value) in &settings.headers {
        request = request.header(name, value.expose());
    }
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(u8::from(settings.gzip));
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(message);
    request.body(Full::new(body.freeze()))
}

/// What an answer means.
pub(super) fn answer(received: &Received) -> Answer {
    let Some(status) = of(received, "grpc-status") else {
        return over_http::answer(&Received {
            status: received.status,
            headers: received.headers.clone(),
            body: Bytes::new(),
            trailers: HeaderMap::new(),
        });
    };
    if status == "0" {
        return over_http::taken(received.body.get(PREFIX..).unwrap_or_default());
    }
    let why = format!("it answered gRPC status {status}: {}", of(received, "grpc-message").unwrap_or_default());
    if LATER.contains(&status) { Answer::Later { after: None, why } } else { Answer::Refused(why) }
}

fn of<'r>(received: &'r Received, name: &str) -> Option<&'r str> {
    received.trailers.get(name).or_else(|| received.headers.get(name))?.to_str().ok()
}
