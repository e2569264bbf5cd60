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

use crate::admin::Admin;
use crate::config::Snapshot;
use crate::drain::Flights;
use crate::live::Live;
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
    probe_listeners(&snapshot)?;
    let (listen, admin_listen, threads) = (snapshot.listen, snapshot.admin_listen, snapshot.threads);
    announce(&source, &snapshot);
    let telemetry = Arc::new(Telemetry::new()?);
    let live = Arc::new(ArcSwap::from_pointee(Live::new(snapshot, None)));
    let pool = Pool::new();
    let readiness = Arc::new(Readiness::default());
    let flights = Arc::new(Flights::default());

    let conf = ServerConf { threads, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();

    let gateway = Gateway {
        live: live.clone(),
        pool: pool.clone(),
        telemetry: telemetry.clone(),
        readiness: readiness.clone(),
        flights: flights.clone(),
    };
    let mut proxy = pingora_proxy::http_proxy_service_with_name(&server.configuration, gateway, "gateway");
    proxy.add_tcp(&listen.to_string());
    server.add_service(proxy);
    server.add_service(admin(admin_listen, telemetry.clone(), readiness.clone(), live.clone()));
    let reload = Reload { source, live: live.clone(), telemetry: telemetry.clone(), pool, pending: pending_reload };
    server.add_service(background_service("reload", reload));
    let stop = Stop { live, readiness, flights, telemetry };
    server.run(RunArgs { shutdown_signal: Box::new(stop) });
    Ok(())
}

fn admin(listen: SocketAddr, telemetry: Arc<Telemetry>, readiness: Arc<Readiness>, live: Arc<ArcSwap<Live>>) -> Service<HttpServer<Admin>> {
    let before_metrics = Box::new(move |telemetry: &Telemetry| {
        let live = live.load();
        let standings = live.lanes.standings(Instant::now());
        telemetry.credentials(standings.into_iter().map(|(provider, credential, standing)| (provider, credential, state(standing))));
    });
    let app = HttpServer::new_app(Admin::new(telemetry, readiness, before_metrics));
    let mut service = Service::new("admin".to_owned(), app);
    service.threads = Some(1);
    service.add_tcp(&listen.to_string());
    service
}

fn state(standing: Standing) -> CredentialState {
    match standing {
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
    probe("listen", snapshot.listen)?;
    probe("admin.listen", snapshot.admin_listen)
}

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
