//! Google service accounts: a JSON document with a private key, for which Google gives out short-lived tokens.
//!
//! Source of hosts and paths: the protocol survey §2.1 (Google's own SDKs). Google's models are called under `v1beta1`, which its SDKs
//! use, Anthropic's under `v1`, which Anthropic's does; the paths stand in `conf/providers.yaml`.

use std::fmt;

use ring::signature::RsaKeyPair;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;

use super::snapshot::Endpoint;
use super::{Secret, base_url};

/// Where a provider's calls go that name no location.
pub(super) const DEFAULT_LOCATION: &str = "global";
/// Locations of several regions, which have hosts of their own.
const MULTI_REGIONS: &[&str] = &["us", "eu"];

/// A service account's key.
pub struct ServiceAccount {
    /// Who it is.
    pub email: String,
    /// The project it belongs to.
    pub project: Option<String>,
    /// The key's id, for the token request.
    pub key_id: Option<String>,
    /// Signs token requests.
    pub key: RsaKeyPair,
    /// Where tokens are asked for.
    pub token_endpoint: Endpoint,
    /// [`ServiceAccount::token_endpoint`] as it is written: the audience of the request.
    pub token_uri: String,
    /// The document, to recognise it after a reload.
    document: Secret,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    project_id: Option<String>,
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// Reads the JSON document that Google gives out.
    ///
    /// # Errors
    /// What is wrong with it, without a word of its content.
    pub fn read(document: &Secret) -> Result<Self, String> {
        // The parser's own words would repeat what it found.
        let parsed = serde_json::from_str::<Document>(document.expose());
        let parsed = parsed.map_err(|error| format!("is no service account's JSON (line {} of it)", error.line()))?;
        if parsed.kind.as_deref() != Some("service_account") {
            return Err("is JSON, but not of the type service_account".to_owned());
        }
        let email = parsed.client_email.filter(|email| is_plain(email)).ok_or("holds no client_email")?;
        let pem = parsed.private_key.ok_or("holds no private_key")?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "holds a private_key that is no PKCS#8 PEM")?;
        let key =
            RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| "holds a private_key that is no RSA key of 2048 bits or more")?;
        let token_uri = parsed.token_uri.ok_or("holds no token_uri")?;
        let token_endpoint = token_endpoint(&token_uri)?;
        let (project, key_id) = (parsed.project_id, parsed.private_key_id);
        Ok(Self { email, project, key_id, key, token_endpoint, token_uri, document: document.clone() })
    }

    /// The document it was read from.
    #[must_use]
    pub fn document(&self) -> &Secret {
        &self.document
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).field("token_uri", &self.token_uri).finish_non_exhaustive()
    }
}

/// Whether a secret is a JSON document rather than a key.
pub(super) fn is_document(secret: &Secret) -> bool {
    secret.expose().trim_start().starts_with('{')
}

/// The host of a location: `aiplatform.googleapis.com` for `global`, `aiplatform.eu.rep.googleapis.com` for a multi-region,
/// `europe-west4-aiplatform.googleapis.com` for a region.
pub(super) fn host(location: &str) -> String {
    if location == DEFAULT_LOCATION {
        "aiplatform.googleapis.com".to_owned()
    } else if MULTI_REGIONS.contains(&location) {
        format!("aiplatform.{location}.rep.googleapis.com")
    } else {
        format!("{location}-aiplatform.googleapis.com")
    }
}

/// `v1/projects/{project}/locations/{location}/…` filled in. `root` stands in place of the template's version where one was written.
pub(super) fn path(template: &str, project: &str, location: &str, root: Option<&str>) -> String {
    let filled = template.replace("{project}", project).replace("{location}", location);
    match (root, filled.find("/projects/")) {
        (Some(root), Some(at)) => format!("{root}{}", filled.get(at..).unwrap_or_default()),
        _ => filled,
    }
}

/// Whether text may stand in a path as a project's id: `my-project`, `example.com:my-project`.
pub(super) fn is_project(text: &str) -> bool {
    is_of(text, "-:.")
}

/// Whether text may stand in a host name as a location.
pub(super) fn is_location(text: &str) -> bool {
    is_of(text, "-")
}

fn is_of(text: &str, more: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
}

/// A token request carries a signature that is good for an hour: nobody may read it on the way.
fn token_endpoint(uri: &str) -> Result<Endpoint, String> {
    let endpoint = base_url::parse(uri).map_err(|what| format!("holds a token_uri that {what}"))?;
    let loopback = endpoint.host == "localhost" || endpoint.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if endpoint.tls || loopback { Ok(endpoint) } else { Err("holds a token_uri that is not https".to_owned()) }
}

fn is_plain(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
