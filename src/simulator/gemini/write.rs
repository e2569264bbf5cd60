//! Gemini's replies and streams.

use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Finish, Usage, fragments};
use super::super::asked::Asked;
use super::super::exchange::{Body, Event, Part};

/// Stands for the signature of a thought; what comes back is not checked against it.
const SIGNATURE: &str = "c2ltdWxhdGVkIHNpZ25hdHVyZQ==";

/// How a stream is cut into messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// `alt=sse`
    Sse,
    /// One JSON array, sent element by element.
    Array,
}

/// The reply to a request.
pub(super) fn reply(asked: &Asked, stream: Option<Framing>) -> Body {
    let answer = Answer::to(asked);
    match stream {
        None => Body::Plain(plain(asked, &answer)),
        Some(Framing::Sse) => Body::Stream("text/event-stream", chunks(asked, &answer).iter().map(event).collect()),
        Some(Framing::Array) => Body::Stream("application/json; charset=UTF-8", array(&chunks(asked, &answer))),
    }
}

fn plain(asked: &Asked, answer: &Answer) -> Value {
    let mut parts: Vec<Value> = answer.thinking.iter().map(|text| json!({"text": text, "thought": true})).collect();
    if answer.calls.is_empty() {
        let mut part = json!({"text": answer.text});
        sign(&mut part, answer);
        parts.push(part);
    }
    parts.extend(calls(answer));
    let candidate = |index: u64| candidate(index, &parts, Some(finish(answer.finish)));
    chunk(asked, &(0..asked.n).map(candidate).collect::<Vec<_>>(), answer.usage)
}

/// The messages of a stream: thoughts, text in pieces, calls whole, then the end with an empty text.
fn chunks(asked: &Asked, answer: &Answer) -> Vec<(Part, Value)> {
    let thoughts = answer.thinking.as_deref().map(fragments).unwrap_or_default();
    let thoughts = thoughts.into_iter().map(|piece| json!({"text": piece, "thought": true}));
    let texts = fragments(&answer.text).into_iter().map(|piece| json!({"text": piece}));
    let parts = thoughts.chain(texts).chain(calls(answer));
    let say = |part: Value| (Part::Content, chunk(asked, &[candidate(0, &[part], None)], Usage { output: 0, thinking: 0, ..answer.usage }));
    let mut chunks: Vec<(Part, Value)> = parts.map(say).collect();
    let mut last = json!({"text": ""});
    if answer.calls.is_empty() {
        sign(&mut last, answer);
    }
    chunks.push((Part::Tail, chunk(asked, &[candidate(0, &[last], Some(finish(answer.finish)))], answer.usage)));
    chunks
}

/// Only the first of several calls carries the signature.
fn calls(answer: &Answer) -> Vec<Value> {
    let part = |(index, call): (usize, &super::super::answer::ToolCall)| {
        let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
        if index == 0 {
            sign(&mut part, answer);
        }
        part
    };
    answer.calls.iter().enumerate().map(part).collect()
}

fn sign(part: &mut Value, answer: &Answer) {
    if let Some(fields) = part.as_object_mut().filter(|_| answer.thinking.is_some()) {
        fields.insert("thoughtSignature".to_owned(), SIGNATURE.into());
    }
}

fn candidate(index: u64, parts: &[Value], finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": index});
    if let (Some(fields), Some(finish)) = (candidate.as_object_mut(), finish) {
        fields.insert("finishReason".to_owned(), finish.into());
    }
    candidate
}

fn chunk(asked: &Asked, candidates: &[Value], usage: Usage) -> Value {
    let usage = metadata(usage, asked.n);
    json!({"candidates": candidates, "usageMetadata": usage, "modelVersion": asked.model, "responseId": format!("sim{}", asked.turns)})
}

fn event((part, chunk): &(Part, Value)) -> Event {
    // The real one ends its lines with CR LF.
    Event { part: *part, bytes: format!("data: {chunk}\r\n\r\n").into() }
}

fn array(chunks: &[(Part, Value)]) -> Vec<Event> {
    let last = chunks.len().saturating_sub(1);
    let element = |(index, (part, chunk)): (usize, &(Part, Value))| {
        let before = if index == 0 { "[" } else { ",\r\n" };
        let after = if index == last { "]" } else { "" };
        Event { part: *part, bytes: format!("{before}{chunk}{after}").into() }
    };
    chunks.iter().enumerate().map(element).collect()
}

fn finish(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
    }
}

/// Thoughts are no part of `candidatesTokenCount` here; figures that are zero are left out, as proto3 does.
fn metadata(usage: Usage, n: u64) -> Value {
    let spoken = (usage.output - usage.thinking) * n;
    let figures = [
        ("promptTokenCount", usage.input),
        ("candidatesTokenCount", spoken),
        ("thoughtsTokenCount", usage.thinking * n),
        ("cachedContentTokenCount", usage.cached),
        ("totalTokenCount", usage.input + spoken + usage.thinking * n),
    ];
    figures.iter().filter(|(_, figure)| *figure > 0).map(|(name, figure)| ((*name).to_owned(), json!(figure))).collect::<Map<_, _>>().into()
}
