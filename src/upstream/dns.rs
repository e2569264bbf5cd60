//! Names of providers' hosts, resolved without blocking a request longer than the first time.
//!
//! Each host is a Pingora load balancer over its addresses: requests rotate over all of them, and a refresh that fails leaves the last
//! good set in place.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::{Error, ErrorType};
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backend, Backends, LoadBalancer};

use crate::config::Endpoint;

/// How old an answer may be before it is refreshed in the background.
const FRESH: Duration = Duration::from_secs(30);

/// The resolver shared by all requests.
#[derive(Default)]
pub struct Names {
    hosts: Mutex<HashMap<(String, u16), Arc<Host>>>,
}

struct Host {
    balancer: LoadBalancer<RoundRobin>,
    refreshed: Mutex<Option<Instant>>,
    refreshing: tokio::sync::Mutex<()>,
}

impl Names {
    /// An address of the endpoint's host; each call may give another of its addresses.
    ///
    /// # Errors
    /// The name does not resolve, and never did.
    pub async fn address(&self, endpoint: &Endpoint) -> io::Result<SocketAddr> {
        if let Ok(address) = endpoint.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(address, endpoint.port));
        }
        let host = self.host(endpoint);
        match host.age() {
            None => host.refresh().await?,
            Some(age) if age > FRESH => {
                let host = host.clone();
                tokio::spawn(async move { host.refresh().await });
            }
            Some(_) => {}
        }
        host.select().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", endpoint.host)))
    }

    fn host(&self, endpoint: &Endpoint) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.entry((endpoint.host.clone(), endpoint.port)).or_insert_with(|| Arc::new(Host::new(endpoint))).clone()
    }
}

impl Host {
    fn new(endpoint: &Endpoint) -> Self {
        let lookup = Lookup { host: endpoint.host.clone(), port: endpoint.port };
        Self {
            balancer: LoadBalancer::from_backends(Backends::new(Box::new(lookup))),
            refreshed: Mutex::new(None),
            refreshing: tokio::sync::Mutex::new(()),
        }
    }

    fn age(&self) -> Option<Duration> {
        self.refreshed.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// Looks the name up, once however many requests ask. Stale addresses stay if that fails.
    async fn refresh(&self) -> io::Result<()> {
        let _one_at_a_time = self.refreshing.lock().await;
        if self.age().is_some_and(|age| age <= FRESH) {
            return Ok(());
        }
        let looked_up = self.balancer.update().await.map_err(|error| io::Error::new(io::ErrorKind::NotFound, error.to_string()));
        if looked_up.is_ok() || self.age().is_some() {
            *self.refreshed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        looked_up
    }

    fn select(&self) -> Option<SocketAddr> {
        self.balancer.select(b"", 16)?.addr.as_inet().copied()
    }
}

struct Lookup {
    host: String,
    port: u16,
}

#[async_trait]
impl ServiceDiscovery for Lookup {
    async fn discover(&self) -> pingora::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let addresses = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .map_err(|error| Error::because(ErrorType::ConnectError, format!("resolving {}", self.host), error))?;
        let backends = addresses.map(|address| Backend::new(&address.to_string())).collect::<pingora::Result<BTreeSet<_>>>()?;
        if backends.is_empty() {
            return Error::e_explain(ErrorType::ConnectError, format!("{} has no address", self.host));
        }
        Ok((backends, HashMap::new()))
    }
}
