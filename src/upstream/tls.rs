//! Whom we trust: the system's certificate authorities, and those a provider's `tls.ca_file` adds for it alone.
//!
//! The handshake is Pingora's; the configuration is ours, because Pingora's own panics at start where the system's certificates cannot
//! be read, replaces them by a peer's instead of adding, and builds a new one (without resumption) for every connection to such a peer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pingora::protocols::Stream;
use pingora::protocols::tls::client::handshake;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::connect::{ConnectError, Tcp};
use crate::config::{Authorities, Endpoint, Transport};

/// A file without certificates.
pub(super) const EMPTY_FILE: &str = "/dev/null";

/// Makes connections safe.
#[derive(Default)]
pub struct Tls {
    system: OnceLock<RootCertStore>,
    configurations: Mutex<HashMap<Trust, Arc<ClientConfig>>>,
}

/// What a configuration of TLS depends on.
#[derive(PartialEq, Eq, Hash)]
struct Trust {
    authorities: Option<Authorities>,
    http2: bool,
}

impl Tls {
    /// Reads the system's certificates, if that has not been done: some tens of milliseconds, better not within a request.
    pub fn warm(&self) {
        let _ = self.system();
    }

    /// Shakes hands with an endpoint: its name is asked for, and its certificate verified.
    ///
    /// # Errors
    /// [`ConnectError::Tls`] that says what is wrong with the certificate.
    pub async fn wrap(&self, endpoint: &Endpoint, stream: Tcp) -> Result<Stream, ConnectError> {
        let name = server_name(endpoint);
        let connector = TlsConnector::from(self.configuration(&endpoint.transport)?);
        let failed = |error: Box<pingora::Error>| ConnectError::Tls(format!("{} for {name}", error.root_cause()));
        let stream = handshake(&connector, name, *stream).await.map_err(failed)?;
        Ok(Box::new(stream))
    }

    fn configuration(&self, transport: &Transport) -> Result<Arc<ClientConfig>, ConnectError> {
        let key = Trust { authorities: transport.authorities.clone(), http2: transport.http2 };
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        let mut roots = self.system().clone();
        for certificate in transport.authorities.iter().flat_map(|authorities| authorities.certificates.iter()) {
            roots.add(certificate.clone()).map_err(|error| ConnectError::Tls(format!("a certificate of tls.ca_file: {error}")))?;
        }
        if roots.is_empty() {
            let what = "no certificate authority is known here: install the system's (ca-certificates), or set tls.ca_file";
            return Err(ConnectError::Tls(what.to_owned()));
        }
        let configuration = Arc::new(configuration(roots, transport.http2)?);
        self.lock().insert(key, configuration.clone());
        Ok(configuration)
    }

    fn system(&self) -> &RootCertStore {
        self.system.get_or_init(|| system().0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Trust, Arc<ClientConfig>>> {
        self.configurations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name that a host is asked for, and must prove.
#[must_use]
pub fn server_name(endpoint: &Endpoint) -> &str {
    endpoint.transport.server_name.as_deref().unwrap_or(&endpoint.host)
}

/// The `ca_file` of Pingora's own connectors: an empty one where they could not read the system's certificates, for they panic then.
/// Runs once, at start.
#[must_use]
pub fn pingora_ca_file() -> Option<String> {
    let (_, whole) = system();
    (!whole).then(|| EMPTY_FILE.to_owned())
}

/// The system's certificates, and whether all of them could be read.
fn system() -> (RootCertStore, bool) {
    let mut roots = RootCertStore::empty();
    match rustls_native_certs::load_native_certs() {
        Ok(certificates) => {
            let (_, unusable) = roots.add_parsable_certificates(certificates);
            if unusable > 0 {
                log::info!("{unusable} of the system's certificates cannot be used");
            }
            (roots, unusable == 0)
        }
        Err(error) => {
            log::warn!("cannot read the system's certificates: {error}");
            (roots, false)
        }
    }
}

fn configuration(roots: RootCertStore, http2: bool) -> Result<ClientConfig, ConnectError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| ConnectError::Tls(error.to_string()))?;
    let mut configuration = builder.with_root_certificates(roots).with_no_client_auth();
    let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    configuration.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(configuration)
}
