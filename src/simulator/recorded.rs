//! Recorded requests that real providers took: a simulator that refuses one is stricter than its original.
//!
//! The recordings are found at `HELIOSTAT_FIXTURES`, else in `shared/fixtures` beside the checkout; without them the test says so and passes.

use std::fs::{read, read_to_string};
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, Method, Uri};
use serde_json::Value;

use super::Wire;
use super::exchange::Call;

/// Which recordings go to which simulator, and the least number of them.
const KINDS: &[(&str, &[&str], Wire, usize)] = &[
    ("openai", &["chat.completions", "embeddings"], Wire::OpenAi, 40),
    ("anthropic", &["messages", "messages.count_tokens"], Wire::Anthropic, 40),
    ("gemini", &["generateContent", "streamGenerateContent", "countTokens", "embedContent"], Wire::Gemini, 40),
];

#[test]
fn what_providers_took_is_taken() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let folder = std::env::var_os("HELIOSTAT_FIXTURES").map_or(beside, PathBuf::from);
    let Ok(index) = read_to_string(folder.join("dev/index.jsonl")) else {
        println!("skipped: no recordings at {}", folder.display());
        return;
    };
    let rows: Vec<Value> = index.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (provider, endpoints, wire, least) in KINDS {
        let wanted =
            |row: &&Value| row["provider"] == *provider && endpoints.contains(&row["endpoint"].as_str().unwrap()) && row["status"] == 200;
        let mut replayed = 0;
        for row in rows.iter().filter(wanted) {
            let case: Value = serde_json::from_slice(&read(folder.join(row["file"].as_str().unwrap())).unwrap()).unwrap();
            let Some(call) = call(&case) else { continue };
            if let Err(refusal) = wire.format().serve(&call) {
                panic!("{}: {refusal:?}", row["id"]);
            }
            replayed += 1;
        }
        assert!(replayed >= *least, "only {replayed} recordings of {provider}");
    }
}

fn call(case: &Value) -> Option<Call> {
    let uri: Uri = case["url"].as_str()?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in [("authorization", "Bearer sk-demo"), ("x-goog-api-key", "demo"), ("anthropic-version", "2023-06-01")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for name in ["anthropic-version", "anthropic-beta"] {
        if let Some(value) = case["request_headers"][name].as_str() {
            headers.insert(name, value.parse().ok()?);
        }
    }
    let query = uri.query().unwrap_or_default().to_owned();
    let body = case.get("request_body").filter(|body| !body.is_null())?.to_string().into();
    Some(Call { method: Method::POST, path: uri.path().to_owned(), query, headers, body })
}
