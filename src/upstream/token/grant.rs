//! Asks a token endpoint for a token.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use serde::Deserialize;

use super::{Denied, Granted, assertion};
use crate::config::{Endpoint, Secret, ServiceAccount, Timeouts};
use crate::upstream::connection::Pieces;
use crate::upstream::exchange::Exchange;
use crate::upstream::pool::Pool;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES: usize = 64 << 10;
/// Percent-encoded `urn:ietf:params:oauth:grant-type:jwt-bearer`.
const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
/// What a token is good for where the answer does not say, and at most.
const LIFETIME: Duration = Duration::from_secs(3_600);
const LIFETIME_MAX_S: f64 = 86_400.0;
/// How much is repeated of what the endpoint says of a refusal.
const REASON_CHARS: usize = 200;

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<Seconds>,
    error: Option<String>,
    error_description: Option<String>,
}

/// A whole number, as it should be; or what some endpoints write: a fraction, or either of them in quotes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(f64),
    Text(String),
}

impl Seconds {
    /// As a lifetime, if it is a number at all.
    fn lifetime(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(seconds) => *seconds,
            Self::Text(text) => text.trim().parse().ok()?,
        };
        seconds.is_finite().then(|| Duration::from_secs_f64(seconds.clamp(1.0, LIFETIME_MAX_S)))
    }
}

/// Asks.
///
/// # Errors
/// [`Denied`]: the endpoint cannot be reached, or says no.
pub(super) async fn ask(pool: &Pool, service: &ServiceAccount) -> Result<Granted, Denied> {
    let host = &service.token_endpoint.authority;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let body = Bytes::from(format!("{GRANT}{}", assertion::sign(service, now_s)?.expose()));
    match tokio::time::timeout(PATIENCE, exchange(pool, &service.token_endpoint, body)).await {
        Ok(Ok((status, answer))) => read(status, &answer).map_err(|reason| Denied::new(format!("{host} {reason}"))),
        Ok(Err(what)) => Err(Denied::new(format!("{host}: {what}"))),
        Err(_) => Err(Denied::new(format!("{host} did not answer within {} s", PATIENCE.as_secs()))),
    }
}

/// A fresh connection each time: tokens are asked for about once an hour.
async fn exchange(pool: &Pool, endpoint: &Endpoint, body: Bytes) -> Result<(u16, Bytes), String> {
    let mut lease = pool.lease(endpoint, &Timeouts::default(), true).await.map_err(|error| error.to_string())?;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-www-form-urlencoded\r\naccept: application/json\r\n\
         accept-encoding: identity\r\nuser-agent: heliostat/{}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        if endpoint.path.is_empty() { "/" } else { &endpoint.path },
        endpoint.authority,
        env!("CARGO_PKG_VERSION"),
        body.len()
    );
    let answered = answer(&mut lease.connection, Pieces::new(head.as_bytes(), &[body])).await;
    answered.map_err(|error| format!("the connection broke: {error}"))
}

async fn answer(connection: &mut Exchange, request: Pieces<'_>) -> io::Result<(u16, Bytes)> {
    connection.send(request).await?;
    let mut head = connection.read_head().await?;
    connection.decode(&mut head).map_err(|coding| io::Error::new(io::ErrorKind::InvalidData, coding))?;
    let mut body = BytesMut::new();
    while let Some(piece) = connection.next_body().await? {
        body.extend_from_slice(&piece);
        if body.len() > ANSWER_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
        }
    }
    Ok((head.status, body.freeze()))
}

/// Reads an answer; the error says what the endpoint did. Nothing of a token is ever repeated, so only named members are.
fn read(status: u16, body: &[u8]) -> Result<Granted, String> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    let Some(answer) = answer.filter(|_| status == 200 || status >= 400) else {
        return Err(format!("answered {status}, which cannot be read"));
    };
    match answer.access_token.filter(|_| status == 200) {
        Some(token) if is_sendable(&token) => {
            let lifetime = answer.expires_in.map_or(Some(LIFETIME), |said| said.lifetime());
            let lifetime = lifetime.ok_or("gave a token with an `expires_in` that is no number")?;
            Ok(Granted { token: Secret::new(token), lifetime })
        }
        Some(_) => Err("gave a token that cannot stand in a header".to_owned()),
        None => {
            let said: Vec<String> = [answer.error, answer.error_description].into_iter().flatten().map(|text| plain(&text)).collect();
            Err(format!("answered {status}: {}", said.join(": ")))
        }
    }
}

fn is_sendable(token: &str) -> bool {
    !token.is_empty() && token.len() <= 16 << 10 && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// One line of bounded length.
fn plain(text: &str) -> String {
    text.chars().take(REASON_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        for (said, lifetime_ms) in
            [("3599", 3_599_000), ("\"3599\"", 3_599_000), ("3599.5", 3_599_500), ("0", 1_000), ("-1e300", 1_000), ("1e300", 86_400_000)]
        {
            let granted = read(200, format!(r#"{{"access_token":"a","expires_in":{said}}}"#).as_bytes()).unwrap();
            assert_eq!(granted.lifetime.as_millis(), lifetime_ms, "{said}");
        }
    }

    #[test]
    fn answers() {
        let good = read(200, br#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#).unwrap();
        assert_eq!((good.token.expose(), good.lifetime.as_secs()), ("ya29.x", 3_599));
        let rows: [(u16, &[u8], &str); 7] = [
            (
                400,
                br#"{"error":"invalid_grant","error_description":"Invalid JWT\nSignature."}"#,
                "answered 400: invalid_grant: Invalid JWT Signature.",
            ),
            (401, br#"{"access_token":"ya29.x"}"#, "answered 401: "),
            (503, b"<html>", "answered 503, which cannot be read"),
            (302, b"{}", "answered 302, which cannot be read"),
            (200, b"{}", "answered 200: "),
            (200, br#"{"access_token":"a","expires_in":"NaN"}"#, "gave a token with an `expires_in` that is no number"),
            (200, br#"{"access_token":"a\r\nb"}"#, "gave a token that cannot stand in a header"),
        ];
        for (status, body, reason) in rows {
            assert_eq!(read(status, body).unwrap_err(), reason);
        }
    }
}
