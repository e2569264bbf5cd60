//! A connection that many requests share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use pingora::protocols::Stream as Io;

use super::lock;
use crate::upstream::connect::ConnectError;

/// Requests at once on one connection, also where the provider would take more: one lost packet stops them all.
const STREAMS: usize = 100;
/// How much of one answer, and of all together, may arrive before the client takes it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const WINDOW_BYTES: u32 = 16 << 20;
/// How much of one request may lie between us and the socket.
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// The longest response head we accept.
const HEAD_LIMIT_BYTES: u32 = 64 << 10;
/// How often a connection in use is asked whether it lives, and how long the answer may take.
const PING: Duration = Duration::from_secs(15);
const PONG: Duration = Duration::from_secs(10);

/// An open connection.
pub(super) struct Shared {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) tls: bool,
    pub(super) opened: Instant,
    /// An answer came over it: from then on its death before an answer is staleness.
    pub(super) served: AtomicBool,
    active: AtomicUsize,
    retired: AtomicBool,
    used: Mutex<Instant>,
}

/// A place on a connection, until dropped.
pub(super) struct Slot(pub(super) Arc<Shared>);

impl Shared {
    /// Begins to speak HTTP/2.
    pub(super) async fn begin(io: Io, tls: bool) -> Result<Arc<Self>, ConnectError> {
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .max_header_list_size(HEAD_LIMIT_BYTES);
        let (sender, mut connection) = builder.handshake(io).await.map_err(|error| ConnectError::Connect(error.to_string()))?;
        let ping = connection.ping_pong();
        let now = Instant::now();
        let shared = Arc::new(Self {
            sender,
            tls,
            opened: now,
            served: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            used: Mutex::new(now),
        });
        tokio::spawn(drive(connection, ping, Arc::downgrade(&shared)));
        Ok(shared)
    }

    /// Takes a place, if there is one.
    pub(super) fn enter(shared: &Arc<Self>) -> Option<Slot> {
        let most = STREAMS.min(shared.sender.current_max_send_streams());
        let joined = |active: usize| (active < most).then_some(active + 1);
        shared.active.fetch_update(Ordering::AcqRel, Ordering::Acquire, joined).ok()?;
        Some(Slot(shared.clone()))
    }

    /// Whether it takes new requests: the provider has not said otherwise.
    pub(super) fn is_open(&self) -> bool {
        let broken = || matches!(self.sender.clone().poll_ready(&mut Context::from_waker(Waker::noop())), std::task::Poll::Ready(Err(_)));
        if !self.retired.load(Ordering::Acquire) && broken() {
            self.retire();
        }
        !self.retired.load(Ordering::Acquire)
    }

    /// No new requests go there; those under way go on.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// How long nobody has used it; `None` while somebody does.
    pub(super) fn idle(&self) -> Option<Duration> {
        (self.active.load(Ordering::Acquire) == 0).then(|| lock(&self.used).elapsed())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *lock(&self.0.used) = Instant::now();
        self.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Slot")
    }
}

/// Moves a connection's frames until it ends, or is found dead. It ends by itself when nobody holds it any more.
async fn drive(connection: Connection<Io, Bytes>, ping: Option<PingPong>, shared: Weak<Shared>) {
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            log::debug!("an HTTP/2 connection ended: {error}");
        },
        () = until_dead(ping, &shared) => log::info!("an HTTP/2 connection does not answer any more: closed"),
    }
    if let Some(shared) = shared.upgrade() {
        shared.retire();
    }
}

/// Asks now and then whether the other side is there, while requests wait for it: a path that swallows packets would otherwise
/// swallow every request that follows.
async fn until_dead(ping: Option<PingPong>, shared: &Weak<Shared>) {
    let Some(mut ping) = ping else { return std::future::pending().await };
    loop {
        tokio::time::sleep(PING).await;
        let in_use = shared.upgrade().is_some_and(|shared| shared.idle().is_none());
        if in_use && !matches!(tokio::time::timeout(PONG, ping.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}
