//! Streams of the Responses API, read piece by piece, and written.

use heliostat_filters::chat::{FinishReason, StreamEvent, StreamWriter as _};
use heliostat_filters::dialect::responses::EventWriter;
use heliostat_filters::fault::Fault;
use heliostat_filters::json::Literal;
use heliostat_filters::usage::Usage;
use serde_json::{Value, json};

use crate::events::{Seen, context, read};
use crate::naive::{check_order, events};

fn stream(data: &[&str]) -> Vec<u8> {
    let name = |data: &str| serde_json::from_str::<Value>(data).ok().and_then(|event| event["type"].as_str().map(str::to_owned));
    data.iter().flat_map(|data| format!("event: {}\ndata: {data}\n\n", name(data).unwrap_or_default()).into_bytes()).collect()
}

fn all(data: &[&str]) -> Seen {
    read(&stream(data), usize::MAX, false)
}

const BEGUN: &str = r#"{"type":"response.created","response":{"id":"resp_1","model":"m","status":"in_progress","output":[]}}"#;
const ENDED: &str = r#"{"type":"response.completed","response":{"id":"resp_1","model":"m","status":"completed","error":null,"output":[],"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":1},"output_tokens":4,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":7}}}"#;

#[test]
fn every_cut_reads_the_same() {
    let body = stream(&[
        BEGUN,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"summary_index":0,"delta":"hm é"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"rs","summary":[{"type":"summary_text","text":"hm é"}],"encrypted_content":"x=="}}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"content_index":0,"delta":"caf\u00e9 ☕ \"response\""}"#,
        r#"{"type":"response.output_text.done","output_index":1,"content_index":0,"text":"café ☕ \"response\" and more"}"#,
        r#"{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","id":"fc","call_id":"a","name":"f","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"x\""}"#,
        r#"{"type":"response.function_call_arguments.done","output_index":2,"arguments":"{\"x\":1}"}"#,
        r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","call_id":"a","name":"f","arguments":"{\"x\":1}"}}"#,
        ENDED,
    ]);
    let whole = read(&body, usize::MAX, false);
    assert_eq!(whole.answer.text, "café ☕ \"response\" and more", "what only the repetition says is told too");
    assert_eq!((whole.answer.reasoning.as_str(), whole.answer.encrypted.as_slice()), ("hm é", ["x==".to_owned()].as_slice()));
    assert_eq!(whole.answer.calls, [("a".into(), "f".into(), r#"{"x":1}"#.into())]);
    assert_eq!((whole.finish.as_slice(), whole.usage), (["tool_calls"].as_slice(), Some([Some(3), Some(4), Some(1), Some(2)])));
    assert!(whole.complete && whole.done);
    for cut in 1..body.len() {
        assert_eq!(read(&body, cut, false), whole, "cut every {cut} bytes");
    }
    for at in 1..body.len() {
        let (first, second) = body.split_at(at);
        let mut joined = Vec::from(first);
        joined.extend_from_slice(second);
        assert_eq!(read(&joined, at, false), whole, "cut at {at}");
    }
}

#[test]
fn arguments_that_only_the_end_says_are_told() {
    let only_done = all(&[
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}}"#,
        ENDED,
    ]);
    assert_eq!(only_done.answer.calls, [("a".into(), "f".into(), "{}".into())]);
    let only_ended = all(&[
        r#"{"type":"response.completed","response":{"id":"r","model":"m","output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]},{"type":"function_call","call_id":"a","name":"f","arguments":{"x":1}}]}}"#,
    ]);
    assert_eq!((only_ended.answer.text.as_str(), only_ended.finish.as_slice()), ("hi", ["tool_calls"].as_slice()));
    assert_eq!(only_ended.answer.calls[0].2, r#"{"x":1}"#);
    assert_eq!(only_ended.started, [("r".to_owned(), "m".to_owned())]);
}

#[test]
fn ways_to_end() {
    let end = |kind: &str, response: &str| all(&[BEGUN, &format!(r#"{{"type":"{kind}","response":{response}}}"#)]);
    let long = end("response.incomplete", r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#);
    assert_eq!((long.finish.as_slice(), long.complete), (["length"].as_slice(), true));
    let filtered = end("response.incomplete", r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}"#);
    assert_eq!(filtered.finish, ["content_filter"]);
    let odd = end("response.incomplete", r#"{"status":"incomplete","incomplete_details":{"reason":"steered"}}"#);
    assert_eq!((odd.finish.as_slice(), odd.lost.as_slice()), (["length"].as_slice(), ["incomplete_details.reason".to_owned()].as_slice()));
    let failed = end("response.failed", r#"{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow"}}"#);
    assert_eq!((failed.failed, failed.complete), (Some((429, "slow".to_owned())), false));
    let error = all(&[BEGUN, r#"{"type":"error","code":"server_error","message":"boom","param":null}"#]);
    assert_eq!((error.failed, error.complete), (Some((500, "boom".to_owned())), false));
    let bare = all(&[BEGUN, r#"{"error":{"message":"boom","code":"server_error"}}"#]);
    assert_eq!(bare.failed, Some((500, "boom".to_owned())));
    assert!(!bare.complete && !all(&[BEGUN]).complete, "no end: truncated");
}

#[test]
fn what_has_no_place_is_named() {
    let seen = all(&[
        BEGUN,
        r#"{"type":"response.web_search_call.in_progress","output_index":0,"item_id":"ws"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"web_search_call","id":"ws","status":"completed"}}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"message","content":[{"type":"output_text","text":"a","annotations":[{"type":"url_citation"}],"logprobs":[]}]}}"#,
        r#"{"type":"response.of_tomorrow","output_index":2,"delta":{"x":1},"text":[1]}"#,
        ENDED,
    ]);
    assert_eq!(seen.lost, ["output[0]", "output[1].content[0].annotations"]);
    assert_eq!((seen.answer.text.as_str(), seen.complete), ("a", true));
}

/// Writes events, ends, and reads the data of the frames.
fn write(all: &[StreamEvent<'_>]) -> Vec<Value> {
    let (mut writer, mut out) = (EventWriter::new(context()), Vec::new());
    all.iter().for_each(|event| writer.write(event, &mut out));
    writer.finish(&mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    for (name, data) in text.lines().filter(|line| line.starts_with("event:")).zip(events(&text)) {
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
    }
    let events = events(&text);
    check_order(&events, "written");
    events
}

fn text(text: &str) -> StreamEvent<'static> {
    StreamEvent::Text { choice: 0, text: Literal::quote(text) }
}

fn thought(text: &str) -> StreamEvent<'_> {
    StreamEvent::Reasoning { choice: 0, text: Literal::quote(text) }
}

#[test]
#[allow(clippy::too_many_lines, reason = "one answer from its beginning to its end")]
fn the_whole_order_of_events() {
    let written = write(&[
        StreamEvent::Start { id: "msg_1".into(), model: "claude".into() },
        thought("h"),
        thought("m"),
        StreamEvent::ReasoningSignature { choice: 0, signature: Literal::quote("sig") },
        text("a"),
        text("b"),
        StreamEvent::Refusal { choice: 0, text: Literal::quote("no") },
        StreamEvent::ToolStart { choice: 0, index: 0, id: "c0".into(), name: "f".into(), thought_signature: None },
        StreamEvent::ToolStart { choice: 0, index: 1, id: "c1".into(), name: "g".into(), thought_signature: Some(Literal::quote("ts")) },
        StreamEvent::ToolArguments { choice: 0, index: 1, fragment: Literal::quote("{") },
        StreamEvent::ToolArguments { choice: 0, index: 0, fragment: Literal::quote("{}") },
        StreamEvent::ToolArguments { choice: 0, index: 1, fragment: Literal::quote("}") },
        StreamEvent::Finish { choice: 0, reason: FinishReason::ToolCalls },
        StreamEvent::Usage(Usage { prompt_tokens: Some(3), completion_tokens: Some(4), ..Usage::default() }),
    ]);
    let kinds: Vec<_> = written.iter().map(|event| event["type"].as_str().unwrap().strip_prefix("response.").unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "content_part.added",
            "refusal.delta",
            "refusal.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "output_item.added",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    let response = &written.last().unwrap()["response"];
    assert_eq!((response["id"].as_str(), response["model"].as_str()), (Some("resp_msg_1"), Some("claude")));
    assert_eq!(response["output"][0]["encrypted_content"], "heliostat:signature:sig");
    assert_eq!(response["output"][3]["encrypted_content"], "heliostat:call:ts", "a signature goes before its call");
    assert_eq!(response["output"][4]["arguments"], "{}");
    assert_eq!(response["usage"]["total_tokens"], 7);
    assert_eq!((&response["instructions"], &response["tools"]), (&Value::Null, &json!([])));
}

#[test]
fn a_cut_answer_is_incomplete() {
    let written = write(&[text("a"), StreamEvent::Finish { choice: 0, reason: FinishReason::Length }]);
    let last = written.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(last["response"]["incomplete_details"], json!({"reason": "max_output_tokens"}));
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    assert_eq!(last["response"]["usage"], Value::Null);
}

#[test]
fn a_broken_stream_fails_twice_said() {
    let (mut writer, mut out) = (EventWriter::new(context()), Vec::new());
    writer.write(&text("a"), &mut out);
    writer.fail(&Fault::new(529, Some("overloaded_error"), "too much"), &mut out);
    writer.finish(&mut out);
    writer.write(&text("b"), &mut out);
    let all = events(&String::from_utf8(out).unwrap());
    let [.., error, failed] = all.as_slice() else { panic!("an end") };
    assert_eq!(
        (error["type"].as_str(), error["message"].as_str(), error["error"]["message"].as_str()),
        (Some("error"), Some("too much"), Some("too much"))
    );
    assert_eq!((failed["type"].as_str(), failed["response"]["status"].as_str()), (Some("response.failed"), Some("failed")));
    assert_eq!(failed["response"]["error"], json!({"code": "overloaded_error", "message": "too much"}));
    assert_eq!(failed["response"]["output"][0]["content"][0]["text"], "a", "what was said is not taken back");
    let seen = read(&stream(&[&error.to_string()]), usize::MAX, false);
    assert_eq!(seen.failed, Some((529, "too much".to_owned())));
}

#[test]
fn what_cannot_be_repeated_fails_loudly() {
    let (mut writer, mut out, mut fed) = (EventWriter::new(context()), Vec::new(), 0);
    let piece = "x".repeat(1 << 20);
    for _ in 0..80 {
        out.clear();
        writer.write(&text(&piece), &mut out);
        fed += usize::from(!out.is_empty());
    }
    assert!((64..=66).contains(&fed), "{fed} MiB were taken");
    out.clear();
    writer.finish(&mut out);
    assert!(out.is_empty(), "it has failed, and says nothing more");
}

#[test]
fn losses_are_told_before_the_end() {
    let (mut writer, mut out) = (EventWriter::new(context()), Vec::new());
    writer.write(&StreamEvent::Text { choice: 1, text: Literal::quote("second") }, &mut out);
    writer.write(&StreamEvent::Audio, &mut out);
    writer.write(&StreamEvent::Finish { choice: 0, reason: FinishReason::Stop }, &mut out);
    writer.finish(&mut out);
    let told = String::from_utf8(out).unwrap();
    let comment = told.find(": heliostat-loss [\"choices[1]\",\"choices[0].delta.audio\"]\n\n").expect("a comment");
    assert!(comment < told.find("event: response.completed").expect("an end"));
}
