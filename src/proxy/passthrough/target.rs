//! Where a raw request goes: which provider, and which path below its base URL. Percent-encoding is carried as it came.

use std::sync::Arc;

use crate::config::{Provider, Snapshot};
use crate::proxy::problem::Problem;

/// First segments that are the gateway's own, whatever a provider is called.
const OWN: &[&str] = &["v1"];

/// Query parameters that clients carry a credential in: they end here.
const CREDENTIALS: &[&str] = &["key", "api_key", "api-key", "access_token", "subscription-key"];

/// Per dialect, what stands beside the version path and not below it: Google's uploads, downloads and sockets.
const BESIDE_VERSION: &[(&str, &[&str])] = &[("gemini", &["upload", "download", "ws"])];

/// So many layers of percent-encoding are looked through for a step upwards.
const LAYERS: usize = 4;

/// Where a raw request goes.
#[derive(Debug)]
pub struct Target {
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// The path behind the provider's name, without a slash in front.
    rest: String,
    /// The query without credentials.
    query: Option<String>,
    /// The client's key, where it came in the query.
    pub key: Option<String>,
}

impl Target {
    /// Reads `/{provider}/{rest}?{query}`; `None` where the first segment names no configured provider.
    ///
    /// # Errors
    /// 400 for a path that steps upwards.
    pub fn read(path: &str, query: Option<&str>, snapshot: &Snapshot) -> Result<Option<Self>, Problem> {
        let Some((name, rest)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else { return Ok(None) };
        let rest = rest.trim_start_matches('/');
        let Some(provider) = snapshot.provider(name).filter(|_| !OWN.contains(&name) && !rest.is_empty()) else { return Ok(None) };
        Self::below(provider, rest, query).map(Some)
    }

    /// What stands at `rest` of a provider.
    ///
    /// # Errors
    /// 400 for a path that steps upwards.
    pub fn below(provider: &Arc<Provider>, rest: &str, query: Option<&str>) -> Result<Self, Problem> {
        if let Some(flaw) = rest.split('/').find_map(flaw) {
            return Err(Problem::new(400, "invalid_path", flaw));
        }
        let key = query.and_then(|query| pairs(query).find(|(name, _)| name == "key")).map(|(_, value)| decoded(value));
        Ok(Self { provider: provider.clone(), rest: rest.to_owned(), query: query.and_then(without_credentials), key })
    }

    /// Path and query at a base URL with this path.
    #[must_use]
    pub fn at(&self, base: &str) -> String {
        let dialect = self.provider.speech.dialect.name();
        let beside = BESIDE_VERSION.iter().find(|(name, _)| *name == dialect).map_or(&[][..], |(_, segments)| segments);
        let mut path = join(base, &self.rest, beside);
        if let Some(query) = &self.query {
            path.push('?');
            path.push_str(query);
        }
        path
    }

    /// The model in a path such as `models/gemini-2.5-flash:generateContent`.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        let mut segments = self.rest.split('/').skip_while(|segment| *segment != "models").skip(1);
        let (model, _method) = segments.next()?.split_once(':')?;
        (!model.is_empty()).then_some(model)
    }
}

/// Joins a base path and what a client wrote behind the provider's name.
///
/// | base | rest | |
/// |---|---|---|
/// | `/v1` | `files`, `v1/files` | `/v1/files`: the base's own path is not repeated |
/// | `/v1beta` | `v1/models` | `/v1/models`: another version replaces the base's |
/// | `/v1beta` | `upload/v1beta/files` (Google) | `/upload/v1beta/files`: it stands beside the version |
/// | `/openai/v1` | `v1/files`, `openai/v1/files` | `/openai/v1/files` |
///
/// What comes before the version in the base is never left.
fn join(base: &str, rest: &str, beside: &[&str]) -> String {
    if below(base, rest).is_some() {
        return format!("/{rest}");
    }
    if let Some((before, after)) = around_version(base) {
        let (first, behind) = rest.split_once('/').unwrap_or((rest, ""));
        let other_version = is_version(first) && below(after, behind).is_some();
        if other_version || (after.is_empty() && beside.contains(&first)) {
            return format!("{before}/{rest}");
        }
        if !before.is_empty() && below(before, rest).is_some() {
            return format!("/{rest}");
        }
    }
    format!("{base}/{rest}")
}

/// What of `rest` is below `path`, if it is.
fn below<'r>(path: &str, rest: &'r str) -> Option<&'r str> {
    let Some(path) = path.strip_prefix('/') else { return Some(rest) };
    let tail = rest.strip_prefix(path)?;
    (tail.is_empty() || tail.starts_with('/')).then_some(tail)
}

/// What stands before and after the last version segment: (`/openai`, ``) of `/openai/v1`.
fn around_version(base: &str) -> Option<(&str, &str)> {
    let segments = base.match_indices('/').map(|(at, _)| at);
    segments.rev().find_map(|at| {
        let (before, from) = base.split_at(at);
        let segment = from.strip_prefix('/')?;
        let end = segment.find('/').unwrap_or(segment.len());
        let (version, after) = segment.split_at(end);
        is_version(version).then_some((before, after))
    })
}

/// `v1`, `v1beta`, `v1p1beta1` …
fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else { return false };
    rest.starts_with(|first: char| first.is_ascii_digit()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// What is wrong with a segment that may mean something else to whoever decodes it, however often: a step upwards (`..`, `%2e%2e`,
/// `..%2f`, `..\`, `..;x`), or the end of the path (`%00`).
fn flaw(segment: &str) -> Option<&'static str> {
    let mut text = segment.to_owned();
    for _ in 0..LAYERS {
        let next = decoded(&text);
        if next == text {
            let dots = |part: &str| matches!(part.split(';').next().unwrap_or_default(), "." | "..");
            return if text.contains('\0') {
                Some("The path holds a NUL character. Send it without `%00`.")
            } else if text.split(['/', '\\']).any(dots) {
                Some("The path leaves the provider's base URL. Send it without `.` and `..` segments, encoded ones included.")
            } else {
                None
            };
        }
        text = next;
    }
    Some("The path is percent-encoded several times over. Encode it once.")
}

pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.split_at_checked(2).filter(|_| *first == b'%').and_then(|(code, tail)| {
            let digits = std::str::from_utf8(code).ok().filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            Some((u8::from_str_radix(digits, 16).ok()?, tail))
        });
        let (byte, tail) = code.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Names (decoded, in lower case) and values (as they came).
fn pairs(query: &str) -> impl Iterator<Item = (String, &str)> {
    query.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name).to_ascii_lowercase(), value)
    })
}

fn without_credentials(query: &str) -> Option<String> {
    let kept = query.split('&').zip(pairs(query)).filter(|(_, (name, _))| !CREDENTIALS.contains(&name.as_str()));
    let kept: Vec<&str> = kept.map(|(pair, _)| pair).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_joins_the_base_without_doubling_its_version() {
        let google: &[&str] = &["upload", "download", "ws"];
        let cases: &[(&str, &str, &[&str], &str)] = &[
            ("/v1", "files", &[], "/v1/files"),
            ("/v1", "v1/files", &[], "/v1/files"),
            ("/v1", "v1", &[], "/v1"),
            ("/v1", "v1x/files", &[], "/v1x/files"),
            ("/v1", "voices/v1", &[], "/v1/voices/v1"),
            ("/v1", "upload/x", &[], "/v1/upload/x"),
            ("/v1beta", "models/m:generateContent", google, "/v1beta/models/m:generateContent"),
            ("/v1beta", "v1beta/models", google, "/v1beta/models"),
            ("/v1beta", "v1/models", google, "/v1/models"),
            ("/v1beta", "upload/v1beta/files", google, "/upload/v1beta/files"),
            ("/openai/v1", "files", &[], "/openai/v1/files"),
            ("/openai/v1", "v1/files", &[], "/openai/v1/files"),
            ("/openai/v1", "openai/v1/files", &[], "/openai/v1/files"),
            ("/openai/v1", "openai/deployments/d", &[], "/openai/deployments/d"),
            ("/openai/v1", "openaix/v1", &[], "/openai/v1/openaix/v1"),
            ("/v1/publishers/google", "models/m:x", google, "/v1/publishers/google/models/m:x"),
            ("/v1/publishers/google", "v1beta1/publishers/google/models/m:x", google, "/v1beta1/publishers/google/models/m:x"),
            ("/v1/tenants/acme", "v1/tenants/evil", &[], "/v1/tenants/acme/v1/tenants/evil"),
            ("/v1/tenants/acme", "v2/tenants/evil", &[], "/v1/tenants/acme/v2/tenants/evil"),
            ("", "beta/completions", &[], "/beta/completions"),
            ("/inference", "v1/x", &[], "/inference/v1/x"),
        ];
        for (base, rest, beside, expected) in cases {
            assert_eq!(join(base, rest, beside), *expected, "{base} + {rest}");
        }
    }

    #[test]
    fn steps_upwards_are_seen_through_any_encoding() {
        let bad = ["..", ".", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "%25252e.", "..%2fx", "x%2f..%2fy", "..\\x", "..%5cx", "..;a", "%00"];
        for segment in bad {
            assert!(flaw(segment).is_some(), "{segment}");
        }
        for segment in ["...", "a..b", "x.json", "google%2Fgemma", "100%", "%zz", "models:list", "", "a%20b"] {
            assert!(flaw(segment).is_none(), "{segment}");
        }
    }

    #[test]
    fn credentials_leave_the_query_and_nothing_else_does() {
        let cases: &[(&str, Option<&str>)] = &[
            ("alt=sse&key=secret", Some("alt=sse")),
            ("key=secret", None),
            ("%6bey=secret&a=%2F", Some("a=%2F")),
            ("KEY=secret&b", Some("b")),
            ("a=1&&keys=2&access_token=x", Some("a=1&&keys=2")),
        ];
        for (query, expected) in cases {
            assert_eq!(without_credentials(query).as_deref(), *expected, "{query}");
        }
    }
}
