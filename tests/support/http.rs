//! Just enough HTTP/1.1 to see exact bytes: a buffered connection, a head, a body.

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// A connection with what was read beyond the last message.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// The first line and the header fields of a message, names in lower case.
#[derive(Debug, Clone)]
pub struct Head {
    /// `POST /v1/chat/completions HTTP/1.1` without the version, or the status as text.
    pub line: String,
    /// In order of arrival.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The first value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.header("content-length").map(|v| v.parse().expect("a content-length"))
    }
}

/// How the body of a message is delimited, and how far it was read.
#[derive(Debug, Clone, Copy)]
pub enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
    Done,
}

/// Why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The connection ended before the terminal chunk or the announced length.
    Short,
    /// The connection was reset.
    Reset,
}

impl Connection {
    pub fn new(socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("TCP_NODELAY");
        Self { socket, buffer: Vec::new() }
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within("the peer to take bytes", self.socket.write_all(bytes)).await
    }

    /// Reads a request head; `None` when the peer closed instead of asking.
    pub async fn request_head(&mut self) -> Option<Head> {
        let block = self.block().await?;
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut fields);
        request.parse(&block).expect("a well-formed request head");
        let line = format!("{} {}", request.method.unwrap_or_default(), request.path.unwrap_or_default());
        Some(Head { line, headers: owned(request.headers) })
    }

    /// Reads an interim answer (1xx) and tells its status.
    pub async fn interim(&mut self) -> String {
        let block = within("an interim answer", self.block()).await.expect("an answer");
        let line = String::from_utf8_lossy(&block).into_owned();
        line.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Reads a response head of any status.
    pub async fn interim_head(&mut self) -> Head {
        let block = within("a head", self.block()).await.expect("an answer");
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(&block).expect("a well-formed response head");
        Head { line: response.code.unwrap_or_default().to_string(), headers: owned(response.headers) }
    }

    /// Reads a response head, interim answers (1xx) skipped; `None` when the peer closed instead of answering.
    pub async fn response_head(&mut self) -> Option<Head> {
        loop {
            let block = self.block().await?;
            let mut fields = [httparse::EMPTY_HEADER; 128];
            let mut response = httparse::Response::new(&mut fields);
            response.parse(&block).expect("a well-formed response head");
            let code = response.code.expect("a status");
            if code >= 200 {
                return Some(Head { line: code.to_string(), headers: owned(response.headers) });
            }
        }
    }

    /// How a request's body ends.
    pub fn request_framing(head: &Head) -> Framing {
        if head.is_chunked() { Framing::Chunked } else { head.length().map_or(Framing::Done, Framing::Length) }
    }

    /// How a response's body ends.
    pub fn response_framing(head: &Head) -> Framing {
        if matches!(head.line.as_str(), "204" | "304") {
            return Framing::Done;
        }
        if head.is_chunked() { Framing::Chunked } else { head.length().map_or(Framing::UntilClose, Framing::Length) }
    }

    /// The next piece of a body; `None` at its end.
    pub async fn piece(&mut self, framing: &mut Framing) -> Result<Option<Vec<u8>>, Broken> {
        match *framing {
            Framing::Done | Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                self.need(1).await?;
                let taken = self.take(left.min(self.buffer.len()));
                *framing = Framing::Length(left - taken.len());
                Ok(Some(taken))
            }
            Framing::UntilClose => match self.need(1).await {
                Ok(()) => Ok(Some(std::mem::take(&mut self.buffer))),
                Err(Broken::Short) => Ok(None),
                Err(reset) => Err(reset),
            },
            Framing::Chunked => self.chunk(framing).await,
        }
    }

    /// The rest of a body.
    pub async fn body(&mut self, mut framing: Framing) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut framing).await? {
            body.extend(piece);
        }
        Ok(body)
    }

    /// Waits until the peer closes; bytes that still come are dropped.
    pub async fn closed(&mut self) {
        let mut scrap = [0; 4096];
        while matches!(self.socket.read(&mut scrap).await, Ok(n) if n > 0) {}
    }

    /// Waits until the peer says anything, or closes.
    pub async fn stir(&mut self) {
        let _ = self.fill().await;
    }

    /// Sends no more, and reads on.
    pub async fn finish(&mut self) {
        let _ = self.socket.shutdown().await;
    }

    /// Ends with RST instead of FIN.
    pub fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(std::time::Duration::ZERO)).expect("SO_LINGER");
    }

    async fn chunk(&mut self, framing: &mut Framing) -> Result<Option<Vec<u8>>, Broken> {
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).expect("a chunk size");
        if size == 0 {
            while !self.line().await?.is_empty() {}
            *framing = Framing::Done;
            return Ok(None);
        }
        self.need(size + 2).await?;
        let piece = self.take(size);
        assert_eq!(self.take(2), b"\r\n", "a chunk ends with CRLF");
        Ok(Some(piece))
    }

    async fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.take(end + 2);
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill().await?;
        }
    }

    async fn block(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                return Some(self.take(end + 4));
            }
            self.fill().await.ok()?;
        }
    }

    async fn need(&mut self, count: usize) -> Result<(), Broken> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), Broken> {
        match self.socket.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Broken::Short),
            Ok(_) => Ok(()),
            Err(_) => Err(Broken::Reset),
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(count);
        std::mem::replace(&mut self.buffer, rest)
    }
}

/// A head and a body with a length, as bytes.
pub fn message(first: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = head(first, headers);
    out.truncate(out.len() - 2);
    out.extend(format!("content-length: {}\r\n\r\n", body.len()).into_bytes());
    out.extend(body);
    out
}

/// A head as bytes.
pub fn head(first: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let fields: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    format!("{first}\r\n{fields}\r\n").into_bytes()
}

/// One chunk of a chunked body.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

fn owned(fields: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    fields.iter().map(|f| (f.name.to_ascii_lowercase(), String::from_utf8_lossy(f.value).into_owned())).collect()
}
