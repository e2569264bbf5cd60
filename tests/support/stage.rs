//! A fake upstream that plays the same few steps on every request, over HTTP/1.1 or HTTP/2 without TLS, and counts what it was asked.
//!
//! Where [`super::provider`] is driven by hand, a test of many cases writes its faults as data: a list of [`Step`]s.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::Response;
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::http::{self, Connection, Framing};
use super::within;

/// The version of HTTP an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

/// What an upstream does next. Those before [`Step::Head`] happen on the bare connection.
#[derive(Debug, Clone)]
pub enum Step {
    /// Waits until something arrives, and reads it.
    Stir,
    /// Reads the head of a request: from here on it counts as asked.
    Head,
    /// Reads the first of its body.
    SomeBody,
    /// Reads its body to the end.
    Body,
    /// Begins the answer. Without a `content-length` among the fields, its body ends with [`Step::End`].
    Answer(u16, Vec<(&'static str, String)>),
    /// Sends bytes of the answer's body.
    Data(Vec<u8>),
    /// Sends them again and again, with time between, until the gateway leaves.
    Repeat(Vec<u8>, Duration),
    /// Sends them one by one, with time between, then nothing until the gateway leaves.
    Drip(Vec<u8>, Duration),
    /// Waits so long. For upstreams that are slow, never for a test that wants something to have happened.
    Pause(Duration),
    /// Ends the answer properly.
    End,
    /// Writes bytes beneath HTTP; over HTTP/2 only before [`Step::Head`].
    Raw(Vec<u8>),
    /// Waits until the test has seen what was sent: [`Stage::seen`].
    Seen,
    /// Nothing more; waits until the gateway leaves.
    Silence,
    /// Resets the connection.
    Reset,
    /// Resets the request alone, where the version of HTTP can.
    ResetStream,
    /// Closes the connection.
    Cut,
}

/// A fake upstream.
pub struct Stage {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    version: Version,
    steps: Vec<Step>,
    /// Bodies as far as they were read, in the order of their heads.
    asked: Mutex<Vec<Vec<u8>>>,
    /// Plays under way: from the connection, or the request, to the end of the answer.
    busy: watch::Sender<usize>,
    seen: Notify,
}

/// One play under way, counted until dropped.
struct Busy(Arc<Shared>);

impl Stage {
    /// Listens on a free port.
    pub async fn start(version: Version, steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Shared { version, steps, asked: Mutex::default(), busy: watch::Sender::new(0), seen: Notify::new() };
        let shared = Arc::new(shared);
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// Bodies of the requests so far, as far as they were read.
    pub fn asked(&self) -> Vec<Vec<u8>> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// The client has what was sent so far: [`Step::Seen`] is over.
    pub fn seen(&self) {
        self.shared.seen.notify_one();
    }

    /// Waits until no play is under way: each came to its end, or the gateway left it.
    pub async fn quiet(&self) {
        let mut busy = self.shared.busy.subscribe();
        within("the gateway to leave the provider", busy.wait_for(|busy| *busy == 0)).await.expect("the stage stands");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Busy {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.busy.send_modify(|busy| *busy += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|busy| *busy -= 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let busy = Busy::begin(&shared);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            match shared.version {
                Version::One => one(Connection::new(socket), &shared, busy).await,
                Version::Two => two(socket, &shared, busy).await,
            }
        });
    }
}

/// Plays on an HTTP/1.1 connection, again for each request on it.
async fn one(mut connection: Connection, shared: &Arc<Shared>, busy: Busy) {
    let mut busy = Some(busy);
    loop {
        let mut framing = Framing::Done;
        let mut chunked = false;
        let mut number = None;
        for step in &shared.steps {
            match step {
                Step::Head => {
                    let Some(head) = connection.request_head().await else { return };
                    busy.get_or_insert_with(|| Busy::begin(shared));
                    framing = Connection::request_framing(&head);
                    number = Some(shared.enter());
                }
                Step::Stir => connection.stir().await,
                Step::SomeBody => match connection.piece(&mut framing).await {
                    Ok(piece) => shared.note(number, &piece.unwrap_or_default()),
                    Err(_) => return,
                },
                Step::Body => match connection.body(framing).await {
                    Ok(body) => shared.note(number, &body),
                    Err(_) => return,
                },
                Step::Answer(status, fields) => {
                    let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    chunked = !fields.iter().any(|(name, _)| *name == "content-length");
                    if chunked {
                        fields.push(("transfer-encoding", "chunked"));
                    }
                    let _ = connection.write(&http::head(&format!("HTTP/1.1 {status} Fake"), &fields)).await;
                }
                Step::Data(bytes) => send(&mut connection, chunked, bytes).await,
                Step::Repeat(bytes, pause) => return repeat(&mut connection, &framed(chunked, bytes), *pause).await,
                Step::Drip(bytes, pause) => return drip(&mut connection, chunked, bytes, *pause).await,
                Step::Pause(pause) => tokio::time::sleep(*pause).await,
                Step::End => {
                    if chunked {
                        let _ = connection.write(b"0\r\n\r\n").await;
                    }
                    busy = None;
                }
                Step::Raw(bytes) => drop(connection.write(bytes).await),
                Step::Seen => shared.seen.notified().await,
                Step::Silence => return connection.closed().await,
                Step::Reset | Step::ResetStream => return connection.reset(),
                Step::Cut => return,
            }
        }
        busy = None;
    }
}

async fn repeat(connection: &mut Connection, bytes: &[u8], pause: Duration) {
    while connection.write(bytes).await.is_ok() {
        tokio::time::sleep(pause).await;
    }
}

async fn drip(connection: &mut Connection, chunked: bool, bytes: &[u8], pause: Duration) {
    for byte in bytes {
        if connection.write(&framed(chunked, &[*byte])).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
    connection.closed().await;
}

async fn send(connection: &mut Connection, chunked: bool, bytes: &[u8]) {
    // A gateway that has left is no failure of the fake.
    let _ = connection.write(&framed(chunked, bytes)).await;
}

fn framed(chunked: bool, bytes: &[u8]) -> Vec<u8> {
    if chunked { http::chunk(bytes) } else { bytes.to_vec() }
}

/// Plays on an HTTP/2 connection: what comes before the head once, the rest for each request.
async fn two(mut socket: TcpStream, shared: &Arc<Shared>, busy: Busy) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let before = shared.steps.iter().take_while(|step| !matches!(step, Step::Head));
    for step in before {
        match step {
            Step::Stir => drop(socket.read(&mut [0; 4096]).await),
            Step::Raw(bytes) => drop(socket.write_all(bytes).await),
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    if socket.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(*pause).await;
                }
                return left(&mut socket).await;
            }
            Step::Reset | Step::ResetStream => return reset(&socket),
            Step::Silence => return left(&mut socket).await,
            _ => return,
        }
    }
    let end = Arc::new(Notify::new());
    // Kept beside the connection, which hides its socket, for the day it is to be reset.
    let socket = socket.into_std().expect("a socket");
    let twin = socket.try_clone().expect("a second handle");
    let socket = TcpStream::from_std(socket).expect("a socket");
    let Ok(mut connection) = Builder::new().handshake::<_, Bytes>(socket).await else { return };
    drop(busy);
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            () = end.notified() => return drop(twin),
            request = connection.accept() => match request {
                Some(Ok((request, respond))) => {
                    let busy = Busy::begin(shared);
                    let twin = twin.try_clone().expect("another handle");
                    let body = request.into_body();
                    let request = Request { body, respond, answer: None, twin, end: Arc::clone(&end) };
                    let shared = Arc::clone(shared);
                    requests.spawn(async move { request.play(&shared, busy).await });
                }
                _ => return,
            },
        }
    }
}

/// A request over HTTP/2.
struct Request {
    body: RecvStream,
    respond: SendResponse<Bytes>,
    answer: Option<SendStream<Bytes>>,
    twin: std::net::TcpStream,
    end: Arc<Notify>,
}

impl Request {
    async fn play(mut self, shared: &Shared, busy: Busy) {
        let number = Some(shared.enter());
        let steps = shared.steps.iter().skip_while(|step| !matches!(step, Step::Head)).skip(1);
        for step in steps {
            match step {
                Step::Stir | Step::Head | Step::Raw(_) => panic!("over HTTP/2 nothing is written beneath a request"),
                Step::SomeBody => {
                    let Some(Ok(piece)) = self.body.data().await else { return };
                    shared.note(number, &piece);
                }
                Step::Body => {
                    while let Some(piece) = self.body.data().await {
                        let Ok(piece) = piece else { return };
                        let _ = self.body.flow_control().release_capacity(piece.len());
                        shared.note(number, &piece);
                    }
                }
                Step::Answer(status, fields) => {
                    let mut head = Response::builder().status(*status);
                    for (name, value) in fields {
                        head = head.header(*name, value);
                    }
                    self.answer = self.respond.send_response(head.body(()).expect("a head"), false).ok();
                }
                Step::Data(bytes) => drop(self.send(bytes, false)),
                Step::Repeat(bytes, pause) => {
                    while self.send(bytes, false) && !self.left_within(*pause).await {}
                    return;
                }
                Step::Drip(bytes, pause) => {
                    for byte in bytes {
                        if !self.send(&[*byte], false) || self.left_within(*pause).await {
                            return;
                        }
                    }
                    return self.left().await;
                }
                Step::Pause(pause) => tokio::time::sleep(*pause).await,
                Step::End => drop(self.send(b"", true)),
                Step::Seen => shared.seen.notified().await,
                Step::Silence => return self.left().await,
                Step::Reset => {
                    let _ = SockRef::from(&self.twin).set_linger(Some(Duration::ZERO));
                    return self.end.notify_one();
                }
                Step::Cut => return self.end.notify_one(),
                Step::ResetStream => match &mut self.answer {
                    Some(answer) => return answer.send_reset(Reason::INTERNAL_ERROR),
                    None => return self.respond.send_reset(Reason::INTERNAL_ERROR),
                },
            }
        }
        drop(busy);
    }

    /// Whether the stream still takes it.
    fn send(&mut self, bytes: &[u8], end: bool) -> bool {
        self.answer.as_mut().is_some_and(|answer| answer.send_data(Bytes::copy_from_slice(bytes), end).is_ok())
    }

    async fn left_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.left()).await.is_ok()
    }

    /// Waits until the gateway resets the stream, or the connection ends.
    async fn left(&mut self) {
        let _ = match &mut self.answer {
            Some(answer) => std::future::poll_fn(|cx| answer.poll_reset(cx)).await,
            None => std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await,
        };
    }
}

impl Shared {
    /// Counts a request; its number.
    fn enter(&self) -> usize {
        let mut asked = self.asked.lock().unwrap();
        asked.push(Vec::new());
        asked.len() - 1
    }

    fn note(&self, number: Option<usize>, piece: &[u8]) {
        let mut asked = self.asked.lock().unwrap();
        asked[number.expect("a head comes before a body")].extend_from_slice(piece);
    }
}

async fn left(socket: &mut TcpStream) {
    use tokio::io::AsyncReadExt as _;
    let mut scrap = [0; 4096];
    while matches!(socket.read(&mut scrap).await, Ok(count) if count > 0) {}
}

fn reset(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
