//! The fake provider: reads a request to its end and answers from memory, in the dialect of the path.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Events of a stream.
const EVENTS: usize = 200;

/// Serves until the process ends.
pub fn serve(listen: SocketAddr) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(converse(stream));
        }
    })
}

async fn converse(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 16);
    loop {
        let Some(asked) = read_request(&mut stream, &mut buffer).await? else { return Ok(()) };
        if !asked.stream {
            stream.write_all(whole(asked.anthropic).as_bytes()).await?;
            continue;
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await?;
        for event in events(asked.anthropic) {
            stream.write_all(chunk(&event).as_bytes()).await?;
            if asked.hold && event.contains("word") {
                std::future::pending::<()>().await;
            }
        }
        stream.write_all(b"0\r\n\r\n").await?;
    }
}

struct Asked {
    anthropic: bool,
    stream: bool,
    hold: bool,
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Asked>> {
    buffer.clear();
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(buffer.get(..head_end).unwrap_or_default()).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok()).unwrap_or_default();
    let anthropic = head.starts_with("post /v1/messages");
    let first: Vec<u8> = buffer.iter().skip(head_end).take(512).copied().collect();
    let mut left = (head_end + length).saturating_sub(buffer.len());
    let mut start = first;
    while left > 0 {
        buffer.clear();
        let read = stream.read_buf(buffer).await?;
        if read == 0 {
            return Ok(None);
        }
        let missing = 512_usize.saturating_sub(start.len());
        start.extend(buffer.iter().take(missing));
        left = left.saturating_sub(read);
    }
    let start = String::from_utf8_lossy(&start);
    Ok(Some(Asked { anthropic, stream: start.contains(r#""stream":true"#), hold: start.contains("-hold") }))
}

fn whole(anthropic: bool) -> String {
    let words = "The edges are clean and the shadow is plausible. ".repeat(8);
    let body = if anthropic {
        format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[{{"type":"text","text":"{words}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":12,"output_tokens":80}}}}"#
        )
    } else {
        format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o","choices":[{{"index":0,"message":{{"role":"assistant","content":"{words}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{{"prompt_tokens":12,"completion_tokens":80,"total_tokens":92}}}}"#
        )
    };
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn events(anthropic: bool) -> Vec<String> {
    if anthropic { anthropic_events() } else { openai_events() }
}

fn openai_events() -> Vec<String> {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"system_fingerprint\":\"fp_1\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let first = chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null");
    let words = (0..EVENTS - 3).map(|at| chunk(&format!("{{\"content\":\" word{at}\"}}"), "null"));
    let end = [chunk("{}", "\"stop\""), "data: [DONE]\n\n".to_owned()];
    std::iter::once(first).chain(words).chain(end).collect()
}

fn anthropic_events() -> Vec<String> {
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
    let start = [
        event(
            "message_start",
            r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":12,"output_tokens":1}}}"#,
        ),
        event("content_block_start", r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#),
    ];
    let words = (0..EVENTS - 5).map(|at| {
        event(
            "content_block_delta",
            &format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":" word{at}"}}}}"#),
        )
    });
    let end = [
        event("content_block_stop", r#"{"type":"content_block_stop","index":0}"#),
        event(
            "message_delta",
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":80}}"#,
        ),
        event("message_stop", r#"{"type":"message_stop"}"#),
    ];
    start.into_iter().chain(words).chain(end).collect()
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}
