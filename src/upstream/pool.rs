//! Connections to providers: taken from a stack of idle ones, else opened.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pingora::ErrorType;
use pingora::connectors::TransportConnector;
use pingora::upstreams::peer::HttpPeer;

use super::connection::Connection;
use super::dns::Names;
use crate::config::{Endpoint, Timeouts};

/// Idle connections kept for one address.
const IDLE_PER_PEER: usize = 128;
/// Addresses at which connections are kept that clients, not operators, named.
const NAMED_BY_CLIENTS: usize = 256;
/// How long a connection may lie idle. Shorter than the idle timeouts of the providers' edges.
const IDLE: Duration = Duration::from_secs(50);

/// Why no connection could be had.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name does not resolve.
    #[error("name lookup failed: {0}")]
    Dns(io::Error),
    /// Refused, unreachable, reset.
    #[error("connect failed: {0}")]
    Connect(String),
    /// Handshake or certificate.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// Connect or handshake took too long.
    #[error("connect timed out")]
    Timeout,
}

/// All connections of the process. One: every `TransportConnector` parses the system's certificates.
pub struct Pool {
    connector: TransportConnector,
    names: Names,
    idle: Mutex<HashMap<Peer, Vec<Idle>>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Peer {
    address: SocketAddr,
    /// The server name, where the connection is encrypted.
    tls: Option<String>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection with where it belongs.
pub struct Lease {
    /// The connection.
    pub connection: Connection,
    peer: Peer,
}

impl Default for Pool {
    fn default() -> Self {
        Self { connector: TransportConnector::new(None), names: Names::default(), idle: Mutex::default() }
    }
}

impl Pool {
    /// A pool with the system's certificates.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// A connection to the endpoint: an idle one that still lives, unless `fresh`, else a new one.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn lease(&self, endpoint: &Endpoint, timeouts: &Timeouts, fresh: bool) -> Result<Lease, ConnectError> {
        let limit = Duration::from_millis(timeouts.connect_ms + if endpoint.tls { timeouts.tls_ms } else { 0 });
        let address = tokio::time::timeout(limit, self.names.address(endpoint));
        let address = address.await.map_err(|_| ConnectError::Timeout)?.map_err(ConnectError::Dns)?;
        let peer = Peer { address, tls: endpoint.tls.then(|| endpoint.host.clone()) };
        let idle = if fresh { None } else { self.take_idle(&peer) };
        if let Some(connection) = idle {
            return Ok(Lease { connection, peer });
        }
        let connection = tokio::time::timeout(limit, self.open(&peer, timeouts)).await.map_err(|_| ConnectError::Timeout)??;
        Ok(Lease { connection, peer })
    }

    /// A connection to this very address, encrypted under `tls_name` where one is given: for whoever has looked the host up, and may not
    /// go anywhere else.
    ///
    /// # Errors
    /// [`ConnectError`]; never a failed lookup.
    pub async fn lease_at(
        &self,
        address: SocketAddr,
        tls_name: Option<&str>,
        timeouts: &Timeouts,
        fresh: bool,
    ) -> Result<Lease, ConnectError> {
        let peer = Peer { address, tls: tls_name.map(str::to_owned) };
        let idle = if fresh { None } else { self.take_idle(&peer) };
        if let Some(connection) = idle {
            return Ok(Lease { connection, peer });
        }
        let limit = Duration::from_millis(timeouts.connect_ms + if tls_name.is_some() { timeouts.tls_ms } else { 0 });
        let connection = tokio::time::timeout(limit, self.open(&peer, timeouts)).await.map_err(|_| ConnectError::Timeout)??;
        Ok(Lease { connection, peer })
    }

    /// [`Pool::give_back`] of a connection to a host that a client named: closed where such hosts have many already, so that nobody
    /// can make the process run out of sockets.
    pub fn give_back_if_few(&self, lease: Lease) {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).len();
        if idle < NAMED_BY_CLIENTS {
            self.give_back(lease);
        }
    }

    /// Takes a connection back, if its answer was read to the end and it may be used again; else it is closed.
    pub fn give_back(&self, lease: Lease) {
        if !lease.connection.is_reusable() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let stack = idle.entry(lease.peer).or_default();
        if stack.len() < IDLE_PER_PEER {
            stack.push(Idle { connection: lease.connection, since: Instant::now() });
        }
    }

    /// Closes connections that have lain idle too long, or that the other side closed. Runs now and then in the background.
    pub fn sweep(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, stack| {
            stack.retain_mut(|idle| idle.since.elapsed() < IDLE && idle.connection.is_alive());
            !stack.is_empty()
        });
    }

    fn take_idle(&self, peer: &Peer) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let stack = idle.get_mut(peer)?;
        while let Some(Idle { mut connection, since }) = stack.pop() {
            if since.elapsed() < IDLE && connection.is_alive() {
                connection.reused = true;
                return Some(connection);
            }
        }
        None
    }

    async fn open(&self, peer: &Peer, timeouts: &Timeouts) -> Result<Connection, ConnectError> {
        let mut http = HttpPeer::new(peer.address, peer.tls.is_some(), peer.tls.clone().unwrap_or_default());
        http.options.connection_timeout = Some(Duration::from_millis(timeouts.connect_ms));
        let stream = self.connector.new_stream(&http).await.map_err(|error| classify(&error))?;
        Ok(Connection::new(stream))
    }
}

fn classify(error: &pingora::Error) -> ConnectError {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => ConnectError::Timeout,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::TLSWantX509Lookup => ConnectError::Tls(error.to_string()),
        _ => ConnectError::Connect(error.to_string()),
    }
}
