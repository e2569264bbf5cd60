//! Anthropic's replies and streams.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::answer::{Answer, Finish, ToolCall, Usage, fragments};
use super::super::asked::Asked;
use super::super::exchange::{Body, Event, Part};

/// Stands for the signature of a thinking block; what comes back is not checked against it.
const SIGNATURE: &str = "c2ltdWxhdGVkIHNpZ25hdHVyZQ==";

/// The reply to a request.
pub(super) fn reply(asked: &Asked) -> Body {
    let answer = Answer::to(asked);
    if asked.stream { Body::Stream("text/event-stream; charset=utf-8", stream(asked, &answer)) } else { Body::Plain(plain(asked, &answer)) }
}

fn plain(asked: &Asked, answer: &Answer) -> Value {
    let mut content = Vec::new();
    content.extend(answer.thinking.as_ref().map(|text| json!({"type": "thinking", "thinking": text, "signature": SIGNATURE})));
    if answer.calls.is_empty() {
        content.push(json!({"type": "text", "text": answer.text}));
    }
    content.extend(answer.calls.iter().map(|call| tool_use(call, &call.arguments)));
    let mut message = head(asked, answer.usage);
    if let Some(fields) = message.as_object_mut() {
        fields.insert("content".to_owned(), content.into());
        fields.insert("stop_reason".to_owned(), stop_reason(answer.finish).into());
    }
    message
}

/// A message before anything is said.
fn head(asked: &Asked, usage: Usage) -> Value {
    json!({
        "id": format!("msg_sim{}", asked.turns), "type": "message", "role": "assistant", "model": asked.model,
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": self::usage(usage),
    })
}

fn stream(asked: &Asked, answer: &Answer) -> Vec<Event> {
    let start = Usage { output: 1, ..answer.usage };
    let mut events = vec![
        event(Part::Preface, &json!({"type": "message_start", "message": head(asked, start)})),
        Event { part: Part::Preface, bytes: Bytes::from_static(b"event: ping\ndata: {\"type\": \"ping\"}\n\n") },
    ];
    let blocks = blocks(answer);
    for (index, (start, deltas)) in blocks.into_iter().enumerate() {
        // The start of a tool use names the tool; other starts and all stops say nothing.
        let part = if start.get("name").is_some() { Part::Content } else { Part::Preface };
        events.push(event(part, &json!({"type": "content_block_start", "index": index, "content_block": start})));
        for delta in deltas {
            events.push(event(Part::Content, &json!({"type": "content_block_delta", "index": index, "delta": delta})));
        }
        events.push(event(Part::Preface, &json!({"type": "content_block_stop", "index": index})));
    }
    let delta = json!({"stop_reason": stop_reason(answer.finish), "stop_sequence": null});
    events.push(event(Part::Tail, &json!({"type": "message_delta", "delta": delta, "usage": usage(answer.usage)})));
    events.push(event(Part::Tail, &json!({"type": "message_stop"})));
    events
}

/// Blocks as they begin, with their deltas.
fn blocks(answer: &Answer) -> Vec<(Value, Vec<Value>)> {
    let mut blocks = Vec::new();
    if let Some(thinking) = &answer.thinking {
        let mut deltas: Vec<Value> =
            fragments(thinking).into_iter().map(|piece| json!({"type": "thinking_delta", "thinking": piece})).collect();
        deltas.push(json!({"type": "signature_delta", "signature": SIGNATURE}));
        blocks.push((json!({"type": "thinking", "thinking": "", "signature": ""}), deltas));
    }
    if answer.calls.is_empty() {
        let deltas = fragments(&answer.text).into_iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect();
        blocks.push((json!({"type": "text", "text": ""}), deltas));
    }
    for call in &answer.calls {
        // The real one begins the arguments with an empty delta.
        let pieces = std::iter::once(String::new()).chain(fragments(&call.arguments.to_string()));
        let deltas = pieces.map(|piece| json!({"type": "input_json_delta", "partial_json": piece})).collect();
        blocks.push((tool_use(call, &json!({})), deltas));
    }
    blocks
}

fn tool_use(call: &ToolCall, input: &Value) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_{}", call.id), "name": call.name, "input": input})
}

fn event(part: Part, data: &Value) -> Event {
    let name = data.get("type").and_then(Value::as_str).unwrap_or_default();
    Event { part, bytes: format!("event: {name}\ndata: {data}\n\n").into() }
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Calls => "tool_use",
    }
}

/// Cached tokens are no part of `input_tokens` here.
fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input - usage.cached, "cache_creation_input_tokens": 0, "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output, "service_tier": "standard",
    })
}
