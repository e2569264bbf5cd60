//! The client's side of a request, whoever drives it: one set of words for what its phases ask of it.

mod answer;
mod http1;

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use pingora::http::{RequestHeader, ResponseHeader};

pub use self::http1::{HEAD_BYTES_MAX, Http1};

/// The client's side of a request.
pub enum Session<'s> {
    /// Pingora drives it: HTTP/2, and of HTTP/1 what is unusual, WebSockets among it.
    Driven(&'s mut pingora_proxy::Session),
    /// The gateway itself does: HTTP/1.
    Served(&'s mut Http1),
}

/// What reading on in a body brought.
pub enum Read {
    /// More, which stands in its place already.
    InPlace,
    /// More, which is to be put there.
    Piece(Bytes),
    /// Its end.
    End,
}

impl Session<'_> {
    /// The head of the request.
    #[must_use]
    pub fn req_header(&self) -> &RequestHeader {
        match self {
            Self::Driven(session) => session.req_header(),
            Self::Served(client) => client.head(),
        }
    }

    /// The head as it came, where it has not been checked yet and two readers could read it in two ways: HTTP/2 has one way to say a
    /// thing, and its library checks that.
    #[must_use]
    pub fn unchecked_head(&self) -> Option<Bytes> {
        match self {
            Self::Driven(session) if !session.is_http2() => Some(session.as_downstream().to_h1_raw()),
            _ => None,
        }
    }

    /// The head of the answer, once it is written.
    #[must_use]
    pub fn response_written(&self) -> Option<&ResponseHeader> {
        match self {
            Self::Driven(session) => session.response_written(),
            Self::Served(client) => client.answered(),
        }
    }

    /// So much of the answer's body has been written, without its framing.
    #[must_use]
    pub fn body_bytes_sent(&self) -> u64 {
        match self {
            Self::Driven(session) => session.body_bytes_sent() as u64,
            Self::Served(client) => client.body_bytes_sent(),
        }
    }

    /// Who asks, where that is an address.
    #[must_use]
    pub fn client_address(&self) -> Option<IpAddr> {
        match self {
            Self::Driven(session) => session.client_addr().and_then(|address| Some(address.as_inet()?.ip().to_canonical())),
            Self::Served(client) => client.address(),
        }
    }

    /// Whether the client came over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Driven(session) => session.as_downstream().digest().is_some_and(|digest| digest.ssl_digest.is_some()),
            Self::Served(client) => client.is_tls(),
        }
    }

    /// Whether the client asks for another protocol. A call does not, and such a wish is ignored.
    #[must_use]
    pub fn is_upgrade_req(&self) -> bool {
        matches!(self, Self::Driven(session) if session.as_downstream().is_upgrade_req())
    }

    /// Whether the request has no body.
    pub fn is_body_empty(&mut self) -> bool {
        match self {
            Self::Driven(session) => session.as_downstream_mut().is_body_empty(),
            Self::Served(client) => client.has_read_all(),
        }
    }

    /// Pingora's side, where it drives.
    pub fn driven(&mut self) -> Option<&mut pingora_proxy::Session> {
        match self {
            Self::Driven(session) => Some(session),
            Self::Served(_) => None,
        }
    }

    /// No other request may follow on the connection.
    pub fn close_after(&mut self) {
        match self {
            Self::Driven(session) => session.as_downstream_mut().set_keepalive(None),
            Self::Served(client) => client.close_after(),
        }
    }

    /// Tells the client to send its body.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn write_continue(&mut self) -> pingora::Result<()> {
        match self {
            Self::Driven(session) => session.as_downstream_mut().write_continue_response().await,
            Self::Served(client) => client.write_continue().await,
        }
    }

    /// Reads on in the body, into `body` where there is room for all of it. Cancel-safe.
    ///
    /// # Errors
    /// The client left, or its chunks are none.
    pub async fn read_body(&mut self, body: &mut BytesMut) -> pingora::Result<Read> {
        match self {
            Self::Driven(session) => Ok(session.as_downstream_mut().read_request_body().await?.map_or(Read::End, Read::Piece)),
            Self::Served(client) => client.read_body(body).await,
        }
    }

    /// Waits until the client leaves. What it sends ahead of its turn is kept for then.
    pub async fn gone(&mut self) {
        match self {
            Self::Driven(session) => drop(session.as_downstream_mut().read_body_or_idle(true).await),
            Self::Served(client) => client.gone().await,
        }
    }

    /// Holds the head that is written, to leave together with what is written next. For a body that follows at once.
    pub fn hold(&mut self, hold: bool) {
        if let Self::Served(client) = self {
            client.hold(hold);
        }
    }

    /// Writes the head of the answer.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn write_head(&mut self, header: ResponseHeader) -> pingora::Result<()> {
        match self {
            Self::Driven(session) => session.as_downstream_mut().write_response_header(Box::new(header)).await,
            Self::Served(client) => client.write_head(header).await,
        }
    }

    /// Writes a piece of the answer's body, and its end with the last one; waits until the client's socket has taken it.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn write_body(&mut self, piece: Bytes, last: bool) -> pingora::Result<()> {
        match self {
            Self::Driven(session) => session.as_downstream_mut().write_response_body(piece, last).await,
            Self::Served(client) => client.write_body(&piece, last).await,
        }
    }

    /// Ends the answer's body.
    ///
    /// # Errors
    /// The client cannot be written to.
    pub async fn end_body(&mut self) -> pingora::Result<()> {
        match self {
            Self::Driven(session) => session.as_downstream_mut().finish_body().await,
            Self::Served(client) => client.end_body().await,
        }
    }
}
