//! TLS towards clients: a handshake whose certificate can be swapped while connections are open.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pingora::listeners::tls::Acceptor;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::{Identity, Listener, Snapshot};

/// The certificate of a listener, now.
#[derive(Debug)]
struct Current(ArcSwapOption<CertifiedKey>);

/// The certificates of all TLS listeners, by their addresses.
#[derive(Debug, Default)]
pub struct Certificates(Vec<(Listener, Arc<Current>)>);

impl Certificates {
    /// Takes up a TLS listener, and makes what does its handshakes.
    ///
    /// # Errors
    /// None in practice: the protocol versions are constants.
    pub fn acceptor(&mut self, listener: &Listener, identity: &Identity) -> Result<Acceptor, rustls::Error> {
        let current = Arc::new(Current(ArcSwapOption::new(identity.certified.clone())));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_cert_resolver(current.clone());
        let protocols: &[&[u8]] = if listener.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self.0.push((listener.clone(), current));
        Ok(Acceptor::from_server_config(Arc::new(config)))
    }

    /// Uses the certificates of a newly loaded configuration for handshakes from now on.
    pub fn renew(&self, snapshot: &Snapshot) {
        for (listener, current) in &self.0 {
            let same = snapshot.listen.iter().find(|new| new.door == listener.door);
            if let Some(certified) = same.and_then(|new| new.tls.as_ref()).and_then(|identity| identity.certified.clone()) {
                current.0.store(Some(certified));
            }
        }
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}
