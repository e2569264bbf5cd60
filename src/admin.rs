//! The operator's listener: metrics and health.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, header};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

use crate::readiness::Readiness;
use crate::telemetry::Telemetry;

/// A browser cannot be tricked into sending this from another site; whatever changes something asks for it.
const CHANGE_HEADER: &str = "x-heliostat-admin";
const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Runs before each rendering of the metrics, to report what is looked up rather than told: the credentials' state.
pub type BeforeMetrics = Box<dyn Fn(&Telemetry) + Send + Sync>;

/// The application behind the admin listener.
pub struct Admin {
    telemetry: Arc<Telemetry>,
    readiness: Arc<Readiness>,
    before_metrics: BeforeMetrics,
}

/// What the application reads of a request.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    may_change: bool,
}

struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Admin {
    /// Serves `telemetry` and `readiness`.
    #[must_use]
    pub fn new(telemetry: Arc<Telemetry>, readiness: Arc<Readiness>, before_metrics: BeforeMetrics) -> Self {
        Self { telemetry, readiness, before_metrics }
    }

    fn answer(&self, asked: &Asked<'_>) -> Answer {
        let reads = matches!(*asked.method, Method::GET | Method::HEAD);
        if !reads && !asked.may_change {
            return Answer::error(405, "method_not_allowed", "only GET; a change needs the header `x-heliostat-admin: 1`");
        }
        match self.read(asked.path) {
            Some(answer) if reads => answer,
            Some(_) => Answer::error(405, "method_not_allowed", "only GET"),
            None => Answer::error(404, "not_found", "here are /metrics, /healthz and /readyz"),
        }
    }

    fn read(&self, path: &str) -> Option<Answer> {
        if path == "/metrics" {
            (self.before_metrics)(&self.telemetry);
            return Some(Answer { status: 200, content_type: PROMETHEUS, body: self.telemetry.render_metrics() });
        }
        let (status, body) = self.readiness.answer(path)?;
        Some(Answer { status, content_type: JSON, body: body.to_owned() })
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let may_change = request.headers.get(CHANGE_HEADER).is_some_and(|value| value == "1");
        let head = request.method == Method::HEAD;
        let answer = self.answer(&Asked { method: &request.method, path: request.uri.path(), may_change });
        answer.into_response(head)
    }
}

impl Answer {
    fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": code } });
        Self { status, content_type: JSON, body: format!("{body}\n") }
    }

    /// `head` keeps the body's length and leaves the body out.
    fn into_response(self, head: bool) -> Response<Vec<u8>> {
        let mut builder = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, self.content_type)
            .header(header::CONTENT_LENGTH, self.body.len())
            .header(header::CACHE_CONTROL, "no-store");
        if self.status == 405 {
            builder = builder.header(header::ALLOW, "GET, HEAD");
        }
        let body = if head { Vec::new() } else { self.body.into_bytes() };
        // Every part above is valid, so this cannot fail; an empty 200 would be the answer if it did.
        builder.body(body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admin() -> Admin {
        let telemetry = Arc::new(Telemetry::with_access_log(&crate::config::Observability::default(), std::io::sink()).unwrap());
        let before: BeforeMetrics = Box::new(|telemetry| telemetry.reload(true));
        Admin::new(telemetry, Arc::new(Readiness::default()), before)
    }

    fn ask(admin: &Admin, method: &Method, path: &str, may_change: bool) -> (u16, String) {
        let answer = admin.answer(&Asked { method, path, may_change });
        (answer.status, answer.body)
    }

    #[test]
    fn it_answers_metrics_and_health() {
        let admin = admin();
        let (status, metrics) = ask(&admin, &Method::GET, "/metrics", false);
        assert!(status == 200 && metrics.contains("heliostat_config_reloads_total{result=\"ok\"} 1"));
        assert_eq!(ask(&admin, &Method::GET, "/readyz", false).0, 200);
        admin.readiness.drain();
        assert_eq!(ask(&admin, &Method::GET, "/readyz", false).0, 503);
        assert_eq!(ask(&admin, &Method::HEAD, "/healthz", false).0, 200);
    }

    #[test]
    fn anything_else_is_refused_in_json() {
        let admin = admin();
        for (method, path, may_change, status) in [
            (Method::GET, "/", false, 404),
            (Method::POST, "/metrics", false, 405),
            (Method::POST, "/metrics", true, 405),
            (Method::POST, "/nothing", false, 405),
            (Method::POST, "/nothing", true, 404),
        ] {
            let (found, body) = ask(&admin, &method, path, may_change);
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(found, status, "{path}");
            assert!(body["error"]["message"].is_string());
        }
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
