//! Images that stood in a request as URLs, and were fetched for a candidate that does not fetch them itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{ImageSource, Inline, read};
use crate::json::{Kind, View};
use crate::refusal::Refusal;

/// The longest string that is looked at as a URL; what is longer is data or nothing.
const URL_BYTES: usize = 16 * 1024;

/// What URLs of a request have been replaced by. A dialect asks it before it passes or refuses a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    by_url: BTreeMap<String, Inline>,
}

impl Fetched {
    /// Nothing was fetched.
    pub const NONE: &'static Self = &Self { by_url: BTreeMap::new() };

    /// Remembers what a URL, as [`url_at`] gives it, holds.
    pub fn insert(&mut self, url: impl Into<String>, inline: Inline) {
        self.by_url.insert(url.into(), inline);
    }

    /// Whether nothing was fetched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_url.is_empty()
    }

    /// What the URL at `view` holds, if it was fetched.
    #[must_use]
    pub fn at(&self, view: View<'_>) -> Option<&Inline> {
        if self.is_empty() { None } else { self.by_url.get(url_at(view)?.as_ref()) }
    }

    /// [`read`], with what was fetched in place of its URL.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read<'a>(&self, view: View<'a>) -> Result<ImageSource<'a>, Refusal> {
        match self.at(view) {
            Some(inline) => Ok(ImageSource::Inline(inline.clone())),
            None => read(view),
        }
    }
}

/// The URL that the string at `view` is, trimmed; `None` for data and for what is no URL. Looks at no payload: O(1) for data.
#[must_use]
pub fn url_at(view: View<'_>) -> Option<Cow<'_, str>> {
    if view.kind() != Kind::String || view.range().len() > URL_BYTES {
        return None;
    }
    super::url(view).ok().flatten()
}

/// Whether a URL has the scheme `https`, or `http` where `plain` is asked for too; schemes are compared in any case.
#[must_use]
pub fn is_web(url: &str, plain: bool) -> bool {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    scheme.eq_ignore_ascii_case("https") || (plain && scheme.eq_ignore_ascii_case("http"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{CHAT, linked_views};
    use crate::json::{Document, ScanLimits};

    fn urls(json: &str) -> Vec<Option<String>> {
        let document = Document::scan(json.to_owned().into(), &CHAT, ScanLimits::default()).expect("it is JSON");
        linked_views(&document).map(|view| url_at(view).map(Cow::into_owned)).collect()
    }

    #[test]
    fn urls_are_told_from_data_however_they_are_written() {
        let parts = r#"{"messages":[{"content":[
            {"type":"image_url","image_url":{"url":" https:\/\/h.example/a\u002epng\n"}},
            {"type":"image_url","image_url":"gs://bucket/b"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
            {"type":"image_url","image_url":{"url":"iVBORw0KGgo"}},
            {"type":"image_url","image_url":{"url":"https:"}},
            {"type":"file","file":{"file_data":"https://h.example/c.pdf"}}]}]}"#;
        let expected = [Some("https://h.example/a.png"), Some("gs://bucket/b"), None, None, None, Some("https://h.example/c.pdf")];
        assert_eq!(urls(parts), expected.map(|url| url.map(str::to_owned)));
    }

    #[test]
    fn a_long_string_is_no_url() {
        let url = format!("https://h.example/{}", "a".repeat(URL_BYTES));
        assert_eq!(urls(&format!(r#"{{"messages":[{{"content":[{{"image_url":"{url}"}}]}}]}}"#)), [None]);
    }

    #[test]
    fn schemes_are_compared_in_any_case() {
        assert!(is_web("HTTPS://h", false) && is_web("Http://h", true));
        assert!(!is_web("http://h", false) && !is_web("gs://h", true) && !is_web("https:h", true));
    }
}
