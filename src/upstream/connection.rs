//! An HTTP/1.1 connection to a provider: one request and its answer at a time.
//!
//! Our own codec and not Pingora's client session, for three reasons, all measured (pingora notes §2 and §10): one buffer for head and
//! body costs a third less; an answer that arrives while a large body is still being written is read instead of waiting for the write
//! to time out; and what has already arrived can be gathered without waiting for more.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use nix::errno::Errno;
use nix::sys::socket::MsgFlags;
use pingora::protocols::Stream;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::framing::{Body, Framing};
use super::head::Head;

/// How much is read at once.
const READ_BYTES: usize = 32 * 1024;
/// The longest response head we accept.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
/// The most interim answers to one request: there are one or two.
const INTERIM_MAX: usize = 32;
/// How much of an upgraded connection is taken in while it takes nothing itself.
const AHEAD_BYTES: usize = 1 << 20;
/// The status of an upgraded connection: what follows is not HTTP.
const SWITCHING: u16 = 101;
/// Slices handed to one vectored write.
const WRITE_SLICES: usize = 16;

/// What became of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// All of it was written.
    Whole,
    /// The provider answered, or stopped reading, before the end. Its answer can be read; the connection cannot be used again.
    Cut,
}

/// An open connection. Dropping it closes it, which cancels the request at the provider.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    buffer: BytesMut,
    body: Body,
    reusable: bool,
    /// Whether it served a request before this one: then a death before the first byte is the pool's staleness, not the provider's.
    pub reused: bool,
    received: bool,
}

thread_local! {
    /// Room to read into, of a connection that waits: those of a thread read one after the other, and what was used last is still near
    /// the processor. A connection that waits holds none.
    static ROOM: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

impl Connection {
    /// Wraps a connected stream.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self { stream, buffer: BytesMut::new(), body: Body::finished(), reusable: true, reused: false, received: false }
    }

    /// Writes a request, given as pieces: head and body leave together, large pieces without a copy.
    ///
    /// # Errors
    /// The connection broke and nothing of an answer was there to be read.
    pub async fn send(&mut self, mut pieces: Pieces<'_>) -> io::Result<Sent> {
        self.received = false;
        let sent = std::future::poll_fn(|cx| self.poll_send(cx, &mut pieces)).await?;
        if sent == Sent::Cut {
            self.reusable = false;
        }
        Ok(sent)
    }

    /// Reads the head of the answer, skipping 1xx but for 101, whose body is all that follows.
    ///
    /// # Errors
    /// The connection ended or broke before a whole head; or the head is not HTTP (`InvalidData`).
    pub async fn read_head(&mut self) -> io::Result<Head> {
        let mut interim = 0;
        loop {
            if let Some(mut head) = Head::take(&mut self.buffer)? {
                if head.status < 100 {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a status that answers nothing"));
                }
                if head.is_informational() && head.status != SWITCHING {
                    interim += 1;
                    if interim > INTERIM_MAX {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "interim answers without end"));
                    }
                    continue;
                }
                let framing = Framing::of(&head)?;
                if matches!(framing.body, Body::Chunked(_)) {
                    // The coding overrides it, for whoever the answer is passed on to as well (RFC 9112 §6.3).
                    head.remove("content-length");
                }
                self.reusable &= framing.keep_alive;
                self.body = framing.body;
                return Ok(head);
            }
            if self.buffer.len() > HEAD_LIMIT_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "response head longer than 64 KiB"));
            }
            if self.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Writes bytes of an upgraded connection. Takes in what arrives meanwhile: two sides that both write must not wait for each other.
    ///
    /// # Errors
    /// The connection ended or broke.
    pub async fn write_upgraded(&mut self, mut bytes: Bytes) -> io::Result<()> {
        self.reusable = false;
        std::future::poll_fn(|cx| self.poll_write_upgraded(cx, &mut bytes)).await
    }

    fn poll_write_upgraded(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => bytes.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    while self.buffer.len() < AHEAD_BYTES {
                        match self.poll_fill(cx) {
                            Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                            Poll::Ready(Ok(_)) => {}
                            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                            Poll::Pending => break,
                        }
                    }
                    return Poll::Pending;
                }
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// The answer has no body, whatever its head says: it answers HEAD.
    pub fn without_body(&mut self) {
        self.body = Body::finished();
    }

    /// Whether any byte of the answer has arrived.
    #[must_use]
    pub fn has_received(&self) -> bool {
        self.received
    }

    /// The next piece of the body as it arrives; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke, or the body ended early (`UnexpectedEof`) or is framed wrongly (`InvalidData`).
    pub async fn next_body(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(piece) = self.body.take(&mut self.buffer)? {
                return Ok(Some(piece));
            }
            if self.body.is_finished() {
                return Ok(None);
            }
            if self.fill().await? == 0 {
                self.body.end_of_stream()?;
                self.reusable = false;
            }
        }
    }

    /// A piece of the body that is already here, without waiting: `None` when there is none.
    ///
    /// # Errors
    /// As [`Connection::next_body`].
    pub fn ready_body(&mut self) -> io::Result<Option<Bytes>> {
        if !self.buffer.is_empty()
            && let Some(piece) = self.body.take(&mut self.buffer)?
        {
            return Ok(Some(piece));
        }
        if self.body.is_finished() {
            return Ok(None);
        }
        match self.poll_fill(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(0)) => {
                self.reusable = false;
                self.body.end_of_stream()?;
                Ok(None)
            }
            Poll::Ready(Ok(_)) => self.body.take(&mut self.buffer),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(None),
        }
    }

    /// Whether the answer was read to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.body.is_finished()
    }

    /// Whether the connection may serve another request.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        self.reusable && self.body.is_finished() && self.buffer.is_empty()
    }

    /// The same, without the room it read into: one that rests needs none.
    #[must_use]
    pub fn resting(self) -> Self {
        Self { buffer: BytesMut::new(), ..self }
    }

    /// One non-blocking look at an idle connection: alive if there is nothing to read. Bytes or an end mean it is of no use: what they
    /// answer is not the next request. The kernel is asked itself, since the runtime hears of what has arrived a moment later, and on
    /// another thread.
    #[must_use]
    pub fn is_alive(&mut self) -> bool {
        let peek = nix::sys::socket::recv(self.stream.id(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
        peek == Err(Errno::EAGAIN) && self.poll_fill(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, pieces: &mut Pieces<'_>) -> Poll<io::Result<Sent>> {
        while !pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
            let count = pieces.slices(&mut slices);
            let slices = slices.get(..count).unwrap_or_default();
            match Pin::new(&mut self.stream).poll_write_vectored(cx, slices) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => pieces.advance(written),
                // It closed while we wrote: an answer may be waiting all the same.
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(Sent::Cut)),
                Poll::Pending => return self.poll_early_answer(cx),
            }
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(Sent::Whole)),
            Poll::Ready(Err(_)) => Poll::Ready(Ok(Sent::Cut)),
            Poll::Pending => self.poll_early_answer(cx),
        }
    }

    /// Waits until the provider says, before it has all of a request, that this failed; or until it closes. What would follow on the
    /// connection is then the rest of that request: it cannot be used again.
    pub async fn early_failure(&mut self) {
        let _ = std::future::poll_fn(|cx| self.poll_early_answer(cx)).await;
        self.reusable = false;
    }

    /// The provider does not take more for now: it may have answered already (a 429 to a body it will not read).
    fn poll_early_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Sent>> {
        loop {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Ok(Sent::Cut)),
                Poll::Ready(Ok(_)) if Head::is_early_failure(&self.buffer) => return Poll::Ready(Ok(Sent::Cut)),
                Poll::Ready(Ok(_)) if self.buffer.len() > HEAD_LIMIT_BYTES => return Poll::Ready(Ok(Sent::Cut)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.is_empty()
            && let Ok(Some(room)) = ROOM.try_with(Cell::take)
        {
            self.buffer = room;
        }
        self.buffer.reserve(READ_BYTES);
        let polled = pin!(self.stream.read_buf(&mut self.buffer)).poll(cx);
        match polled {
            Poll::Ready(Ok(1..)) => self.received = true,
            Poll::Pending if self.buffer.is_empty() => {
                let room = std::mem::take(&mut self.buffer);
                let _ = ROOM.try_with(|spare| spare.set(Some(room)));
            }
            Poll::Ready(_) | Poll::Pending => {}
        }
        polled
    }
}

/// A request on its way out: the head, then the pieces of the body.
#[derive(Debug)]
pub struct Pieces<'a> {
    head: &'a [u8],
    body: &'a [Bytes],
    /// How much of the first body piece has been written.
    offset: usize,
}

impl<'a> Pieces<'a> {
    /// All of a request.
    #[must_use]
    pub fn new(head: &'a [u8], body: &'a [Bytes]) -> Self {
        Self { head, body, offset: 0 }
    }

    /// The head, and the pieces of the body, of a request that has not begun.
    #[must_use]
    pub fn into_parts(self) -> (&'a [u8], &'a [Bytes]) {
        (self.head, self.body)
    }

    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    fn slices(&self, slices: &mut [IoSlice<'a>]) -> usize {
        let first = self.body.first().and_then(|piece| piece.get(self.offset..));
        let rest = self.body.iter().skip(1).map(|piece| &piece[..]);
        let all = std::iter::once(self.head).chain(first).chain(rest).filter(|slice| !slice.is_empty());
        let mut count = 0;
        for (slot, slice) in slices.iter_mut().zip(all) {
            *slot = IoSlice::new(slice);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        written -= of_head;
        while let Some((first, rest)) = self.body.split_first() {
            let left = first.len() - self.offset;
            if written < left {
                self.offset += written;
                return;
            }
            written -= left;
            self.offset = 0;
            self.body = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_survive_any_split_of_the_writes() {
        let body = [Bytes::from_static(b"abc"), Bytes::from_static(b"d"), Bytes::from_static(b"efgh")];
        for step in 1..=10 {
            let mut pieces = Pieces::new(b"HE", &body);
            let mut written = Vec::new();
            while !pieces.is_empty() {
                let mut slices = [IoSlice::new(&[]); 2];
                let count = pieces.slices(&mut slices);
                let all: Vec<u8> = slices.iter().take(count).flat_map(|slice| slice.to_vec()).take(step).collect();
                pieces.advance(all.len());
                written.extend(all);
            }
            assert_eq!(written, b"HEabcdefgh", "step {step}");
        }
    }
}
