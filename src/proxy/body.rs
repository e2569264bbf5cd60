//! Reads a request's body whole, into one buffer of the announced length.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora_proxy::Session;

use super::problem::Problem;

/// How long a client may pause while it sends its body.
const PAUSE: Duration = Duration::from_secs(30);

/// Reads the body of a request. Answers `Expect: 100-continue` first, or curl would wait a second.
///
/// # Errors
/// 413 over `limit_bytes`, told from the announced length where there is one; 408 for a client that stops sending; 400 for one that
/// announced more than it sent; 415 for a compressed body.
pub async fn read(session: &mut Session, limit_bytes: usize) -> Result<Bytes, Problem> {
    refuse_encoded(session)?;
    read_raw(session, limit_bytes).await
}

/// The same for a body that nobody here looks into: it may be compressed.
///
/// # Errors
/// As [`read`], but for 415.
pub async fn read_raw(session: &mut Session, limit_bytes: usize) -> Result<Bytes, Problem> {
    let announced = announced_bytes(session);
    if announced.is_some_and(|length| length > limit_bytes as u64) {
        return Err(too_large(limit_bytes));
    }
    if expects_continue(session) {
        let said = session.as_downstream_mut().write_continue_response().await;
        said.map_err(|error| broken(&error))?;
    }
    let capacity = usize::try_from(announced.unwrap_or_default()).unwrap_or_default();
    let mut body = BytesMut::with_capacity(capacity);
    loop {
        let read = tokio::time::timeout(PAUSE, session.as_downstream_mut().read_request_body());
        match read.await {
            Ok(Ok(Some(piece))) if body.len() + piece.len() > limit_bytes => return Err(too_large(limit_bytes)),
            Ok(Ok(Some(piece))) => body.extend_from_slice(&piece),
            Ok(Ok(None)) => return Ok(body.freeze()),
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => return Err(Problem::new(408, "request_timeout", "The request body stopped arriving for 30 seconds.").closing()),
        }
    }
}

fn refuse_encoded(session: &Session) -> Result<(), Problem> {
    match session.req_header().headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding.as_bytes() != b"identity" => {
            let message = "Compressed request bodies are not read. Send the body without Content-Encoding.";
            Err(Problem::new(415, "unsupported_content_encoding", message).closing())
        }
        _ => Ok(()),
    }
}

/// The length the client announced, if any.
#[must_use]
pub fn announced_bytes(session: &Session) -> Option<u64> {
    session.req_header().headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether the client waits for a word before it sends its body.
#[must_use]
pub fn expects_continue(session: &Session) -> bool {
    let head = session.req_header();
    head.version == Version::HTTP_11
        && head.headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn too_large(limit_bytes: usize) -> Problem {
    let message = format!("The request body is larger than {limit_bytes} bytes. Send smaller images, or raise limits.body_bytes.");
    Problem::new(413, "request_too_large", message).closing()
}

fn broken(error: &pingora::Error) -> Problem {
    let problem = Problem::new(400, "incomplete_body", "The request body ended before its announced length.").closing();
    Problem { log: Some(error.to_string()), ..problem }
}
