//! Headers of raw requests and their answers.

use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::http::ResponseHeader;

use crate::config::{Credential, Provider, Secret};
use crate::proxy::outgoing::{credential_header, field};
use crate::proxy::propagate::Carried;
use crate::proxy::session::Session;
use crate::upstream::head::Head;

/// Client headers that go upstream. A name that ends in `-` stands for all that begin so.
const FORWARDED: &[&str] = &[
    "content-type",
    "content-encoding",
    "accept",
    "range",
    "if-none-match",
    "if-match",
    "if-modified-since",
    "idempotency-key",
    "openai-",
    "anthropic-",
    "x-goog-",
];

/// Exceptions: credentials, and the project that is billed.
const KEPT_BACK: &[&str] = &["x-goog-api-key", "x-goog-user-project", "x-goog-iam-authorization-token", "x-goog-iam-authority-selector"];

/// What a WebSocket takes beside these, and what comes back of its handshake.
const OF_SOCKETS: &str = "sec-websocket-";
/// What makes it one.
const UPGRADE: [(&str, &str); 2] = [("connection", "Upgrade"), ("upgrade", "websocket")];

/// A subprotocol that browsers carry a credential in.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// Answer headers that end here: of the connection, of the provider's edge, of its account, and those we write ourselves.
const ENDS_HERE: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "date",
    "server",
    "via",
    "set-cookie",
    "set-cookie2",
    "alt-svc",
    "strict-transport-security",
    "report-to",
    "nel",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "x-request-id",
    "request-id",
    "x-upstream-request-id",
    "x-heliostat-",
];

/// Answer headers that hold a URL at the provider.
const LINKS: &[&str] = &["location", "x-goog-upload-url"];

/// What is sent on behalf of a client: its own headers as far as they may pass, the provider's, and the credential's.
pub struct Forwarded<'a> {
    /// Who serves it.
    pub provider: &'a Provider,
    /// With which secret.
    pub credential: &'a Credential,
    /// The access token that stands for it, where it is a service account.
    pub token: Option<&'a Secret>,
    /// The client's headers.
    pub client: &'a HeaderMap,
    /// Its trace.
    pub trace: Carried<'a>,
}

/// What follows the head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Nothing.
    None,
    /// A body of this length.
    Length(u64),
    /// A body in chunks.
    Chunked,
    /// A WebSocket, if the provider agrees.
    Socket,
}

impl Forwarded<'_> {
    /// Names and values in order, without what frames the body.
    #[must_use]
    pub fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let fixed = [("accept-encoding", "identity"), ("user-agent", concat!("heliostat/", env!("CARGO_PKG_VERSION")))];
        let of_provider = self.provider.headers.iter().copied().filter(|(name, _)| !self.client.contains_key(*name));
        let mut fields: Vec<(HeaderName, HeaderValue)> =
            fixed.into_iter().chain(of_provider).filter_map(|(name, value)| pair(name, value.as_bytes())).collect();
        fields.extend(credential_header(self.provider.auth, self.credential, self.token).and_then(|(name, value)| pair(name, &value)));
        let forwarded = self.client.iter().filter(|(name, _)| is_forwarded(name.as_str()));
        fields.extend(forwarded.map(|(name, value)| (name.clone(), value.clone())));
        self.trace.each(|name, value| fields.extend(pair(name, value)));
        fields
    }

    /// The head of a request on the wire.
    #[must_use]
    pub fn write(&self, method: &http::Method, path: &str, framing: &Framing) -> Vec<u8> {
        let mut head = Vec::with_capacity(512);
        for part in [method.as_str(), " ", path, " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        field(&mut head, "host", self.credential.endpoint.authority.as_bytes());
        for (name, value) in self.fields() {
            field(&mut head, name.as_str(), value.as_bytes());
        }
        match framing {
            Framing::None => {}
            Framing::Length(length) => field(&mut head, "content-length", length.to_string().as_bytes()),
            Framing::Chunked => field(&mut head, "transfer-encoding", b"chunked"),
            Framing::Socket => of_socket(self.client).iter().for_each(|(name, value)| field(&mut head, name.as_str(), value.as_bytes())),
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// What the client's handshake takes along, without the credential that a browser would hide in a subprotocol.
#[must_use]
pub fn of_socket(client: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let upgrade = UPGRADE.iter().filter_map(|(name, value)| pair(name, value.as_bytes()));
    let known = client.iter().filter(|(name, _)| name.as_str().starts_with(OF_SOCKETS));
    upgrade.chain(known.filter_map(|(name, value)| Some((name.clone(), without_key(name, value)?)))).collect()
}

/// Adds to an answer of ours what makes it the end of a handshake.
///
/// # Errors
/// None in practice: values were received as header values.
pub fn add_handshake(header: &mut ResponseHeader, upstream: &Head) -> pingora::Result<()> {
    for (name, value) in UPGRADE {
        header.insert_header(name, value)?;
    }
    add_upstream(header, upstream, None)
}

/// The client's key, where a browser hid it in a subprotocol.
#[must_use]
pub fn key_in_protocol(client: &HeaderMap) -> Option<&str> {
    let offered = client.get_all("sec-websocket-protocol").into_iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).find_map(|protocol| protocol.trim().strip_prefix(KEY_PROTOCOL))
}

/// Adds to an answer of ours what comes back of the provider's: not what its own `Connection` names, which ends with it (RFC 9110
/// §7.6.1).
///
/// # Errors
/// None in practice: values were received as header values.
pub fn add_upstream(header: &mut ResponseHeader, upstream: &Head, links: Option<&Links>) -> pingora::Result<()> {
    for (name, value) in upstream.fields() {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else { continue };
        if !matches(ENDS_HERE, name.as_str()) && !upstream.lists("connection", name.as_str()) {
            let value = links.and_then(|links| links.rewritten(name.as_str(), &value)).unwrap_or(value);
            header.append_header(name, value)?;
        }
    }
    Ok(())
}

/// Where a client finds at the gateway what a provider says is at its own address. Without this, the second step of Google's
/// resumable uploads would go around the gateway, with the client's key for the gateway.
pub struct Links {
    /// `https://generativelanguage.googleapis.com`
    theirs: String,
    /// `http://127.0.0.1:8080/gemini`
    ours: String,
}

impl Links {
    /// For one request and the credential that it goes with.
    #[must_use]
    pub fn new(session: &Session<'_>, provider: &Provider, credential: &Credential) -> Self {
        let head = session.req_header();
        let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(head.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default();
        let tls = session.is_tls();
        let scheme = |tls| if tls { "https" } else { "http" };
        let endpoint = &credential.endpoint;
        Self {
            theirs: format!("{}://{}", scheme(endpoint.tls), endpoint.authority),
            ours: format!("{}://{host}/{}", scheme(tls), provider.name),
        }
    }

    fn rewritten(&self, name: &str, value: &HeaderValue) -> Option<HeaderValue> {
        let path = value.to_str().ok().filter(|_| LINKS.contains(&name))?.strip_prefix(&self.theirs)?;
        path.starts_with('/').then(|| HeaderValue::try_from(format!("{}{path}", self.ours)).ok()).flatten()
    }
}

fn is_forwarded(name: &str) -> bool {
    matches(FORWARDED, name) && !KEPT_BACK.contains(&name)
}

fn matches(table: &[&str], name: &str) -> bool {
    table.iter().any(|known| if known.ends_with('-') { name.starts_with(known) } else { *known == name })
}

fn without_key(name: &HeaderName, value: &HeaderValue) -> Option<HeaderValue> {
    if name != "sec-websocket-protocol" {
        return Some(value.clone());
    }
    let offered = value.to_str().ok()?.split(',').map(str::trim);
    let kept: Vec<&str> = offered.filter(|protocol| !protocol.starts_with(KEY_PROTOCOL)).collect();
    HeaderValue::try_from(kept.join(", ")).ok().filter(|value| !value.is_empty())
}

fn pair(name: &str, value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_client_are_not_forwarded() {
        let ends = [
            "authorization",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "x-goog-user-project",
            "cookie",
            "host",
            "expect",
            "x-stainless-os",
        ];
        assert!(ends.iter().all(|name| !is_forwarded(name)));
        let goes = ["content-type", "openai-beta", "anthropic-version", "x-goog-upload-command", "idempotency-key", "range"];
        assert!(goes.iter().all(|name| is_forwarded(name)));
    }

    #[test]
    fn a_key_in_a_subprotocol_ends_here() {
        let mut client = HeaderMap::new();
        let value = "realtime, openai-insecure-api-key.sk-1, openai-beta.realtime-v1";
        client.insert("sec-websocket-protocol", HeaderValue::from_static(value));
        assert_eq!(key_in_protocol(&client), Some("sk-1"));
        assert_eq!(of_socket(&client).last().map(|(_, value)| value.as_bytes()), Some(&b"realtime, openai-beta.realtime-v1"[..]));
    }
}
