//! From a URL's host to the addresses that may be connected to.

use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use url::Host;

use super::fault::Fault;
use super::guard;

/// Lookups at the same time in the whole process: each may hold a thread for as long as a name server takes.
static LOOKUPS: Semaphore = Semaphore::const_new(64);

/// Where hosts are.
#[async_trait]
pub trait Hosts: Send + Sync {
    /// The addresses of a host that may be connected to; never empty. A connection must go to one of them, not to the name: a second
    /// lookup may answer otherwise.
    ///
    /// # Errors
    /// [`Fault::NoAddress`].
    async fn addresses(&self, host: Host<&str>, port: u16) -> Result<Vec<SocketAddr>, Fault>;
}

/// The system's resolver, and the guard.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// Lets every address pass.
    pub allow_private: bool,
}

#[async_trait]
impl Hosts for System {
    async fn addresses(&self, host: Host<&str>, port: u16) -> Result<Vec<SocketAddr>, Fault> {
        let found = look_up(host, port).await?;
        let allowed: Vec<_> = found.iter().copied().filter(|found| self.allow_private || !guard::is_refused(found.ip())).collect();
        if allowed.is_empty() {
            return Err(Fault::NoAddress(format!("refused: {found:?}")));
        }
        Ok(allowed)
    }
}

async fn look_up(host: Host<&str>, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    let name = match host {
        Host::Ipv4(address) => return Ok(vec![SocketAddr::new(IpAddr::V4(address), port)]),
        Host::Ipv6(address) => return Ok(vec![SocketAddr::new(IpAddr::V6(address), port)]),
        Host::Domain(name) => name,
    };
    let _place = LOOKUPS.acquire().await.map_err(|error| Fault::NoAddress(error.to_string()))?;
    let found = tokio::net::lookup_host((name, port)).await.map_err(|error| Fault::NoAddress(error.to_string()))?;
    Ok(found.collect())
}
