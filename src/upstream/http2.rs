//! HTTP/2 to a provider, where it is asked for: many requests over few connections.

mod shared;
mod stream;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pingora::protocols::{ALPN, Stream as Io};

use self::shared::Shared;
pub use self::stream::Stream;
use super::connect::{ConnectError, Connector};
use crate::config::{Endpoint, Timeouts};

/// How long a host that chose HTTP/1.1 is taken at its word.
const HTTP1: Duration = Duration::from_secs(5 * 60);
/// How long a connection without a request is kept.
const IDLE: Duration = Duration::from_secs(50);

/// The connections to one endpoint.
#[derive(Default)]
pub struct Connections {
    open: Mutex<Vec<Arc<Shared>>>,
    /// One opens a connection, the others wait for it.
    opening: tokio::sync::Mutex<Option<ConnectError>>,
    failures: AtomicU64,
    http1_until: Mutex<Option<Instant>>,
}

/// What there is to send a request on.
pub enum Opened {
    /// A stream.
    Stream(Stream),
    /// The host chose HTTP/1.1 on this connection.
    Http1(Io),
    /// The host is known to choose HTTP/1.1.
    Elsewhere,
}

impl Connections {
    /// A stream for one request: on a connection with room for it, which is opened if there is none. `fresh` wants one that was opened
    /// from now on.
    ///
    /// # Errors
    /// [`ConnectError`]; where several wait for the same connection, all get the same.
    pub async fn stream(
        &self,
        connector: &Connector,
        endpoint: &Endpoint,
        timeouts: &Timeouts,
        fresh: bool,
    ) -> Result<Opened, ConnectError> {
        let since = fresh.then(Instant::now);
        if let Some(stream) = self.enter(since) {
            return Ok(Opened::Stream(stream));
        }
        if self.is_http1() {
            return Ok(Opened::Elsewhere);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let wait = Duration::from_millis(timeouts.connect_ms + timeouts.tls_ms);
        let mut opening = tokio::time::timeout(wait, self.opening.lock()).await.map_err(|_| ConnectError::Timeout)?;
        if let Some(stream) = self.enter(since) {
            return Ok(Opened::Stream(stream));
        }
        if self.is_http1() {
            return Ok(Opened::Elsewhere);
        }
        if let Some(error) = opening.as_ref().filter(|_| self.failures.load(Ordering::Acquire) != failures) {
            return Err(error.clone());
        }
        let opened = self.open(connector, endpoint, timeouts).await;
        if let Err(error) = &opened {
            *opening = Some(error.clone());
            self.failures.fetch_add(1, Ordering::AcqRel);
        }
        opened
    }

    /// Lets connections go that nobody uses. Whether any is left.
    pub fn sweep(&self) -> bool {
        let mut open = lock(&self.open);
        open.retain(|shared| shared.is_open() && shared.idle().is_none_or(|idle| idle < IDLE));
        !open.is_empty() || self.is_http1()
    }

    async fn open(&self, connector: &Connector, endpoint: &Endpoint, timeouts: &Timeouts) -> Result<Opened, ConnectError> {
        let io = connector.open(endpoint, timeouts).await?;
        if endpoint.tls && io.selected_alpn_proto() != Some(ALPN::H2) {
            *lock(&self.http1_until) = Some(Instant::now() + HTTP1);
            log::info!("{} does not offer HTTP/2; using HTTP/1.1", endpoint.authority);
            return Ok(Opened::Http1(io));
        }
        let shared = Shared::begin(io, endpoint.tls).await?;
        let stream = Shared::enter(&shared).map(Stream::new);
        lock(&self.open).push(shared);
        stream.map(Opened::Stream).ok_or_else(|| ConnectError::Connect("the HTTP/2 connection ended at once".to_owned()))
    }

    fn enter(&self, since: Option<Instant>) -> Option<Stream> {
        let mut open = lock(&self.open);
        open.retain(|shared| shared.is_open());
        let wanted = |shared: &&Arc<Shared>| since.is_none_or(|since| shared.opened >= since);
        open.iter().filter(wanted).find_map(Shared::enter).map(Stream::new)
    }

    fn is_http1(&self) -> bool {
        lock(&self.http1_until).is_some_and(|until| Instant::now() < until)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
