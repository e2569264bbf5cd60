//! Errors of the dialect: `{"id", "message"}`, flat.

use serde::Deserialize;

use crate::fault::Fault;

#[derive(Deserialize)]
struct Wire {
    message: Option<String>,
}

/// Reads an error status with its body, whatever that is.
pub(super) fn fault(status: u16, body: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(body);
    let said = serde_json::from_str::<Wire>(&text).ok().and_then(|wire| wire.message);
    match said {
        Some(message) => Fault::new(status, None, &message),
        None if text.trim_start().starts_with(['<', '{', '[']) || text.trim().is_empty() => {
            Fault::new(status, None, &format!("the upstream answered with HTTP {status} and no readable explanation"))
        }
        None => Fault::new(status, None, text.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::fault;
    use crate::fault::FaultKind;

    #[test]
    fn bodies_of_every_kind() {
        let cases: &[(u16, &str, FaultKind, &str)] = &[
            (401, r#"{"id":"1","message":"invalid api token"}"#, FaultKind::Authentication, "invalid api token"),
            (429, r#"{"message":"You are using a Trial key"}"#, FaultKind::RateLimited, "You are using a Trial key"),
            (
                400,
                r#"{"message":"invalid request: valid input_type must be provided"}"#,
                FaultKind::BadRequest,
                "invalid request: valid input_type must be provided",
            ),
            (404, r#"{"message":"model 'x' not found"}"#, FaultKind::NotFound, "model 'x' not found"),
            (502, "<html>", FaultKind::Server, "the upstream answered with HTTP 502 and no readable explanation"),
            (503, "busy", FaultKind::Server, "busy"),
        ];
        for (status, body, kind, message) in cases {
            let fault = fault(*status, body.as_bytes());
            assert_eq!((fault.kind, fault.message.as_str()), (*kind, *message), "{body}");
        }
    }
}
