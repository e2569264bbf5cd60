//! A client's HTTP/1 connection during one request: its head, its body, and whether it is still there. [`super::answer`] writes.
//!
//! Our own codec and not Pingora's server session, for a head that has arrived whole and is sound: a body of announced length is read
//! straight into its place, where that session copies each byte twice on its way (measured: a quarter of the CPU time of an image);
//! chunks are read strictly, where that one takes an empty size for the last; and nothing is kept that only an upgrade, a retry or a cache
//! would need. What is unusual is Pingora's.

use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Stream;
use pingora::{Error, ErrorType, OrErr};
use tokio::io::AsyncReadExt;

use super::Read;
use super::answer::BodyFraming;
use crate::listen::{guard, head};
use crate::upstream::framing::{Body, Chunk};

/// The longest head that is awaited, twice the default of `limits.header_bytes`; a longer one is Pingora's to judge.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;
/// Most fields of a head; one with more is Pingora's to judge.
const FIELDS: usize = 128;
/// How much is read at once of a body in chunks.
const READ_BYTES: usize = 16 * 1024;
/// How much of the next request is taken in ahead of its turn.
const AHEAD_BYTES: usize = 16 * 1024;
/// How much of a body that nobody wanted is read, and for how long: another request can follow only then, and a connection closed on a
/// client that still sends is reset, and the answer lost with it.
const UNWANTED_BYTES: usize = 64 << 20;
const UNWANTED: Duration = Duration::from_secs(2);

/// A client's connection during one request.
pub struct Http1 {
    pub(super) stream: Stream,
    /// What has arrived and has not been taken: of the body, or of the next request.
    arrived: BytesMut,
    pub(super) head: RequestHeader,
    body: Body,
    /// Whether another request may follow.
    pub(super) keep_alive: bool,
    /// The client was told to send its body.
    pub(super) continued: bool,
    gone: bool,
    pub(super) answer: Option<ResponseHeader>,
    pub(super) framing: BodyFraming,
    /// What is written with what is written next.
    pub(super) out: BytesMut,
    pub(super) hold: bool,
    pub(super) body_bytes_sent: u64,
}

impl Http1 {
    /// Takes a connection of which `read` has arrived. Gives it back where that is no whole and sound head, or an unusual one.
    ///
    /// # Errors
    /// What it was given.
    pub fn open(stream: Stream, read: BytesMut) -> Result<Self, (Stream, BytesMut)> {
        let Some((head, length)) = parse(&read) else { return Err((stream, read)) };
        let Some(body) = framing(&head.headers).filter(|body| !leads_elsewhere(&head, body)) else { return Err((stream, read)) };
        let mut arrived = read;
        // What was parsed holds what it needs.
        let _ = arrived.split_to(length);
        let keep_alive = keeps_alive(&head);
        Ok(Self {
            stream,
            arrived,
            head,
            body,
            keep_alive,
            continued: false,
            gone: false,
            answer: None,
            framing: BodyFraming::Length(0),
            out: BytesMut::new(),
            hold: false,
            body_bytes_sent: 0,
        })
    }

    /// The head of the request.
    pub fn head(&self) -> &RequestHeader {
        &self.head
    }

    /// The head of the answer, once it is written.
    pub fn answered(&self) -> Option<&ResponseHeader> {
        self.answer.as_ref()
    }

    /// So much of the answer's body has been written.
    pub fn body_bytes_sent(&self) -> u64 {
        self.body_bytes_sent
    }

    /// Who asks.
    pub fn address(&self) -> Option<IpAddr> {
        guard::address(&self.stream)
    }

    /// Whether the client came over TLS.
    pub fn is_tls(&self) -> bool {
        self.stream.get_ssl_digest().is_some()
    }

    /// Whether nothing is left of the body.
    pub fn has_read_all(&self) -> bool {
        self.body.is_finished()
    }

    /// Whether another request can follow what is left of the body: not where that is too long, nor where the client, who waits for a word
    /// before it sends it, may never do so.
    pub(super) fn can_pass_over(&self) -> bool {
        let long = matches!(self.body, Body::Length(left) if left > UNWANTED_BYTES as u64);
        let awaits = !self.continued && self.head.headers.contains_key(header::EXPECT);
        self.body.is_finished() || !(long || awaits)
    }

    /// No other request may follow.
    pub fn close_after(&mut self) {
        self.keep_alive = false;
    }

    /// Reads on in the body: what is left of an announced length straight into `body`, if that has the room.
    ///
    /// # Errors
    /// The client left, or its chunks are none.
    pub async fn read_body(&mut self, body: &mut BytesMut) -> pingora::Result<Read> {
        loop {
            let taken = self.body.take(&mut self.arrived);
            if let Some(piece) = taken.or_err(ErrorType::InvalidHTTPHeader, "chunks that are none")? {
                return Ok(Read::Piece(piece));
            }
            if self.body.is_finished() {
                return Ok(Read::End);
            }
            let read = match &mut self.body {
                Body::Length(left) if body.capacity() - body.len() >= usize::try_from(*left).unwrap_or(usize::MAX) => {
                    let room = usize::try_from(*left).unwrap_or(usize::MAX);
                    let read = self.stream.read_buf(&mut body.limit(room)).await;
                    *left -= read.as_ref().map_or(0, |count| *count as u64);
                    read.map(|count| (count, true))
                }
                _ => {
                    self.arrived.reserve(READ_BYTES);
                    self.stream.read_buf(&mut self.arrived).await.map(|count| (count, false))
                }
            };
            match read.or_err(ErrorType::ReadError, "reading a body")? {
                (0, _) => {
                    self.gone = true;
                    return Error::e_explain(ErrorType::ConnectionClosed, "the client left within its body");
                }
                (_, true) => return Ok(Read::InPlace),
                (_, false) => {}
            }
        }
    }

    /// Waits until the client leaves.
    pub async fn gone(&mut self) {
        while !self.gone {
            if self.arrived.len() >= AHEAD_BYTES {
                return std::future::pending().await;
            }
            self.gone = matches!(self.stream.read_buf(&mut self.arrived).await, Ok(0) | Err(_));
        }
        self.keep_alive = false;
    }

    /// Ends the call. Returns the connection for the next one, and what has arrived of that.
    pub async fn finish(mut self) -> Option<(Stream, BytesMut)> {
        if self.keep_alive && !self.body.is_finished() {
            // In a box: bodies are read.
            let drained = Box::pin(tokio::time::timeout(UNWANTED, self.drain())).await;
            self.keep_alive = matches!(drained, Ok(Some(())));
        }
        if self.keep_alive {
            // A connection that rests keeps no room.
            let arrived = if self.arrived.is_empty() { BytesMut::new() } else { self.arrived };
            return Some((self.stream, arrived));
        }
        Box::pin(self.stream.shutdown()).await;
        None
    }

    /// Reads what is left of a body.
    async fn drain(&mut self) -> Option<()> {
        let mut left = UNWANTED_BYTES;
        loop {
            match self.read_body(&mut BytesMut::new()).await.ok()? {
                Read::End => return Some(()),
                Read::InPlace => {}
                Read::Piece(piece) => left = left.checked_sub(piece.len())?,
            }
        }
    }
}

/// A head and its length, if it is whole, sound, and can be told in Pingora's words.
fn parse(read: &BytesMut) -> Option<(RequestHeader, usize)> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(read, &mut slots).ok()?;
    let httparse::Status::Complete(length) = parsed else { return None };
    head::check(read.get(..length)?).ok()?;
    // One copy for all its parts, which then share it.
    let raw = Bytes::copy_from_slice(read.get(..length)?);
    let start = read.as_ptr() as usize;
    let shared = |part: &[u8]| {
        let at = part.as_ptr() as usize - start;
        raw.slice(at..at + part.len())
    };
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let value = HeaderValue::from_maybe_shared(shared(field.value)).ok()?;
        headers.append(HeaderName::from_bytes(field.name.as_bytes()).ok()?, value);
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    parts.uri = Uri::from_maybe_shared(shared(request.path?.as_bytes())).ok()?;
    parts.version = if request.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    parts.headers = headers;
    Some((parts.into(), length))
}

/// Whether what follows may be no HTTP. A body, and any other upgrade than a WebSocket's, says that it is.
fn leads_elsewhere(head: &RequestHeader, body: &Body) -> bool {
    let is_web_socket = |upgrade: &HeaderValue| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket");
    head.method == Method::CONNECT || (body.is_finished() && head.headers.get(header::UPGRADE).is_some_and(is_web_socket))
}

/// How the body of a sound head is framed; `None` for a length beyond all numbers.
fn framing(headers: &HeaderMap) -> Option<Body> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Some(Body::Chunked(Chunk::Size));
    }
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return Some(Body::finished()) };
    Some(Body::Length(length.to_str().ok()?.trim().parse().ok()?))
}

fn keeps_alive(head: &RequestHeader) -> bool {
    let mut keeps = head.version == Version::HTTP_11;
    for value in head.headers.get_all(header::CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keeps |= token.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    keeps
}
