//! Names of providers' hosts, resolved in the background: a request waits for a lookup only where nothing usable is known.
//!
//! Each host is a Pingora load balancer over its addresses: new connections rotate over all of them. An answer is refreshed before
//! its time to live is over, and stays in use when the refresh fails. An address that could not be reached comes last for a while.

mod host;
mod system;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use self::host::Host;
pub use self::system::System;

/// Hosts that nobody asked for so long are forgotten.
const FORGET: Duration = Duration::from_secs(60 * 60);
/// Hosts that were asked for within this time are refreshed before anybody asks again.
const IN_USE: Duration = Duration::from_secs(10 * 60);
/// Most hosts remembered. Names in images' URLs are the client's choice.
const HOSTS: usize = 1_024;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// All addresses, of both families.
    pub addresses: Vec<IpAddr>,
    /// How long they hold, as the zone's owner says.
    pub ttl: Duration,
}

/// Looks a name up. The system's resolver, or a test's.
#[async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of a host. Runs in a task of its own, once however many requests ask.
    ///
    /// # Errors
    /// The name does not exist, or nobody answered.
    async fn resolve(&self, host: &str) -> io::Result<Answer>;
}

/// The names known to the process.
pub struct Names {
    resolver: Arc<dyn Resolve>,
    hosts: Mutex<HashMap<(String, u16), Arc<Host>>>,
}

impl Default for Names {
    fn default() -> Self {
        Self::with(Arc::new(System))
    }
}

impl Names {
    /// Names as this resolver knows them.
    #[must_use]
    pub fn with(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, hosts: Mutex::default() }
    }

    /// All addresses of a host, the best first: each call begins with another, families alternate, unreachable ones are last. Never
    /// empty.
    ///
    /// # Errors
    /// The name does not resolve, and has not for the last hour.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.addresses_at(host, port, Instant::now()).await
    }

    /// The best address of a host.
    ///
    /// # Errors
    /// As [`Names::addresses`].
    pub async fn address(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        let addresses = self.addresses(host, port).await?;
        addresses.first().copied().ok_or_else(|| host::no_address(host))
    }

    /// Remembers that an address of a host could not be reached, or could again.
    pub fn report(&self, host: &str, address: SocketAddr, reached: bool) {
        if let Some(host) = self.lock().get(&(host.to_owned(), address.port())) {
            host.report(address, reached, Instant::now());
        }
    }

    /// Refreshes hosts in use whose answers are about to end, and forgets those that nobody uses. Runs every few seconds.
    pub fn tend(&self) {
        self.tend_at(Instant::now());
    }

    async fn addresses_at(&self, host: &str, port: u16, now: Instant) -> io::Result<Vec<SocketAddr>> {
        match host.parse::<IpAddr>() {
            Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
            Err(_) => self.host(host, port, now).addresses(now).await,
        }
    }

    fn tend_at(&self, now: Instant) {
        let mut hosts = self.lock();
        hosts.retain(|_, host| host.idle(now) < FORGET);
        hosts.values().filter(|host| host.idle(now) < IN_USE).for_each(|host| host.refresh_if_due(now));
    }

    fn host(&self, name: &str, port: u16, now: Instant) -> Arc<Host> {
        let mut hosts = self.lock();
        let key = (name.to_owned(), port);
        if let Some(host) = hosts.get(&key) {
            return host.clone();
        }
        if hosts.len() >= HOSTS {
            hosts.retain(|_, host| host.idle(now) < IN_USE);
        }
        let host = Arc::new(Host::new(name, port, self.resolver.clone(), now));
        if hosts.len() < HOSTS {
            hosts.insert(key, host.clone());
        }
        host
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, u16), Arc<Host>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
