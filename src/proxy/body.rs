//! Reads a request's body whole, into one buffer of the announced length.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora::ErrorType;
use tokio::time::Instant;

use super::problem::Problem;
use super::waits::counted;
use crate::config::Limits;
use crate::memory::Reservation;
use crate::proxy::session::{Read, Session};

/// How long a client may pause while it sends its body.
pub const PAUSE: Duration = Duration::from_secs(30);
/// Pingora's name for what is wrong with a chunk.
const INVALID_CHUNK: &str = "InvalidChunk";
/// A body of unknown length gets this much memory first, and twice as much each time that is full.
const FIRST_BYTES: usize = 64 * 1024;
/// How much of a body that nobody reads is taken in all the same: a connection closed on a client that still sends is reset, and the
/// answer lost with it.
const LINGER_BYTES: usize = 64 << 20;
/// And for how long.
const LINGER: Duration = Duration::from_secs(2);

/// Where a body goes, and what its reading costs.
pub struct Place<'p> {
    /// Grows before anything is read.
    pub memory: &'p mut Reservation,
    /// Grows by the time the client keeps us waiting.
    pub waited: &'p mut Duration,
}

/// Reads the body of a request. Answers `Expect: 100-continue` first, or curl would wait a second. Memory is reserved before anything is
/// read: the announced length, or step by step.
///
/// # Errors
/// 413 over the limit, told from the announced length where there is one; 503 when the memory for bodies is used up; 408 for a client
/// that stops sending, or takes too long; 400 for one that announced more than it sent; 415 for a compressed body.
pub async fn read(session: &mut Session<'_>, limits: &Limits, place: Place<'_>) -> Result<Bytes, Problem> {
    refuse_encoded(session)?;
    read_raw(session, limits, place).await
}

/// The same for a body that nobody here looks into: it may be compressed.
///
/// # Errors
/// As [`read`], but for 415.
pub async fn read_raw(session: &mut Session<'_>, limits: &Limits, place: Place<'_>) -> Result<Bytes, Problem> {
    let Place { memory, waited } = place;
    let announced = announced_bytes(session);
    if announced.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(too_large(limits.body_bytes));
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let mut body = BytesMut::new();
    grow(&mut body, announced, limits, memory)?;
    if expects_continue(session) {
        session.write_continue().await.map_err(|error| broken(&error))?;
    }
    let deadline = Instant::now() + Duration::from_millis(limits.body_timeout_ms);
    loop {
        let read = counted(waited, pin!(next(session, &mut body, deadline))).await?;
        let piece = match read {
            Read::InPlace => continue,
            Read::Piece(piece) => piece,
            Read::End => return Ok(body.freeze()),
        };
        let needed = body.len() + piece.len();
        if needed > limits.body_bytes {
            return Err(too_large(limits.body_bytes));
        }
        if needed > body.capacity() {
            let roomy = needed.max(body.capacity().saturating_mul(2)).max(FIRST_BYTES).min(limits.body_bytes);
            grow(&mut body, roomy, limits, memory)?;
        }
        body.extend_from_slice(&piece);
    }
}

/// Takes in what a client still sends of a body that was refused, for a while and unread.
pub async fn discard(session: &mut Session<'_>) {
    let mut left = LINGER_BYTES;
    let rest = async {
        // Without room for it, it comes in pieces.
        while let Ok(Read::Piece(piece)) = session.read_body(&mut BytesMut::new()).await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, rest).await;
}

async fn next(session: &mut Session<'_>, body: &mut BytesMut, deadline: Instant) -> Result<Read, Problem> {
    let until = deadline.min(Instant::now() + PAUSE);
    match tokio::time::timeout_at(until, pin!(session.read_body(body))).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(broken(&error)),
        Err(_) if until == deadline => Err(too_slow("The request body took longer to arrive than limits.body_timeout_ms allows.")),
        Err(_) => Err(too_slow("The request body stopped arriving for 30 seconds.")),
    }
}

fn grow(body: &mut BytesMut, capacity: usize, limits: &Limits, memory: &mut Reservation) -> Result<(), Problem> {
    memory.grow_to(capacity as u64, limits.memory_bytes).map_err(|_| out_of_memory())?;
    body.reserve(capacity.saturating_sub(body.len()));
    Ok(())
}

fn refuse_encoded(session: &Session<'_>) -> Result<(), Problem> {
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
pub fn announced_bytes(session: &Session<'_>) -> Option<u64> {
    session.req_header().headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether the client waits for a word before it sends its body.
#[must_use]
pub fn expects_continue(session: &Session<'_>) -> bool {
    let head = session.req_header();
    head.version == Version::HTTP_11
        && head.headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

fn too_large(limit_bytes: usize) -> Problem {
    let message = format!("The request body is larger than {limit_bytes} bytes. Send smaller images, or raise limits.body_bytes.");
    Problem::new(413, "request_too_large", message).closing()
}

/// 408: the client is too slow.
#[must_use]
pub fn too_slow(message: &str) -> Problem {
    Problem::new(408, "request_timeout", message).closing()
}

/// 503: a moment later there may be memory again.
pub fn out_of_memory() -> Problem {
    let message = "The gateway holds as many request bodies as it has memory for (limits.memory_bytes). Try again in a moment.";
    let problem = Problem::new(503, "memory_limit", message).closing();
    Problem { retry_after_s: Some(1), should_retry: Some(true), ..problem }
}

/// Whether what was sent is no body, rather than that its sender is gone.
#[must_use]
pub fn is_malformed(error: &pingora::Error) -> bool {
    matches!(error.etype(), ErrorType::InvalidHTTPHeader | ErrorType::Custom(INVALID_CHUNK))
}

/// 400: what came of a body cannot be read.
#[must_use]
pub fn broken(error: &pingora::Error) -> Problem {
    let message = match is_malformed(error) {
        true => "The chunks of the request body are not well-formed, or their trailer is longer than 16 KiB.",
        false => "The request body ended before its announced length.",
    };
    let problem = Problem::new(400, "incomplete_body", message).closing();
    Problem { log: Some(error.to_string()), ..problem }
}
