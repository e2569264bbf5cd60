//! Gemini, and Vertex's express path: paths, keys, errors.

mod check;
mod contents;
mod embed;
mod proto;
mod write;

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::prompt_tokens;
use super::exchange::{Call, Format, Page, Refusal, is_good_key};
use super::fault;

/// The longest request body.
const BODY_LIMIT: usize = 100 << 20;

/// Where models live; the last is Vertex's express path.
const ROOTS: &[&str] = &["/v1/models", "/v1beta/models", "/v1/publishers/google/models", "/v1beta1/publishers/google/models"];

/// The `status` of each HTTP status.
const STATUSES: &[(u16, &str)] = &[
    (400, "INVALID_ARGUMENT"),
    (401, "UNAUTHENTICATED"),
    (402, "FAILED_PRECONDITION"),
    (403, "PERMISSION_DENIED"),
    (404, "NOT_FOUND"),
    (413, "INVALID_ARGUMENT"),
    (429, "RESOURCE_EXHAUSTED"),
    (500, "INTERNAL"),
    (503, "UNAVAILABLE"),
    (504, "DEADLINE_EXCEEDED"),
    (529, "UNAVAILABLE"),
];

/// The Gemini wire format.
pub(super) struct Gemini;

impl Format for Gemini {
    fn serve(&self, call: &Call) -> Result<Page, Refusal> {
        let tail = ROOTS.iter().find_map(|root| call.path.strip_prefix(root));
        let tail = tail.ok_or_else(|| Refusal::new(404, format!("Method or path not found: {} {}", call.method, call.path)))?;
        authenticate(call)?;
        if call.body.len() > BODY_LIMIT {
            return Err(Refusal::bad("Request payload size exceeds the limit: 104857600 bytes."));
        }
        match (call.method.as_str(), tail) {
            ("GET", "") => Ok(Page::Json(models())),
            ("POST", _) => match tail.strip_prefix('/').and_then(|tail| tail.rsplit_once(':')) {
                Some((model, method)) => generate(call, model, method),
                None => Err(Refusal::new(404, format!("Path not found: {}", call.path))),
            },
            _ => Err(Refusal::new(404, format!("Path not found: {}", call.path))),
        }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        let status = STATUSES.iter().find(|(status, _)| *status == refusal.status).map_or("UNKNOWN", |(_, name)| name);
        let mut error = json!({"code": refusal.status, "message": refusal.message, "status": status});
        let detail = match (refusal.code, refusal.status) {
            (Some(reason), _) => {
                json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"})
            }
            (None, 429) => json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}),
            _ => return json!({"error": error}),
        };
        if let Some(fields) = error.as_object_mut() {
            fields.insert("details".to_owned(), json!([detail]));
        }
        json!({"error": error})
    }

    fn error_event(&self) -> Bytes {
        let error = self.error(&Refusal::new(503, "The model is overloaded. Please try again later."));
        format!("data: {error}\r\n\r\n").into()
    }

    fn empty_event(&self) -> Bytes {
        let chunk = json!({"usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}, "modelVersion": "simulator"});
        format!("data: {chunk}\r\n\r\n").into()
    }

    fn ping(&self) -> &'static [u8] {
        b": keep-alive\r\n\r\n"
    }

    fn headers(&self, _id: &str) -> Vec<(&'static str, String)> {
        vec![("server-timing", "gfet4t7; dur=1".to_owned()), ("vary", "Origin, X-Origin, Referer".to_owned())]
    }
}

fn generate(call: &Call, model: &str, method: &str) -> Result<Page, Refusal> {
    let body = call.json().map_err(|error| Refusal::bad(format!("Invalid JSON payload received. {error}")))?;
    if let Some(vectors) = embed::embed(&body, model, method) {
        return vectors.map(|vectors| Page::Vectors(model.to_owned(), vectors));
    }
    let stream = match method {
        "generateContent" => None,
        "streamGenerateContent" if call.parameter("alt") == Some("sse") => Some(write::Framing::Sse),
        "streamGenerateContent" => Some(write::Framing::Array),
        "countTokens" => {
            let asked = check::generate(body.get("generateContentRequest").unwrap_or(&body), model)?;
            return Ok(Page::Json(json!({"totalTokens": prompt_tokens(&asked)})));
        }
        _ => {
            let message = format!("models/{model} is not found for API version v1beta, or is not supported for {method}.");
            return Err(Refusal::new(404, message));
        }
    };
    let mut asked = check::generate(&body, model)?;
    asked.stream = stream.is_some();
    let reply = write::reply(&asked, stream);
    Ok(Page::Chat(Box::new(asked), reply))
}

/// The header counts before the parameter.
fn authenticate(call: &Call) -> Result<(), Refusal> {
    match call.header("x-goog-api-key").or_else(|| call.parameter("key")) {
        Some(key) if is_good_key(key) => Ok(()),
        Some(_) => Err(Refusal::bad("API key not valid. Please pass a valid API key.").code("API_KEY_INVALID")),
        None => Err(Refusal::new(
            403,
            "Method doesn't allow unregistered callers (callers without established identity). \
             Please use API Key or other form of API consumer identity to call this API.",
        )),
    }
}

fn models() -> Value {
    let names = ["gemini-2.5-pro", "gemini-2.5-flash"].into_iter().chain(fault::names());
    let entry = |name: &str| {
        json!({
            "name": format!("models/{name}"), "displayName": name, "inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        })
    };
    json!({"models": names.map(entry).collect::<Vec<_>>()})
}
