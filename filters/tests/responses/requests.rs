//! Recorded requests of clients of the Responses API: read, and written for every other dialect.

use bytes::Bytes;
use heliostat_filters::dialect::{Address, CLIENTS, Client, Target, by_name};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use heliostat_filters::refusal::RefusalScope;
use serde_json::{Value, json};

use crate::recorded::{cases, fixtures};

fn client() -> &'static dyn Client {
    *CLIENTS.iter().find(|client| client.name() == "responses").expect("a client's dialect")
}

fn scan(body: &Value) -> Document {
    Document::scan(Bytes::from(body.to_string()), client().shape(), ScanLimits::default()).expect("JSON")
}

/// A request as an upstream of a dialect gets it, and what it lost; `None` if that cannot carry it.
fn translated(body: &Value, dialect: &str, model: &str) -> Option<(Value, Vec<String>)> {
    let (document, address, surface) = (scan(body), Address::default(), crate::table::surface());
    let request = client().read(&document, &address).unwrap_or_else(|refusal| panic!("{refusal}: {body}"));
    let target = Target { model, surface: &surface, fetched: Fetched::NONE };
    match by_name(dialect).expect("a dialect").chat_request(&request, &target) {
        Ok(sent) => {
            let losses = sent.losses.iter().map(ToString::to_string).collect();
            Some((serde_json::from_slice(&sent.body.join()).expect("JSON"), losses))
        }
        Err(refusal) => {
            assert_eq!(refusal.scope, RefusalScope::Candidate, "{refusal}: {body}");
            None
        }
    }
}

/// Every text a body holds, below any of these keys.
fn texts(value: &Value, keys: &[&str], found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(text) if keys.contains(&key.as_str()) => found.push(text.clone()),
                    other => texts(other, keys, found),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| texts(element, keys, found)),
        _ => {}
    }
}

fn said(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    texts(body, &["text", "content", "input", "output", "instructions"], &mut found);
    found.sort();
    found
}

fn base64(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    texts(body, &["image_url", "url", "data"], &mut found);
    let data = found.into_iter().map(|text| text.rsplit_once(";base64,").map_or(text.clone(), |(_, data)| data.to_owned()));
    let mut data: Vec<_> = data.filter(|text| text.len() > 100).collect();
    data.sort();
    data
}

#[test]
fn every_recorded_request_reaches_every_other_dialect() {
    let Some(folder) = fixtures() else { return };
    let (mut run, mut exact, mut lossy, mut refused) = (0, 0, 0, 0);
    for (name, case) in cases(&folder, "responses") {
        let body = &case["request_body"];
        for (dialect, model) in [("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-2.5-flash")] {
            run += 1;
            let Some((sent, losses)) = translated(body, dialect, model) else {
                // No provider of Gemini's fetches URLs of images by itself: the gateway would have.
                assert!(dialect == "gemini" && body.to_string().contains("https://"), "{name} → {dialect}");
                refused += 1;
                continue;
            };
            for text in said(body).into_iter().filter(|text| !text.trim().is_empty()) {
                assert!(said(&sent).contains(&text), "{name} → {dialect} lacks {text:?}: {sent}");
            }
            assert_eq!(base64(&sent), base64(body), "{name} → {dialect}");
            for loss in &losses {
                let known = ["encrypted_content", "summary", "strict", "metadata", "prompt_cache", "reasoning", "verbosity"];
                assert!(known.iter().any(|known| loss.contains(known)), "{name} → {dialect}: {loss} is not expected");
            }
            if losses.is_empty() { exact += 1 } else { lossy += 1 }
        }
    }
    eprintln!("requests: {run} run, {exact} exact, {lossy} with named losses, {refused} refused by name, 0 unexplained");
    assert!(run >= 45, "only {run}");
}

#[test]
fn every_recorded_request_passes_its_own_dialect_but_for_the_model() {
    let Some(folder) = fixtures() else { return };
    for (name, case) in cases(&folder, "responses") {
        let body = &case["request_body"];
        let (document, surface) = (scan(body), crate::table::surface());
        let sent = client().rewrite(&document, &Target { model: "other", surface: &surface, fetched: Fetched::NONE }).join();
        let asked = json!(body["model"]).to_string();
        let expected = body.to_string().replacen(&format!("\"model\":{asked}"), "\"model\":\"other\"", 1);
        assert_eq!(String::from_utf8_lossy(&sent), expected, "{name}");
    }
}

/// Recorded requests of other dialects' clients, as a provider of this one gets them.
#[test]
fn every_recorded_request_of_another_dialect_becomes_one() {
    let Some(folder) = fixtures() else { return };
    let (mut run, mut refused) = (0, 0);
    for (endpoint, name) in [("chat.completions", "openai"), ("messages", "anthropic")] {
        let Some(client) = CLIENTS.iter().find(|client| client.name() == name) else { continue };
        for (id, case) in cases(&folder, endpoint).into_iter().filter(|(_, case)| case["status"] == 200) {
            let body = &case["request_body"];
            let document = Document::scan(Bytes::from(body.to_string()), client.shape(), ScanLimits::default()).expect("JSON");
            let (address, surface) = (Address::default(), crate::table::surface());
            let Ok(request) = client.read(&document, &address) else { continue };
            run += 1;
            let target = Target { model: "gpt-5", surface: &surface, fetched: Fetched::NONE };
            match by_name("responses").expect("a dialect").chat_request(&request, &target) {
                Ok(sent) => {
                    let sent: Value = serde_json::from_slice(&sent.body.join()).expect("JSON");
                    let items = sent["input"].as_array().unwrap_or_else(|| panic!("{id}: {sent}"));
                    let ids = |kind: &str| -> Vec<&Value> {
                        items.iter().filter(|item| item["type"] == kind).map(|item| &item["call_id"]).collect()
                    };
                    let (calls, outputs) = (ids("function_call"), ids("function_call_output"));
                    assert!(outputs.iter().all(|id| calls.contains(id)), "{id}: {sent}");
                    assert_eq!(sent["store"], case["request_body"].get("store").cloned().unwrap_or(json!(false)), "{id}");
                }
                Err(refusal) => {
                    assert_eq!(refusal.scope, RefusalScope::Candidate, "{id}: {refusal}");
                    refused += 1;
                }
            }
        }
    }
    eprintln!("requests of other dialects: {run} run, {refused} refused by name");
    assert!(run > 60, "only {run}");
}
