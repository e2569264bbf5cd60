//! The signed statement a service account asks for a token with: a JWT (RFC 7519) after RFC 7523.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::RSA_PKCS1_SHA256;
use serde::Serialize;

use super::Denied;
use crate::config::{Secret, ServiceAccount};

/// What the token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long the statement is good: Google allows an hour.
const LIFETIME_S: u64 = 3_600;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

/// Signs a statement. `now_s` is the time since 1970 in seconds. Takes about a millisecond.
///
/// # Errors
/// The key cannot sign, or the system has no randomness.
pub(super) fn sign(service: &ServiceAccount, now_s: u64) -> Result<Secret, Denied> {
    let header = Header { alg: "RS256", typ: "JWT", kid: service.key_id.as_deref() };
    let claims = Claims { iss: &service.email, scope: SCOPE, aud: &service.token_uri, iat: now_s, exp: now_s + LIFETIME_S };
    let signed = format!("{}.{}", part(&header)?, part(&claims)?);
    let mut signature = vec![0; service.key.public().modulus_len()];
    let done = service.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature);
    done.map_err(|_| Denied::new("the private key cannot sign"))?;
    Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

fn part(value: &impl Serialize) -> Result<String, Denied> {
    let json = serde_json::to_vec(value).map_err(|_| Denied::new("the token request cannot be written"))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}
