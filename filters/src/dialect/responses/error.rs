//! Failures inside a 200: a failed response, or a stream's error event. Statuses with an error body are OpenAI's own.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::openai::{self, string};
use crate::fault::{Fault, FaultKind};

/// `{code, message}`, in a response and in an error event; the event's may stand one level deeper.
#[derive(Debug, Default, Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    param: Option<&'a RawValue>,
}

/// The statuses that the codes of failed responses have outside of them, where OpenAI's other errors have no such code. Source: the API
/// specification's `ResponseErrorCode`.
static STATUSES: &[(&str, u16)] = &[("invalid_prompt", 400), ("vector_store_timeout", 504), ("failed_to_download_image", 400)];

/// How the codes of images that nobody can read begin or end.
static OF_IMAGES: &[&str] = &["invalid_image", "invalid_base64_image", "image_", "empty_image", "unsupported_image"];

/// Reads what a failed response or an error event says. `json` is the error object, or the event around it.
pub(super) fn fault_of(json: &str) -> Fault {
    let mut told: Told<'_> = serde_json::from_str(json).unwrap_or_default();
    if let Some(inner) = told.error.take() {
        told = serde_json::from_str(inner.get()).unwrap_or(Told { message: Some(inner), ..Told::default() });
    }
    // An event's own type is no code.
    let words = [told.code, told.kind].map(|word| word.and_then(string).filter(|word| !word.is_empty() && word != "error"));
    let message = told.message.and_then(string).filter(|message| !message.is_empty());
    let message = message.unwrap_or(Cow::Borrowed("The provider failed without saying why."));
    let code = words.iter().flatten().next().map(Cow::as_ref);
    let fault = Fault::new(status(code), code, &message);
    let kind = if code == Some("invalid_prompt") { FaultKind::ContentPolicy } else { fault.kind };
    Fault { kind, param: told.param.and_then(string).map(Cow::into_owned), ..fault }
}

/// Reads an event that is an error, or a bare error object in its place. `None` if it is neither.
pub(super) fn fault_within(json: &str) -> Option<Fault> {
    let told: Told<'_> = serde_json::from_str(json).ok()?;
    let is_error = told.kind.and_then(string).map_or(told.error.is_some(), |kind| kind == "error");
    is_error.then(|| fault_of(json))
}

fn status(code: Option<&str>) -> u16 {
    let Some(code) = code else { return 502 };
    let own = STATUSES.iter().find(|(known, _)| *known == code).map(|(_, status)| *status);
    let of_image = || OF_IMAGES.iter().any(|start| code.starts_with(start)).then_some(400);
    own.or_else(|| openai::status_of(code)).or_else(of_image).unwrap_or(502)
}

#[cfg(test)]
mod tests {
    use super::{FaultKind, fault_of};

    #[test]
    fn every_form_of_failure_is_read() {
        let cases: &[(&str, u16, FaultKind, &str)] = &[
            (r#"{"code":"server_error","message":"boom"}"#, 500, FaultKind::Server, "boom"),
            (r#"{"code":"rate_limit_exceeded","message":"slow"}"#, 429, FaultKind::RateLimited, "slow"),
            (r#"{"type":"error","code":"server_error","message":"m","param":null,"sequence_number":3}"#, 500, FaultKind::Server, "m"),
            (
                r#"{"type":"error","error":{"type":"insufficient_quota","code":"insufficient_quota","message":"pay"}}"#,
                429,
                FaultKind::QuotaExhausted,
                "pay",
            ),
            (r#"{"code":"invalid_prompt","message":"flagged"}"#, 400, FaultKind::ContentPolicy, "flagged"),
            (r#"{"code":"image_too_large","message":"big"}"#, 400, FaultKind::BadRequest, "big"),
            (r#"{"type":"error","error":"plain"}"#, 502, FaultKind::Server, "plain"),
            ("null", 502, FaultKind::Server, "The provider failed without saying why."),
        ];
        for (json, status, kind, message) in cases {
            let fault = fault_of(json);
            assert_eq!((fault.status, fault.kind, fault.message.as_str()), (*status, *kind, *message), "{json}");
        }
    }
}
