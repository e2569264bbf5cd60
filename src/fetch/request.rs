//! One file over HTTP/1.1, with its redirects.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use url::{Host, Url};

use super::Terms;
use super::fault::Fault;
use crate::config::Timeouts;
use crate::upstream::connection::Pieces;
use crate::upstream::head::Head;
use crate::upstream::pool::Lease;

/// What the gateway calls itself.
const USER_AGENT: &str = concat!("heliostat/", env!("CARGO_PKG_VERSION"));
/// Addresses of a host that are tried.
const ADDRESSES: usize = 4;

/// What a host answered.
enum Answer {
    File(Bytes),
    Elsewhere(Url),
}

/// A URL, checked, with where it is. The addresses are all that is ever connected to.
struct Place {
    addresses: Vec<SocketAddr>,
    tls_name: Option<String>,
    head: String,
}

/// Fetches what is at a URL. Sends no credential and no cookie. The caller keeps the time.
///
/// # Errors
/// [`Fault`].
pub async fn get(terms: &Terms, url: &str) -> Result<Bytes, Fault> {
    let mut url = Url::parse(url).map_err(|_| Fault::NotAUrl)?;
    for _ in 0..=terms.rules.max_redirects {
        match visit(terms, &url).await? {
            Answer::File(file) => return Ok(file),
            Answer::Elsewhere(next) => url = next,
        }
    }
    Err(Fault::TooManyRedirects)
}

async fn visit(terms: &Terms, url: &Url) -> Result<Answer, Fault> {
    let place = Place::of(terms, url).await?;
    let (lease, head) = place.ask(terms).await?;
    match head.status {
        200 => read(terms, lease, head).await.map(Answer::File),
        301 | 302 | 303 | 307 | 308 => {
            let next = head.text("location").and_then(|location| url.join(location).ok()).ok_or(Fault::BadRedirect)?;
            terms.pool.give_back_if_few(lease);
            if is_web(&next) { Ok(Answer::Elsewhere(next)) } else { Err(Fault::BadRedirect) }
        }
        status => Err(Fault::Status(status)),
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

impl Place {
    /// Checks a URL and looks its host up.
    async fn of(terms: &Terms, url: &Url) -> Result<Self, Fault> {
        if !is_web(url) {
            return Err(Fault::NotAUrl);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault::Credentials);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else { return Err(Fault::NotAUrl) };
        let tls_name = (url.scheme() == "https").then(|| match &host {
            Host::Domain(name) => name.trim_end_matches('.').to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        });
        let addresses = terms.hosts.addresses(host, port).await?;
        Ok(Self { addresses, tls_name, head: head(url) })
    }

    /// Asks one of its addresses: the next one where no connection can be had.
    async fn ask(&self, terms: &Terms) -> Result<(Lease, Head), Fault> {
        let mut failed = String::new();
        for address in self.addresses.iter().take(ADDRESSES) {
            let mut fresh = false;
            loop {
                let leased = terms.pool.lease_at(*address, self.tls_name.as_deref(), &Timeouts::default(), fresh).await;
                let mut lease = match leased {
                    Ok(lease) => lease,
                    Err(error) => {
                        failed = error.to_string();
                        break;
                    }
                };
                match self.exchange(&mut lease).await {
                    Ok(head) => return Ok((lease, head)),
                    // It had died in the pool.
                    Err(_) if lease.connection.is_stale() && !lease.connection.has_received() && !fresh => fresh = true,
                    Err(error) => return Err(Fault::Broken(error.to_string())),
                }
            }
        }
        Err(Fault::Unreachable(failed))
    }

    async fn exchange(&self, lease: &mut Lease) -> std::io::Result<Head> {
        lease.connection.send(Pieces::new(self.head.as_bytes(), &[])).await?;
        lease.connection.read_head().await
    }
}

/// A parsed URL holds no byte that could end a line.
fn head(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!(
        "GET {}{query} HTTP/1.1\r\nhost: {host}{port}\r\nuser-agent: {USER_AGENT}\r\naccept: image/*\r\naccept-encoding: identity\r\n\r\n",
        url.path()
    )
}

async fn read(terms: &Terms, mut lease: Lease, mut head: Head) -> Result<Bytes, Fault> {
    // Some servers compress whatever is asked for. What counts below is how long it is afterwards.
    lease.connection.decode(&mut head).map_err(|coding| Fault::Coded(coding.to_string()))?;
    let limit_bytes = terms.rules.max_bytes;
    let announced = head.text("content-length").and_then(|length| length.parse::<usize>().ok()).unwrap_or_default();
    if announced > limit_bytes {
        return Err(Fault::TooLarge { limit_bytes });
    }
    let mut file = BytesMut::with_capacity(announced);
    loop {
        match lease.connection.next_body().await {
            Ok(Some(piece)) if file.len() + piece.len() > limit_bytes => return Err(Fault::TooLarge { limit_bytes }),
            Ok(Some(piece)) => {
                terms.room.take(piece.len())?;
                file.extend_from_slice(&piece);
            }
            Ok(None) => {
                terms.pool.give_back_if_few(lease);
                return Ok(file.freeze());
            }
            Err(error) => return Err(Fault::Broken(error.to_string())),
        }
    }
}
