//! What the table of models says, as it comes out in a request: a row for each thing in which models differ.

#![allow(clippy::disallowed_types, clippy::expect_used, reason = "a test says what is wrong by failing")]

mod table;

use heliostat_filters::chat::{CHAT, ChatRequest};
use heliostat_filters::dialect::{Target, by_name};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use serde_json::{Value, json};

/// What a request becomes for a model, and what it loses.
fn sent(dialect: &str, model: &str, asked: &Value) -> (Value, Vec<String>) {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    asked.as_object().expect("members").iter().for_each(|(key, value)| body[key] = value.clone());
    let document = Document::scan(body.to_string().into(), &CHAT, ScanLimits::default()).expect("JSON");
    let request = ChatRequest::read(&document).expect("a request");
    let surface = table::surface();
    let target = Target { model, surface: &surface, fetched: Fetched::NONE };
    let translated = by_name(dialect).expect("a dialect").chat_request(&request, &target).expect("a translation");
    let losses = translated.losses.iter().map(ToString::to_string).collect();
    (serde_json::from_slice(&translated.body.join()).expect("JSON"), losses)
}

#[test]
fn efforts_become_what_a_model_understands() {
    let google = "/generationConfig/thinkingConfig";
    for (dialect, model, effort, place, becomes, lossy) in [
        ("gemini", "gemini-2.5-flash", "none", google, json!({"thinkingBudget": 0}), false),
        ("gemini", "gemini-2.5-pro", "none", google, json!({"thinkingBudget": 128}), true),
        ("gemini", "gemini-2.5-pro", "xhigh", google, json!({"thinkingBudget": 32_768, "includeThoughts": true}), false),
        ("gemini", "gemini-2.5-flash-lite", "medium", google, json!({"thinkingBudget": 8_192, "includeThoughts": true}), false),
        ("gemini", "gemini-3-pro-preview", "medium", google, json!({"thinkingLevel": "high", "includeThoughts": true}), true),
        ("gemini", "gemini-3-pro-preview", "none", google, json!({"thinkingLevel": "low"}), true),
        ("gemini", "gemini-3-flash-preview", "minimal", google, json!({"thinkingLevel": "minimal", "includeThoughts": true}), false),
        (
            "gemini",
            "publishers/google/models/gemini-3.1-pro",
            "medium",
            google,
            json!({"thinkingLevel": "medium", "includeThoughts": true}),
            false,
        ),
        ("gemini", "gemini-2.0-flash", "low", google, Value::Null, true),
        ("gemini", "gemini-2.0-flash", "none", google, Value::Null, false),
        ("gemini", "gemini-3-flash-preview", "enormous", google, Value::Null, true),
        ("responses", "gpt-5", "max", "/reasoning/effort", json!("high"), true),
        ("responses", "gpt-5.2", "max", "/reasoning/effort", json!("xhigh"), true),
        ("responses", "gpt-5.1", "none", "/reasoning/effort", json!("none"), false),
        ("openai", "gpt-5", "none", "/reasoning_effort", Value::Null, true),
        ("openai", "gpt-5.1", "minimal", "/reasoning_effort", json!("low"), true),
        ("openai", "o3-mini", "minimal", "/reasoning_effort", json!("low"), true),
        ("openai", "gpt-4o-mini", "high", "/reasoning_effort", Value::Null, true),
        ("openai", "openai/gpt-oss-120b", "medium", "/reasoning_effort", json!("medium"), false),
        ("openai", "llama-3", "medium", "/reasoning_effort", Value::Null, true),
        ("mistral", "mistral-small-latest", "medium", "/reasoning_effort", json!("high"), true),
        ("anthropic", "claude-sonnet-5-5", "none", "/thinking/type", json!("between_tools"), true),
        ("anthropic", "claude-opus-5-5", "none", "/thinking/type", Value::Null, true),
        ("anthropic", "claude-opus-4.6", "high", "/thinking/type", json!("adaptive"), false),
        ("anthropic", "claude-sonnet-4-5", "high", "/thinking/type", json!("enabled"), true),
        ("anthropic", "claude-3-haiku-20240307", "high", "/thinking/type", Value::Null, true),
    ] {
        let (body, losses) = sent(dialect, model, &json!({"reasoning_effort": effort}));
        assert_eq!(body.pointer(place).unwrap_or(&Value::Null), &becomes, "{model} {effort}: {body}");
        assert_eq!(!losses.is_empty(), lossy, "{model} {effort}: {losses:?}");
    }
}

#[test]
fn a_limit_is_the_models_own() {
    for (dialect, model, key, becomes) in [
        ("anthropic", "claude-sonnet-4-5-20250929", "max_tokens", 64_000),
        ("anthropic", "claude-sonnet-4-20250514", "max_tokens", 64_000),
        ("anthropic", "us.anthropic.claude-opus-4@20250514", "max_tokens", 32_000),
        ("anthropic", "claude-3-haiku-20240307", "max_tokens", 4_096),
        ("anthropic", "claude-saga-9", "max_tokens", 128_000),
        ("anthropic", "MiniMax-M2", "max_tokens", 900_000),
        ("openai", "gpt-4o-mini", "max_completion_tokens", 16_384),
        ("openai", "gpt-5-chat-latest", "max_completion_tokens", 16_384),
        ("openai", "llama-3", "max_tokens", 900_000),
    ] {
        let (body, losses) = sent(dialect, model, &json!({"max_completion_tokens": 900_000}));
        assert_eq!(body[key], becomes, "{model}: {body}");
        assert_eq!(losses.is_empty(), becomes == 900_000, "{model}: {losses:?}");
    }
}

#[test]
fn reasoning_is_asked_back_of_those_that_have_it() {
    for (model, reasons) in [
        ("o3-mini", true),
        ("gpt-5-nano", true),
        ("openai/gpt-5.2", true),
        ("grok-4.3", true),
        ("gpt-4o-mini", false),
        ("gpt-5-chat-latest", false),
        ("grok-4-1-fast-non-reasoning", false),
        ("my-deployment", false),
    ] {
        assert_eq!(sent("responses", model, &json!({})).0.get("include").is_some(), reasons, "{model}");
    }
}

/// Newer Claudes refuse to go on with an answer that is begun: it is left out, and told.
#[test]
fn an_answer_begun_is_kept_where_a_model_goes_on_with_it() {
    let begun = json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hel"}]});
    for (model, kept) in [
        ("claude-sonnet-4-5", true),
        ("claude-haiku-4-5", true),
        ("claude-opus-4-6", false),
        ("claude-sonnet-4-6", false),
        ("claude-opus-4-8", false),
        ("MiniMax-M2", true),
    ] {
        let (body, losses) = sent("anthropic", model, &begun);
        assert_eq!(body["messages"].as_array().map(Vec::len), Some(if kept { 2 } else { 1 }), "{model}: {body}");
        assert_eq!(losses, if kept { vec![] } else { vec!["dropped messages[1]"] }, "{model}");
    }
    // Calls that wait for their results are no such answer, and a turn said in two messages goes whole or not at all.
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let (body, losses) = sent(
        "anthropic",
        "claude-opus-4-8",
        &json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]}, {"role": "assistant", "content": "Hel"}]}),
    );
    assert_eq!((body["messages"].as_array().map(Vec::len), losses.len()), (Some(2), 0), "{body}");
}
