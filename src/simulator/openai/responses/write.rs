//! Replies and streams of the Responses API.

use serde_json::{Value, json};

use super::super::super::answer::{Answer, Finish, ToolCall, Usage, fragments};
use super::super::super::asked::Asked;
use super::super::super::exchange::{Body, Event, Part};
use super::input::SEAL;

/// A point in time, the same for every reply: replies depend on requests alone.
const CREATED: u64 = 1_760_000_000;

/// The reply to a request.
pub(in super::super) fn reply(asked: &Asked) -> Body {
    let answer = Answer::to(asked);
    if asked.stream {
        return Body::Stream("text/event-stream; charset=utf-8", stream(asked, &answer));
    }
    Body::Plain(response(asked, status(answer.finish), &items(asked, &answer), Some(answer.usage)))
}

fn response(asked: &Asked, status: &str, output: &[Value], used: Option<Usage>) -> Value {
    let details = if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    json!({
        "id": format!("resp_sim{}", asked.turns), "object": "response", "created_at": CREATED, "status": status, "background": false,
        "error": null, "incomplete_details": details, "instructions": null, "max_output_tokens": asked.max_tokens, "model": asked.model,
        "output": output, "parallel_tool_calls": !asked.one_call, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "usage": used.map(usage), "user": null, "metadata": {},
    })
}

fn status(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Calls => "completed",
        Finish::Length => "incomplete",
    }
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "input_tokens_details": {"cached_tokens": usage.cached}, "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.thinking}, "total_tokens": usage.input + usage.output,
    })
}

/// What was thought, then calls or a message.
fn items(asked: &Asked, answer: &Answer) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some(thinking) = &answer.thinking {
        let summary = json!([{"type": "summary_text", "text": thinking}]);
        items.push(json!({"id": format!("rs_sim{}", asked.turns), "type": "reasoning", "summary": summary, "encrypted_content": format!("{SEAL}sim")}));
    }
    if answer.calls.is_empty() {
        let content = json!([{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}]);
        let id = format!("msg_sim{}", asked.turns);
        items.push(json!({"id": id, "type": "message", "status": status(answer.finish), "role": "assistant", "content": content}));
    }
    items.extend(answer.calls.iter().map(|call| called(call, "completed", &call.arguments.to_string())));
    items
}

fn called(call: &ToolCall, status: &str, arguments: &str) -> Value {
    json!({
        "id": format!("fc_{}", call.id), "type": "function_call", "status": status, "arguments": arguments,
        "call_id": format!("call_{}", call.id), "name": call.name,
    })
}

/// Events under way, numbered as they are written.
struct Events(Vec<Event>);

impl Events {
    fn push(&mut self, part: Part, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = self.0.len().into();
        self.0.push(Event { part, bytes: format!("event: {kind}\ndata: {data}\n\n").into() });
    }
}

fn stream(asked: &Asked, answer: &Answer) -> Vec<Event> {
    let mut events = Events(Vec::new());
    let begun = json!({"response": response(asked, "in_progress", &[], None)});
    events.push(Part::Preface, "response.created", begun.clone());
    events.push(Part::Preface, "response.in_progress", begun);
    let items = items(asked, answer);
    for (index, item) in items.iter().enumerate() {
        match item["type"].as_str() {
            Some("reasoning") => reasoning(&mut events, index, item),
            Some("message") => message(&mut events, index, item, &answer.text),
            _ => call(&mut events, index, item),
        }
        events.push(Part::Content, "response.output_item.done", json!({"output_index": index, "item": item}));
    }
    let kind = if answer.finish == Finish::Length { "response.incomplete" } else { "response.completed" };
    let whole = response(asked, status(answer.finish), &items, Some(answer.usage));
    events.push(Part::Tail, kind, json!({"response": whole}));
    events.0
}

/// The item as it is announced.
fn announce(events: &mut Events, index: usize, item: &Value, empty: &[(&str, Value)]) {
    let mut begun = item.clone();
    for (name, value) in empty {
        begun[*name] = value.clone();
    }
    events.push(Part::Preface, "response.output_item.added", json!({"output_index": index, "item": begun}));
}

fn reasoning(events: &mut Events, index: usize, item: &Value) {
    announce(events, index, item, &[("summary", json!([])), ("encrypted_content", json!(""))]);
    let text = item["summary"][0]["text"].as_str().unwrap_or_default();
    let place = |more: Value| placed(json!({"item_id": item["id"], "output_index": index, "summary_index": 0}), more);
    let part = |text: &str| json!({"part": {"type": "summary_text", "text": text}});
    events.push(Part::Preface, "response.reasoning_summary_part.added", place(part("")));
    for piece in fragments(text) {
        events.push(Part::Content, "response.reasoning_summary_text.delta", place(json!({"delta": piece})));
    }
    events.push(Part::Content, "response.reasoning_summary_text.done", place(json!({"text": text})));
    events.push(Part::Content, "response.reasoning_summary_part.done", place(part(text)));
}

fn message(events: &mut Events, index: usize, item: &Value, text: &str) {
    announce(events, index, item, &[("status", json!("in_progress")), ("content", json!([]))]);
    let place = |more: Value| placed(json!({"item_id": item["id"], "output_index": index, "content_index": 0}), more);
    let part = |text: &str| json!({"part": {"type": "output_text", "text": text, "annotations": [], "logprobs": []}});
    events.push(Part::Preface, "response.content_part.added", place(part("")));
    for piece in fragments(text) {
        events.push(Part::Content, "response.output_text.delta", place(json!({"delta": piece, "logprobs": []})));
    }
    events.push(Part::Content, "response.output_text.done", place(json!({"text": text, "logprobs": []})));
    events.push(Part::Content, "response.content_part.done", place(part(text)));
}

fn call(events: &mut Events, index: usize, item: &Value) {
    announce(events, index, item, &[("status", json!("in_progress")), ("arguments", json!(""))]);
    let place = |more: Value| placed(json!({"item_id": item["id"], "output_index": index}), more);
    let arguments = item["arguments"].as_str().unwrap_or_default();
    for piece in fragments(arguments) {
        events.push(Part::Content, "response.function_call_arguments.delta", place(json!({"delta": piece})));
    }
    events.push(Part::Content, "response.function_call_arguments.done", place(json!({"arguments": arguments, "name": item["name"]})));
}

/// Both objects' members.
fn placed(mut place: Value, more: Value) -> Value {
    if let (Value::Object(place), Value::Object(more)) = (&mut place, more) {
        place.extend(more);
    }
    place
}
