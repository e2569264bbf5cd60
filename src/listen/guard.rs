//! What lies between a client's connection and Pingora: it times the heads of requests, and answers in our own words where Pingora
//! refuses one by itself. Bodies and answers pass through untouched and uncopied.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use super::refusal;
use crate::proxy::accept;
use crate::proxy::problem::Problem;
use crate::telemetry::Telemetry;

/// How long a connection that is closed is read on, so that the last answer is not lost to a reset, and how much.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;
/// So many fields and bytes of a head Pingora reads. One with more it refuses as it does one that is none.
const FIELDS_MAX: usize = 256;
const HEAD_BYTES_MAX: usize = (1 << 20) - 1;
/// So much of a head is kept: its path tells whose words the client reads.
const OPENING_BYTES: usize = 32;

/// Where a connection is: in the head of a request, or past it. Shared by the connection, its guard and the request's first phase.
#[derive(Debug, Default)]
pub struct HeadWatch {
    /// Odd in a head; a new number for each.
    turn: AtomicU32,
    /// Some of it came along with the request before.
    begun: AtomicBool,
    refused: Notify,
}

impl HeadWatch {
    /// A head may begin, or has: some of it came along with the request before.
    pub fn begin(&self, begun: bool) {
        self.begun.store(begun, Ordering::Relaxed);
        self.turn.fetch_or(1, Ordering::Relaxed);
    }

    /// The head has been read.
    pub fn done(&self) {
        self.turn.fetch_add(self.turn.load(Ordering::Relaxed) & 1, Ordering::Relaxed);
    }

    /// Waits until a head was refused: the connection is to be dropped.
    pub async fn refused(&self) {
        self.refused.notified().await;
    }

    /// The number of the head under way.
    fn head(&self) -> Option<u32> {
        let turn = self.turn.load(Ordering::Relaxed);
        (turn & 1 == 1).then_some(turn)
    }
}

/// When heads are due.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a head may take.
    pub patience: Duration,
    /// Since when the first one is timed; later ones are from their first byte.
    pub since: Instant,
    /// Whether the first one has begun.
    pub begun: bool,
}

/// A connection under guard.
pub struct Guard {
    inner: Stream,
    watch: Arc<HeadWatch>,
    /// How long a head may take.
    patience: Duration,
    /// Told of refusals; HTTP/2 has none here.
    telemetry: Option<Arc<Telemetry>>,
    head: Head,
    /// HTTP/2: what was read to find that out.
    replay: Option<Bytes>,
}

/// The head under way, as far as it was seen.
#[derive(Default)]
struct Head {
    turn: u32,
    /// Since when it is timed.
    since: Option<Instant>,
    /// Whether any of it has come.
    begun: bool,
    /// What came first.
    opening: [u8; OPENING_BYTES],
    /// How many lines and bytes of it have come.
    lines: usize,
    bytes: usize,
    /// Runs where the client keeps us waiting.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Pingora's own refusal was replaced.
    refused: bool,
}

impl Head {
    /// Notes more of it. 20 ns for 600 bytes, 95 ns for 4 KiB: it is in the way of every request.
    fn see(&mut self, come: &[u8]) {
        if !self.begun {
            self.begun = true;
            self.opening.iter_mut().zip(come).for_each(|(kept, byte)| *kept = *byte);
        }
        self.bytes += come.len();
        let before = self.lines;
        self.lines += lines(come);
        if self.lines > FIELDS_MAX
            && let Some(end) = memchr::memmem::find(come, b"\r\n\r\n")
        {
            // A body has come along, which has lines of its own.
            self.lines = before + lines(come.get(..end).unwrap_or_default());
        }
    }

    /// Whether it is longer than Pingora reads: the request line and more fields than that.
    fn is_too_long(&self) -> bool {
        self.lines > FIELDS_MAX || self.bytes > HEAD_BYTES_MAX
    }
}

fn lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

impl Guard {
    /// Guards a connection of HTTP/1.
    #[must_use]
    pub fn http1(inner: Stream, watch: Arc<HeadWatch>, timing: Timing, telemetry: Arc<Telemetry>) -> Self {
        let Timing { patience, since, begun } = timing;
        watch.begin(begun);
        let head = Head { turn: watch.head().unwrap_or_default(), since: Some(since), begun, ..Head::default() };
        Self { inner, watch, patience, telemetry: Some(telemetry), head, replay: None }
    }

    /// Hands on a connection of HTTP/2, of which `read` was read already.
    #[must_use]
    pub fn http2(inner: Stream, read: Bytes) -> Self {
        Self { inner, watch: Arc::default(), patience: Duration::MAX, telemetry: None, head: Head::default(), replay: Some(read) }
    }

    /// Whether this is a head. The state is fresh for each.
    fn in_head(&mut self) -> bool {
        let Some(turn) = self.watch.head() else { return false };
        if self.head.turn != turn {
            self.head = Head { turn, begun: self.watch.begun.load(Ordering::Relaxed), ..Head::default() };
        }
        true
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.head.refused {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Some(come) = buf.filled().get(before..).filter(|come| !come.is_empty()) {
            self.head.see(come);
        }
        if self.head.begun {
            self.head.since.get_or_insert_with(Instant::now);
        }
        let Some(since) = self.head.since else { return read };
        let late = match &read {
            Poll::Ready(_) => since.elapsed() > self.patience,
            Poll::Pending => {
                let end = since + self.patience;
                self.head.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end))).as_mut().poll(cx).is_ready()
            }
        };
        if !late {
            return read;
        }
        buf.set_filled(before);
        // One that never began to ask needs no answer.
        let problem = self.head.begun.then(refusal::slow);
        self.refuse(cx, problem.as_ref());
        self.watch.refused.notify_one();
        Poll::Pending
    }

    /// Answers as far as the socket takes it at once, which a fresh one does.
    fn refuse(&mut self, cx: &mut Context<'_>, problem: Option<&Problem>) {
        self.head.refused = true;
        let Some(problem) = problem else { return };
        let request_id = accept::new_request_id();
        log::debug!("{request_id} from {} ended with {}: {}", peer(&self.inner), problem.status, problem.message);
        let answer = refusal::render_in(accept::speaker(&self.head.opening), problem, &request_id);
        if let Some(telemetry) = &self.telemetry {
            telemetry.request(refusal::record(problem, request_id, address(&self.inner), &answer));
        }
        let mut rest = &answer[..];
        while !rest.is_empty() {
            match Pin::new(&mut self.inner).poll_write(cx, rest) {
                Poll::Ready(Ok(written)) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                _ => return,
            }
        }
        let _ = Pin::new(&mut self.inner).poll_flush(cx);
    }

    /// Pingora writes before a head has been read: it refuses one it cannot parse. We say it in our own words.
    fn replace_refusal(&mut self, cx: &mut Context<'_>, written: &[u8]) {
        if !self.head.refused {
            let status = || written.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let problem = if self.head.is_too_long() { refusal::too_long() } else { refusal::malformed(status()) };
            self.refuse(cx, Some(&problem));
        }
    }
}

/// Who is at the other end, for the log.
#[must_use]
pub fn peer(stream: &Stream) -> String {
    let digest = stream.get_socket_digest();
    digest.and_then(|digest| digest.peer_addr().map(ToString::to_string)).unwrap_or_else(|| "a local client".to_owned())
}

/// Its address, where it has one.
#[must_use]
pub fn address(stream: &Stream) -> Option<IpAddr> {
    stream.get_socket_digest().and_then(|digest| Some(digest.peer_addr()?.as_inet()?.ip().to_canonical()))
}

impl AsyncRead for Guard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Some(read) = &mut this.replay
            && !read.is_empty()
        {
            let count = read.len().min(buf.remaining());
            buf.put_slice(read.get(..count).unwrap_or_default());
            read.advance(count);
            return Poll::Ready(Ok(()));
        }
        if this.in_head() { this.poll_head(cx, buf) } else { Pin::new(&mut this.inner).poll_read(cx, buf) }
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.in_head() {
            self.replace_refusal(cx, buf);
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.in_head() {
            self.replace_refusal(cx, bufs.first().map(|first| &**first).unwrap_or_default());
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Guard {
    async fn shutdown(&mut self) {
        close(&mut self.inner).await;
    }
}

/// Ends a connection so that the last answer arrives: a socket that is closed with bytes unread resets the connection, and the client
/// may lose what it was sent.
pub async fn close(stream: &mut Stream) {
    let end = async {
        // Of TLS it is a write like any other, and waits for a client that takes nothing.
        AsyncWriteExt::shutdown(stream).await.ok()?;
        let (mut scrap, mut left) = ([0; 4_096], LINGER_BYTES);
        while let Ok(read @ 1..) = stream.read(&mut scrap).await {
            left = left.checked_sub(read)?;
        }
        Some(())
    };
    let _ = tokio::time::timeout(LINGER, Box::pin(end)).await;
}

impl UniqueID for Guard {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Guard {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        // A client that knows beforehand has chosen as well.
        if self.replay.is_some() { Some(ALPN::H2) } else { self.inner.selected_alpn_proto() }
    }
}

impl GetTimingDigest for Guard {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Guard {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.inner.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Guard {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}

impl Peek for Guard {}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("inner", &self.inner).finish_non_exhaustive()
    }
}
