//! A request and its answer with a provider, whatever the version of HTTP.

use std::io;

use bytes::Bytes;

use super::connection::{Connection, Pieces, Sent};
use super::decode::{Decoder, Unknown};
use super::head::Head;
use super::http2;

/// One request and its answer. Dropping it before the end cancels the request at the provider.
#[derive(Debug)]
pub struct Exchange {
    wire: Wire,
    /// Undoes the body's content coding, where [`Exchange::decode`] found one.
    decoder: Option<Box<Decoder>>,
}

/// What it goes over.
#[derive(Debug)]
enum Wire {
    /// A connection of its own.
    Http1(Connection),
    /// A stream of a shared one.
    Http2(Box<http2::Stream>),
}

impl From<Connection> for Exchange {
    fn from(connection: Connection) -> Self {
        Self { wire: Wire::Http1(connection), decoder: None }
    }
}

impl From<http2::Stream> for Exchange {
    fn from(stream: http2::Stream) -> Self {
        Self { wire: Wire::Http2(Box::new(stream)), decoder: None }
    }
}

impl Exchange {
    /// Sends a request, given as HTTP/1.1 writes it.
    ///
    /// # Errors
    /// The connection broke and nothing of an answer was there to be read.
    pub async fn send(&mut self, pieces: Pieces<'_>) -> io::Result<Sent> {
        match &mut self.wire {
            Wire::Http1(connection) => connection.send(pieces).await,
            Wire::Http2(stream) => stream.send(pieces).await,
        }
    }

    /// Waits until the provider says, before it has all of a request, that this failed; or until it closes. Of HTTP/2 this is not
    /// noticed.
    pub async fn early_failure(&mut self) {
        match &mut self.wire {
            Wire::Http1(connection) => connection.early_failure().await,
            Wire::Http2(_) => std::future::pending().await,
        }
    }

    /// Reads the head of the answer, skipping 1xx.
    ///
    /// # Errors
    /// The connection ended or broke before a whole head; or the head is not HTTP (`InvalidData`).
    pub async fn read_head(&mut self) -> io::Result<Head> {
        self.decoder = None;
        match &mut self.wire {
            Wire::Http1(connection) => connection.read_head().await,
            Wire::Http2(stream) => stream.read_head().await,
        }
    }

    /// Undoes the content coding that a head tells of, in all that is read from now on; the head then no longer tells of it. Every
    /// request asks for `identity`, but some edges compress all the same.
    ///
    /// # Errors
    /// The coding, if it is one we do not know.
    pub fn decode(&mut self, head: &mut Head) -> Result<(), Unknown> {
        self.decoder = Decoder::of(head)?.map(Box::new);
        Ok(())
    }

    /// The next piece of the body as it arrives; `None` at its end. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke, or the body ended early (`UnexpectedEof`) or is framed or coded wrongly (`InvalidData`).
    pub async fn next_body(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let piece = match &mut self.wire {
                Wire::Http1(connection) => connection.next_body().await?,
                Wire::Http2(stream) => stream.next_body().await?,
            };
            let Some(decoder) = &mut self.decoder else { return Ok(piece) };
            let ended = piece.is_none();
            let decoded = decoder.step(piece)?;
            if ended || decoded.is_some() {
                return Ok(decoded);
            }
        }
    }

    /// A piece of the body that is already here, without waiting: `None` when there is none.
    ///
    /// # Errors
    /// As [`Exchange::next_body`].
    pub fn ready_body(&mut self) -> io::Result<Option<Bytes>> {
        let piece = match &mut self.wire {
            Wire::Http1(connection) => connection.ready_body()?,
            Wire::Http2(stream) => stream.ready_body()?,
        };
        match (&mut self.decoder, piece) {
            (Some(decoder), Some(piece)) => decoder.step(Some(piece)),
            (_, piece) => Ok(piece),
        }
    }

    /// The answer has no body, whatever its head says: it answers HEAD. (HTTP/2 ends such an answer with its head.)
    pub fn without_body(&mut self) {
        if let Wire::Http1(connection) = &mut self.wire {
            connection.without_body();
        }
    }

    /// Writes to a connection that has been upgraded to another protocol.
    ///
    /// # Errors
    /// The connection broke, or it is HTTP/2, which is never upgraded.
    pub async fn write_upgraded(&mut self, bytes: Bytes) -> io::Result<()> {
        match &mut self.wire {
            Wire::Http1(connection) => connection.write_upgraded(bytes).await,
            Wire::Http2(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Whether any byte of the answer has arrived.
    #[must_use]
    pub fn has_received(&self) -> bool {
        match &self.wire {
            Wire::Http1(connection) => connection.has_received(),
            Wire::Http2(stream) => stream.has_received(),
        }
    }

    /// Whether the answer was read to its end.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let read = match &self.wire {
            Wire::Http1(connection) => connection.is_finished(),
            Wire::Http2(stream) => stream.is_finished(),
        };
        read && self.decoder.as_ref().is_none_or(|decoder| decoder.is_finished())
    }

    /// Whether a failure before the first byte of the answer is the pool's staleness and not the provider's: the request may be sent
    /// again.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        match &self.wire {
            Wire::Http1(connection) => connection.reused,
            Wire::Http2(stream) => stream.is_stale(),
        }
    }

    /// The connection, where it is this exchange's alone and may serve another request.
    #[must_use]
    pub fn into_reusable(self) -> Option<Connection> {
        match self.wire {
            Wire::Http1(connection) if connection.is_reusable() => Some(connection.resting()),
            Wire::Http1(_) | Wire::Http2(_) => None,
        }
    }
}
