//! JSON pointers (RFC 6901) into a document, wherever they lead: into what was recorded, and into what was kept as one span.

use std::borrow::Cow;

use super::{Kind, ScanLimits, Shape, View};

/// An opaque value is opened one level at a time: only what the pointer passes through is looked at.
static LEVEL: Shape = Shape::Open { members: &[], elements: Some(&Shape::Opaque) };

/// Calls `read` with the value that `pointer` names; `None` if there is none. O(bytes of the opaque values passed through).
pub fn at<T>(view: View<'_>, pointer: &str, read: impl FnOnce(View<'_>) -> T) -> Option<T> {
    let Some(rest) = pointer.strip_prefix('/') else { return pointer.is_empty().then(|| read(view)) };
    let end = rest.find('/').unwrap_or(rest.len());
    let (token, rest) = rest.split_at(end);
    let token = unescaped(token);
    if let Some(child) = child(view, &token) {
        return at(child, rest, read);
    }
    let is_closed = view.members().next().is_none() && view.elements().next().is_none();
    if !is_closed || !matches!(view.kind(), Kind::Object | Kind::Array) {
        return None;
    }
    let opened = view.reopen(&LEVEL, ScanLimits::default()).ok()?;
    at(child(opened.root(), &token)?, rest, read)
}

fn child<'a>(view: View<'a>, token: &str) -> Option<View<'a>> {
    match view.kind() {
        Kind::Object => view.get(token),
        // An index has no leading zeros and no sign.
        Kind::Array => view.elements().nth(token.parse().ok().filter(|index: &usize| index.to_string() == token)?),
        _ => None,
    }
}

fn unescaped(token: &str) -> Cow<'_, str> {
    if token.contains('~') { token.replace("~1", "/").replace("~0", "~").into() } else { token.into() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::json::Document;

    #[test]
    fn pointers_lead_anywhere() {
        static SHAPE: Shape = Shape::Open { members: &[("model", &Shape::Opaque)], elements: None };
        let body = r#"{"model":"m","metadata":{"job":{"id":7,"a/b":"x","~":true,"":null}},"tags":["a",{"b":[1,2.5]}],"e":{}}"#;
        let document = Document::scan(Bytes::from_static(body.as_bytes()), &SHAPE, ScanLimits::default()).unwrap();
        let found = |pointer| at(document.root(), pointer, |view| view.raw().to_owned());
        for (pointer, value) in [
            ("/model", "\"m\""),
            ("/metadata/job/id", "7"),
            ("/metadata/job/a~1b", "\"x\""),
            ("/metadata/job/~0", "true"),
            ("/metadata/job/", "null"),
            ("/tags/0", "\"a\""),
            ("/tags/1/b/1", "2.5"),
            ("", body),
        ] {
            assert_eq!(found(pointer).as_deref(), Some(value), "{pointer}");
        }
        for pointer in ["/nothing", "/model/x", "/tags/2", "/tags/00", "/tags/-", "/e/x", "/metadata/job/id/0", "model"] {
            assert_eq!(found(pointer), None, "{pointer}");
        }
    }
}
