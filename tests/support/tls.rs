//! Certificates made on the spot, and TLS in front of a fake that speaks without.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// A certificate authority of the test's own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// TLS before a plain address.
pub struct Front {
    address: SocketAddr,
    handshakes: watch::Receiver<usize>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate");
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("a file");
        Self { issuer, folder }
    }

    /// Where its certificate is, as PEM.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Puts TLS before an address, with a certificate for `name`, offering `protocols` by ALPN.
    pub async fn front(&self, name: &str, protocols: &[&str], plain: SocketAddr) -> Front {
        let key = KeyPair::generate().expect("a key");
        let certificate =
            CertificateParams::new(vec![name.to_owned()]).expect("a name").signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
        let builder = builder.expect("versions").with_no_client_auth();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("a certificate");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (count, handshakes) = watch::channel(0);
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), plain, count));
        Front { address, handshakes }
    }
}

impl Front {
    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// `https://HOST:PORT`
    pub fn url_as(&self, host: &str) -> String {
        format!("https://{host}:{}", self.address.port())
    }

    /// Handshakes that succeeded.
    pub fn handshakes(&self) -> usize {
        *self.handshakes.borrow()
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, plain: SocketAddr, count: watch::Sender<usize>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (acceptor, count) = (acceptor.clone(), count.clone());
        tokio::spawn(async move {
            let Ok(mut secure) = acceptor.accept(socket).await else { return };
            count.send_modify(|count| *count += 1);
            let Ok(mut plain) = TcpStream::connect(plain).await else { return };
            let _ = tokio::io::copy_bidirectional(&mut secure, &mut plain).await;
        });
    }
}
