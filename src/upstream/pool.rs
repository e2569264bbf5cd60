//! Connections to providers: taken from a stack of idle ones, or shared where HTTP/2 is spoken, else opened.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pingora::protocols::Stream;

use super::connect::{ConnectError, Connector};
use super::connection::Connection;
use super::dns::Names;
use super::exchange::Exchange;
use super::http2::{Connections, Opened};
use crate::config::{Endpoint, Snapshot, Timeouts, Transport};

/// Idle connections kept for one host.
const IDLE_PER_HOST: usize = 128;
/// Hosts at which connections are kept that clients, not operators, named.
const NAMED_BY_CLIENTS: usize = 256;
/// How long a connection may lie idle. Shorter than the idle timeouts of the providers' edges.
const IDLE: Duration = Duration::from_secs(50);
/// How old a connection may become, so that traffic follows the host's name to other addresses.
const AGE: Duration = Duration::from_secs(10 * 60);

/// All connections of the process.
pub struct Pool {
    connector: Connector,
    idle: Mutex<HashMap<Host, Vec<Idle>>>,
    shared: Mutex<HashMap<Host, Arc<Connections>>>,
}

/// What connections are interchangeable for. Not its address: any of a host's will do, and reuse beats rotation.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Host {
    tls: bool,
    name: String,
    port: u16,
    transport: Transport,
}

struct Idle {
    connection: Connection,
    opened: Instant,
    since: Instant,
}

/// A connection with where it belongs.
pub struct Lease {
    /// The connection, for one request.
    pub connection: Exchange,
    host: Host,
    opened: Instant,
}

impl Default for Pool {
    fn default() -> Self {
        Self { connector: Connector::new(Names::default()), idle: Mutex::default(), shared: Mutex::default() }
    }
}

impl Pool {
    /// A pool with the system's names and certificates.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Does ahead of the first request what a configuration will need. Runs at start and at a reload.
    pub fn prepare(&self, snapshot: &Snapshot) {
        let mut credentials = snapshot.providers.iter().flat_map(|provider| provider.credentials.iter());
        if credentials.any(|credential| credential.endpoint.tls) {
            self.connector.tls.warm();
        }
    }

    /// The names known to the process, with all their addresses.
    #[must_use]
    pub fn names(&self) -> &Names {
        self.connector.names()
    }

    /// A connection to the endpoint: an idle one that still lives, unless `fresh`, else a new one; or a place on a shared one.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn lease(&self, endpoint: &Endpoint, timeouts: &Timeouts, fresh: bool) -> Result<Lease, ConnectError> {
        let host = Host::of(endpoint);
        if endpoint.transport.http2 {
            let connections = self.connections(&host);
            match Box::pin(connections.stream(&self.connector, endpoint, timeouts, fresh)).await? {
                Opened::Stream(stream) => return Ok(Lease::new(stream, host)),
                Opened::Http1(stream) => return Ok(Lease::new(Connection::new(stream), host)),
                Opened::Elsewhere => {}
            }
        }
        let idle = if fresh { None } else { self.take_idle(&host) };
        if let Some(Idle { connection, opened, .. }) = idle {
            return Ok(Lease { connection: connection.into(), host, opened });
        }
        // In a box: what opening needs would else be carried, and moved, with every request.
        let stream: Stream = Box::pin(self.connector.open(endpoint, timeouts)).await?;
        Ok(Lease::new(Connection::new(stream), host))
    }

    /// A new HTTP/1.1 connection, whatever the endpoint prefers: one that is to be upgraded to another protocol.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn lease_http1(&self, endpoint: &Endpoint, timeouts: &Timeouts) -> Result<Lease, ConnectError> {
        let transport = Transport { http2: false, ..endpoint.transport.clone() };
        self.lease(&Endpoint { transport, ..endpoint.clone() }, timeouts, true).await
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
        let transport = Transport { server_name: tls_name.map(str::to_owned), ..Transport::default() };
        let endpoint = Endpoint {
            tls: tls_name.is_some(),
            host: address.ip().to_string(),
            port: address.port(),
            authority: address.to_string(),
            path: String::new(),
            transport,
        };
        self.lease(&endpoint, timeouts, fresh).await
    }

    /// [`Pool::give_back`] of a connection to a host that a client named: closed where such hosts have many already, so that nobody
    /// can make the process run out of sockets.
    pub fn give_back_if_few(&self, lease: Lease) {
        if lock(&self.idle).len() < NAMED_BY_CLIENTS {
            self.give_back(lease);
        }
    }

    /// Takes a connection back, if its answer was read to the end and it may be used again; else it is closed.
    pub fn give_back(&self, lease: Lease) {
        let Some(connection) = lease.connection.into_reusable() else { return };
        let now = Instant::now();
        if now.saturating_duration_since(lease.opened) >= AGE {
            return;
        }
        let mut idle = lock(&self.idle);
        let stack = idle.entry(lease.host).or_default();
        if stack.len() < IDLE_PER_HOST {
            stack.push(Idle { connection, opened: lease.opened, since: now });
        }
    }

    /// Closes connections that have lain idle too long, or that the other side closed, and tends the names. Runs now and then in the
    /// background.
    pub fn sweep(&self) {
        self.connector.names().tend();
        lock(&self.idle).retain(|_, stack| {
            stack.retain_mut(|idle| idle.since.elapsed() < IDLE && idle.connection.is_alive());
            !stack.is_empty()
        });
        lock(&self.shared).retain(|_, connections| connections.sweep() || Arc::strong_count(connections) > 1);
    }

    fn take_idle(&self, host: &Host) -> Option<Idle> {
        let mut idle = lock(&self.idle);
        let stack = idle.get_mut(host)?;
        while let Some(mut idle) = stack.pop() {
            if idle.since.elapsed() < IDLE && idle.connection.is_alive() {
                idle.connection.reused = true;
                return Some(idle);
            }
        }
        None
    }

    fn connections(&self, host: &Host) -> Arc<Connections> {
        let mut shared = lock(&self.shared);
        if let Some(connections) = shared.get(host) {
            return connections.clone();
        }
        shared.entry(host.clone()).or_default().clone()
    }
}

impl Host {
    fn of(endpoint: &Endpoint) -> Self {
        Self { tls: endpoint.tls, name: endpoint.host.clone(), port: endpoint.port, transport: endpoint.transport.clone() }
    }
}

impl Lease {
    fn new(connection: impl Into<Exchange>, host: Host) -> Self {
        Self { connection: connection.into(), host, opened: Instant::now() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
