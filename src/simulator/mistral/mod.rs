//! Mistral: paths, keys, errors. Bodies are held to the models of its own SDK: a member that is not there is a 422.

mod check;
mod messages;
mod write;

use bytes::Bytes;
use serde_json::{Value, json};

use super::exchange::{Call, Format, Page, Refusal, is_good_key};
use super::vector;

/// Statuses, and the `type` and `code` that errors carry with them.
const KINDS: &[(u16, &str, &str)] = &[
    (400, "invalid_request_error", "3051"),
    (404, "not_found", "1400"),
    (429, "rate_limited", "1300"),
    (500, "internal_server_error", "1000"),
];

/// Members of an embeddings request.
const EMBEDDING: &[&str] = &["model", "input", "metadata", "output_dimension", "output_dtype", "encoding_format"];

/// Dimensions where none are asked for.
const DIMENSIONS: u64 = 1_024;

/// The Mistral wire format.
pub(super) struct Mistral;

impl Format for Mistral {
    fn serve(&self, call: &Call) -> Result<Page, Refusal> {
        if !call.bearer().is_some_and(is_good_key) {
            return Err(Refusal::new(401, "Unauthorized"));
        }
        match (call.method.as_str(), call.path.as_str()) {
            ("POST", "/v1/chat/completions") => {
                let asked = check::chat(&body(call)?)?;
                let reply = write::reply(&asked);
                Ok(Page::Chat(Box::new(asked), reply))
            }
            ("POST", "/v1/embeddings") => embeddings(&body(call)?),
            ("GET", "/v1/models") => Ok(Page::Json(json!({"object": "list", "data": [{"id": "mistral-small-latest", "object": "model"}]}))),
            _ => Err(Refusal::new(404, "no Route matched with those values")),
        }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        match refusal.status {
            401 => json!({"detail": refusal.message}),
            422 => {
                json!({"object": "error", "message": {"detail": [{"type": refusal.code, "loc": ["body", refusal.param], "msg": refusal.message}]},
                "type": "invalid_request_error", "param": null, "code": null})
            }
            status => {
                let row = KINDS.iter().find(|(known, ..)| *known == status).map_or(("error", "1000"), |(_, kind, code)| (*kind, *code));
                let kind = refusal.code.unwrap_or(row.0);
                json!({"object": "error", "message": refusal.message, "type": kind, "param": refusal.param, "code": row.1})
            }
        }
    }

    fn error_event(&self) -> Bytes {
        let error = json!({"object": "error", "message": "Service unavailable. (simulated)", "type": "internal_server_error", "param": null, "code": "1000"});
        format!("data: {error}\n\n").into()
    }

    fn empty_event(&self) -> Bytes {
        Bytes::from_static(b": \n\n")
    }

    fn ping(&self) -> &'static [u8] {
        b": ping\n\n"
    }

    fn headers(&self, id: &str) -> Vec<(&'static str, String)> {
        vec![("mistral-correlation-id", format!("sim{id}")), ("x-ratelimit-remaining-req-minute", "99".to_owned())]
    }
}

/// What the API does not know, or lacks.
fn invalid(code: &'static str, at: &str, message: &str) -> Refusal {
    Refusal::new(422, message).param(at).code(code)
}

/// Refuses an object's members that are not among these.
fn only(value: &Value, at: &str, known: &[&str]) -> Result<(), Refusal> {
    let members = value.as_object().ok_or_else(|| invalid("model_type", at, "Input should be a valid dictionary"))?;
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(invalid("extra_forbidden", &format!("{at}.{key}"), "Extra inputs are not permitted")),
        None => Ok(()),
    }
}

/// A string that must stand.
fn string<'v>(value: &'v Value, key: &str, at: &str) -> Result<&'v str, Refusal> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| invalid("string_type", &format!("{at}.{key}"), "Input should be a valid string"))
}

fn body(call: &Call) -> Result<Value, Refusal> {
    call.json().map_err(|_| invalid("json_invalid", "", "JSON decode error"))
}

fn embeddings(body: &Value) -> Result<Page, Refusal> {
    only(body, "", EMBEDDING)?;
    let model = string(body, "model", "")?;
    let wrong = || invalid("string_type", "input", "Input should be a valid string or list of strings");
    let inputs: Vec<&str> = match body.get("input") {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().map(|text| text.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?,
        _ => return Err(wrong()),
    };
    let dimensions = body.get("output_dimension").and_then(Value::as_u64).unwrap_or(DIMENSIONS);
    let entry = |(index, input): (usize, &&str)| json!({"object": "embedding", "index": index, "embedding": vector::of(input, dimensions)});
    let data: Vec<Value> = inputs.iter().enumerate().map(entry).collect();
    let tokens: usize = inputs.iter().map(|input| input.split_whitespace().count()).sum();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0});
    Ok(Page::Vectors(model.to_owned(), json!({"id": "1", "object": "list", "data": data, "model": model, "usage": usage})))
}
