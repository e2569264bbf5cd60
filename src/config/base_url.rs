//! `base_url`, taken apart and completed.

use http::Uri;

use super::field::Field;
use super::snapshot::Endpoint;
use super::transport::Transport;
use super::value::shown;

/// Reads a written `base_url`. One without a path gets `version_path`; the Anthropic dialect also wants a version after a path,
/// because Anthropic's own SDKs write their base URLs without.
pub(super) fn read(field: &Field<'_>, version_path: &str, dialect: &str) -> Option<Endpoint> {
    let url = field.text()?;
    match parse(url) {
        Ok(endpoint) => Some(complete(endpoint, version_path, dialect)),
        // What stands before an @ or after a ? may be a secret.
        Err(what) if url.contains(['@', '?', '#']) => field.fail(what),
        Err(what) => field.fail(format!("\"{}\" {what}", shown(url))),
    }
}

/// Takes a URL apart. The message never repeats the URL: it might hold a password.
pub(super) fn parse(url: &str) -> Result<Endpoint, &'static str> {
    let uri: Uri = url.trim().parse().map_err(|_| "is not a URL; write https://host/path")?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("must begin with https:// or http://"),
    };
    let authority = uri.authority().ok_or("names no host")?;
    if authority.as_str().contains('@') {
        return Err("must not hold a user name or password; use keys");
    }
    if uri.query().is_some() || url.contains('#') {
        return Err("must end with the path: no ? and no #");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let own_port = if tls { 443 } else { 80 };
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => own_port,
        _ => authority.port_u16().filter(|port| *port != 0).ok_or("has a port that cannot be")?,
    };
    if host.is_empty() {
        return Err("names no host");
    }
    let shown_host = authority.host().to_owned();
    let authority = if port == own_port { shown_host } else { format!("{shown_host}:{port}") };
    Ok(Endpoint { tls, host, port, authority, path: uri.path().trim_end_matches('/').to_owned(), transport: Transport::default() })
}

fn complete(mut endpoint: Endpoint, version_path: &str, dialect: &str) -> Endpoint {
    if endpoint.path.is_empty() {
        version_path.clone_into(&mut endpoint.path);
    } else if dialect == "anthropic" && !ends_in_version(&endpoint.path) {
        endpoint.path.push_str("/v1");
    }
    endpoint
}

/// Whether the last segment is `v1`, `v2` …
fn ends_in_version(path: &str) -> bool {
    let segment = path.rsplit('/').next().unwrap_or_default();
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}
