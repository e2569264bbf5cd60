//! What the three providers say on the wire, in small.

use super::{Value, json};

/// An OpenAI reply.
pub fn openai(text: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    })
}

/// An Anthropic reply.
pub fn anthropic(text: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 2}
    })
}

/// A Gemini reply.
pub fn gemini(text: &str) -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
        "modelVersion": "gemini-2.5-flash", "responseId": "r1"
    })
}

/// `data: {"choices":[{"delta":…}]}`
pub fn chunk(delta: Value, finish: Option<&str>) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-4o",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]
    });
    format!("data: {chunk}\n\n")
}

/// An OpenAI chunk with text.
pub fn chunk_text(text: &str) -> String {
    chunk(json!({"content": text}), None)
}

/// A whole OpenAI stream that says `words`, one a chunk.
pub fn openai_stream(words: &[&str]) -> Vec<String> {
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), None)];
    events.extend(words.iter().map(|w| chunk_text(w)));
    events.push(chunk(json!({}), Some("stop")));
    events.push("data: [DONE]\n\n".into());
    events
}

/// An Anthropic event, named by its `type`.
pub fn named(data: Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type"))
}

/// An Anthropic stream's opening events.
pub fn anthropic_opening() -> Vec<String> {
    vec![
        named(json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 1}}})),
        named(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        named(json!({"type": "ping"})),
    ]
}

/// An Anthropic event with text.
pub fn anthropic_text(text: &str) -> String {
    named(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}))
}

/// An Anthropic stream's closing events.
pub fn anthropic_closing(reason: &str) -> Vec<String> {
    vec![
        named(json!({"type": "content_block_stop", "index": 0})),
        named(json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null}, "usage": {"output_tokens": 2}})),
        named(json!({"type": "message_stop"})),
    ]
}

/// A whole Anthropic stream that says `words`, one a delta.
pub fn anthropic_stream(words: &[&str]) -> Vec<String> {
    let mut events = anthropic_opening();
    events.extend(words.iter().map(|w| anthropic_text(w)));
    events.extend(anthropic_closing("end_turn"));
    events
}

/// An Anthropic error as an event.
pub fn anthropic_error(kind: &str) -> String {
    named(json!({"type": "error", "error": {"type": kind, "message": "fake trouble"}}))
}

/// A Gemini event with text.
pub fn gemini_text(text: &str, finish: Option<&str>) -> String {
    let mut data = gemini(text);
    match finish {
        Some(reason) => data["candidates"][0]["finishReason"] = json!(reason),
        None => drop(data["candidates"][0].as_object_mut().and_then(|c| c.remove("finishReason"))),
    }
    format!("data: {data}\r\n\r\n")
}

/// A whole Gemini stream that says `words`, one an event.
pub fn gemini_stream(words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    words.iter().enumerate().map(|(i, w)| gemini_text(w, (i == last).then_some("STOP"))).collect()
}

/// The text that OpenAI chunks carry together.
pub fn text_of(events: &[String]) -> String {
    data_of(events).iter().filter_map(|d| d["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

/// The JSON of each `data:` line, `[DONE]` and comments left out.
pub fn data_of(events: &[String]) -> Vec<Value> {
    let lines = events.iter().flat_map(|e| e.lines().map(str::to_owned).collect::<Vec<_>>());
    lines
        .filter_map(|l| l.strip_prefix("data:").map(|d| d.trim().to_owned()))
        .filter(|d| d != "[DONE]")
        .map(|d| serde_json::from_str(&d).unwrap_or_else(|e| panic!("{e} in {d}")))
        .collect()
}

/// Whether a stream said `[DONE]`, as its last event.
pub fn is_done(events: &[String]) -> bool {
    let done = events.iter().position(|e| e.trim() == "data: [DONE]");
    assert!(done.is_none_or(|at| at + 1 == events.len()), "nothing comes after [DONE]: {events:?}");
    done.is_some()
}
