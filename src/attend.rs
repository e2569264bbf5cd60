//! Client connections, watched: a stop closes those that are idle, and waits for those on which a request has begun.
//!
//! Pingora's own stop drops every connection that waits for a request, also one that has read half of it; and it closes its listeners
//! only as the process ends.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest, UniqueID, UniqueIDType,
};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use pingora::services::listening;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::drain::{Connection, Flights};

/// A service whose listeners close when told, not when the process ends.
pub struct Closable<A> {
    service: listening::Service<A>,
    close: ShutdownWatch,
}

/// Runs the `requests` of an HTTP/1 connection, one after the other, until they end or a stop finds the connection idle. `begun`: bytes
/// of the first one have been read already.
pub async fn attend<F>(
    flights: &Arc<Flights>,
    (stream, begun): (Stream, bool),
    shutdown: &ShutdownWatch,
    requests: impl FnOnce(Stream) -> F,
) where
    F: Future<Output = ()>,
{
    let connection = Arc::new(Connection::new(flights.clone()));
    if begun {
        connection.begin();
    }
    let stream = Box::new(Watched { stream, connection: connection.clone() });
    tokio::select! {
        // What has arrived is read before a look at whether to close.
        biased;
        () = connection.carry(requests(stream)) => {}
        () = idle_at_close(&connection, flights, shutdown) => {}
    }
}

/// Resolves when the listeners are closed and the connection is idle. It is polled with every event of the connection, so it registers
/// with its task once, and looks at a flag after that.
async fn idle_at_close(connection: &Connection, flights: &Flights, shutdown: &ShutdownWatch) {
    let mut watch = shutdown.clone();
    let mut wakes = pin!(async {
        let _ = tokio::join!(watch.changed(), flights.cutting());
    });
    let (mut registered, mut over) = (false, false);
    poll_fn(|context| {
        let closed = shutdown.has_changed().unwrap_or(true);
        if !over && (closed || !registered) {
            registered = true;
            over = wakes.as_mut().poll(context).is_ready();
        }
        if closed && connection.is_idle() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

impl<A> Closable<A> {
    /// A service that closes its listeners when `close` turns true.
    pub fn new(service: listening::Service<A>, close: ShutdownWatch) -> Self {
        Self { service, close }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> Service for Closable<A> {
    async fn start_service(&mut self, fds: Option<ListenFds>, _end: ShutdownWatch, listeners_per_fd: usize) {
        Service::start_service(&mut self.service, fds, self.close.clone(), listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        Service::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        Service::threads(&self.service)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Service::listen_addresses(&self.service)
    }
}

/// A stream that tells its connection when something was read.
#[derive(Debug)]
struct Watched {
    stream: Stream,
    connection: Arc<Connection>,
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            this.connection.begin();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Peek for Watched {}

#[async_trait]
impl Shutdown for Watched {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl UniqueID for Watched {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Watched {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Watched {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Watched {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Watched {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}
