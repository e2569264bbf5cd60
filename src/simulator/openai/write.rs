//! OpenAI's replies and streams.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::answer::{Answer, Finish, ToolCall, Usage, fragments};
use super::super::asked::Asked;
use super::super::exchange::{Body, Event, Part};

/// A point in time, the same for every reply: replies depend on requests alone.
const CREATED: u64 = 1_760_000_000;

/// The reply to a request.
pub(super) fn reply(asked: &Asked) -> Body {
    let answer = Answer::to(asked);
    if asked.stream { Body::Stream("text/event-stream; charset=utf-8", stream(asked, &answer)) } else { Body::Plain(plain(asked, &answer)) }
}

fn plain(asked: &Asked, answer: &Answer) -> Value {
    let choices: Vec<Value> = (0..asked.n)
        .map(|index| json!({"index": index, "message": message(answer), "logprobs": null, "finish_reason": finish(answer.finish)}))
        .collect();
    json!({
        "id": id(asked), "object": "chat.completion", "created": CREATED, "model": asked.model,
        "choices": choices, "usage": usage(answer.usage, asked.n), "service_tier": "default", "system_fingerprint": "fp_simulator",
    })
}

fn message(answer: &Answer) -> Value {
    if answer.calls.is_empty() {
        return json!({"role": "assistant", "content": answer.text, "refusal": null, "annotations": []});
    }
    let calls: Vec<Value> = answer
        .calls
        .iter()
        .map(|call| json!({"id": call_id(call), "type": "function", "function": {"name": call.name, "arguments": call.arguments.to_string()}}))
        .collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls, "refusal": null, "annotations": []})
}

fn stream(asked: &Asked, answer: &Answer) -> Vec<Event> {
    let mut events = Vec::new();
    for index in 0..asked.n {
        let mut push = |part, delta: Value, finish: Value| {
            let choices = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": finish}]);
            events.push(chunk(asked, part, &choices, None));
        };
        let content = if answer.calls.is_empty() { json!("") } else { Value::Null };
        push(Part::Preface, json!({"role": "assistant", "content": content, "refusal": null}), Value::Null);
        for fragment in fragments(&answer.text) {
            push(Part::Content, json!({"content": fragment}), Value::Null);
        }
        for delta in answer.calls.iter().enumerate().flat_map(call_deltas) {
            push(Part::Content, json!({"tool_calls": [delta]}), Value::Null);
        }
        push(Part::Tail, json!({}), finish(answer.finish).into());
    }
    if asked.include_usage {
        events.push(chunk(asked, Part::Tail, &json!([]), Some(&usage(answer.usage, asked.n))));
    }
    events.push(Event { part: Part::Tail, bytes: Bytes::from_static(b"data: [DONE]\n\n") });
    events
}

/// A call's first delta with id and name, then its arguments in fragments.
fn call_deltas((index, call): (usize, &ToolCall)) -> Vec<Value> {
    let first = json!({"index": index, "id": call_id(call), "type": "function", "function": {"name": call.name, "arguments": ""}});
    let rest = fragments(&call.arguments.to_string()).into_iter().map(|piece| json!({"index": index, "function": {"arguments": piece}}));
    std::iter::once(first).chain(rest).collect()
}

/// One chunk. With `include_usage` every chunk has `usage`, null in all but the last.
fn chunk(asked: &Asked, part: Part, choices: &Value, usage: Option<&Value>) -> Event {
    let mut chunk = json!({
        "id": id(asked), "object": "chat.completion.chunk", "created": CREATED, "model": asked.model,
        "service_tier": "default", "system_fingerprint": "fp_simulator", "choices": choices,
    });
    if let Some(fields) = chunk.as_object_mut().filter(|_| asked.include_usage) {
        fields.insert("usage".to_owned(), json!(usage));
    }
    Event::data(part, &chunk)
}

fn id(asked: &Asked) -> String {
    format!("chatcmpl-sim{}", asked.turns)
}

fn call_id(call: &ToolCall) -> String {
    format!("call_{}", call.id)
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
        "prompt_tokens": usage.input, "completion_tokens": output, "total_tokens": usage.input + output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.thinking * n, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}
