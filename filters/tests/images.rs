//! Images as clients write them, whatever the notation: each client dialect to each other upstream dialect. A notation is a row.

#![allow(clippy::disallowed_types, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by failing")]

use bytes::Bytes;
use heliostat_filters::dialect::{Address, CLIENTS, Client, DIALECTS, Dialect, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use serde_json::{Value, json};

mod table;

/// The head of a PNG file, and bytes whose base64 holds `+`, `/` and padding.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAD7++//+/7/8A==";
const TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp", "image/gif"];
/// Images of types that none of [`TYPES`] is: BMP, TIFF in both orders of bytes, HEIC, AVIF.
const NOT_TAKEN: &[&str] = &[
    "Qk0eAAAAAAAAABoAAAAMAAAA",
    "SUkqAAgAAAAAAAAAAAAAAAAA",
    "TU0AKgAAAAgAAAAAAAAAAAAA",
    "AAAAGGZ0eXBoZWljAAAAAG1pZjFoZWlj",
    "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYx",
];
/// Dialects without chat.
const WITHOUT_CHAT: &[&str] = &["cohere"];

/// What stands before the payload of a data URI, all of it a PNG.
const HEADS: &[&str] = &[
    "data:image/png;base64,",
    "data:;base64,",
    "data:base64,",
    "DATA:IMAGE/PNG;BASE64,",
    "data:image/png;charset=utf-8;base64,",
    "data:image/png;base64;charset=utf-8,",
    "  data:image/png;base64,",
    "data:image/*;base64,",
    "data:image/jpg;base64,",
    "data:image/pjpeg;base64,",
    "data:image/x-png;base64,",
    "data:image/webp;base64,",
    "data:application/octet-stream;base64,",
    "",
];

/// Types that stand beside a payload, where it has a member of its own.
const DECLARED: &[&str] =
    &["image/png", "IMAGE/PNG", "image/jpg", "image/x-png", "image/webp", "image/*", "image/png;charset=utf-8", "application/octet-stream"];

#[test]
fn every_notation_reaches_every_other_dialect_as_its_own() {
    let mut tried = 0;
    for client in CLIENTS {
        for written in notations(*client) {
            for upstream in others(*client) {
                let sent = translate(*client, upstream, &written).unwrap_or_else(|why| panic!("{written}: {why}"));
                assert!(sent.contains(PNG), "{} → {}: {written}\n{sent}", client.name(), upstream.name());
                assert!(sent.contains("image/png"), "{} → {}: {written}\n{sent}", client.name(), upstream.name());
                tried += 1;
            }
        }
    }
    assert!(tried > 250, "{tried} notations tried");
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    let page = "PGh0bWw+PGJvZHk+NDA0PC9ib2R5PjwvaHRtbD4=";
    for client in CLIENTS {
        let broken = ["", page, "iVBORw0KGgo*", "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAD7++//+/7/8A==!"];
        for payload in broken.iter().chain(NOT_TAKEN) {
            for upstream in others(*client) {
                let written = body(*client, "image/png", payload);
                let refused = translate(*client, upstream, &written).expect_err(&format!("{}: {written}", upstream.name()));
                assert!(!refused.is_empty(), "{}: {written} is refused without a path", client.name());
            }
        }
    }
}

/// Bodies that all hold the same image.
fn notations(client: &dyn Client) -> Vec<Value> {
    let mut written: Vec<Value> = payloads().iter().map(|payload| body(client, "image/png", payload)).collect();
    if is_uri(client) {
        written.extend(HEADS.iter().map(|head| with(client, &format!("{head}{PNG}"), "")));
        let escaped = PNG.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        written.push(body(client, "image/png", &escaped));
    } else {
        written.extend(DECLARED.iter().map(|kind| body(client, kind, PNG)));
    }
    written
}

/// The payload in the spellings of base64.
fn payloads() -> Vec<String> {
    let lines: Vec<&str> = vec![&PNG[..20], &PNG[20..40], &PNG[40..]];
    let bare = PNG.trim_end_matches('=');
    let mut written = vec![PNG.to_owned(), bare.to_owned(), bare.replace('+', "-").replace('/', "_"), format!("{bare}==")];
    written.extend(["\r\n", "\n", " ", "\t"].map(|between| lines.join(between)));
    written
}

/// Whether a client's dialect writes images as data URIs.
fn is_uri(client: &dyn Client) -> bool {
    matches!(client.name(), "openai" | "responses")
}

fn body(client: &dyn Client, kind: &str, payload: &str) -> Value {
    if is_uri(client) { with(client, &format!("data:{kind};base64,{payload}"), kind) } else { with(client, payload, kind) }
}

/// A request with one image.
fn with(client: &dyn Client, image: &str, kind: &str) -> Value {
    match client.name() {
        "openai" => json!({"model": "m", "messages": [{"role": "user", "content": [
            {"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": image}}]}]}),
        "responses" => json!({"model": "m", "input": [{"role": "user", "content": [
            {"type": "input_text", "text": "?"}, {"type": "input_image", "image_url": image}]}]}),
        "anthropic" => json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [
            {"type": "text", "text": "?"}, {"type": "image", "source": {"type": "base64", "media_type": kind, "data": image}}]}]}),
        "gemini" => json!({"contents": [{"role": "user", "parts": [{"text": "?"}, {"inlineData": {"mimeType": kind, "data": image}}]}]}),
        other => panic!("no images of {other} are written here yet"),
    }
}

fn others(client: &dyn Client) -> impl Iterator<Item = &'static dyn Dialect> {
    let name = client.name();
    DIALECTS.iter().copied().filter(move |dialect| dialect.name() != name && !WITHOUT_CHAT.contains(&dialect.name()))
}

/// What the upstream gets, or what is refused, by its path.
fn translate(client: &dyn Client, upstream: &dyn Dialect, written: &Value) -> Result<String, String> {
    let document = Document::scan(Bytes::from(written.to_string()), client.shape(), ScanLimits::default()).expect("JSON");
    let surface = Surface { image_types: TYPES.iter().map(|&name| name.to_owned()).collect(), ..table::surface() };
    let address = Address::default();
    let request = client.read(&document, &address).map_err(|refusal| refusal.path)?;
    let target = Target { model: "m", surface: &surface, fetched: Fetched::NONE };
    let sent = upstream.chat_request(&request, &target).map_err(|refusal| refusal.path)?;
    Ok(String::from_utf8(sent.body.join().to_vec()).expect("UTF-8"))
}
