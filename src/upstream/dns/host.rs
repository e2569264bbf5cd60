//! One host: its addresses, how long they hold, and which of them fail.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::{Error, ErrorType};
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};
use tokio::sync::watch;

use super::Resolve;

/// The shortest and longest an answer is held, whatever its time to live.
const TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_secs(60 * 60);
/// How long an answer is used beyond its time while nobody refreshed it. Longer, and a request waits for a new one.
const STALE: Duration = Duration::from_secs(60 * 60);
/// How soon a lookup that failed is tried again, where old addresses are in use and where there are none.
const RETRY_STALE: Duration = Duration::from_secs(5);
const RETRY_UNKNOWN: Duration = Duration::from_secs(1);
/// How long an address that could not be reached comes last.
const LAST: Duration = Duration::from_secs(30);
/// Most addresses of one host.
const ADDRESSES: usize = 32;

/// One host and port.
pub(super) struct Host {
    name: String,
    balancer: LoadBalancer<RoundRobin>,
    ttl: Arc<Mutex<Duration>>,
    state: Mutex<State>,
}

struct State {
    answer: Option<Held>,
    /// The last lookup failed.
    failure: Option<Failed>,
    /// The lookup under way.
    flight: Option<watch::Receiver<Landing>>,
    used: Instant,
    unreachable: HashMap<SocketAddr, Instant>,
}

/// The time of an answer.
#[derive(Clone, Copy)]
struct Held {
    /// Refresh it from then on.
    due: Instant,
    /// Its time to live is over.
    until: Instant,
}

struct Failed {
    what: String,
    retry: Instant,
}

/// How a lookup ended; `None` while it runs.
type Landing = Option<Result<(), String>>;

impl Host {
    pub(super) fn new(name: &str, port: u16, resolver: Arc<dyn Resolve>, now: Instant) -> Self {
        let ttl = Arc::new(Mutex::new(*TTL.start()));
        let lookup = Lookup { name: name.to_owned(), port, resolver, ttl: ttl.clone() };
        let state = State { answer: None, failure: None, flight: None, used: now, unreachable: HashMap::new() };
        Self {
            name: name.to_owned(),
            balancer: LoadBalancer::from_backends(Backends::new(Box::new(lookup))),
            ttl,
            state: Mutex::new(state),
        }
    }

    /// All addresses, the best first. Waits for a lookup only if there is no answer that is fresh enough.
    pub(super) async fn addresses(self: &Arc<Self>, now: Instant) -> io::Result<Vec<SocketAddr>> {
        self.lock().used = now;
        let usable = self.lock().answer.is_some_and(|held| now < held.until + STALE);
        if usable {
            self.refresh_if_due(now);
        } else if let Err(what) = self.refreshed(now).await
            && self.lock().answer.is_none()
        {
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        let addresses = self.ordered(now);
        if addresses.is_empty() { Err(no_address(&self.name)) } else { Ok(addresses) }
    }

    /// Begins a lookup in the background if the answer is about to end.
    pub(super) fn refresh_if_due(self: &Arc<Self>, now: Instant) {
        if self.lock().is_due(now) {
            drop(self.look_up(now));
        }
    }

    pub(super) fn report(&self, address: SocketAddr, reached: bool, now: Instant) {
        let mut state = self.lock();
        if reached {
            state.unreachable.remove(&address);
        } else if state.unreachable.len() < ADDRESSES || state.unreachable.contains_key(&address) {
            state.unreachable.insert(address, now + LAST);
        }
    }

    /// How long nobody has asked.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.lock().used)
    }

    async fn refreshed(self: &Arc<Self>, now: Instant) -> Result<(), String> {
        if let Some(failed) = self.lock().failure.as_ref().filter(|failed| now < failed.retry) {
            return Err(failed.what.clone());
        }
        let mut flight = self.look_up(now);
        let landed = flight.wait_for(Option::is_some).await;
        landed.map_or_else(|_| Err("the lookup was given up".to_owned()), |landing| landing.clone().unwrap_or(Ok(())))
    }

    /// The lookup under way, or a new one. A task of its own: a request that gives up does not stop it for the others.
    fn look_up(self: &Arc<Self>, now: Instant) -> watch::Receiver<Landing> {
        let mut state = self.lock();
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.borrow().is_none() && flight.has_changed().is_ok()) {
            return flight.clone();
        }
        let (landing, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        drop(state);
        let host = self.clone();
        tokio::spawn(async move {
            let began = Instant::now();
            let updated = host.balancer.update().await.map_err(|error| error.root_cause().to_string());
            host.note(&updated, now + began.elapsed());
            landing.send_replace(Some(updated));
        });
        flight
    }

    fn note(&self, updated: &Result<(), String>, now: Instant) {
        let ttl = *self.ttl.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        match updated {
            Ok(()) => {
                if state.failure.take().is_some() {
                    log::info!("{} resolves again", self.name);
                }
                // Early enough that a slow lookup ends in time.
                state.answer = Some(Held { due: now + ttl * 4 / 5, until: now + ttl });
            }
            Err(what) => {
                let stale = state.answer.is_some();
                if state.failure.is_none() {
                    let kept = if stale { "; its last addresses stay in use" } else { "" };
                    log::warn!("looking up {} failed: {what}{kept}", self.name);
                }
                let retry = now + if stale { RETRY_STALE } else { RETRY_UNKNOWN };
                state.failure = Some(Failed { what: what.clone(), retry });
            }
        }
    }

    /// All addresses: from the balancer's next one on, families alternating, those that failed lately last.
    fn ordered(&self, now: Instant) -> Vec<SocketAddr> {
        let mut state = self.lock();
        state.unreachable.retain(|_, until| now < *until);
        let reachable = |address: &SocketAddr| !state.unreachable.contains_key(address);
        let next = self.balancer.select_with(b"", ADDRESSES, |backend, _| backend.addr.as_inet().is_some_and(reachable));
        let backends = self.balancer.backends().get_backend();
        let mut all: Vec<SocketAddr> = backends.iter().filter_map(|backend| backend.addr.as_inet().copied()).collect();
        if let Some(first) = next.and_then(|next| all.iter().position(|address| Some(address) == next.addr.as_inet())) {
            all.rotate_left(first);
        }
        let mut all = alternate(all);
        all.sort_by_key(|address| !reachable(address));
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_due(&self, now: Instant) -> bool {
        let backing_off = self.failure.as_ref().is_some_and(|failed| now < failed.retry);
        !backing_off && self.answer.is_some_and(|held| now >= held.due)
    }
}

/// What Pingora's balancer asks for addresses.
struct Lookup {
    name: String,
    port: u16,
    resolver: Arc<dyn Resolve>,
    ttl: Arc<Mutex<Duration>>,
}

#[async_trait]
impl ServiceDiscovery for Lookup {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let failed = |error: io::Error| Error::because(ErrorType::ConnectError, format!("resolving {}", self.name), error);
        let answer = self.resolver.resolve(&self.name).await.map_err(failed)?;
        if answer.addresses.is_empty() {
            return Err(failed(no_address(&self.name)));
        }
        let all = answer.addresses.iter().take(ADDRESSES).map(|address| SocketAddr::new(*address, self.port).to_string());
        let backends = all.map(|address| Backend::new(&address)).collect::<pingora::Result<BTreeSet<_>>>()?;
        *self.ttl.lock().unwrap_or_else(PoisonError::into_inner) = answer.ttl.clamp(*TTL.start(), *TTL.end());
        Ok((backends, HashMap::new()))
    }
}

/// The first address's family first, then in turn: should one family lead nowhere, the other is next.
fn alternate(all: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = all.first().map(SocketAddr::is_ipv6) else { return all };
    let (one, other): (Vec<_>, Vec<_>) = all.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    std::iter::from_fn(|| {
        let pair: Vec<_> = one.next().into_iter().chain(other.next()).collect();
        (!pair.is_empty()).then_some(pair)
    })
    .flatten()
    .collect()
}

pub(super) fn no_address(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"))
}
