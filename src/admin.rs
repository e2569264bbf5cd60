//! The operator's listener: metrics, health, how keys stand, what would become of a request, drills and cordons, the emptying of the cache.

mod intervene;
mod upstreams;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use serde::Serialize;

use self::upstreams::Upstreams;
use crate::live::Live;
use crate::proxy::explain::{Question, explain};
use crate::readiness::Readiness;
use crate::telemetry::{Format, Telemetry};

/// A browser cannot be tricked into sending this from another site; whatever changes something asks for it.
const CHANGE_HEADER: &str = "x-heliostat-admin";
const JSON: &str = "application/json";

/// Runs before each rendering of the metrics, to report what is looked up rather than told: the credentials' state.
pub type BeforeMetrics = Box<dyn Fn(&Telemetry) + Send + Sync>;

/// The application behind the admin listener.
pub struct Admin {
    telemetry: Arc<Telemetry>,
    readiness: Arc<Readiness>,
    before_metrics: BeforeMetrics,
    live: Arc<ArcSwap<Live>>,
}

/// What the application reads of a request.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    query: &'a str,
    headers: &'a HeaderMap,
    body: Bytes,
}

struct Answer {
    status: u16,
    content_type: &'static str,
    /// Methods that the path knows, where the asked one is none of them.
    allow: Option<String>,
    body: String,
}

/// What stands where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Metrics,
    Health,
    Upstreams,
    Explain,
    Drill,
    EndDrill,
    Cordon,
    Uncordon,
    PurgeCache,
}

/// Path, method, what it is. Whatever is no GET changes something, and asks for [`CHANGE_HEADER`].
const PAGES: &[(&str, Method, Page)] = &[
    ("/metrics", Method::GET, Page::Metrics),
    ("/healthz", Method::GET, Page::Health),
    ("/readyz", Method::GET, Page::Health),
    ("/upstreams", Method::GET, Page::Upstreams),
    ("/explain", Method::POST, Page::Explain),
    ("/drill", Method::POST, Page::Drill),
    ("/drill", Method::DELETE, Page::EndDrill),
    ("/cordon", Method::POST, Page::Cordon),
    ("/cordon", Method::DELETE, Page::Uncordon),
    ("/cache/purge", Method::POST, Page::PurgeCache),
];

impl Admin {
    /// Serves `telemetry`, `readiness` and the state of `live`.
    #[must_use]
    pub fn new(telemetry: Arc<Telemetry>, readiness: Arc<Readiness>, before_metrics: BeforeMetrics, live: Arc<ArcSwap<Live>>) -> Self {
        Self { telemetry, readiness, before_metrics, live }
    }

    fn answer(&self, asked: Asked<'_>) -> Answer {
        let page = match find(asked.path, asked.method) {
            Ok(page) => page,
            Err(answer) => return answer,
        };
        if !matches!(*asked.method, Method::GET | Method::HEAD) && !may_change(asked.headers) {
            let message = "a change needs the header `x-heliostat-admin: 1`, and a Host that is an address or localhost";
            return Answer::error(403, "forbidden", message);
        }
        let (live, now) = (self.live.load(), Instant::now());
        match page {
            Page::Metrics => {
                (self.before_metrics)(&self.telemetry);
                let format = Format::wanted(asked.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()));
                let body = self.telemetry.render_metrics(format);
                Answer { status: 200, content_type: format.content_type(), allow: None, body }
            }
            Page::Health => match self.readiness.answer(asked.path) {
                Some((status, body)) => Answer { status, content_type: JSON, allow: None, body: body.to_owned() },
                None => Answer::error(404, "not_found", "no such page"),
            },
            Page::Upstreams => Answer::json(200, &Upstreams::at(&live, now)),
            Page::Explain => {
                let path = asked.query.strip_prefix("path=").filter(|path| path.starts_with('/')).unwrap_or("/v1/chat/completions");
                let question = Question { path: path.to_owned(), headers: asked.headers.clone(), body: asked.body };
                match explain(&live, question, now) {
                    Ok(explanation) => Answer::json(200, &explanation),
                    Err(problem) => Answer::error(problem.status, problem.code(), &problem.message),
                }
            }
            Page::Drill => intervene::drill(&live, &asked.body, now),
            Page::EndDrill => intervene::end(&live, &asked.body, false),
            Page::Cordon => intervene::cordon(&live, &asked.body, now),
            Page::Uncordon => intervene::end(&live, &asked.body, true),
            Page::PurgeCache => match &live.cache {
                Some(cache) => Answer::json(200, &serde_json::json!({ "purged": cache.purge() })),
                None => Answer::error(404, "no_cache", "there is no cache here: semantic_cache.enabled switches it on"),
            },
        }
    }
}

fn find(path: &str, method: &Method) -> Result<Page, Answer> {
    let of_path = || PAGES.iter().filter(|(known, ..)| *known == path);
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    if let Some((.., page)) = of_path().find(|(_, known, _)| known == method) {
        return Ok(*page);
    }
    let methods: Vec<&str> = of_path().map(|(_, method, _)| method.as_str()).collect();
    if methods.is_empty() {
        let mut paths: Vec<&str> = PAGES.iter().map(|(path, ..)| *path).collect();
        paths.dedup();
        return Err(Answer::error(404, "not_found", &format!("here are {}", paths.join(", "))));
    }
    let answer = Answer::error(405, "method_not_allowed", &format!("only {}", methods.join(", ")));
    Err(Answer { allow: Some(methods.join(", ")), ..answer })
}

/// A page in a browser can neither set the header for another site nor, by a name of its own that resolves to this machine, seem to be
/// of this one.
fn may_change(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit())).map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    headers.get(CHANGE_HEADER).is_some_and(|value| value == "1") && (name == "localhost" || name.parse::<IpAddr>().is_ok())
}

/// Reads a body of at most `limit_bytes`; `None` if it is longer or does not arrive.
async fn body(session: &mut ServerSession, limit_bytes: usize) -> Option<Bytes> {
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_request_body().await.ok()? {
        if body.len() + piece.len() > limit_bytes {
            return None;
        }
        body.extend_from_slice(&piece);
    }
    Some(body.freeze())
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let (method, uri, headers) = (request.method.clone(), request.uri.clone(), request.headers.clone());
        let limit = self.live.load().snapshot.limits.body_bytes;
        let body = match method {
            Method::GET | Method::HEAD => Some(Bytes::new()),
            _ => body(session, limit).await,
        };
        let answer = match body {
            Some(body) => {
                let (path, query) = (uri.path(), uri.query().unwrap_or_default());
                self.answer(Asked { method: &method, path, query, headers: &headers, body })
            }
            None => Answer::error(413, "request_too_large", "the body is larger than limits.body_bytes, or did not arrive"),
        };
        answer.into_response(method == Method::HEAD)
    }
}

impl Answer {
    fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": code } });
        Self { status, content_type: JSON, allow: None, body: format!("{body}\n") }
    }

    /// For people too: with line breaks.
    fn json(status: u16, value: &impl Serialize) -> Self {
        let body = serde_json::to_string_pretty(value).unwrap_or_default();
        Self { status, content_type: JSON, allow: None, body: format!("{body}\n") }
    }

    /// `head` keeps the body's length and leaves the body out.
    fn into_response(self, head: bool) -> Response<Vec<u8>> {
        let mut builder = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::CONTENT_LENGTH, self.body.len())
            .header(header::CACHE_CONTROL, "no-store");
        if let Some(allow) = self.allow {
            builder = builder.header(header::ALLOW, allow);
        }
        let body = if head { Vec::new() } else { self.body.into_bytes() };
        // Every part above is valid, so this cannot fail; an empty 200 would be the answer if it did.
        builder.body(body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_knows_its_methods() {
        for (path, method, status) in [
            ("/metrics", Method::GET, 200),
            ("/metrics", Method::HEAD, 200),
            ("/metrics", Method::POST, 405),
            ("/drill", Method::DELETE, 200),
            ("/drill", Method::GET, 405),
            ("/", Method::GET, 404),
            ("/nothing", Method::POST, 404),
        ] {
            let found = find(path, &method).map_or_else(|answer| answer.status, |_| 200);
            assert_eq!(found, status, "{method} {path}");
        }
        let answer = find("/drill", &Method::GET).unwrap_err().into_response(false);
        assert_eq!(answer.headers()[header::ALLOW], "POST, DELETE");
    }

    #[test]
    fn a_change_needs_the_header_and_a_host_that_no_name_server_made_up() {
        for (host, value, may) in [
            ("127.0.0.1:8081", "1", true),
            ("localhost:8081", "1", true),
            ("[::1]:8081", "1", true),
            ("10.0.0.7", "1", true),
            ("127.0.0.1:8081", "0", false),
            ("evil.example:8081", "1", false),
            ("127.0.0.1.evil.example", "1", false),
            ("", "1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            headers.insert(CHANGE_HEADER, value.parse().unwrap());
            assert_eq!(may_change(&headers), may, "{host}");
        }
        assert!(!may_change(&HeaderMap::new()));
    }

    #[test]
    fn a_head_has_the_length_and_no_body() {
        let answer = Answer::error(404, "not_found", "no");
        let length = answer.body.len();
        let response = answer.into_response(true);
        assert!(response.body().is_empty());
        assert_eq!(response.headers()[header::CONTENT_LENGTH], length.to_string());
    }
}
