//! A connection to a collector, kept between batches.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Answer, grpc, http, packed, path};
use crate::config::{Endpoint, Protocol, Traces};

/// A collector's answer is a few words.
const ANSWER_BYTES: usize = 64 << 10;

/// A connection to a collector.
pub(super) struct Connection {
    endpoint: Endpoint,
    speaks: Speaks,
}

enum Speaks {
    Http(http1::SendRequest<Full<Bytes>>),
    Grpc(http2::SendRequest<Full<Bytes>>),
}

/// What a collector answered.
pub(super) struct Received {
    pub(super) status: ::http::StatusCode,
    pub(super) headers: ::http::HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: ::http::HeaderMap,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// What went wrong, in words for the log.
    pub(super) async fn open(settings: &Traces) -> Result<Self, String> {
        let endpoint = settings.endpoint.clone();
        let stream = TcpStream::connect((&*endpoint.host, endpoint.port)).await.map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        let speaks = match endpoint.tls {
            false => shake_hands(settings.protocol, stream).await?,
            true => {
                let name = endpoint.host.clone().try_into().map_err(|_| "its name cannot be verified".to_owned())?;
                let connector = TlsConnector::from(Arc::new(trusting(settings)?));
                let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
                shake_hands(settings.protocol, stream).await?
            }
        };
        Ok(Self { endpoint, speaks })
    }

    /// Whether it leads where these settings want it to.
    pub(super) fn is_for(&self, settings: &Traces) -> bool {
        let speaks = if matches!(self.speaks, Speaks::Http(_)) { Protocol::Http } else { Protocol::Grpc };
        self.endpoint == settings.endpoint && speaks == settings.protocol
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.speaks {
            Speaks::Http(sender) => sender.is_closed(),
            Speaks::Grpc(sender) => sender.is_closed(),
        }
    }

    /// Sends a message. `None` if the connection broke before an answer began.
    pub(super) async fn export(&mut self, settings: &Traces, message: &Bytes) -> Option<Answer> {
        let body = packed(settings, message);
        let request = match settings.protocol {
            Protocol::Http => http::request(settings, path(settings), body),
            Protocol::Grpc => grpc::request(settings, path(settings), &body),
        };
        let Ok(request) = request else { return Some(Answer::Refused("its address or a header cannot be sent".to_owned())) };
        let answer = match &mut self.speaks {
            Speaks::Http(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await
            }
            Speaks::Grpc(sender) => {
                sender.ready().await.ok()?;
                sender.send_request(request).await
            }
        };
        let (head, body) = answer.ok()?.into_parts();
        let collected = match Limited::new(body, ANSWER_BYTES).collect().await {
            Ok(collected) => collected,
            Err(error) => return Some(Answer::Later { after: None, why: format!("its answer broke off: {error}") }),
        };
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let received = Received { status: head.status, headers: head.headers, body: collected.to_bytes(), trailers };
        Some(match settings.protocol {
            Protocol::Http => http::answer(&received),
            Protocol::Grpc => grpc::answer(&received),
        })
    }
}

async fn shake_hands(protocol: Protocol, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Speaks, String> {
    let stream = TokioIo::new(stream);
    let said = |error: hyper::Error| error.to_string();
    Ok(match protocol {
        Protocol::Http => {
            let (sender, connection) = http1::handshake(stream).await.map_err(said)?;
            tokio::spawn(connection);
            Speaks::Http(sender)
        }
        Protocol::Grpc => {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.map_err(said)?;
            tokio::spawn(connection);
            Speaks::Grpc(sender)
        }
    })
}

/// The system's certificate authorities, and those of `otel_ca_file`.
fn trusting(settings: &Traces) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let own = settings.endpoint.transport.authorities.iter().flat_map(|authorities| authorities.certificates.iter().cloned());
    // A system without any is no hindrance where there are others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().unwrap_or_default().into_iter().chain(own));
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let mut configuration = builder.with_root_certificates(roots).with_no_client_auth();
    configuration.alpn_protocols = vec![if settings.protocol == Protocol::Grpc { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(configuration)
}
