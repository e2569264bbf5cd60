//! A fake upstream, driven step by step over a real loopback socket.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::http::{self, Connection, Head};
use super::{Value, within};

/// A fake upstream. Every request must be expected: one that nobody takes fails the test when the fake is dropped.
pub struct Provider {
    address: SocketAddr,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<Request>>,
    shared: Arc<Shared>,
    /// Keeps the port taken where nothing listens.
    _socket: Option<socket2::Socket>,
    _fill: Vec<socket2::Socket>,
}

/// A request as it came, with the connection to answer on.
pub struct Request {
    /// `POST /v1/messages`
    pub line: String,
    pub head: Head,
    pub body: Vec<u8>,
    connection: Connection,
    shared: Arc<Shared>,
}

/// What a request said, once it was answered by a script.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub head: Head,
    pub body: Vec<u8>,
}

/// An answer under way.
pub struct Stream {
    connection: Connection,
    shared: Arc<Shared>,
}

struct Shared {
    queue: mpsc::UnboundedSender<Request>,
    script: Mutex<Script>,
    seen: Mutex<Vec<Seen>>,
    connections: watch::Sender<usize>,
    broken: Mutex<Vec<String>>,
}

#[derive(Default)]
enum Script {
    /// Requests wait for [`Provider::next_request`].
    #[default]
    Stepwise,
    /// Each is answered by the next; then they are unexpected.
    Once(VecDeque<reply::Reply>),
    /// All are answered alike.
    Always(reply::Reply),
}

impl Provider {
    /// Listens on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (queue, requests) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            queue,
            script: Mutex::default(),
            seen: Mutex::default(),
            connections: watch::Sender::new(0),
            broken: Mutex::default(),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, requests: tokio::sync::Mutex::new(requests), shared, _socket: None, _fill: Vec::new() }
    }

    /// A port where connections are refused.
    pub async fn refusing() -> Self {
        let mut provider = Self::start().await;
        let socket = bound();
        provider.address = address_of(&socket);
        provider._socket = Some(socket);
        provider
    }

    /// A port that never completes a handshake: its backlog is full.
    pub async fn deaf() -> Self {
        let mut provider = Self::start().await;
        let socket = bound();
        socket.listen(0).expect("listen");
        provider.address = address_of(&socket);
        for _ in 0..4 {
            let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
            filler.set_nonblocking(true).expect("non-blocking");
            let _ = filler.connect(&provider.address.into());
            provider._fill.push(filler);
        }
        provider._socket = Some(socket);
        provider
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request, to be answered by hand.
    pub async fn next_request(&self) -> Request {
        let mut requests = self.requests.lock().await;
        within("a request to reach the provider", requests.recv()).await.expect("the fake runs")
    }

    /// Answers the next requests so, in order; one more is unexpected.
    pub fn script(&self, replies: impl IntoIterator<Item = reply::Reply>) -> &Self {
        *self.shared.script.lock().unwrap() = Script::Once(replies.into_iter().collect());
        self
    }

    /// Answers every request so.
    pub fn always(&self, reply: reply::Reply) -> &Self {
        *self.shared.script.lock().unwrap() = Script::Always(reply);
        self
    }

    /// From now on requests wait for [`Provider::next_request`].
    pub fn stepwise(&self) -> &Self {
        *self.shared.script.lock().unwrap() = Script::Stepwise;
        self
    }

    /// Waits for the next request on a connection that was taken over: [`Request::into_connection`].
    pub fn carry_on(&self, connection: Connection) {
        keep(connection, Arc::clone(&self.shared));
    }

    /// What came so far and was answered by a script.
    pub fn received(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Requests that came and wait for [`Provider::next_request`].
    pub async fn queued(&self) -> usize {
        self.requests.lock().await.len()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let broken = std::mem::take(&mut *self.shared.broken.lock().unwrap());
        assert!(broken.is_empty(), "the fake provider saw: {broken:?}");
        if let Ok(request) = self.requests.get_mut().try_recv() {
            panic!("nobody expected this request: {} {}", request.line, String::from_utf8_lossy(&request.body));
        }
    }
}

impl Request {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// Answers with a body of known length; the connection stays open for the next request.
    pub async fn respond(mut self, status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let message = http::message(&format!("HTTP/1.1 {status} Fake"), headers, body.as_ref());
        let _ = self.connection.write(&message).await;
        keep(self.connection, self.shared);
    }

    /// Answers with JSON.
    pub async fn respond_json(self, status: u16, body: &Value) {
        self.respond(status, &[("content-type", "application/json")], body.to_string()).await;
    }

    /// Begins an event stream.
    pub async fn stream(self) -> Stream {
        self.stream_with(200, &[("content-type", "text/event-stream")]).await
    }

    /// Begins a chunked answer.
    pub async fn stream_with(mut self, status: u16, headers: &[(&str, &str)]) -> Stream {
        let mut fields = headers.to_vec();
        fields.push(("transfer-encoding", "chunked"));
        let _ = self.connection.write(&http::head(&format!("HTTP/1.1 {status} Fake"), &fields)).await;
        Stream { connection: self.connection, shared: self.shared }
    }

    /// Takes the connection without answering: bytes may be written by hand.
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// Ends the connection without an answer (FIN).
    pub fn cut(self) {}

    /// Ends the connection without an answer (RST).
    pub fn reset(self) {
        self.connection.reset();
    }

    /// Never answers; returns when the gateway gives up.
    pub async fn closed(mut self) {
        within("the gateway to leave the provider", self.connection.closed()).await;
    }
}

impl Stream {
    /// Writes one event with its blank line, in a chunk of its own.
    pub async fn event(&mut self, event: &str) -> &mut Self {
        assert!(event.ends_with("\n\n") || event.ends_with("\r\n\r\n"), "an event ends with a blank line");
        self.chunk(event.as_bytes()).await
    }

    /// Writes bytes in a chunk of their own. A gateway that has left is no failure of the fake.
    pub async fn chunk(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.connection.write(&http::chunk(bytes)).await;
        self
    }

    /// Ends the answer properly; the connection stays open for the next request.
    pub async fn end(mut self) {
        let _ = self.connection.write(b"0\r\n\r\n").await;
        keep(self.connection, self.shared);
    }

    /// Ends the connection without the terminal chunk (FIN).
    pub fn cut(self) {}

    /// Ends the connection with RST.
    pub fn reset(self) {
        self.connection.reset();
    }

    /// Says nothing more; returns when the gateway gives up.
    pub async fn closed(mut self) {
        within("the gateway to leave the stream", self.connection.closed()).await;
    }
}

/// Answers for [`Provider::script`] and [`Provider::always`].
pub mod reply {
    use super::Value;

    /// One whole answer.
    #[derive(Debug, Clone)]
    pub enum Reply {
        /// Status, headers, body.
        Whole(u16, Vec<(String, String)>, Vec<u8>),
        /// An event stream, one chunk each.
        Events(Vec<Vec<u8>>, End),
        /// RST without an answer.
        Reset,
        /// FIN without an answer.
        Cut,
        /// No answer until the gateway leaves.
        Hang,
    }

    /// How an event stream ends.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum End {
        /// With the terminal chunk.
        Properly,
        /// FIN without the terminal chunk.
        Cut,
        /// RST.
        Reset,
        /// Not at all, until the gateway leaves.
        Stall,
    }

    impl Reply {
        /// With one more header.
        #[must_use]
        pub fn header(mut self, name: &str, value: &str) -> Self {
            if let Self::Whole(_, headers, _) = &mut self {
                headers.push((name.into(), value.into()));
            }
            self
        }
    }

    /// 200 with JSON.
    pub fn json(body: Value) -> Reply {
        status_json(200, body)
    }

    /// A status with JSON.
    pub fn status_json(status: u16, body: Value) -> Reply {
        bytes(status, "application/json", body.to_string())
    }

    /// A status with an error body of the OpenAI kind.
    pub fn status(status: u16) -> Reply {
        let message = format!("fake {status}");
        status_json(status, serde_json::json!({"error": {"message": message, "type": "fake_error", "code": null, "param": null}}))
    }

    /// A status with a body as it is.
    pub fn bytes(status: u16, media_type: &str, body: impl Into<Vec<u8>>) -> Reply {
        Reply::Whole(status, vec![("content-type".into(), media_type.into())], body.into())
    }

    /// An event stream that ends properly.
    pub fn events<T: AsRef<[u8]>>(events: impl IntoIterator<Item = T>) -> Reply {
        ending(events, End::Properly)
    }

    /// An event stream with an end of its own.
    pub fn ending<T: AsRef<[u8]>>(events: impl IntoIterator<Item = T>, end: End) -> Reply {
        Reply::Events(events.into_iter().map(|e| e.as_ref().to_vec()).collect(), end)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        shared.connections.send_modify(|n| *n += 1);
        keep(Connection::new(socket), Arc::clone(&shared));
    }
}

/// Waits for the next request on a connection. What goes wrong there is told when the fake is dropped.
fn keep(connection: Connection, shared: Arc<Shared>) {
    let served = tokio::spawn(serve(connection, Arc::clone(&shared)));
    tokio::spawn(async move {
        if let Err(failure) = served.await.map_err(|e| e.to_string()) {
            shared.broken.lock().unwrap().push(failure);
        }
    });
}

async fn serve(mut connection: Connection, shared: Arc<Shared>) {
    loop {
        let Some(head) = connection.request_head().await else { return };
        if head.header("expect").is_some() {
            let _ = connection.write(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        let Ok(body) = connection.body(Connection::request_framing(&head)).await else { return };
        let scripted = match &mut *shared.script.lock().unwrap() {
            Script::Stepwise => None,
            Script::Always(reply) => Some(reply.clone()),
            Script::Once(replies) => match replies.pop_front() {
                Some(reply) => Some(reply),
                None => {
                    shared.broken.lock().unwrap().push(format!("one request more than scripted: {}", head.line));
                    Some(reply::status(599))
                }
            },
        };
        let Some(reply) = scripted else {
            let line = head.line.clone();
            let _ = shared.queue.clone().send(Request { line, head, body, connection, shared });
            return;
        };
        shared.seen.lock().unwrap().push(Seen { line: head.line.clone(), head, body });
        match play(connection, reply).await {
            Some(open) => connection = open,
            None => return,
        }
    }
}

/// Plays a scripted answer; gives the connection back where it stays open.
async fn play(mut connection: Connection, reply: reply::Reply) -> Option<Connection> {
    match reply {
        reply::Reply::Whole(status, headers, body) => {
            let fields: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            connection.write(&http::message(&format!("HTTP/1.1 {status} Fake"), &fields, &body)).await.ok()?;
            Some(connection)
        }
        reply::Reply::Events(events, end) => {
            let fields = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")];
            connection.write(&http::head("HTTP/1.1 200 OK", &fields)).await.ok()?;
            for event in events {
                connection.write(&http::chunk(&event)).await.ok()?;
            }
            finish(connection, end).await
        }
        reply::Reply::Reset => {
            connection.reset();
            None
        }
        reply::Reply::Cut => None,
        reply::Reply::Hang => {
            connection.closed().await;
            None
        }
    }
}

async fn finish(mut connection: Connection, end: reply::End) -> Option<Connection> {
    match end {
        reply::End::Properly => {
            connection.write(b"0\r\n\r\n").await.ok()?;
            Some(connection)
        }
        reply::End::Cut => None,
        reply::End::Reset => {
            connection.reset();
            None
        }
        reply::End::Stall => {
            connection.closed().await;
            None
        }
    }
}

fn bound() -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    socket
}

fn address_of(socket: &socket2::Socket) -> SocketAddr {
    socket.local_addr().ok().and_then(|a| a.as_socket()).expect("an address")
}
