//! The process: listeners, services, signals.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use arc_swap::ArcSwap;
use pingora::apps::http_app::HttpServer;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::services::background::background_service;
use pingora::services::listening::Service;
use tokio::sync::watch;

use crate::admin::Admin;
use crate::attend::{Attended, Closable};
use crate::config::Snapshot;
use crate::drain::Flights;
use crate::live::Live;
use crate::memory::Memory;
use crate::notify::Herald;
use crate::proxy::Gateway;
use crate::readiness::Readiness;
use crate::reload::Reload;
use crate::source::Source;
use crate::stop::Stop;
use crate::telemetry::Telemetry;
use crate::telemetry::event::CredentialState;
use crate::upstream::health::Standing;
use crate::upstream::pool::Pool;

/// Runs the gateway until it is told to stop.
///
/// `pending_reload` is set by a SIGHUP that came before this.
///
/// # Errors
/// A listener's address cannot be had, or the process cannot be set up.
pub fn run(source: Source, snapshot: Snapshot, pending_reload: Arc<AtomicBool>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (listen, admin_listen, threads) = (snapshot.listen, snapshot.admin_listen, snapshot.threads);
    for (key, address) in [("listen", listen), ("admin.listen", admin_listen)] {
        probe(key, address)?;
    }
    announce(&source, &snapshot);
    let telemetry = Arc::new(Telemetry::new()?);
    let live = Arc::new(ArcSwap::from_pointee(Live::new(snapshot, None)));
    let pool = Pool::new();
    let readiness = Arc::new(Readiness::default());
    let flights = Arc::new(Flights::default());
    let memory = Arc::new(Memory::default());

    let conf = ServerConf { threads, ..ServerConf::default() };
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
    let app = Attended::new(pingora_proxy::http_proxy(&server.configuration, gateway), flights.clone());
    let mut proxy = Service::new("gateway".to_owned(), app);
    proxy.add_tcp(&listen.to_string());
    let (close, closed) = watch::channel(false);
    server.add_service(Closable::new(proxy, closed));
    let standing = Box::new(before_metrics(live.clone(), memory));
    server.add_service(admin(admin_listen, Admin::new(telemetry.clone(), readiness.clone(), standing)));
    let reload = Reload { source, live: live.clone(), telemetry: telemetry.clone(), pool, pending: pending_reload };
    server.add_service(background_service("reload", reload));
    server.add_service(background_service("herald", Herald { listeners: vec![listen, admin_listen] }));
    let stop = Stop { live, readiness, flights, close, telemetry };
    server.run(RunArgs { shutdown_signal: Box::new(stop) });
    Ok(())
}

fn admin(listen: SocketAddr, admin: Admin) -> Service<HttpServer<Admin>> {
    let mut service = Service::new("admin".to_owned(), HttpServer::new_app(admin));
    service.threads = Some(1);
    service.add_tcp(&listen.to_string());
    service
}

/// What is looked up rather than told.
fn before_metrics(live: Arc<ArcSwap<Live>>, memory: Arc<Memory>) -> impl Fn(&Telemetry) + Send + Sync {
    move |telemetry| {
        let live = live.load();
        let standings = live.lanes.standings(Instant::now());
        telemetry.credentials(standings.into_iter().map(|(provider, credential, standing)| (provider, credential, state(standing))));
        telemetry.body_bytes(memory.held());
    }
}

fn state(standing: Standing) -> CredentialState {
    match standing {
        Standing::Healthy => CredentialState::Healthy,
        Standing::Cooling { .. } => CredentialState::Cooling,
        Standing::Off => CredentialState::Off,
    }
}

/// Pingora ends the process without a word on an address it cannot have: find out before.
fn probe(key: &str, address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address)
        .map(drop)
        .map_err(|error| io::Error::new(error.kind(), format!("{key}: cannot listen on {address}: {error}")))
}

fn announce(source: &Source, snapshot: &Snapshot) {
    snapshot.notices.iter().for_each(|notice| log::warn!("{notice}"));
    let providers: Vec<&str> = snapshot.providers.iter().map(|provider| provider.name.as_str()).collect();
    log::info!(
        "heliostat {} listens on {} (admin: {}), configured by {}, providers: {}",
        env!("CARGO_PKG_VERSION"),
        snapshot.listen,
        snapshot.admin_listen,
        source.name(),
        providers.join(", ")
    );
}
