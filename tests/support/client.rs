//! A client that shows exact bytes: it may be slow, leave in the middle, or read event by event.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::http::{self, Broken, Connection, Framing, Head};
use super::{Value, within};

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub head: Head,
    pub body: Vec<u8>,
}

/// An answer read as it comes.
#[derive(Debug)]
pub struct Stream {
    pub status: u16,
    pub head: Head,
    connection: Connection,
    framing: Framing,
    pending: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first value of a header; fails when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.head.header(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.head))
    }

    /// The status, checked: a failure shows the body.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{:?} {}", self.head.headers, self.text());
        self
    }

    /// The assistant's text in an OpenAI reply.
    pub fn content(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// The message of an OpenAI error, whose shape is checked.
    #[track_caller]
    pub fn error(&self) -> String {
        let json = self.json();
        let error = json["error"].as_object().unwrap_or_else(|| panic!("no error object in {json}"));
        for key in ["message", "type", "param", "code"] {
            assert!(error.contains_key(key), "an OpenAI error has `{key}`: {json}");
        }
        error["message"].as_str().expect("a message").to_owned()
    }

    /// The message of an Anthropic error, whose shape is checked.
    #[track_caller]
    pub fn anthropic_error(&self) -> String {
        let json = self.json();
        assert_eq!((json["type"].as_str(), json["request_id"].as_str()), (Some("error"), Some(self.header("request-id"))), "{json}");
        assert!(json["error"]["type"].is_string(), "an error has a type: {json}");
        json["error"]["message"].as_str().expect("a message").to_owned()
    }

    /// Attempts as `x-heliostat-attempts` lists them, without their durations: `openai/gpt-4o#KEY;529`.
    pub fn attempts(&self) -> Vec<String> {
        attempts(&self.head)
    }
}

impl Stream {
    /// The next event without its blank line; `None` at the proper end of the body.
    pub async fn event(&mut self) -> Option<String> {
        self.try_event().await.expect("a stream that ends properly")
    }

    /// The next event, or how the stream broke.
    pub async fn try_event(&mut self) -> Result<Option<String>, Broken> {
        loop {
            if let Some(event) = self.cut_event() {
                return Ok(Some(event));
            }
            match within("an event for the client", self.connection.piece(&mut self.framing)).await? {
                Some(piece) => self.pending.extend(piece),
                None if self.pending.is_empty() => return Ok(None),
                None => return Ok(Some(String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned())),
            }
        }
    }

    /// All events until the end, whether it is proper or not.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Ok(Some(event)) = self.try_event().await {
            events.push(event);
        }
        events
    }

    /// The next bytes, as they come; `None` at the proper end of the body.
    pub async fn piece(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        within("bytes for the client", self.connection.piece(&mut self.framing)).await
    }

    /// All bytes until the end.
    pub async fn bytes(mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.pending);
        while let Ok(Some(piece)) = self.piece().await {
            all.extend(piece);
        }
        all
    }

    /// Attempts, as [`Reply::attempts`].
    pub fn attempts(&self) -> Vec<String> {
        attempts(&self.head)
    }

    /// Leaves in the middle.
    pub fn leave(self) {}

    fn cut_event(&mut self) -> Option<String> {
        let lf = self.pending.windows(2).position(|w| w == b"\n\n").map(|at| (at, 2));
        let crlf = self.pending.windows(4).position(|w| w == b"\r\n\r\n").map(|at| (at, 4));
        let (at, width) = [lf, crlf].into_iter().flatten().min()?;
        let rest = self.pending.split_off(at + width);
        let event = std::mem::replace(&mut self.pending, rest);
        Some(String::from_utf8_lossy(&event[..at]).into_owned())
    }
}

/// Opens a connection.
pub async fn connect(address: SocketAddr) -> Connection {
    Connection::new(within("the gateway to accept", TcpStream::connect(address)).await.expect("the gateway listens"))
}

/// Sends a request on a connection of its own and reads the whole answer.
pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut connection = connect(address).await;
    exchange(&mut connection, method, path, headers, body).await
}

/// Sends a request on an open connection and reads the whole answer.
pub async fn exchange(connection: &mut Connection, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    // A refused body may not be read to its end: the answer counts, not the write.
    let _ = connection.write(&request(method, path, headers, body)).await;
    answer(connection).await
}

/// Reads a whole answer.
pub async fn answer(connection: &mut Connection) -> Reply {
    let head = within("an answer", connection.response_head()).await.expect("an answer, not a closed connection");
    let framing = Connection::response_framing(&head);
    let body = within("the rest of the answer", connection.body(framing)).await.expect("a whole body");
    Reply { status: head.line.parse().expect("a status"), head, body }
}

/// Sends a request and returns once the head of the answer is there.
pub async fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Stream {
    let mut connection = connect(address).await;
    let _ = connection.write(&request("POST", path, headers, body)).await;
    let head = within("the head of a stream", connection.response_head()).await.expect("an answer");
    let framing = Connection::response_framing(&head);
    Stream { status: head.line.parse().expect("a status"), head, connection, framing, pending: Vec::new() }
}

/// A request as bytes.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut fields = vec![("host", "heliostat.test"), ("content-type", "application/json")];
    fields.retain(|(name, _)| !headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)));
    fields.extend(headers);
    http::message(&format!("{method} {path} HTTP/1.1"), &fields, body)
}

/// What `x-heliostat-attempts` lists, without durations.
pub fn attempts(head: &Head) -> Vec<String> {
    let list = head.header("x-heliostat-attempts").unwrap_or_default();
    list.split(", ").filter(|a| !a.is_empty()).map(|a| a.rsplit_once(';').map_or(a, |(rest, _)| rest).to_owned()).collect()
}
