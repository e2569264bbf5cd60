//! Replies and chunks as clients get them: parsed again by an independent reader.

use bytes::Bytes;
use heliostat_filters::chat::{FinishReason, ReplyContext, StreamEvent, StreamWriter as _};
use heliostat_filters::dialect::openai::{ChunkWriter, ErrorText, OpenAi, error_body, write_reply};
use heliostat_filters::dialect::{Dialect, Names};
use heliostat_filters::fault::Fault;
use heliostat_filters::json::Literal;
use heliostat_filters::loss::{Loss, LossKind};
use heliostat_filters::usage::Usage;
use serde_json::{Value, json};

fn context(legacy_functions: bool, include_usage: bool) -> ReplyContext {
    ReplyContext { created_s: 7, id: "chatcmpl-ours".to_owned(), legacy_functions, include_usage, ..ReplyContext::default() }
}

fn round_trip(body: &Value, legacy: bool) -> Value {
    let body = Bytes::from(body.to_string());
    let reply = OpenAi.chat_reply(&body, &Names::default()).expect("a reply");
    assert!(reply.losses.is_empty(), "{:?}", reply.losses);
    serde_json::from_slice(&write_reply(&reply, &context(legacy, false)).join()).expect("a JSON document")
}

#[test]
fn a_reply_comes_through_the_pivot() {
    let body = json!({
        "id": "x", "object": "chat.completion", "created": 7, "model": "m", "service_tier": "default",
        "choices": [{"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "café \"quoted\"\n", "refusal": null, "reasoning_content": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0},
                {"type": "reasoning.encrypted", "data": "e", "index": 1}],
            "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}, "index": 0}],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"z\": 1,\"a\":2}"},
                "extra_content": {"google": {"thought_signature": "g"}}}]}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 2}, "completion_tokens_details": {"reasoning_tokens": 3}},
    });
    assert_eq!(round_trip(&body, false), body);
}

#[test]
fn absent_things_are_null_and_legacy_calls_are_legacy() {
    let body =
        json!({"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}, "finish_reason": "stop"}]});
    let written = round_trip(&body, true);
    assert_eq!(written["id"], "chatcmpl-ours");
    let choice = &written["choices"][0];
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["message"]["function_call"], json!({"name": "f", "arguments": "{\"x\":1}"}));
    assert_eq!((choice["message"].get("tool_calls"), written.get("usage")), (None, None));
    let truncated = round_trip(&json!({"choices": [{"message": {"content": "a"}, "finish_reason": null}]}), false);
    assert_eq!(truncated["choices"][0]["finish_reason"], Value::Null);
}

#[test]
fn errors_and_nonsense_in_a_200_are_faults() {
    let status = |body: &'static str| {
        OpenAi.chat_reply(&Bytes::from_static(body.as_bytes()), &Names::default()).map(|_| ()).map_err(|fault| fault.status)
    };
    assert_eq!(status(r#"{"error":{"code":429,"message":"Rate limited upstream"}}"#), Err(429));
    assert_eq!(status(r#"{"error":"down"}"#), Err(502));
    assert_eq!(status("<html>"), Err(502));
    assert_eq!(status(r#"{"id":"x","choices":null}"#), Err(502));
}

/// Everything a writer made of these events: the frames' data parsed, comments as strings.
fn written(events: &[StreamEvent<'_>], context: ReplyContext, fault: Option<&Fault>) -> Vec<Value> {
    let (mut writer, mut out) = (ChunkWriter::new(context), Vec::new());
    events.iter().for_each(|event| writer.write(event, &mut out));
    match fault {
        None => writer.finish(&mut out),
        Some(fault) => writer.fail(fault, &mut out),
    }
    let text = String::from_utf8(out).expect("text");
    assert!(text.ends_with("\n\n"));
    let frames = text.split_terminator("\n\n").map(|frame| match frame.strip_prefix("data: ") {
        Some(data) => serde_json::from_str(data).unwrap_or_else(|_| json!(data)),
        None => json!(frame),
    });
    frames.collect()
}

fn deltas(frames: &[Value]) -> Vec<Value> {
    frames.iter().filter_map(|frame| frame["choices"][0].get("delta").cloned()).collect()
}

#[test]
fn a_stream_in_openai_shape() {
    let usage = Usage { prompt_tokens: Some(1), completion_tokens: Some(2), ..Usage::default() };
    let lost = Loss { path: "a\nb".into(), kind: LossKind::Dropped };
    let events = [
        StreamEvent::Start { id: "id\"1".into(), model: "m".into() },
        StreamEvent::Usage(usage),
        StreamEvent::Reasoning { choice: 0, text: Literal::quote("h\"") },
        StreamEvent::Reasoning { choice: 0, text: Literal::quote("m") },
        StreamEvent::ReasoningSignature { choice: 0, signature: Literal::quote("s") },
        StreamEvent::Text { choice: 0, text: Literal::quote("a\n") },
        StreamEvent::ToolStart { choice: 0, index: 0, id: "c".into(), name: "f".into(), thought_signature: Some(Literal::quote("g")) },
        StreamEvent::ToolArguments { choice: 0, index: 0, fragment: Literal::quote("{}") },
        StreamEvent::Lost(lost),
        StreamEvent::Finish { choice: 0, reason: FinishReason::ToolCalls },
    ];
    let frames = written(&events, context(false, true), None);
    assert_eq!(
        deltas(&frames),
        [
            json!({"role": "assistant", "content": "", "refusal": null}),
            json!({"reasoning_content": "h\""}),
            json!({"reasoning_content": "m"}),
            json!({"reasoning_details": [{"type": "reasoning.text", "text": "h\"m", "signature": "s", "index": 0}]}),
            json!({"content": "a\n"}),
            json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""},
                "extra_content": {"google": {"thought_signature": "g"}}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            json!({}),
        ]
    );
    let chunk = json!({"id": "id\"1", "object": "chat.completion.chunk", "created": 7, "model": "m", "usage": null,
        "choices": [{"index": 0, "delta": {}, "logprobs": null, "finish_reason": "tool_calls"}]});
    assert_eq!(frames[7], chunk);
    assert_eq!(frames[8], json!(": heliostat-loss [\"a\\nb\"]"));
    assert_eq!((&frames[9]["choices"], &frames[9]["usage"]["total_tokens"]), (&json!([]), &json!(3)));
    assert_eq!(frames[10..], [json!("[DONE]")]);
}

#[test]
fn legacy_calls_and_unasked_usage() {
    let events = [
        StreamEvent::ToolStart { choice: 0, index: 0, id: "c".into(), name: "f".into(), thought_signature: None },
        StreamEvent::ToolArguments { choice: 0, index: 0, fragment: Literal::quote("{}") },
        StreamEvent::Usage(Usage::default()),
        StreamEvent::Finish { choice: 0, reason: FinishReason::ToolCalls },
    ];
    let frames = written(&events, context(true, false), None);
    assert_eq!(
        deltas(&frames)[1..3],
        [json!({"function_call": {"name": "f", "arguments": ""}}), json!({"function_call": {"arguments": "{}"}})]
    );
    assert_eq!(frames[3]["choices"][0]["finish_reason"], "function_call");
    assert_eq!((frames.len(), frames[3].get("usage")), (5, None));
}

#[test]
fn a_broken_stream_has_an_error_and_no_end_mark() {
    let text = StreamEvent::Text { choice: 1, text: Literal::quote("a") };
    let frames = written(&[text], context(false, true), Some(&Fault::new(529, Some("overloaded_error"), "try \"later\"")));
    let error = json!({"error": {"message": "try \"later\"", "type": "overloaded_error", "param": null, "code": "overloaded_error"}});
    assert_eq!(frames.last(), Some(&error));
    let body = error_body(ErrorText { message: "m", kind: "k", param: Some("p"), code: None, retry_after_s: None });
    assert_eq!(&body[..], br#"{"error":{"message":"m","type":"k","param":"p","code":null}}"#);
}
