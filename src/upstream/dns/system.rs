//! The system's own resolver: `/etc/hosts`, then the name servers, search domains and `ndots` of `/etc/resolv.conf`.
//!
//! Both files are read at every lookup, as the C library does, so that changes of a network take effect; our own cache makes lookups
//! rare. The C library itself (`getaddrinfo`) cannot say how long an answer holds, and blocks a thread: it is asked only where there is
//! no name server to ask, and for names that the name servers do not know, which may come from another source of `nsswitch.conf`.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;

use super::{Answer, Resolve};

/// How long an answer without a time to live is held.
const UNKNOWN_TTL: Duration = Duration::from_secs(30);
/// The longest a single question to a name server may take. The usual 5 seconds are longer than a connect may.
const QUESTION: Duration = Duration::from_secs(2);
/// The longest a lookup may take with all its repetitions and search domains.
const LOOKUP: Duration = Duration::from_secs(10);

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

#[async_trait]
impl Resolve for System {
    async fn resolve(&self, host: &str) -> io::Result<Answer> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no name server answered in time");
        tokio::time::timeout(LOOKUP, look_up(host)).await.map_err(late)?
    }
}

async fn look_up(host: &str) -> io::Result<Answer> {
    // A few kilobytes of local files, but read by blocking calls.
    let resolver = tokio::task::spawn_blocking(resolver).await.map_err(io::Error::other)?;
    let Ok(resolver) = resolver else { return of_the_c_library(host).await };
    match resolver.lookup_ip(host).await {
        Ok(found) => {
            let ttl = found.valid_until().saturating_duration_since(Instant::now());
            Ok(Answer { addresses: found.iter().collect(), ttl })
        }
        Err(error) if error.is_nx_domain() || error.is_no_records_found() => {
            of_the_c_library(host).await.map_err(|_| io::Error::new(io::ErrorKind::NotFound, error.to_string()))
        }
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

fn resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.timeout = options.timeout.min(QUESTION);
    options.cache_size = 0;
    options.try_tcp_on_error = true;
    builder.build()
}

async fn of_the_c_library(host: &str) -> io::Result<Answer> {
    let addresses: Vec<IpAddr> = tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect();
    Ok(Answer { addresses, ttl: UNKNOWN_TTL })
}
