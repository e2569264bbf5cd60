//! Which URLs a provider fetches itself, and what stands in place of those that it does not.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so by a panic")]

use bytes::Bytes;
use heliostat_filters::chat::CHAT;
use heliostat_filters::dialect::openai::rewrite;
use heliostat_filters::dialect::{self, Surface};
use heliostat_filters::image::{Fetched, Inline};
use heliostat_filters::json::{Document, ScanLimits};

/// Dialect, whether the surface fetches, whether it is AI Studio (or like it), URL, what is expected.
const CASES: &[(&str, bool, bool, &str, bool)] = &[
    ("openai", true, true, "https://h.example/a", true),
    ("openai", true, true, "http://h.example/a", true),
    ("openai", false, true, "https://h.example/a", false),
    ("openai", false, true, "gs://bucket/a", true),
    ("anthropic", true, true, "https://h.example/a", true),
    ("anthropic", true, true, "HTTPS://h.example/a", true),
    ("anthropic", true, true, "http://h.example/a", false),
    ("anthropic", true, true, "gs://bucket/a", false),
    ("anthropic", false, true, "https://h.example/a", false),
    ("gemini", false, true, "https://h.example/a.png", false),
    ("gemini", false, true, "https://youtu.be/x", true),
    ("gemini", false, true, "https://generativelanguage.googleapis.com/v1beta/files/x", true),
    ("gemini", true, false, "https://h.example/a.png", true),
    ("gemini", true, false, "https://h.example/a.pdf", true),
    ("gemini", true, false, "http://h.example/a.png", false),
    ("gemini", true, false, "https://h.example/a", false),
    ("gemini", true, false, "https://h.example/a.gif", false),
    ("gemini", true, false, "gs://bucket/a.png", true),
];

#[test]
fn each_dialect_knows_what_it_may_pass_on() {
    for (name, image_urls, tool_ids, url, expected) in CASES {
        let image_types = vec!["image/png".to_owned()];
        let surface = Surface { image_types, image_urls: *image_urls, tool_ids: *tool_ids, ..Surface::default() };
        let fetches = dialect::by_name(name).unwrap().fetches(url, &surface);
        assert_eq!(fetches, *expected, "{name} {url} with image_urls {image_urls}");
    }
}

/// Documents are another matter: OpenAI's chat completions take them as data alone.
#[test]
fn each_dialect_knows_which_documents_it_may_pass_on() {
    for (name, expected) in [("openai", false), ("responses", true), ("anthropic", true), ("mistral", true)] {
        let dialect = dialect::by_name(name).unwrap();
        assert!(dialect.fetches("https://h.example/a.pdf", &Surface::default()), "{name}");
        assert_eq!(dialect.fetches_files("https://h.example/a.pdf", &Surface::default()), expected, "{name}");
    }
}

#[test]
fn a_fetched_image_stands_in_the_body_without_a_copy() {
    let body = r#"{"model":"p/m", "messages":[{"content":[{"image_url":{"url":"https:\/\/h/a", "x":1e2}},{"image_url":"https://h/b"},
        {"file":{"file_data":" https://h/a "}}]}],"fallbacks":[]}"#;
    let document = Document::scan(Bytes::from(body), &CHAT, ScanLimits::default()).unwrap();
    let inline = Inline::of_file(&[b"GIF89a".as_slice(), &[7; 30_000]].concat()).unwrap();
    let uri = format!("\"data:image/gif;base64,{}\"", String::from_utf8_lossy(&inline.base64));
    let mut fetched = Fetched::default();
    fetched.insert("https://h/a", inline.clone());
    let pieces = rewrite(&document, "m", &fetched, &Surface::default());
    let expected =
        body.replace("p/m", "m").replace(r#""https:\/\/h/a""#, &uri).replace(r#"" https://h/a ""#, &uri).replace(r#","fallbacks":[]"#, "");
    assert_eq!(pieces.join(), expected);
    assert_eq!(pieces.pieces.iter().filter(|piece| piece.as_ptr() == inline.base64.as_ptr()).count(), 2);
}

#[test]
fn a_file_is_what_its_first_bytes_tell() {
    let kind = |bytes: &[u8]| Inline::of_file(bytes).map(|inline| inline.media_type.into_owned());
    assert_eq!(kind(b"\xFF\xD8\xFF\xE0").as_deref(), Some("image/jpeg"));
    assert_eq!(kind(b"%PDF-1.7").as_deref(), Some("application/pdf"));
    assert_eq!(kind(b" <?xml version='1.0'?><svg/>").as_deref(), Some("image/svg+xml"));
    for nothing in [b"".as_slice(), b"<!doctype html>", b"{}", b"\0\0\0\0", b"GIF"] {
        assert_eq!(kind(nothing), None, "{nothing:?}");
    }
}
