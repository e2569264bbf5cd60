//! From an endpoint to an open stream: the name, TCP, TLS, each within its time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::{Stream, TcpKeepalive};
use pingora::upstreams::peer::HttpPeer;
use tokio::task::JoinSet;

use super::dns::Names;
use super::tls::{EMPTY_FILE, Tls};
use crate::config::{Endpoint, Timeouts};

/// How long an address may take before the host's next is tried beside it (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Finds connections whose other side is gone, and keeps those that wait for a slow answer alive in NAT tables.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(45),
    interval: Duration::from_secs(15),
    count: 4,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// Why no connection could be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The name does not resolve.
    #[error("name lookup failed: {0}")]
    Dns(String),
    /// Refused, unreachable, reset.
    #[error("connect failed: {0}")]
    Connect(String),
    /// Handshake or certificate.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// No address could be connected to in time.
    #[error("connect timed out")]
    Timeout,
    /// The handshake took too long.
    #[error("the TLS handshake timed out")]
    TlsTimeout,
}

/// An open TCP connection.
pub type Tcp = Box<pingora::protocols::l4::stream::Stream>;

/// Opens connections.
pub struct Connector {
    tcp: Arc<TransportConnector>,
    names: Names,
    /// Whom we trust.
    pub tls: Tls,
}

impl Connector {
    /// A connector that knows names as this does.
    #[must_use]
    pub fn new(names: Names) -> Self {
        // Pingora opens TCP connections here, and no others: it needs no certificates, and must not panic where there are none.
        let options = ConnectorOptions { ca_file: Some(EMPTY_FILE.to_owned()), ..ConnectorOptions::new(1) };
        Self { tcp: Arc::new(TransportConnector::new(Some(options))), names, tls: Tls::default() }
    }

    /// Opens a connection: to any of the host's addresses, best first.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(&self, endpoint: &Endpoint, timeouts: &Timeouts) -> Result<Stream, ConnectError> {
        let limit = Duration::from_millis(timeouts.connect_ms);
        let deadline = Instant::now() + limit;
        let addresses = self.addresses(endpoint, limit).await?;
        let stream = match addresses[..] {
            [only] => self.only(only, deadline).await?,
            _ => self.any_of(&endpoint.host, &addresses, deadline).await?,
        };
        if !endpoint.tls {
            return Ok(stream);
        }
        let limit = Duration::from_millis(timeouts.tls_ms);
        tokio::time::timeout(limit, self.tls.wrap(endpoint, stream)).await.map_err(|_| ConnectError::TlsTimeout)?
    }

    /// The names known.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    async fn addresses(&self, endpoint: &Endpoint, limit: Duration) -> Result<Vec<SocketAddr>, ConnectError> {
        let looked_up = tokio::time::timeout(limit, self.names.addresses(&endpoint.host, endpoint.port)).await;
        let looked_up = looked_up.map_err(|_| ConnectError::Dns("no name server answered in time".to_owned()))?;
        looked_up.map_err(|error| ConnectError::Dns(error.to_string()))
    }

    async fn only(&self, address: SocketAddr, deadline: Instant) -> Result<Tcp, ConnectError> {
        let opened = tokio::time::timeout_at(deadline.into(), tcp(&self.tcp, address)).await;
        opened.map_err(|_| ConnectError::Timeout)?
    }

    /// One address after another: the next at once when one fails, beside it when it takes long. The first that connects wins.
    async fn any_of(&self, host: &str, addresses: &[SocketAddr], deadline: Instant) -> Result<Tcp, ConnectError> {
        let mut attempts = JoinSet::new();
        let mut pending: Vec<SocketAddr> = Vec::new();
        let mut left = addresses.iter().copied();
        let mut last = ConnectError::Timeout;
        let mut next = left.next();
        loop {
            if let Some(address) = next.take() {
                let connector = self.tcp.clone();
                attempts.spawn(async move { (address, tcp(&connector, address).await) });
                pending.push(address);
            }
            let more = left.len() > 0;
            let until = if more { deadline.min(Instant::now() + HEAD_START) } else { deadline };
            match tokio::time::timeout_at(until.into(), attempts.join_next()).await {
                Ok(Some(Ok((address, Ok(stream))))) => {
                    self.names.report(host, address, true);
                    // Those that had a head start and lost are slow at best.
                    pending.iter().take_while(|slow| **slow != address).for_each(|slow| self.names.report(host, *slow, false));
                    return Ok(stream);
                }
                Ok(Some(Ok((address, Err(error))))) => {
                    log::info!("{host}: {address}: {error}; trying its other addresses");
                    self.names.report(host, address, false);
                    pending.retain(|other| *other != address);
                    last = error;
                    next = left.next();
                }
                Ok(Some(Err(_))) => next = left.next(),
                Ok(None) if !more => return Err(last),
                Err(_) if Instant::now() >= deadline => {
                    pending.iter().for_each(|slow| self.names.report(host, *slow, false));
                    return Err(ConnectError::Timeout);
                }
                Ok(None) | Err(_) => next = left.next(),
            }
        }
    }
}

async fn tcp(connector: &TransportConnector, address: SocketAddr) -> Result<Tcp, ConnectError> {
    let mut peer = HttpPeer::new(address, false, String::new());
    peer.options.tcp_keepalive = Some(KEEPALIVE);
    let stream = connector.new_stream(&peer).await.map_err(|error| ConnectError::Connect(reason(&error)))?;
    stream.into_any().downcast().map_err(|_| ConnectError::Connect("not a TCP connection".to_owned()))
}

/// The innermost cause, which says more than Pingora's chain does.
fn reason(error: &pingora::Error) -> String {
    let cause = error.root_cause();
    cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), ToString::to_string)
}
