//! Mistral's replies and streams: thoughts are parts, ids have nine characters, and the last chunk counts tokens unasked.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::answer::{Answer, Finish, ToolCall, Usage, fragments};
use super::super::asked::Asked;
use super::super::exchange::{Body, Event, Part};
use super::super::image::sha256;

/// A point in time, the same for every reply.
const CREATED: u64 = 1_760_000_000;

/// The reply to a request.
pub(super) fn reply(asked: &Asked) -> Body {
    let answer = Answer::to(asked);
    if asked.stream { Body::Stream("text/event-stream; charset=utf-8", stream(asked, &answer)) } else { Body::Plain(plain(asked, &answer)) }
}

fn plain(asked: &Asked, answer: &Answer) -> Value {
    let mut message = json!({"role": "assistant", "tool_calls": null, "content": answer.text});
    if let Some(thinking) = &answer.thinking {
        message["content"] = json!([thought(thinking), {"type": "text", "text": answer.text}]);
    }
    if !answer.calls.is_empty() {
        message["tool_calls"] = answer.calls.iter().enumerate().map(call).collect();
    }
    let choices: Vec<Value> =
        (0..asked.n).map(|index| json!({"index": index, "finish_reason": finish(answer.finish), "message": message})).collect();
    json!({"id": id(asked), "created": CREATED, "model": asked.model, "usage": usage(answer.usage, asked.n), "object": "chat.completion", "choices": choices})
}

fn stream(asked: &Asked, answer: &Answer) -> Vec<Event> {
    let mut events = Vec::new();
    for index in 0..asked.n {
        let last = index + 1 == asked.n;
        let mut push = |part, delta: Value, finish: Value| {
            let mut chunk = json!({
                "id": id(asked), "object": "chat.completion.chunk", "created": CREATED, "model": asked.model,
                "choices": [{"index": index, "delta": delta, "finish_reason": finish}], "p": "abcdef",
            });
            if last && part == Part::Tail {
                chunk["usage"] = usage(answer.usage, asked.n);
            }
            events.push(Event::data(part, &chunk));
        };
        push(Part::Preface, json!({"role": "assistant", "content": ""}), Value::Null);
        for piece in answer.thinking.iter().flat_map(|thinking| fragments(thinking)) {
            push(Part::Content, json!({"content": [thought(&piece)]}), Value::Null);
        }
        for piece in fragments(&answer.text) {
            push(Part::Content, json!({"content": piece}), Value::Null);
        }
        let calls: Vec<Value> = answer.calls.iter().enumerate().map(call).collect();
        let delta = if calls.is_empty() { json!({"content": ""}) } else { json!({"content": "", "tool_calls": calls}) };
        push(Part::Tail, delta, finish(answer.finish).into());
    }
    events.push(Event { part: Part::Tail, bytes: Bytes::from_static(b"data: [DONE]\n\n") });
    events
}

fn thought(text: &str) -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]})
}

fn call((index, call): (usize, &ToolCall)) -> Value {
    json!({"id": call_id(call), "index": index, "function": {"name": call.name, "arguments": call.arguments.to_string()}})
}

/// Nine letters and digits that differ from call to call.
fn call_id(call: &ToolCall) -> String {
    sha256(call.id.as_bytes()).chars().take(9).collect()
}

fn id(asked: &Asked) -> String {
    format!("sim{}", asked.turns)
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
    }
}

fn usage(usage: Usage, n: u64) -> Value {
    let output = usage.output * n;
    json!({
        "prompt_tokens": usage.input, "total_tokens": usage.input + output, "completion_tokens": output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
    })
}
