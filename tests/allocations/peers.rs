//! A client and a provider that have all the memory they need before they begin.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const OPENAI: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"clean edges","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":80,"total_tokens":92}}"#;
const ANTHROPIC: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[{"type":"text","text":"clean edges"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":80}}"#;

/// A request on the wire.
pub struct Request {
    wire: Vec<u8>,
    /// The length of its body.
    pub body_bytes: usize,
}

/// One connection to the gateway.
pub struct Client {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

/// A chat with images of so many bytes of base64 each.
pub fn request(model: &str, images: usize, image_bytes: usize) -> Request {
    let text = "Score this render. ".repeat(if images == 0 { 40 } else { 1 });
    let mut parts = vec![format!(r#"{{"type":"text","text":"{text}"}}"#)];
    let base64 = format!("iVBORw0KGgo{}", "A".repeat((image_bytes / 4 * 4).saturating_sub(11)));
    parts.resize_with(1 + images, || format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{base64}"}}}}"#));
    let content = parts.join(",");
    let body = format!(r#"{{"model":"{model}","max_tokens":64,"messages":[{{"role":"user","content":[{content}]}}]}}"#);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Request { wire: [head.as_bytes(), body.as_bytes()].concat(), body_bytes: body.len() }
}

impl Client {
    /// Connects.
    pub fn connect(gateway: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(gateway).expect("a connection"), buffer: vec![0; 1 << 16].into() }
    }

    /// Asks so many times, one after the other.
    pub fn ask(&mut self, request: &Request, times: usize) {
        for _ in 0..times {
            self.stream.write_all(&request.wire).expect("the gateway reads");
            let answer = read_message(&mut self.stream, &mut self.buffer).expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
        }
    }
}

/// Starts a provider that answers in the dialect of the path.
pub fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let answers = [OPENAI, ANTHROPIC].map(|body| {
                    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
                });
                let mut buffer = vec![0; 1 << 16];
                while let Some(start) = read_message(&mut stream, &mut buffer) {
                    let answer = &answers[usize::from(start.starts_with(b"POST /v1/messages"))];
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// Waits until the gateway says that it is ready.
pub fn wait_until_ready(gateway: SocketAddr) {
    let began = Instant::now();
    let mut buffer = vec![0; 1 << 12];
    while began.elapsed() < Duration::from_secs(60) {
        if let Ok(mut stream) = TcpStream::connect(gateway)
            && stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").is_ok()
            && read_message(&mut stream, &mut buffer).is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the gateway is not ready");
}

/// Reads a message whose length is announced; returns its beginning. `None` at the end of the connection.
fn read_message<'b>(stream: &mut TcpStream, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut filled = 0;
    let head_bytes = loop {
        let read = stream.read(&mut buffer[filled..]).ok().filter(|read| *read > 0)?;
        filled += read;
        if let Some(at) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let mut left = (head_bytes + content_length(&buffer[..head_bytes])).checked_sub(filled)?;
    let kept = filled.min(1 << 10);
    while left > 0 {
        let room = left.min(buffer.len() - kept);
        let read = stream.read(&mut buffer[kept..kept + room]).ok().filter(|read| *read > 0)?;
        left -= read;
    }
    Some(&buffer[..kept])
}

fn content_length(head: &[u8]) -> usize {
    let name = b"content-length:";
    let field = head.split(|byte| *byte == b'\n').find(|line| line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name));
    let digits = field.map_or(&b""[..], |line| line[name.len()..].trim_ascii());
    digits.iter().fold(0, |length, digit| length * 10 + usize::from(digit - b'0'))
}
