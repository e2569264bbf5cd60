//! The answer on a client's HTTP/1 connection: head, body, framing, in as few writes as it has parts that are ready at once.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::{Buf, BufMut, BytesMut};
use http::{Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::date;
use pingora::{Error, ErrorType, OrErr};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::http1::Http1;
use crate::proxy::CLIENT_WRITE;

/// Room for a head.
const HEAD_BYTES: usize = 1024;

/// Where the body of an answer ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFraming {
    /// After so many bytes more.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

impl BodyFraming {
    fn of(method: &Method, answer: &ResponseHeader) -> Self {
        if method == Method::HEAD || matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            return Self::Length(0);
        }
        if answer.headers.contains_key(header::TRANSFER_ENCODING) {
            return Self::Chunked;
        }
        let length = answer.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        length.map_or(Self::UntilClose, Self::Length)
    }
}

impl Http1 {
    /// Holds the head that is written, to leave with what is written next.
    pub fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// Tells the client to send its body.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn write_continue(&mut self) -> pingora::Result<()> {
        self.continued = true;
        self.out.put_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        self.send(&[], &[]).await
    }

    /// Writes the head of the answer. Where a body of known length follows, with that.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn write_head(&mut self, answer: ResponseHeader) -> pingora::Result<()> {
        self.framing = BodyFraming::of(&self.head.method, &answer);
        self.keep_alive &= self.framing != BodyFraming::UntilClose && self.can_pass_over();
        let (date, connection) = (date::get_cached_date(), if self.keep_alive { "keep-alive" } else { "close" });
        self.out.reserve(HEAD_BYTES);
        let mut put = |parts: [&[u8]; 4]| parts.iter().for_each(|part| self.out.put_slice(part));
        put([b"HTTP/1.1 ", answer.status.as_str().as_bytes(), b" ", answer.get_reason_phrase().unwrap_or_default().as_bytes()]);
        for (name, value) in &answer.headers {
            put([b"\r\n", name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        put([b"\r\ndate: ", date.as_bytes(), b"\r\nconnection: ", connection.as_bytes()]);
        self.out.put_slice(b"\r\n\r\n");
        self.answer = Some(answer);
        if self.hold || matches!(self.framing, BodyFraming::Length(1..)) {
            return Ok(());
        }
        self.send(&[], &[]).await
    }

    /// Writes a piece of the body, and the end of a body in chunks with the last one; waits until the socket has taken it.
    ///
    /// # Errors
    /// The client cannot be written to; or it is more than was announced.
    pub async fn write_body(&mut self, piece: &[u8], last: bool) -> pingora::Result<()> {
        if piece.is_empty() {
            return if last { self.end_body().await } else { Ok(()) };
        }
        match &mut self.framing {
            BodyFraming::Length(left) => match left.checked_sub(piece.len() as u64) {
                Some(rest) => *left = rest,
                None => return Error::e_explain(ErrorType::WriteError, "more than was announced"),
            },
            BodyFraming::Chunked => put_size(&mut self.out, piece.len()),
            BodyFraming::UntilClose => {}
        }
        let tail: &[u8] = match self.framing {
            BodyFraming::Chunked if last => {
                self.framing = BodyFraming::Length(0);
                b"\r\n0\r\n\r\n"
            }
            BodyFraming::Chunked => b"\r\n",
            BodyFraming::Length(_) | BodyFraming::UntilClose => b"",
        };
        self.send(piece, tail).await?;
        self.body_bytes_sent += piece.len() as u64;
        Ok(())
    }

    /// Ends the body. After one that is shorter than announced no other request may follow.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn end_body(&mut self) -> pingora::Result<()> {
        match self.framing {
            BodyFraming::Chunked => self.out.put_slice(b"0\r\n\r\n"),
            BodyFraming::Length(0) => {}
            BodyFraming::Length(_) | BodyFraming::UntilClose => self.keep_alive = false,
        }
        self.framing = BodyFraming::Length(0);
        if self.out.is_empty() { Ok(()) } else { self.send(&[], &[]).await }
    }

    /// Writes what is held, then a piece, then the end of its chunk or of all.
    async fn send(&mut self, piece: &[u8], tail: &[u8]) -> pingora::Result<()> {
        let mut writing = pin!(self.write_all(piece, tail));
        // A clock is only set where the client does not take it at once.
        let at_once = std::future::poll_fn(|cx| match writing.as_mut().poll(cx) {
            Poll::Ready(written) => Poll::Ready(Some(written)),
            Poll::Pending => Poll::Ready(None),
        });
        let written = match at_once.await {
            Some(written) => written,
            None => match tokio::time::timeout(CLIENT_WRITE, writing).await {
                Ok(written) => written,
                Err(_) => return Error::e_explain(ErrorType::WriteTimedout, "the client takes nothing"),
            },
        };
        written.or_err(ErrorType::WriteError, "writing to the client")
    }

    async fn write_all(&mut self, mut piece: &[u8], mut tail: &[u8]) -> io::Result<()> {
        let Self { stream, out, .. } = self;
        std::future::poll_fn(|cx| {
            while !(out.is_empty() && piece.is_empty() && tail.is_empty()) {
                let slices = [IoSlice::new(out), IoSlice::new(piece), IoSlice::new(tail)];
                let mut written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?;
                if written == 0 {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero)));
                }
                let of_out = written.min(out.len());
                out.advance(of_out);
                written -= of_out;
                let of_piece = written.min(piece.len());
                piece.advance(of_piece);
                tail.advance(written - of_piece);
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        stream.flush().await
    }
}

/// The line before a chunk. By hand: it is written for each event of a stream.
fn put_size(out: &mut BytesMut, size: usize) {
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    let digit = |place: u32| char::from_digit((size >> (4 * place)) as u32 & 0xF, 16).map_or(b'0', |digit| digit as u8);
    out.extend((0..digits).rev().map(digit));
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_hexadecimal() {
        for size in [0, 1, 9, 10, 15, 16, 0xE0, 0xFFF, 0x1000, 0x10_0000, usize::MAX] {
            let mut out = BytesMut::new();
            put_size(&mut out, size);
            assert_eq!(out, format!("{size:x}\r\n"));
        }
    }
}
