//! The head of a request to a provider.

use http::{HeaderMap, HeaderName};

use super::propagate::Carried;
use crate::config::{Auth, Candidate, Credential, Secret};

/// Client headers that go upstream where client and provider speak the same dialect: which, and what.
static FORWARDED: [(&str, HeaderName); 11] = [
    ("openai", HeaderName::from_static("openai-organization")),
    ("openai", HeaderName::from_static("openai-project")),
    ("openai", HeaderName::from_static("openai-beta")),
    ("openai", HeaderName::from_static("idempotency-key")),
    ("responses", HeaderName::from_static("openai-organization")),
    ("responses", HeaderName::from_static("openai-project")),
    ("responses", HeaderName::from_static("openai-beta")),
    ("responses", HeaderName::from_static("idempotency-key")),
    ("anthropic", HeaderName::from_static("anthropic-version")),
    ("anthropic", HeaderName::from_static("anthropic-beta")),
    ("anthropic", HeaderName::from_static("idempotency-key")),
];

/// Of these, what marks one call among others: it changes no answer.
const MARKS: &str = "idempotency-key";

/// Headers by which a client of a dialect changes what a provider answers.
pub fn that_shape_answers(dialect: &str) -> impl Iterator<Item = &'static HeaderName> {
    FORWARDED.iter().filter(move |(of, name)| *of == dialect && name.as_str() != MARKS).map(|(_, name)| name)
}

/// A request to a provider, without its body.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Who serves it.
    pub candidate: &'a Candidate,
    /// With which secret.
    pub credential: &'a Credential,
    /// The access token that stands for the credential, where that is a service account.
    pub token: Option<&'a Secret>,
    /// Path below the base URL.
    pub path: &'a str,
    /// Whether the client speaks the provider's dialect.
    pub same_dialect: bool,
    /// Whether an event stream is asked for.
    pub stream: bool,
    /// Length of the body.
    pub body_bytes: usize,
    /// The client's own headers.
    pub client: &'a HeaderMap,
    /// Its trace.
    pub trace: Carried<'a>,
}

impl Outgoing<'_> {
    /// The head as it goes on the wire. Names and values come from the configuration, or were checked when the client's head was
    /// parsed: neither can hold a line break.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let endpoint = &self.credential.endpoint;
        let mut head = Vec::with_capacity(512);
        for part in ["POST ", self.credential.base_path(&self.candidate.model), self.path] {
            head.extend_from_slice(part.as_bytes());
        }
        if let Some(version) = &self.credential.api_version {
            let separator: &[u8] = if self.path.contains('?') { b"&api-version=" } else { b"?api-version=" };
            head.extend_from_slice(separator);
            head.extend_from_slice(version.as_bytes());
        }
        head.extend_from_slice(b" HTTP/1.1\r\n");
        field(&mut head, "host", endpoint.authority.as_bytes());
        self.authenticate(&mut head);
        for (name, value) in &self.candidate.provider.headers {
            if !self.forwards(name) {
                field(&mut head, name, value.as_bytes());
            }
        }
        field(&mut head, "content-type", b"application/json");
        field(&mut head, "accept", if self.stream { b"text/event-stream" } else { b"application/json" });
        field(&mut head, "accept-encoding", b"identity");
        field(&mut head, "user-agent", concat!("heliostat/", env!("CARGO_PKG_VERSION")).as_bytes());
        self.forward(&mut head);
        self.trace.each(|name, value| field(&mut head, name, value));
        field(&mut head, "content-length", self.body_bytes.to_string().as_bytes());
        head.extend_from_slice(b"\r\n");
        head
    }

    fn authenticate(&self, head: &mut Vec<u8>) {
        if let Some((name, value)) = credential_header(self.candidate.provider.auth, self.credential, self.token) {
            field(head, name, &value);
        }
    }

    fn forward(&self, head: &mut Vec<u8>) {
        for name in self.forwarded() {
            for value in self.client.get_all(name) {
                field(head, name.as_str(), value.as_bytes());
            }
        }
    }

    fn forwards(&self, name: &str) -> bool {
        self.forwarded().any(|forwarded| forwarded.as_str() == name && self.client.contains_key(forwarded))
    }

    fn forwarded(&self) -> impl Iterator<Item = &'static HeaderName> {
        let dialect = self.candidate.speech().dialect.name();
        FORWARDED.iter().filter(move |(of, _)| self.same_dialect && *of == dialect).map(|(_, name)| name)
    }
}

/// The header that carries a credential, or the access token that stands for it, if there is anything to carry.
#[must_use]
pub fn credential_header(auth: Auth, credential: &Credential, token: Option<&Secret>) -> Option<(&'static str, Vec<u8>)> {
    let secret = token.unwrap_or(&credential.secret).expose().as_bytes();
    match auth {
        _ if secret.is_empty() => None,
        _ if token.is_some() => Some(("authorization", [b"Bearer ", secret].concat())),
        Auth::Bearer => Some(("authorization", [b"Bearer ", secret].concat())),
        Auth::Header(name) => Some((name, secret.to_vec())),
        Auth::None => None,
    }
}

/// Writes one header field.
pub fn field(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}
