//! Errors of the dialect: `{"error":{code,message,status,details}}`, sometimes inside an array of one.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::openai::ErrorText;
use crate::fault::{Fault, FaultKind};
use crate::json::Splice;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: &'a RawValue,
    /// OAuth's form: `error` is a word and this is the sentence.
    error_description: Option<String>,
}

#[derive(Deserialize, Default)]
struct Body<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    message: Option<String>,
    status: Option<String>,
    #[serde(borrow)]
    details: Option<Vec<&'a RawValue>>,
}

/// The members of `ErrorInfo`, `QuotaFailure` and `RetryInfo` that are read.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
    violations: Option<Vec<Violation>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Violation {
    quota_id: Option<String>,
    quota_value: Option<String>,
}

/// Google's status names (google.rpc.Code): the HTTP status each stands for, and its kind.
static STATUSES: &[(&str, u16, FaultKind)] = &[
    ("INVALID_ARGUMENT", 400, FaultKind::BadRequest),
    ("FAILED_PRECONDITION", 400, FaultKind::BadRequest),
    ("OUT_OF_RANGE", 400, FaultKind::BadRequest),
    ("UNAUTHENTICATED", 401, FaultKind::Authentication),
    ("PERMISSION_DENIED", 403, FaultKind::Permission),
    ("NOT_FOUND", 404, FaultKind::NotFound),
    ("ABORTED", 409, FaultKind::Conflict),
    ("ALREADY_EXISTS", 409, FaultKind::Conflict),
    ("RESOURCE_EXHAUSTED", 429, FaultKind::RateLimited),
    ("CANCELLED", 499, FaultKind::Server),
    ("INTERNAL", 500, FaultKind::Server),
    ("UNKNOWN", 500, FaultKind::Server),
    ("DATA_LOSS", 500, FaultKind::Server),
    ("UNIMPLEMENTED", 501, FaultKind::Server),
    ("UNAVAILABLE", 503, FaultKind::Overloaded),
    ("DEADLINE_EXCEEDED", 504, FaultKind::Timeout),
];

/// Reasons of `ErrorInfo` that say more than the status.
static REASONS: &[(&str, FaultKind)] = &[
    ("API_KEY_INVALID", FaultKind::Authentication),
    ("API_KEY_EXPIRED", FaultKind::Authentication),
    ("ACCESS_TOKEN_EXPIRED", FaultKind::Authentication),
    ("CREDENTIALS_MISSING", FaultKind::Authentication),
    ("BILLING_DISABLED", FaultKind::Billing),
];

/// Texts that say more than the status, in lower case, where no reason does.
static TEXTS: &[(FaultKind, &str, FaultKind)] = &[
    (FaultKind::BadRequest, "api key not valid", FaultKind::Authentication),
    (FaultKind::BadRequest, "api key expired", FaultKind::Authentication),
    (FaultKind::BadRequest, "payload size exceeds the limit", FaultKind::TooLarge),
    (FaultKind::RateLimited, "limit: 0", FaultKind::QuotaExhausted),
];

/// A quota of a day that names no delay comes back at midnight of the Pacific coast, which a pure function cannot know.
const DAILY_MS: u64 = 3_600_000;

/// Reads an error status with its body, whatever that is.
pub(super) fn fault(status: u16, body: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(body);
    let object = text.trim().trim_start_matches('[').trim_end_matches(']');
    match serde_json::from_str::<Envelope<'_>>(object) {
        Ok(envelope) => of_error(status, envelope.error, envelope.error_description.as_deref()),
        Err(_) => Fault::new(status, None, text.trim()),
    }
}

/// Reads the value of an `error` member that came inside a 200: the status is its own.
pub(super) fn inside_200(error: &RawValue) -> Fault {
    of_error(200, error, None)
}

fn of_error(status: u16, error: &RawValue, description: Option<&str>) -> Fault {
    let Ok(body) = serde_json::from_str::<Body<'_>>(error.get()) else {
        let word = serde_json::from_str::<String>(error.get()).unwrap_or_else(|_| error.get().to_owned());
        return Fault::new(real(status, None, None), Some(&word), description.unwrap_or(&word));
    };
    let name = body.status.as_deref();
    let row = STATUSES.iter().find(|(known, ..)| Some(*known) == name);
    let code = body.code.and_then(|code| code.get().trim_matches('"').parse::<u16>().ok());
    let message = body.message.as_deref().unwrap_or_default();
    let details: Vec<Detail> = body.details.iter().flatten().filter_map(|detail| serde_json::from_str(detail.get()).ok()).collect();
    let mut fault = Fault::new(real(status, code, row.map(|(_, status, _)| *status)), name, message);
    let by_name = row.map_or(FaultKind::of_status(fault.status), |(_, _, kind)| *kind);
    fault.kind = kind(by_name, message, &details);
    fault.retry_after_ms = retry_after_ms(message, &details);
    fault
}

/// An error inside a 200 carries its status in its code, or in its name.
fn real(status: u16, code: Option<u16>, named: Option<u16>) -> u16 {
    let is_error = |status: &u16| (400..600).contains(status);
    [Some(status), code, named].into_iter().flatten().find(is_error).unwrap_or(502)
}

fn kind(by_name: FaultKind, message: &str, details: &[Detail]) -> FaultKind {
    let reasons = details.iter().filter_map(|detail| detail.reason.as_deref());
    let by_reason = reasons.filter_map(|reason| REASONS.iter().find(|(known, _)| *known == reason)).next();
    if let Some((_, kind)) = by_reason {
        return *kind;
    }
    let lower = message.to_lowercase();
    let says = |text: &str| {
        let at = lower.find(text).map(|at| at + text.len());
        // "limit: 0" is not "limit: 05" nor "limit: 0.5".
        at.is_some_and(|end| !lower.get(end..).is_some_and(|rest| text.ends_with('0') && rest.starts_with(|c: char| c.is_ascii_digit())))
    };
    let by_text = TEXTS.iter().find(|(of, text, _)| *of == by_name && says(text));
    let nothing = |violation: &Violation| violation.quota_value.as_deref() == Some("0");
    if by_name == FaultKind::RateLimited && violations(details).any(nothing) {
        return FaultKind::QuotaExhausted;
    }
    by_text.map_or_else(|| by_name.refine(None, message), |(_, _, kind)| *kind)
}

fn violations(details: &[Detail]) -> impl Iterator<Item = &Violation> {
    details.iter().flat_map(|detail| detail.violations.iter().flatten())
}

/// The stated delay: `RetryInfo`, else the message; else an hour for a quota of a day.
fn retry_after_ms(message: &str, details: &[Detail]) -> Option<u64> {
    let stated = details.iter().find_map(|detail| duration_ms(detail.retry_delay.as_deref()?));
    let told = || message.split_once("retry in ").and_then(|(_, rest)| duration_ms(rest));
    let daily = || violations(details).any(|violation| violation.quota_id.as_deref().is_some_and(|id| id.contains("PerDay")));
    stated.or_else(told).or_else(|| daily().then_some(DAILY_MS))
}

/// The duration at the beginning of `text`: `34s`, `1.5s`, `10h17m5.7s`, `250ms`. Rounded up to whole milliseconds.
fn duration_ms(text: &str) -> Option<u64> {
    const UNITS: &[(&str, f64)] = &[("ms", 1.0), ("h", 3_600_000.0), ("m", 60_000.0), ("s", 1_000.0)];
    let mut rest = text.trim_start();
    let mut total: Option<f64> = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits)?;
        let unit = UNITS.iter().find(|(unit, _)| after.starts_with(unit));
        let (Ok(number), Some((unit, ms))) = (number.parse::<f64>(), unit) else { break };
        total = Some(total.unwrap_or_default() + number * ms);
        rest = after.get(unit.len()..)?;
    }
    // A float beyond the integers saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: not negative, and saturating")]
    total.map(|ms| ms.ceil() as u64)
}

/// An error of the gateway's own: `{"error":{"code","message","status","details"}}`. The name is the status's, else its class's; the
/// details say which field is wrong, a code for programs, and how long to wait, as far as that is known.
pub(super) fn write(status: u16, error: ErrorText<'_>) -> Bytes {
    let ErrorText { message, kind: _, param, code, retry_after_s } = error;
    let of_class = if status >= 500 { "UNAVAILABLE" } else { "INVALID_ARGUMENT" };
    let name = STATUSES.iter().find(|(_, known, _)| *known == status).map_or(of_class, |(name, _, _)| name);
    let mut out = Splice::new();
    out.object().key("error").object().key("code").integer(status.into()).key("message").string(message);
    out.key("status").string(name).key("details").array();
    if let Some(code) = code {
        let reason: String = code.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        detail(&mut out, "ErrorInfo").key("reason").string(&reason).key("domain").string("heliostat").end_object();
    }
    if let Some(field) = param {
        detail(&mut out, "BadRequest").key("fieldViolations").array().object().key("field").string(field);
        out.key("description").string(message).end_object().end_array().end_object();
    }
    if let Some(seconds) = retry_after_s {
        detail(&mut out, "RetryInfo").key("retryDelay").string(&format!("{seconds}s")).end_object();
    }
    out.end_array().end_object().end_object();
    out.finish().join()
}

fn detail<'s>(out: &'s mut Splice, kind: &str) -> &'s mut Splice {
    out.element().object().key("@type").string(&format!("type.googleapis.com/google.rpc.{kind}"))
}

/// What an upstream reported, in the middle of a stream. A key of ours that it refuses is no fault of the client's.
pub(super) fn write_fault(fault: &Fault) -> Bytes {
    let status = match fault.kind {
        FaultKind::Authentication | FaultKind::Billing | FaultKind::Permission | FaultKind::QuotaExhausted => 500,
        FaultKind::Server | FaultKind::Malformed => 500,
        FaultKind::Overloaded => 503,
        FaultKind::Timeout => 504,
        FaultKind::RateLimited => 429,
        FaultKind::NotFound => 404,
        FaultKind::Conflict => 409,
        FaultKind::TooLarge => 413,
        FaultKind::BadRequest | FaultKind::ContextLength | FaultKind::ContentPolicy => 400,
    };
    let retry_after_s = fault.retry_after_ms.map(|ms| ms.div_ceil(1_000));
    write(
        status,
        ErrorText { message: &fault.message, kind: "", param: fault.param.as_deref(), code: fault.code.as_deref(), retry_after_s },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_errors_are_read_as_what_they_are() {
        for (status, kind) in [(401, FaultKind::Authentication), (429, FaultKind::RateLimited), (404, FaultKind::NotFound)] {
            let error = ErrorText { message: "It is \"so\".", kind: "", param: Some("a"), code: Some("x-y"), retry_after_s: Some(7) };
            let read = fault(status, &write(status, error));
            assert_eq!((read.kind, read.message.as_str(), read.retry_after_ms), (kind, "It is \"so\".", Some(7_000)));
        }
    }

    #[test]
    fn durations() {
        let cases = [("34s", Some(34_000)), ("1.5s", Some(1_500)), ("10h17m5.7s.", Some(37_025_700)), ("46.7s. Then", Some(46_700))];
        for (text, ms) in cases.into_iter().chain([("250ms", Some(250)), ("soon", None), ("", None), ("12", None)]) {
            assert_eq!(duration_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn kinds() {
        let body = |status: &str, message: &str| format!(r#"[{{"error":{{"code":0,"message":"{message}","status":"{status}"}}}}]"#);
        let cases = [
            (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", FaultKind::Authentication),
            (400, "INVALID_ARGUMENT", "exceeds the maximum number of tokens allowed (1048576).", FaultKind::ContextLength),
            (429, "RESOURCE_EXHAUSTED", "Quota exceeded, limit: 0, model: x", FaultKind::QuotaExhausted),
            (429, "RESOURCE_EXHAUSTED", "Quota exceeded, limit: 50", FaultKind::RateLimited),
            (503, "UNAVAILABLE", "The model is overloaded.", FaultKind::Overloaded),
            (504, "DEADLINE_EXCEEDED", "", FaultKind::Timeout),
        ];
        for (status, name, message, kind) in cases {
            let fault = fault(status, body(name, message).as_bytes());
            assert_eq!((fault.status, fault.kind, fault.message.as_str()), (status, kind, message));
        }
    }

    #[test]
    fn bodies_that_are_not_googles() {
        assert_eq!(fault(502, b"<html>").kind, FaultKind::Server);
        assert_eq!(fault(429, b"").kind, FaultKind::RateLimited);
        assert_eq!(fault(401, br#"{"error":"invalid_grant","error_description":"Bad"}"#).message, "Bad");
        assert_eq!(fault(400, b"\xff\xfe").kind, FaultKind::BadRequest);
    }

    #[test]
    fn delays_and_daily_quotas() {
        let body = br#"{"error":{"code":429,"message":"Please retry in 46.7s","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x","violations":[{"quotaId":"RequestsPerDay"}]}]}}"#;
        assert_eq!(fault(429, body).retry_after_ms, Some(46_700));
        let body = br#"{"error":{"code":429,"message":"","status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerDay"}]}]}}"#;
        assert_eq!(fault(429, body).retry_after_ms, Some(DAILY_MS));
    }
}
