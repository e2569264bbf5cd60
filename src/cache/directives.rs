//! What a client says of the cache: `cache-control` of its request (RFC 9111 §5.2.1).

use std::time::Duration;

use http::{HeaderMap, header};

/// What a client says of the cache. What is not known here, or malformed, says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// Neither read nor kept.
    pub no_store: bool,
    /// Not read; the new answer is kept.
    pub no_cache: bool,
    /// Read if it is not older.
    pub max_age: Option<Duration>,
}

impl Directives {
    /// Reads the headers of a request. Of several ages the least counts.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::CACHE_CONTROL).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).fold(Self::default(), |read, directive| read.with(directive.trim()))
    }

    fn with(self, directive: &str) -> Self {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let is = |known: &str| name.trim_end().eq_ignore_ascii_case(known);
        if is("no-store") {
            return Self { no_store: true, ..self };
        }
        if is("no-cache") {
            return Self { no_cache: true, ..self };
        }
        let age = is("max-age").then(|| value.trim().trim_matches('"').parse().ok().map(Duration::from_secs)).flatten();
        Self { max_age: self.max_age.into_iter().chain(age).min(), ..self }
    }
}
