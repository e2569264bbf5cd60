use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use proptest::prelude::*;

use super::{ImageSource, read};
use crate::json::{Document, ScanLimits, Shape};
use crate::refusal::RefusalScope;

/// One pixel. Its base64 holds `+` and `/`, and needs two characters of padding.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8Dwn4GBgQEABf8C/m+hC1IAAAAASUVORK5CYII=";
const JPEG: &str = "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////";
const GIF: &str = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
const SVG: &str = "<svg xmlns='http://www.w3.org/2000/svg'/>";

static ROOT: Shape = Shape::Open { members: &[("url", &Shape::Opaque)], elements: None };

/// The type and the decoded bytes, or the code, of the JSON literal `literal`.
fn inline(literal: &str) -> Result<(String, Vec<u8>), &'static str> {
    let body = Bytes::from(format!("{{\"url\": {literal}}}"));
    let document = Document::scan(body, &ROOT, ScanLimits::default()).unwrap_or_else(|error| panic!("{literal}: {error}"));
    match read(document.root().get("url").unwrap()) {
        Ok(ImageSource::Inline(image)) => {
            let text: String = serde_json::from_str(&format!("\"{}\"", std::str::from_utf8(&image.base64).unwrap())).unwrap();
            let bytes = STANDARD.decode(text).unwrap();
            assert_eq!(bytes.len(), image.decoded_bytes, "{literal}");
            Ok((image.media_type.into_owned(), bytes))
        }
        Ok(ImageSource::Url(url)) => panic!("{literal} is the URL {url}"),
        Err(refusal) => {
            assert_eq!((refusal.path.as_str(), refusal.scope), ("url", RefusalScope::Request));
            assert!(refusal.message.len() < 250, "{}", refusal.message);
            Err(refusal.code)
        }
    }
}

fn decoded(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

#[test]
fn reads_every_form_of_a_png() {
    let escaped = PNG.replace('/', "\\/");
    let url_safe = PNG.replace('+', "-").replace('/', "_");
    let (head, tail) = PNG.split_at(76);
    for literal in [
        format!("data:image/png;base64,{PNG}"),
        format!("DATA:IMAGE/PNG;BASE64,{PNG}"),
        format!("data:;base64,{PNG}"),
        format!("data:base64,{PNG}"),
        format!("data:image/*;base64,{PNG}"),
        format!("data:application/octet-stream;base64,{PNG}"),
        format!("data:image/png;charset=utf-8;base64,{PNG}"),
        format!("data:image/png;base64;charset=utf-8,{PNG}"),
        format!("data:image/png;name=\\\"a.png\\\"; base64,{PNG}"),
        format!("data:image%2Fpng;base64,{PNG}"),
        format!("data:image/x-png;base64,{PNG}"),
        format!("data:image/jpeg;base64,{PNG}"),
        format!("data:text/html;base64,{PNG}"),
        format!("data:image/png,{PNG}"),
        format!("data:image\\/png;base64,{escaped}"),
        format!("  data:image/png;base64,{PNG}  "),
        format!("\\n\\tdata:image/png;base64,{PNG}\\r\\n"),
        format!("\\u0064ata:image/png;base64,{PNG}"),
        format!("data:image/png;base64, {PNG}"),
        format!("data:image/png;base64,{head}\\r\\n{tail}"),
        format!("data:image/png;base64,{head} \\t{tail}\\n"),
        format!("data:image/png;base64,{head}%0D%0A{tail}"),
        format!("data:image/png;base64,{}", PNG.trim_end_matches('=')),
        format!("data:image/png;base64,{PNG}=="),
        format!("data:image/png;base64,{url_safe}"),
        format!("data:image/png;base64,{}", url_safe.trim_end_matches('=')),
        format!("data:image/png;base64,{}", PNG.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D")),
        format!("data:image/png;base64,{}", PNG.replace('+', "\\u002B").replace('=', "\\u003d")),
        PNG.to_owned(),
        escaped,
    ] {
        assert_eq!(inline(&format!("\"{literal}\"")), Ok(("image/png".into(), decoded(PNG))), "{literal}");
    }
}

#[test]
fn tells_types_by_the_first_bytes_then_by_the_declaration() {
    let base64 = |bytes: &[u8]| STANDARD.encode([bytes, &[0; 24]].concat());
    for (declared, payload, expected) in [
        ("image/jpg", JPEG.to_owned(), "image/jpeg"),
        ("", JPEG.to_owned(), "image/jpeg"),
        ("image/png", GIF.to_owned(), "image/gif"),
        ("image/png", base64(b"GIF87a"), "image/gif"),
        ("image/png", base64(b"RIFF\x10\0\0\0WEBPVP8 "), "image/webp"),
        ("audio/wav", base64(b"RIFF\x10\0\0\0WAVEfmt "), "audio/wav"),
        ("image/jpeg", base64(b"\0\0\0\x18ftypheic"), "image/heic"),
        ("", base64(b"\0\0\0\x18ftypheix"), "image/heic"),
        ("", base64(b"\0\0\0\x18ftypmif1"), "image/heif"),
        ("", base64(b"\0\0\0\x18ftypavif"), "image/avif"),
        ("video/mp4", base64(b"\0\0\0\x18ftypisom"), "video/mp4"),
        ("", base64(b"BM\x10\0\0\0\0\0\0\0"), "image/bmp"),
        ("text/plain", base64(b"BMW is a car"), "text/plain"),
        ("", base64(b"II*\0"), "image/tiff"),
        ("", base64(b"MM\0*"), "image/tiff"),
        ("", base64(b"\0\0\x01\0\x01\0"), "image/x-icon"),
        ("application/pdf", base64(b"%PDF-1.7\n"), "application/pdf"),
        ("", base64(b"%PDF-1.7\n"), "application/pdf"),
        ("image/svg+xml", STANDARD.encode(SVG), "image/svg+xml"),
        ("image/svg+xml", STANDARD.encode("<!-- drawn by hand --><svg/>"), "image/svg+xml"),
        ("image/png", STANDARD.encode(SVG), "image/svg+xml"),
        ("", STANDARD.encode("\u{FEFF}\n<?xml version='1.0'?>"), "image/svg+xml"),
        ("image/webp", "AAAA".to_owned(), "image/webp"),
        ("IMAGE/PJPEG", "AAAA".to_owned(), "image/jpeg"),
        ("text/html", STANDARD.encode("<html></html>"), "text/html"),
        ("application/json", STANDARD.encode("{}"), "application/json"),
    ] {
        let found = inline(&format!("\"data:{declared};base64,{payload}\""));
        assert_eq!(found, Ok((expected.into(), decoded(&payload))), "{declared},{payload}");
    }
}

#[test]
fn encodes_plain_payloads() {
    for (literal, media_type, text) in [
        ("data:image/svg+xml,%3Csvg%20a='%C3%A9'/%3E", "image/svg+xml", "<svg a='é'/>"),
        ("data:image/svg+xml;utf8,<svg a=\\\"b\\\"/>", "image/svg+xml", "<svg a=\"b\"/>"),
        ("data:,hello%20world", "text/plain", "hello world"),
        ("data:text/csv;charset=utf-8,a,b%0A1,2", "text/csv", "a,b\n1,2"),
        ("data:text/plain,100%", "text/plain", "100%"),
    ] {
        assert_eq!(inline(&format!("\"{literal}\"")), Ok((media_type.into(), text.as_bytes().to_vec())), "{literal}");
    }
}

#[test]
fn refuses_by_code() {
    let html = STANDARD.encode("<!DOCTYPE html><html><body>404</body></html>");
    let json = STANDARD.encode("{\"error\":\"not found\"}");
    for (literal, code) in [
        ("\"data:image/png;base64,\"".to_owned(), "empty_image_file"),
        ("\"data:image/png;base64, \\n \"".to_owned(), "empty_image_file"),
        ("\"data:image/png;base64,====\"".to_owned(), "empty_image_file"),
        ("\"data:image/png,\"".to_owned(), "empty_image_file"),
        ("\"data:image/png;base64,iVBORw0KGgo*\"".to_owned(), "invalid_base64_image"),
        ("\"data:image/png;base64,iVBO=Rw0K\"".to_owned(), "invalid_base64_image"),
        ("\"data:image/png;base64,iVBOR\"".to_owned(), "invalid_base64_image"),
        ("\"data:image/png;base64,iVBOé\"".to_owned(), "invalid_base64_image"),
        ("\"data:image/png;base64,iVBO\\\\\"".to_owned(), "invalid_base64_image"),
        (format!("\"data:image/png;base64,data:image/png;base64,{PNG}\""), "invalid_base64_image"),
        (format!("\"data:image/png;base64,{html}\""), "invalid_image_format"),
        (format!("\"data:;base64,{html}\""), "invalid_image_format"),
        (format!("\"data:image/jpeg;base64,{json}\""), "invalid_image_format"),
        ("\"data:;base64,AAAA\"".to_owned(), "invalid_image_format"),
        ("\"data:image/png;base64\"".to_owned(), "invalid_image_url"),
        ("\"\"".to_owned(), "invalid_image_url"),
        ("\"cat.png\"".to_owned(), "invalid_image_url"),
        ("\"//example.com/cat.png\"".to_owned(), "invalid_image_url"),
        ("\"https:\"".to_owned(), "invalid_image_url"),
        ("\"https://\"".to_owned(), "invalid_image_url"),
        ("\"mailto:a@example.com\"".to_owned(), "invalid_image_url"),
        ("\"https://example.com/\\r\\nx: y\"".to_owned(), "invalid_image_url"),
        (format!("\"{}\"", "QUJD".repeat(20)), "invalid_image_url"),
        ("{\"url\":\"https://example.com\"}".to_owned(), "invalid_image_url"),
        ("null".to_owned(), "invalid_image_url"),
    ] {
        assert_eq!(inline(&literal), Err(code), "{literal}");
    }
}

#[test]
fn urls_stay_references() {
    for (literal, expected) in [
        ("https://example.com/a.png?b=c%20d#e", "https://example.com/a.png?b=c%20d#e"),
        (" https:\\/\\/example.com\\/a,b.png\\n", "https://example.com/a,b.png"),
        ("HTTP://example.com/data:image/png;base64,AAAA", "HTTP://example.com/data:image/png;base64,AAAA"),
        ("gs://bucket/a b.png", "gs://bucket/a b.png"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("file:///etc/passwd", "file:///etc/passwd"),
    ] {
        let document = Document::scan(Bytes::from(format!("\"{literal}\"")), &ROOT, ScanLimits::default()).unwrap();
        assert_eq!(read(document.root()), Ok(ImageSource::Url(expected.into())), "{literal}");
    }
}

#[test]
fn canonical_payloads_are_slices_of_the_body() {
    for payload in [PNG.to_owned(), JPEG.replace('/', "\\/")] {
        let body = Bytes::from(format!("{{\"url\":\"data:image/png;base64,{payload}\"}}"));
        let document = Document::scan(body.clone(), &ROOT, ScanLimits::default()).unwrap();
        let Ok(ImageSource::Inline(image)) = read(document.root().get("url").unwrap()) else { panic!("{payload}") };
        assert_eq!(image.base64, payload);
        let start = memchr::memmem::find(&body, payload.as_bytes()).unwrap();
        assert_eq!(image.base64.as_ptr(), body[start..].as_ptr());
    }
}

#[test]
fn spare_bits_are_cleared() {
    // `SVhZ` without its last byte: a strict reader refuses `SVh=` only where bits behind the last byte are set.
    assert_eq!(inline("\"data:image/png;base64,SVh=\""), Ok(("image/png".into(), b"IX".to_vec())));
    assert_eq!(inline("\"data:image/png;base64,SVi=\""), Ok(("image/png".into(), b"IX".to_vec())));
    assert_eq!(inline("\"data:image/png;base64,SV==\""), Ok(("image/png".into(), b"I".to_vec())));
}

proptest! {
    #[test]
    fn any_bytes_in_any_form_are_read_back(bytes in prop::collection::vec(any::<u8>(), 1..200), at in 0usize..200) {
        let bytes = [b"GIF89a".as_slice(), &bytes].concat();
        let standard = STANDARD.encode(&bytes);
        let (head, tail) = standard.split_at(at.min(standard.len()));
        for payload in [
            standard.clone(),
            standard.replace('/', "\\/"),
            standard.replace('+', "\\u002b"),
            standard.replace('+', "%2B"),
            URL_SAFE_NO_PAD.encode(&bytes),
            format!("{head}\\r\\n{tail}"),
        ] {
            prop_assert_eq!(inline(&format!("\"data:;base64,{payload}\"")), Ok(("image/gif".to_owned(), bytes.clone())));
        }
    }
}
