//! A fake upstream that speaks HTTP/2 without TLS, driven step by step.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Response};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{Value, within};

/// A fake upstream.
pub struct H2Provider {
    pub address: SocketAddr,
    asks: tokio::sync::Mutex<mpsc::UnboundedReceiver<Ask>>,
    connections: watch::Receiver<usize>,
    /// Shuts the next connections down gracefully once they have served a request.
    pub leaves_after_one: Arc<Mutex<bool>>,
}

/// A request as it came, of which the body has not been read.
pub struct Ask {
    pub path: String,
    pub headers: HeaderMap,
    pub body: RecvStream,
    respond: SendResponse<Bytes>,
}

impl H2Provider {
    /// Listens on a free port, taking `streams` at once on a connection.
    pub async fn start(streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (asked, asks) = mpsc::unbounded_channel();
        let (count, connections) = watch::channel(0);
        let leaves_after_one = Arc::new(Mutex::new(false));
        tokio::spawn(accept(listener, streams, asked, count, leaves_after_one.clone()));
        Self { address, asks: tokio::sync::Mutex::new(asks), connections, leaves_after_one }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn next(&self) -> Ask {
        let mut asks = self.asks.lock().await;
        within("a request to reach the HTTP/2 provider", asks.recv()).await.expect("the fake runs")
    }

    /// Nobody has asked for anything that was not taken.
    pub async fn nobody(&self) {
        assert!(self.asks.lock().await.try_recv().is_err(), "nobody expected this request");
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }
}

impl Ask {
    /// Reads the whole body.
    pub async fn body(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = within("more of the body", self.body.data()).await {
            let piece = piece.expect("a whole body");
            self.body.flow_control().release_capacity(piece.len()).expect("capacity");
            all.extend_from_slice(&piece);
        }
        all
    }

    /// Answers with JSON.
    pub fn json(mut self, status: u16, body: &Value) {
        let head = Response::builder().status(status).header("content-type", "application/json").body(()).expect("a head");
        let mut stream = self.respond.send_response(head, false).expect("an open stream");
        stream.send_data(body.to_string().into(), true).expect("an open stream");
    }

    /// Begins an event stream.
    pub fn events(mut self) -> Events {
        let head = Response::builder().header("content-type", "text/event-stream").body(()).expect("a head");
        let stream = self.respond.send_response(head, false).expect("an open stream");
        Events { stream, _body: self.body }
    }

    /// Refuses it before anything was done.
    pub fn refuse(mut self) {
        self.respond.send_reset(Reason::REFUSED_STREAM);
    }

    /// Waits until the gateway resets the stream.
    pub async fn reset(mut self) -> Reason {
        within("the gateway to reset the stream", std::future::poll_fn(|cx| self.respond.poll_reset(cx))).await.expect("a reset")
    }
}

/// An event stream under way.
pub struct Events {
    stream: SendStream<Bytes>,
    _body: RecvStream,
}

impl Events {
    pub fn event(&mut self, event: &str) {
        self.stream.send_data(Bytes::copy_from_slice(event.as_bytes()), false).expect("an open stream");
    }

    pub fn end(mut self) {
        self.stream.send_data(Bytes::new(), true).expect("an open stream");
    }

    /// Resets it as if nothing had been done.
    pub fn refuse(mut self) {
        self.stream.send_reset(Reason::REFUSED_STREAM);
    }

    /// Waits until the gateway resets the stream.
    pub async fn reset(mut self) -> Reason {
        within("the gateway to reset the stream", std::future::poll_fn(|cx| self.stream.poll_reset(cx))).await.expect("a reset")
    }
}

async fn accept(
    listener: TcpListener,
    streams: u32,
    asked: mpsc::UnboundedSender<Ask>,
    count: watch::Sender<usize>,
    leaves: Arc<Mutex<bool>>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        count.send_modify(|count| *count += 1);
        let (asked, leaves) = (asked.clone(), leaves.clone());
        tokio::spawn(async move {
            let mut connection = Builder::new().max_concurrent_streams(streams).handshake::<_, Bytes>(socket).await.expect("HTTP/2");
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (parts, body) = request.into_parts();
                let path = parts.uri.path_and_query().expect("a path").to_string();
                let _ = asked.send(Ask { path, headers: parts.headers, body, respond });
                if *leaves.lock().unwrap() {
                    connection.graceful_shutdown();
                }
            }
        });
    }
}
