//! One request and its answer on a shared connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};

use super::shared::Slot;
use crate::upstream::connection::{Pieces, Sent};
use crate::upstream::head::Head;

/// How much of the body is handed over at once, as far as the provider's window allows.
const PIECE_BYTES: usize = 128 << 10;
/// Most header fields of a request.
const FIELDS: usize = 128;
/// What HTTP/2 says otherwise, or must not say (RFC 9113 §8.2.2).
const CONNECTION_FIELDS: &[&str] = &["host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/// One request and its answer. Dropping it before the end resets the stream, which cancels the request at the provider.
#[derive(Debug)]
pub struct Stream {
    answer: Answer,
    upload: Option<SendStream<Bytes>>,
    received: bool,
    stale: bool,
    /// Last: the place is free once the stream is gone.
    slot: Slot,
}

/// How far the answer has come.
#[derive(Debug)]
enum Answer {
    /// Nothing was asked yet.
    Unasked,
    Expected(ResponseFuture),
    /// The head is there, and was not asked for yet.
    Arrived(Response<RecvStream>),
    Failed(h2::Error),
    Body(RecvStream),
    /// All was read.
    Finished,
}

impl Stream {
    pub(super) fn new(slot: Slot) -> Self {
        Self { answer: Answer::Unasked, upload: None, received: false, stale: false, slot }
    }

    /// Sends a request. Its body goes out as the provider's window allows, without a copy; an answer that says it failed ends that.
    ///
    /// # Errors
    /// The request cannot be written as HTTP/2, or the connection ended before it was sent.
    pub async fn send(&mut self, pieces: Pieces<'_>) -> io::Result<Sent> {
        let (head, body) = pieces.into_parts();
        let request = request(head, self.slot.0.tls)?;
        let mut sender = self.slot.0.sender.clone();
        let begun = match std::future::poll_fn(|cx| sender.poll_ready(cx)).await {
            Ok(()) => sender.send_request(request, body.iter().all(Bytes::is_empty)),
            Err(error) => Err(error),
        };
        match begun {
            Ok((answer, upload)) => {
                self.answer = Answer::Expected(answer);
                self.upload = Some(upload);
            }
            Err(error) => {
                // Nothing was sent: another connection may do.
                self.stale = true;
                self.slot.0.retire();
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, error));
            }
        }
        let mut body: Vec<Bytes> = body.iter().rev().filter(|piece| !piece.is_empty()).cloned().collect();
        Ok(std::future::poll_fn(|cx| self.poll_upload(cx, &mut body)).await)
    }

    /// The head of the answer.
    ///
    /// # Errors
    /// The stream or the connection broke; the answer is no HTTP (`InvalidData`).
    pub async fn read_head(&mut self) -> io::Result<Head> {
        std::future::poll_fn(|cx| self.poll_answer(cx)).await;
        match std::mem::replace(&mut self.answer, Answer::Finished) {
            Answer::Arrived(response) => {
                self.slot.0.served.store(true, Ordering::Release);
                let (parts, body) = response.into_parts();
                self.answer = Answer::Body(body);
                Ok(Head::from_parts(parts.status, &parts.headers))
            }
            Answer::Failed(error) => Err(self.broken(error)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The next piece of the body; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// The stream or the connection broke.
    pub async fn next_body(&mut self) -> io::Result<Option<Bytes>> {
        std::future::poll_fn(|cx| self.poll_body(cx)).await
    }

    /// A piece that is already here; `None` if there is none, or at the end.
    ///
    /// # Errors
    /// As [`Stream::next_body`].
    pub fn ready_body(&mut self) -> io::Result<Option<Bytes>> {
        match self.poll_body(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(piece) => piece,
            Poll::Pending => Ok(None),
        }
    }

    /// Whether any of the answer has arrived.
    #[must_use]
    pub fn has_received(&self) -> bool {
        self.received
    }

    /// Whether the answer was read to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.answer {
            Answer::Finished => true,
            Answer::Body(body) => body.is_end_stream(),
            _ => false,
        }
    }

    /// Whether a failure before the answer was the connection's end, or the provider's word that it has done nothing.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// Hands over the body, last piece first in `body`, and watches for an early answer meanwhile.
    fn poll_upload(&mut self, cx: &mut Context<'_>, body: &mut Vec<Bytes>) -> Poll<Sent> {
        loop {
            if self.poll_answer(cx).is_ready() && self.is_early_failure() {
                return Poll::Ready(if body.is_empty() { Sent::Whole } else { Sent::Cut });
            }
            let (Some(piece), Some(upload)) = (body.last_mut(), &mut self.upload) else { return Poll::Ready(Sent::Whole) };
            upload.reserve_capacity(piece.len().min(PIECE_BYTES));
            if upload.capacity() == 0 {
                match ready!(upload.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    // The provider wants no more of it; what it says is read next.
                    Some(Err(_)) | None => return Poll::Ready(Sent::Cut),
                }
            }
            let part = piece.split_to(upload.capacity().min(piece.len()));
            if piece.is_empty() {
                body.pop();
            }
            if upload.send_data(part, body.is_empty()).is_err() {
                return Poll::Ready(Sent::Cut);
            }
        }
    }

    /// Ready once the head has arrived, or will not.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Answer::Expected(answer) = &mut self.answer {
            self.answer = match ready!(Pin::new(answer).poll(cx)) {
                Ok(response) => {
                    self.received = true;
                    Answer::Arrived(response)
                }
                Err(error) => Answer::Failed(error),
            };
        }
        Poll::Ready(())
    }

    fn is_early_failure(&self) -> bool {
        match &self.answer {
            Answer::Arrived(response) => response.status().as_u16() >= 300,
            Answer::Failed(_) => true,
            _ => false,
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let Answer::Body(body) = &mut self.answer else { return Poll::Ready(Ok(None)) };
        match ready!(body.poll_data(cx)) {
            Some(Ok(piece)) => {
                // The client takes a piece before it asks for the next: that is the back-pressure, and this only its window.
                let _ = body.flow_control().release_capacity(piece.len());
                Poll::Ready(Ok(Some(piece)))
            }
            Some(Err(error)) => {
                let error = self.broken(error);
                Poll::Ready(Err(error))
            }
            None => {
                self.answer = Answer::Finished;
                Poll::Ready(Ok(None))
            }
        }
    }

    fn broken(&mut self, error: h2::Error) -> io::Error {
        let refused = error.reason() == Some(Reason::REFUSED_STREAM);
        let leaving = error.is_go_away() && error.is_remote();
        let died = error.is_io() && self.slot.0.served.load(Ordering::Acquire);
        self.stale = !self.received && (refused || leaving || died);
        if leaving || error.is_io() || error.is_library() {
            self.slot.0.retire();
        }
        let kind = if error.is_library() { io::ErrorKind::InvalidData } else { io::ErrorKind::ConnectionReset };
        io::Error::new(kind, error)
    }
}

impl Drop for Stream {
    /// A connection that never answered anything may never answer: what follows shall not wait on it as well.
    fn drop(&mut self) {
        if matches!(self.answer, Answer::Expected(_)) && !self.slot.0.served.load(Ordering::Acquire) {
            self.slot.0.retire();
        }
    }
}

/// The same request, as HTTP/2 writes it.
fn request(head: &[u8], tls: bool) -> io::Result<Request<()>> {
    let invalid = |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidInput, error.to_string());
    let mut slots = [httparse::EMPTY_HEADER; FIELDS];
    let mut parsed = httparse::Request::new(&mut slots);
    parsed.parse(head).map_err(|error| invalid(&error))?;
    let host = parsed.headers.iter().find(|field| field.name.eq_ignore_ascii_case("host")).map_or(&b""[..], |field| field.value);
    let scheme = if tls { "https" } else { "http" };
    let uri = http::Uri::builder().scheme(scheme).authority(host).path_and_query(parsed.path.unwrap_or("/"));
    let uri = uri.build().map_err(|error| invalid(&error))?;
    let mut request = Request::builder().method(parsed.method.unwrap_or("POST")).uri(uri).version(http::Version::HTTP_2);
    for field in parsed.headers.iter() {
        if !CONNECTION_FIELDS.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
            request = request.header(field.name, field.value);
        }
    }
    request.body(()).map_err(|error| invalid(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_same_in_both_versions() {
        let head =
            b"POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: api.test:8443\r\nConnection: close\r\nX-Key: a\r\ncontent-length: 5\r\n\r\n";
        let request = request(head, true).unwrap();
        assert_eq!(request.uri(), "https://api.test:8443/v1/chat/completions?a=b");
        let fields: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!((request.method().as_str(), fields), ("POST", vec![("x-key", "a"), ("content-length", "5")]));
    }
}
