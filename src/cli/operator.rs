//! Asks a running gateway over its admin listener.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::{Done, FAILURE};

/// The longest answer.
const ANSWER_BYTES: u64 = 16 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked.
pub struct Asked {
    method: &'static str,
    path: &'static str,
    body: Option<Value>,
}

impl Asked {
    /// How every key stands.
    pub fn upstreams() -> Self {
        Self { method: "GET", path: "/upstreams", body: None }
    }

    /// A drill.
    pub fn drill(target: &str, fault: &str, seconds: u64) -> Self {
        Self { method: "POST", path: "/drill", body: Some(json!({ "target": target, "fault": fault, "seconds": seconds })) }
    }

    /// A cordon.
    pub fn cordon(target: &str, seconds: Option<u64>) -> Self {
        Self { method: "POST", path: "/cordon", body: Some(json!({ "target": target, "seconds": seconds })) }
    }

    /// The end of a drill or a cordon.
    pub fn end(path: &'static str, target: &str) -> Self {
        Self { method: "DELETE", path, body: Some(json!({ "target": target })) }
    }
}

/// Asks, and prints the answer. Fails where the gateway does not do it.
pub fn ask(admin: SocketAddr, asked: &Asked) -> Done {
    let (status, body) = exchange(admin, asked).map_err(|error| format!("no gateway answers on {admin}: {error}"))?;
    if status == 200 {
        io::stdout().lock().write_all(body.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let told: Value = serde_json::from_str(&body).unwrap_or_default();
    let message = told.pointer("/error/message").and_then(Value::as_str).unwrap_or(&body);
    writeln!(io::stderr().lock(), "heliostat: {} ({status})", message.trim())?;
    Ok(ExitCode::from(FAILURE))
}

fn exchange(admin: SocketAddr, asked: &Asked) -> io::Result<(u16, String)> {
    let Asked { method, path, body } = asked;
    let body = body.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut connection = TcpStream::connect_timeout(&admin, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    write!(
        connection,
        "{method} {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\nx-heliostat-admin: 1\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    connection.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, answer.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "this is no answer of a gateway")),
    }
}

/// Headers as `name: value`.
pub fn headers(written: &[String]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for line in written {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("--header {line:?}: write `name: value`"))?;
        let name: HeaderName = name.trim().parse().map_err(|error| format!("--header {line:?}: {error}"))?;
        let value: HeaderValue = value.trim().parse().map_err(|error| format!("--header {line:?}: {error}"))?;
        headers.append(name, value);
    }
    Ok(headers)
}
