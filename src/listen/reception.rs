//! A connection's way from `accept` to its last request.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream as Socket;
use pingora::protocols::{ALPN, SocketDigest, Stream};
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::caps::{Caps, Place};
use super::guard::{self, Guard, HeadWatch, Timing};
use super::head;
use super::proxy_protocol::{self, Named};
use super::refusal;
use super::tls::Certificates;
use crate::attend::attend;
use crate::config::{Door, Listener, Snapshot};
use crate::drain::Flights;
use crate::live::Live;
use crate::proxy::{Gateway, accept, serve};
use crate::telemetry::Telemetry;

/// How long a balancer may take for its header.
const PROXY_HEADER: Duration = Duration::from_secs(3);
/// How long a connection may be idle between requests, in seconds.
const IDLE_S: u64 = 60;
/// What a client that knows HTTP/2 beforehand begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Pingora's own first buffer for a head.
const FIRST_READ: usize = 4_096;
/// So many connections at once are told that there is no room; more are closed without a word.
const TURNED_AWAY: usize = 256;

/// Receives connections, and hands their requests to the proxy.
pub struct Reception<A> {
    proxy: Arc<A>,
    /// What `proxy` drives, for requests that it need not.
    gateway: Gateway,
    live: Arc<ArcSwap<Live>>,
    flights: Arc<Flights>,
    entrances: Vec<Entrance>,
    caps: Arc<Caps>,
    turned_away: Semaphore,
    telemetry: Arc<Telemetry>,
}

struct Entrance {
    listener: Listener,
    tls: Option<Acceptor>,
}

/// A connection before its next request.
enum Next {
    /// With what was read of it.
    Stream(Stream, BytesMut),
    /// After one that Pingora drove, which may hold what was read of it: Pingora drives all that follow.
    Pingora(Stream, HttpPersistentSettings),
}

/// What a connection speaks, with what was read of it to find out.
enum Speaks {
    Http1(BytesMut),
    Http2(BytesMut),
}

impl<A: HttpServerApp + Send + Sync + 'static> Reception<A> {
    /// Receives what comes to the listeners of `snapshot`; also returns the certificates, to be renewed by reloads.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(proxy: A, gateway: Gateway, snapshot: &Snapshot) -> Result<(Self, Certificates), rustls::Error> {
        let mut certificates = Certificates::default();
        let mut entrances = Vec::new();
        for listener in &snapshot.listen {
            let tls = listener.tls.as_ref().map(|identity| certificates.acceptor(listener, identity)).transpose()?;
            entrances.push(Entrance { listener: listener.clone(), tls });
        }
        let turned_away = Semaphore::new(TURNED_AWAY);
        let Gateway { live, flights, telemetry, .. } = gateway.clone();
        let caps = Arc::default();
        Ok((Self { proxy: Arc::new(proxy), gateway, live, flights, entrances, caps, turned_away, telemetry }, certificates))
    }

    async fn receive(&self, mut stream: Stream, shutdown: &ShutdownWatch) -> Option<()> {
        let began = Instant::now();
        let limits = self.live.load().snapshot.limits;
        let patience = Duration::from_millis(limits.header_timeout_ms);
        let entrance = self.entrance(&stream)?;
        let Some(mut place) = self.caps.enter(limits.connections) else {
            return self.turn_away(entrance, stream).await;
        };
        if !entrance.listener.balancers.is_empty() {
            name_client(entrance, &mut stream).await?;
        }
        if !claim(&mut place, &stream, limits.connections_per_address) {
            return self.turn_away(entrance, stream).await;
        }
        let open = async {
            let mut stream = entrance.open(stream).await?;
            let speaks = entrance.listen(&mut stream).await?;
            Some((stream, speaks))
        };
        // In a box: its size would stay with the connection for its life.
        let (stream, speaks) = timeout_at(began + patience, Box::pin(open)).await.ok()??;
        match speaks {
            Speaks::Http1(read) => {
                let begun = !read.is_empty();
                let requests = |stream| self.http1(stream, read, (began, patience), shutdown);
                attend(&self.flights, (stream, begun), shutdown, requests).await;
            }
            Speaks::Http2(read) => {
                self.proxy.process_new(Box::new(Guard::http2(stream, read.freeze())), shutdown).await;
            }
        }
        Some(())
    }

    /// Request after request: by the gateway itself, or what is unusual by Pingora's driver, with word to the guard when each begins.
    async fn http1(&self, stream: Stream, read: BytesMut, (began, patience): (Instant, Duration), shutdown: &ShutdownWatch) {
        let watch = Arc::new(HeadWatch::default());
        let timing = Timing { patience, since: began, begun: !read.is_empty() };
        let guard = Guard::http1(stream, watch.clone(), timing, self.telemetry.clone());
        let mut next = Some(Next::Stream(Box::new(guard), read));
        while let Some(this) = next {
            watch.begin(matches!(&this, Next::Stream(_, read) if !read.is_empty()));
            next = tokio::select! {
                biased;
                next = self.request(this, &watch, shutdown) => next,
                () = watch.refused() => None,
            };
        }
    }

    async fn request(&self, next: Next, watch: &Arc<HeadWatch>, shutdown: &ShutdownWatch) -> Option<Next> {
        let mut session = match next {
            Next::Stream(mut stream, mut read) => {
                await_head(&mut stream, &mut read).await?;
                let (stream, read) = match self.gateway.serve(stream, read, watch, shutdown).await {
                    Ok(next) => return next.map(|(stream, read)| Next::Stream(stream, read)),
                    Err(others) => others,
                };
                let mut session = ServerSession::new_http1(stream);
                session.set_keepalive((!*shutdown.borrow()).then_some(IDLE_S));
                session.set_pipelined_prefix(read);
                session
            }
            Next::Pingora(stream, settings) => {
                let mut session = ServerSession::new_http1(stream);
                settings.apply_to_session(&mut session);
                session
            }
        };
        session.set_connection_user_context(Some(Box::new(watch.clone())));
        let (stream, settings) = self.proxy.process_new_http(session, shutdown).await?.consume();
        Some(match settings {
            Some(settings) => Next::Pingora(stream, settings),
            None => Next::Stream(stream, BytesMut::new()),
        })
    }

    /// The listener a connection came to, by its local address.
    fn entrance(&self, stream: &Stream) -> Option<&Entrance> {
        if let [only] = self.entrances.as_slice() {
            return Some(only);
        }
        let digest = stream.get_socket_digest()?;
        let local = digest.local_addr()?;
        self.entrances.iter().find(|entrance| entrance.listener.door.leads_to(local))
    }

    /// No room. Without TLS it is said; a handshake would cost more than the connection.
    async fn turn_away(&self, entrance: &Entrance, mut stream: Stream) -> Option<()> {
        let problem = refusal::full();
        let request_id = accept::new_request_id();
        log::warn!("{request_id} from {} turned away: {} connections are open", guard::peer(&stream), self.caps.open());
        let answer = refusal::render(&problem, &request_id);
        self.telemetry.request(refusal::record(&problem, request_id, guard::address(&stream), &answer));
        let (None, Ok(_permit)) = (&entrance.tls, self.turned_away.try_acquire()) else { return None };
        let say = async {
            stream.write_all(&answer).await.ok()?;
            stream.flush().await.ok()?;
            guard::close(&mut stream).await;
            Some(())
        };
        timeout(PROXY_HEADER, say).await.ok()?
    }
}

impl Entrance {
    /// TLS, where the listener has it.
    async fn open(&self, stream: Stream) -> Option<Stream> {
        let Some(acceptor) = &self.tls else { return Some(stream) };
        let peer = guard::peer(&stream);
        let socket = stream.into_any().downcast::<Socket>().ok()?;
        match acceptor.tls_handshake(*socket).await {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                log::debug!("TLS handshake with {peer} failed: {error}");
                None
            }
        }
    }

    /// Finds out what a connection speaks. Nothing is read where only HTTP/1 can be.
    async fn listen(&self, stream: &mut Stream) -> Option<Speaks> {
        let chosen = matches!(stream.selected_alpn_proto(), Some(ALPN::H2));
        if !chosen && (self.tls.is_some() || !self.listener.http2) {
            return Some(Speaks::Http1(BytesMut::new()));
        }
        let mut read = BytesMut::with_capacity(FIRST_READ);
        loop {
            let seen = read.len().min(PREFACE.len());
            if read.get(..seen) != PREFACE.get(..seen) {
                // The handshake's word binds.
                return (!chosen).then_some(Speaks::Http1(read));
            }
            if seen == PREFACE.len() {
                return Some(Speaks::Http2(read));
            }
            stream.read_buf(&mut read).await.ok().filter(|count| *count > 0)?;
        }
    }
}

impl Door {
    /// Whether a connection with this local address came in here.
    fn leads_to(&self, local: &SocketAddr) -> bool {
        match (self, local) {
            (Self::Tcp(door), SocketAddr::Inet(local)) => {
                door.port() == local.port() && (door.ip().is_unspecified() || door.ip() == local.ip().to_canonical())
            }
            (Self::Unix { path, .. }, SocketAddr::Unix(local)) => local.as_pathname() == Some(path),
            _ => false,
        }
    }
}

/// Reads until a head is whole or too long to be awaited, or it is none. `None` if the client ends before.
async fn await_head(stream: &mut Stream, read: &mut BytesMut) -> Option<()> {
    let mut searched = 0;
    loop {
        let unseen = read.get(searched..).unwrap_or_default();
        if !head::may_begin(read) || read.len() > serve::HEAD_BYTES_MAX || has_blank_line(unseen) {
            return Some(());
        }
        // A line end may have come in part.
        searched = read.len().saturating_sub(2);
        read.reserve(FIRST_READ);
        let idle = read.is_empty();
        let more = stream.read_buf(read);
        let more = if idle { timeout(Duration::from_secs(IDLE_S), more).await.ok()? } else { more.await };
        more.ok().filter(|count| *count > 0)?;
    }
}

/// Whether a line is followed by an empty one, however they end.
fn has_blank_line(read: &[u8]) -> bool {
    let mut ends = memchr::memchr_iter(b'\n', read).filter_map(|end| read.get(end + 1..));
    ends.any(|rest| rest.starts_with(b"\r\n") || rest.starts_with(b"\n"))
}

/// Reads a balancer's word on who is behind it. `None` where it owes one and does not give it.
async fn name_client(entrance: &Entrance, stream: &mut Stream) -> Option<()> {
    let digest = stream.get_socket_digest()?;
    let balancer = digest.peer_addr()?.as_inet()?.ip();
    if !entrance.listener.balancers.iter().any(|block| block.contains(balancer)) {
        return Some(());
    }
    match timeout(PROXY_HEADER, Box::pin(proxy_protocol::read(stream))).await {
        Ok(Ok(Named::Client(client))) => {
            let digest = SocketDigest::from_raw_fd(stream.id());
            let _ = digest.peer_addr.set(Some(SocketAddr::Inet(client)));
            stream.set_socket_digest(digest);
            Some(())
        }
        Ok(Ok(Named::Nobody)) => Some(()),
        Ok(Err(error)) => {
            log::warn!("the balancer {balancer} sent no PROXY protocol header ({error}): closed");
            None
        }
        Err(_) => {
            log::warn!("the balancer {balancer} sent no PROXY protocol header in {PROXY_HEADER:?}: closed");
            None
        }
    }
}

fn claim(place: &mut Place, stream: &Stream, limit: Option<usize>) -> bool {
    let Some(limit) = limit else { return true };
    guard::address(stream).is_none_or(|address| place.claim(address, limit))
}

#[async_trait]
impl<A: HttpServerApp + Send + Sync + 'static> ServerApp for Reception<A> {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let (reception, shutdown) = (self.clone(), shutdown.clone());
        // In a task of its own: Pingora's keeps room for a TLS handshake for as long as the connection lives.
        tokio::spawn(async move { reception.receive(stream, &shutdown).await });
        None
    }

    // Without the proxy's own clean-up, which would drop requests whose head has come in part.
}
