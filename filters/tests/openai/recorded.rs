//! Replays recorded traffic of OpenAI and its imitators, where the recordings are at hand.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heliostat_filters::chat::{CHAT, ChatRequest};
use heliostat_filters::dialect::openai::{OpenAi, rewrite};
use heliostat_filters::dialect::{Dialect, Names};
use heliostat_filters::fault::FaultKind;
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use serde_json::Value;

use crate::stream::read;

/// `HELIOSTAT_FIXTURES`, else `shared/fixtures` beside the checkout. `None` skips the test, saying so.
fn fixtures() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let folder = std::env::var_os("HELIOSTAT_FIXTURES").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no recorded traffic at {} (HELIOSTAT_FIXTURES names another place)", folder.display());
    None
}

/// Recorded chat completions, as (id, case).
fn cases() -> Vec<(String, Value)> {
    let Some(folder) = fixtures() else { return Vec::new() };
    let index = fs::read_to_string(folder.join("dev/index.jsonl")).expect("an index");
    let rows = index.lines().map(|row| serde_json::from_str::<Value>(row).expect("a row"));
    let rows = rows.filter(|row| row["endpoint"] == "chat.completions");
    let cases: Vec<_> = rows
        .map(|row| {
            let file = fs::read_to_string(folder.join(row["file"].as_str().expect("a file"))).expect("a case");
            (row["id"].to_string(), serde_json::from_str(&file).expect("a case"))
        })
        .collect();
    assert!(cases.len() > 100, "only {} cases", cases.len());
    cases
}

/// The text the case's chunks hold, put together by a second, naive reader.
fn naive_text(sse: &str) -> String {
    let data = sse.lines().filter_map(|line| line.strip_prefix("data:")).filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let text_of = |content: &Value| match content.as_array() {
        Some(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        None => content.as_str().unwrap_or_default().to_owned(),
    };
    data.map(|chunk| text_of(&chunk["choices"][0]["delta"]["content"])).collect()
}

#[test]
fn every_recorded_request_is_read() {
    for (id, case) in cases() {
        let Some(body) = case.get("request_body").filter(|body| body.is_object()) else { continue };
        let body = Bytes::from(body.to_string());
        let document = Document::scan(body.clone(), &CHAT, ScanLimits::default()).expect("a JSON document");
        let request = ChatRequest::read(&document).unwrap_or_else(|refusal| panic!("{id}: {refusal}"));
        assert_eq!(rewrite(&document, &request.model, Fetched::NONE, &heliostat_filters::dialect::Surface::default()).join(), body, "{id}");
    }
}

#[test]
fn every_recorded_reply_is_read() {
    let mut replies = 0;
    for (id, case) in cases().into_iter().filter(|(_, case)| case["status"] == 200) {
        let Some(body) = case.get("response_body").filter(|body| body.is_object()) else { continue };
        let bytes = Bytes::from(body.to_string());
        let reply = match OpenAi.chat_reply(&bytes, &Names::default()) {
            Ok(reply) => reply,
            Err(_) if body.get("error").is_some() => continue,
            Err(fault) => panic!("{id}: {fault:?}"),
        };
        replies += 1;
        assert_eq!(OpenAi.chat_glance(&bytes, &Names::default()), Ok(reply.glance()), "{id}");
        assert_eq!(reply.choices.len(), body["choices"].as_array().map_or(0, Vec::len), "{id}");
        for (choice, said) in reply.choices.iter().zip(body["choices"].as_array().expect("choices")) {
            let text: String = choice.text.iter().map(|text| text.text().into_owned()).collect();
            if let Some(expected) = said["message"]["content"].as_str() {
                assert_eq!(text, expected, "{id}");
            }
            let legacy = usize::from(said["message"]["function_call"].is_object());
            assert_eq!(choice.tool_calls.len(), said["message"]["tool_calls"].as_array().map_or(legacy, Vec::len), "{id}");
            assert!(choice.finish.is_some(), "{id}");
        }
        let expected = body["usage"]["prompt_tokens"].as_u64();
        assert_eq!(reply.usage.and_then(|usage| usage.prompt_tokens), expected, "{id}");
    }
    assert!(replies > 0 || fixtures().is_none());
}

#[test]
fn every_recorded_stream_is_whole() {
    for (id, case) in cases().into_iter().filter(|(_, case)| case["status"] == 200) {
        let Some(sse) = case["response_sse"].as_str() else { continue };
        let whole = read(sse.as_bytes(), usize::MAX, false);
        let text = naive_text(sse);
        assert!(whole.complete && whole.content && whole.failed.is_none(), "{id}: {whole:?}");
        if !text.is_empty() && whole.finish.len() == 1 {
            assert_eq!(whole.text, text, "{id}");
        }
        for cut in [1, 7, 1024] {
            assert_eq!(read(sse.as_bytes(), cut, false), whole, "{id} cut every {cut} bytes");
        }
        let quiet = read(sse.as_bytes(), usize::MAX, true);
        assert_eq!((quiet.finish, quiet.usage, quiet.complete), (whole.finish, whole.usage, true), "{id}, once content was seen");
    }
}

#[test]
fn every_recorded_error_has_a_kind_and_a_message() {
    for (id, case) in cases().into_iter().filter(|(_, case)| case["status"].as_u64() >= Some(400)) {
        let body = match case.get("response_body") {
            Some(body) if !body.is_null() => body.to_string(),
            _ => case["response_text"].as_str().unwrap_or_default().to_owned(),
        };
        let status = u16::try_from(case["status"].as_u64().expect("a status")).expect("a status");
        let fault = OpenAi.fault(status, body.as_bytes());
        assert!(!fault.message.is_empty() && fault.message.len() <= 4096, "{id}");
        assert_eq!(fault.kind == FaultKind::Server, matches!(status, 500..=503), "{id}: {fault:?}");
        if status == 400 && id.contains("context-length") {
            assert_eq!(fault.kind, FaultKind::ContextLength, "{id}: {fault:?}");
        }
    }
}

#[test]
fn chunks_of_other_projects_are_read() {
    let Some(folder) = fixtures() else { return };
    for provider in ["alibaba", "azure", "deepseek", "groq", "mistral", "moonshotai", "openai-compatible", "perplexity", "xai", "openai"] {
        for entry in fs::read_dir(folder.join("replies/vercel__ai").join(provider)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if !path.to_string_lossy().ends_with(".chunks.txt") || !text.contains("\"chat.completion.chunk\"") {
                continue;
            }
            let sse: String = text.lines().filter(|line| !line.is_empty()).map(|line| format!("data: {line}\n\n")).collect();
            let seen = read(sse.as_bytes(), usize::MAX, false);
            assert!(seen.complete && seen.failed.is_none(), "{}: {seen:?}", path.display());
        }
    }
}

#[test]
fn hand_made_faults_are_told_apart() {
    let Some(folder) = fixtures() else { return };
    let case = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join("synthetic").join(name)).expect("a case")).expect("a case")
    };
    let stream = |name: &str| read(case(name)["response_sse"].as_str().expect("a stream").as_bytes(), 3, true);
    let broken = stream("openai-sse-midstream-error-object.json");
    assert!(broken.failed.is_some() && !broken.complete, "{broken:?}");
    assert!(!stream("openai-sse-truncated-no-done.json").complete);
    assert!(!stream("openai-sse-crlf-comment-split-data.json").complete, "[DONE] without a finish reason");
    let kind = |name: &str| {
        let case = case(name);
        let body =
            case.get("response_body").map_or_else(|| case["response_text"].as_str().unwrap_or_default().to_owned(), Value::to_string);
        OpenAi.fault(u16::try_from(case["status"].as_u64().expect("a status")).expect("a status"), body.as_bytes()).kind
    };
    assert_eq!(kind("openai-429-rate-limit.json"), FaultKind::RateLimited);
    assert_eq!(kind("openai-429-insufficient-quota-do-not-retry-same-key.json"), FaultKind::QuotaExhausted);
    assert_eq!(kind("openai-502-html-from-edge.json"), FaultKind::Server);
}
