//! Sockets: accepts connections, reads requests to their end, plays replies step by step.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::exchange::{Call, Format, Page, Refusal};
use super::ledger::{Ledger, Ticket};
use super::script::{Opening, Script, Step};

/// The longest body that is read; each wire format has its own, lower bound.
const BODY_LIMIT: usize = 128 << 20;

/// How long a reset in mid-stream waits, so that what was sent is read before the connection breaks.
const BEFORE_RESET: Duration = Duration::from_millis(50);

/// Where the record of a simulator is read, and with DELETE emptied.
const RECEIVED: &str = "/__received";

/// Accepts connections until it is dropped; its connections end with it.
pub(super) async fn run(listener: TcpListener, format: &'static dyn Format, ledger: Arc<Ledger>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: let some close.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        ledger.count_connection();
        connections.spawn(converse(stream, format, Arc::clone(&ledger)));
    }
}

/// Serves one connection until either side closes it, or a fault resets it.
async fn converse(stream: TcpStream, format: &'static dyn Format, ledger: Arc<Ledger>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let broken = Arc::new(Notify::new());
    let line = Line { format, ledger, broken: Arc::clone(&broken) };
    let service = service_fn(move |request| {
        let line = line.clone();
        async move { Ok::<_, Infallible>(line.respond(request).await) }
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = &mut connection => {}
        () = broken.notified() => reset(&connection.into_parts().io.into_inner()),
    }
}

/// Makes the coming close of a socket an RST.
fn reset(stream: &TcpStream) {
    // Nothing to do where it fails: the peer then sees a close instead.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// What a connection answers with.
#[derive(Clone)]
struct Line {
    format: &'static dyn Format,
    ledger: Arc<Ledger>,
    /// Told when the connection is to be reset.
    broken: Arc<Notify>,
}

impl Line {
    async fn respond(&self, request: Request<Incoming>) -> Response<Outgoing> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
            return self.too_large();
        };
        let call = Call {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers,
            body: body.to_bytes(),
        };
        if call.path == RECEIVED {
            return self.show(&call.method);
        }
        let served = self.format.serve(&call);
        let asked = match &served {
            Ok(Page::Chat(asked, _)) => Some(asked.as_ref()),
            _ => None,
        };
        let (ticket, id) = self.ledger.enter(&call, asked);
        self.play(Script::of(self.format, served, &id), ticket).await
    }

    fn show(&self, method: &Method) -> Response<Outgoing> {
        if method == Method::DELETE {
            self.ledger.clear();
        }
        let mut response = Response::new(Outgoing::Whole(Some(self.ledger.show().to_string().into())));
        response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn too_large(&self) -> Response<Outgoing> {
        let body = self.format.error(&Refusal::new(413, "Request exceeds the maximum size"));
        let mut response = Response::new(Outgoing::Whole(Some(body.to_string().into())));
        *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        response
    }

    async fn play(&self, script: Script, ticket: Ticket) -> Response<Outgoing> {
        match script.opening {
            Opening::After(delay) => sleep(delay).await,
            Opening::Never => pending().await,
            Opening::Reset => {
                self.broken.notify_one();
                pending::<()>().await;
            }
        }
        let mut response = Response::new(self.body(script.steps, ticket));
        *response.status_mut() = StatusCode::from_u16(script.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in script.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }

    /// A single piece goes out whole, with its length; more are played by a task of their own.
    fn body(&self, mut steps: Vec<Step>, ticket: Ticket) -> Outgoing {
        if let [Step::Send(bytes)] = steps.as_mut_slice() {
            ticket.finish();
            return Outgoing::Whole(Some(std::mem::take(bytes)));
        }
        let (pieces, body) = mpsc::channel(16);
        // The task ends with the steps, or when the connection drops the receiving end.
        tokio::spawn(play(steps, pieces, Arc::clone(&self.broken), ticket));
        Outgoing::Pieces(body)
    }
}

/// Sends a body step by step. A client that leaves ends it at once; the dropped ticket then says so.
async fn play(steps: Vec<Step>, pieces: mpsc::Sender<Bytes>, broken: Arc<Notify>, ticket: Ticket) {
    for step in steps {
        let goes_on = match step {
            Step::Send(bytes) => pieces.send(bytes).await.is_ok(),
            Step::Pause(time) => pause(&pieces, time).await,
            Step::Silence => return pieces.closed().await,
            Step::Repeat(bytes, time) => {
                while pieces.send(bytes.clone()).await.is_ok() && pause(&pieces, time).await {}
                false
            }
            Step::Reset => {
                let stays = pause(&pieces, BEFORE_RESET).await;
                broken.notify_one();
                if stays {
                    // Dropping the sender now would end the body cleanly before the reset.
                    pieces.closed().await;
                }
                false
            }
        };
        if !goes_on {
            return;
        }
    }
    ticket.finish();
}

/// Waits; false where the client left meanwhile.
async fn pause(pieces: &mpsc::Sender<Bytes>, time: Duration) -> bool {
    tokio::select! {
        () = sleep(time) => true,
        () = pieces.closed() => false,
    }
}

/// The body of a response.
enum Outgoing {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Bytes>),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut *self {
            Self::Whole(bytes) => bytes.take(),
            Self::Pieces(pieces) => ready!(pieces.poll_recv(context)),
        };
        Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}
