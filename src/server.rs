//! The process: listeners, services, signals.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pingora::apps::HttpServerOptions;
use pingora::apps::http_app::HttpServer;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use pingora_proxy::HttpProxy;
use tokio::sync::watch;

use crate::admin::Admin;
use crate::attend::Closable;
use crate::cache::{self, Cache};
use crate::config::{Door, Snapshot};
use crate::drain::Flights;
use crate::listen::{self, Reception};
use crate::live::Live;
use crate::memory::Memory;
use crate::notify::Herald;
use crate::proxy::Gateway;
use crate::readiness::Readiness;
use crate::reload::Reload;
use crate::source::Source;
use crate::stop::Stop;
use crate::telemetry::Telemetry;
use crate::telemetry::event::{BreakerStanding, CacheStanding, CredentialStanding, CredentialState, QueueStanding};
use crate::upstream::breaker::BreakerState;
use crate::upstream::health::Standing;
use crate::upstream::pool::Pool;
use crate::upstream::select::KeyState;
use crate::upstream::tls;

/// How long an HTTP/2 connection of a client may be idle.
const H2_IDLE: Duration = Duration::from_secs(60);

/// Runs the gateway until it is told to stop.
///
/// `pending_reload` is set by a SIGHUP that came before this.
///
/// # Errors
/// A listener's address cannot be had, or the process cannot be set up.
pub fn run(source: Source, snapshot: Snapshot, pending_reload: Arc<AtomicBool>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    probe_listeners(&snapshot)?;
    let (doors, listeners) = (doors(&snapshot), snapshot.listen.clone());
    let (admin_listen, threads) = (snapshot.admin_listen, snapshot.threads);
    announce(&source, &snapshot);
    let pool = Pool::new();
    pool.prepare(&snapshot);
    let telemetry = Arc::new(Telemetry::new(&snapshot.observability)?);
    snapshot.observability.access_log.output.probe()?;
    telemetry.follow(&snapshot);
    telemetry.reload(true);
    telemetry.trace(snapshot.observability.traces.clone())?;
    let live = Arc::new(ArcSwap::from_pointee(Live::new(snapshot, None)));
    let readiness = Arc::new(Readiness::default());
    let flights = Arc::new(Flights::default());
    let memory = Arc::new(Memory::default());

    // Requests are short and even: a connection stays with its thread, which is cheaper than balancing.
    let conf = ServerConf { threads, work_stealing: false, ca_file: tls::pingora_ca_file(), ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();

    let gateway = Gateway {
        live: live.clone(),
        pool: pool.clone(),
        telemetry: telemetry.clone(),
        readiness: readiness.clone(),
        flights: flights.clone(),
        memory: memory.clone(),
    };
    let proxy = proxy(&server.configuration, gateway.clone());
    let (reception, certificates) = Reception::new(proxy, gateway, &live.load().snapshot)?;
    let mut clients = Service::new("gateway".to_owned(), reception);
    listeners.iter().for_each(|listener| listen::add(&mut clients, listener));
    let (close, closed) = watch::channel(false);
    server.add_service(Closable::new(clients, closed));
    let standing = Box::new(before_metrics(live.clone(), flights.clone(), memory));
    server.add_service(admin(admin_listen, Admin::new(telemetry.clone(), readiness.clone(), standing, live.clone())));
    let reload = Reload { source, live: live.clone(), telemetry: telemetry.clone(), pool, certificates, pending: pending_reload };
    server.add_service(background_service("reload", reload));
    server.add_service(background_service("herald", Herald { listeners: addresses(&doors, admin_listen) }));
    let stop = Stop { live, readiness, flights, close, telemetry };
    server.run(RunArgs { shutdown_signal: Box::new(stop) });
    Ok(())
}

/// What must accept before the process is ready.
fn addresses(doors: &[Door], admin: SocketAddr) -> Vec<SocketAddr> {
    let of = |door: &Door| match door {
        Door::Tcp(address) => Some(*address),
        Door::Unix { .. } => None,
    };
    doors.iter().filter_map(of).chain([admin]).collect()
}

fn admin(listen: SocketAddr, admin: Admin) -> Service<HttpServer<Admin>> {
    let mut service = Service::new("admin".to_owned(), HttpServer::new_app(admin));
    service.threads = Some(1);
    service.add_tcp(&listen.to_string());
    service
}

/// What is looked up rather than told.
fn before_metrics(live: Arc<ArcSwap<Live>>, flights: Arc<Flights>, memory: Arc<Memory>) -> impl Fn(&Telemetry) + Send + Sync {
    move |telemetry| {
        let live = live.load();
        telemetry.credentials(live.lanes.states(Instant::now()).into_iter().map(standing));
        telemetry.queues(live.gates.standings().map(|(provider, taken, waiting)| QueueStanding { provider, taken, waiting }));
        telemetry.under_way(flights.count(), memory.held());
        telemetry.cache(live.cache.as_deref().map(cache_standing).unwrap_or_default());
    }
}

fn cache_standing(cache: &Cache) -> CacheStanding {
    let cache::Standing { entries, bytes, evicted, expired } = cache.standing();
    CacheStanding { entries, bytes, evicted, expired }
}

fn standing(key: KeyState<'_>) -> CredentialStanding<'_> {
    let breaker = |(model, state): (String, BreakerState)| match state {
        BreakerState::Closed => None,
        BreakerState::Open { .. } => Some(BreakerStanding { model, open: true }),
        BreakerState::HalfOpen { .. } => Some(BreakerStanding { model, open: false }),
    };
    CredentialStanding {
        provider: key.provider,
        credential: key.credential,
        state: state(&key),
        in_flight: key.in_flight,
        breakers: key.breakers.into_iter().filter_map(breaker).collect(),
    }
}

fn state(key: &KeyState<'_>) -> CredentialState {
    match key.standing {
        _ if key.cordoned => CredentialState::Cordoned,
        _ if key.drill.is_some() => CredentialState::Drilled,
        Standing::Healthy => CredentialState::Healthy,
        Standing::Cooling { .. } => CredentialState::Cooling,
        Standing::Off => CredentialState::Off,
    }
}

/// Tries the addresses. Pingora ends the process without a word on one it cannot have: find out before.
///
/// # Errors
/// The key, the address, and what is wrong with it.
pub fn probe_listeners(snapshot: &Snapshot) -> io::Result<()> {
    doors(snapshot).iter().try_for_each(|door| listen::probe("listen", door))?;
    listen::probe("admin.listen", &Door::Tcp(snapshot.admin_listen))
}

fn doors(snapshot: &Snapshot) -> Vec<Door> {
    snapshot.listen.iter().map(|listener| listener.door.clone()).collect()
}

/// The phases, with bounds on HTTP/2 that Pingora leaves open: an idle connection is closed.
fn proxy(conf: &Arc<ServerConf>, gateway: Gateway) -> HttpProxy<Gateway> {
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(H2_IDLE);
    let mut proxy = pingora_proxy::http_proxy(conf, gateway);
    proxy.server_options = Some(options);
    proxy
}

fn announce(source: &Source, snapshot: &Snapshot) {
    snapshot.notices.iter().for_each(|notice| log::warn!("{notice}"));
    let providers: Vec<&str> = snapshot.providers.iter().map(|provider| provider.name.as_str()).collect();
    log::info!(
        "heliostat {} listens on {} (admin: {}), configured by {}, providers: {}",
        env!("CARGO_PKG_VERSION"),
        snapshot.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        snapshot.admin_listen,
        source.name(),
        providers.join(", ")
    );
}
