//! Recorded traffic of AI Studio and Vertex, read by the dialect and compared with a plain look at the same JSON.
//!
//! `HELIOSTAT_FIXTURES` says where the recordings are; without them the tests say so and pass.

#![allow(clippy::disallowed_types, reason = "a test may look at what it compares")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a test helper does not expect fails the test"
)]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heliostat_filters::chat::{FinishReason, Reasoning, Reply, StreamEvent};
use heliostat_filters::dialect::{self, Dialect, Names};
use heliostat_filters::fault::FaultKind;
use heliostat_filters::sse::Splitter;
use heliostat_filters::usage::Usage;
use serde_json::{Value, json};

/// What an answer says, whichever way it came.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    reasoning: String,
    calls: Vec<(String, Value)>,
    signatures: Vec<String>,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
}

#[test]
fn recorded_replies_and_streams() {
    let Some(root) = fixtures() else { return };
    let mut read = 0;
    for case in cases(&root) {
        let id = case["id"].as_str().unwrap().to_owned();
        let Some(status) = case["status"].as_u64().filter(|status| *status == 200) else { continue };
        assert_eq!(status, 200);
        if let Some(sse) = case["response_sse"].as_str() {
            check_stream(&id, sse);
        } else {
            check_reply(&id, &case["response_body"]);
        }
        read += 1;
    }
    println!("{read} recordings read");
    assert!(read >= 50, "only {read} recordings found");
}

#[test]
fn recorded_errors() {
    let Some(root) = fixtures() else { return };
    let mut read = 0;
    for case in cases(&root) {
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        if status == 200 {
            continue;
        }
        let error = &case["response_body"]["error"];
        let fault = gemini().fault(status, case["response_body"].to_string().as_bytes());
        let message = error["message"].as_str().unwrap();
        let expected = match status {
            400 if message.contains("API key") => FaultKind::Authentication,
            400 if message.contains("token") => FaultKind::ContextLength,
            403 => FaultKind::Permission,
            429 => FaultKind::RateLimited,
            other => panic!("{}: a status not seen before: {other}", case["id"]),
        };
        assert_eq!((fault.status, fault.kind, fault.message.as_str()), (status, expected, message), "{}", case["id"]);
        let delay =
            error.to_string().split_once("retryDelay\":\"").map(|(_, rest)| rest.split('s').next().unwrap().parse::<f64>().unwrap());
        assert_eq!(fault.retry_after_ms.map(|ms| ms as f64 / 1000.0), delay, "{}", case["id"]);
        read += 1;
    }
    assert!(read >= 4, "only {read} errors found");
    for (name, kind, delay) in [
        ("gemini-429-resource-exhausted-retryinfo", FaultKind::RateLimited, Some(31_000)),
        ("gemini-503-unavailable", FaultKind::Overloaded, None),
    ] {
        let case = read_json(&root.join("synthetic").join(format!("{name}.json")));
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let fault = gemini().fault(status, case["response_body"].to_string().as_bytes());
        assert_eq!((fault.status, fault.kind, fault.retry_after_ms), (status, kind, delay), "{name}");
    }
}

#[test]
fn replies_of_other_suites() {
    let Some(root) = fixtures() else { return };
    let folder = root.join("replies/vercel__ai/google");
    let mut read = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Other endpoints of Google's: interactions, live speech.
        if !name.starts_with("google-") {
            continue;
        }
        read += 1;
        let text = fs::read_to_string(&path).unwrap();
        if name == "google-429-retry-info.json" {
            let fault = gemini().fault(429, text.as_bytes());
            assert_eq!((fault.kind, fault.retry_after_ms), (FaultKind::RateLimited, Some(34_400)));
        } else if name.ends_with(".json") {
            check_reply(&name, &serde_json::from_str(&text).unwrap());
        } else {
            let sse: String = text.lines().filter(|line| !line.is_empty()).map(|line| format!("data: {line}\r\n\r\n")).collect();
            check_stream(&name, &sse);
        }
    }
    assert!(read >= 15, "only {read} replies found");
}

#[test]
fn ids_of_calls_count_through_and_carry_the_seed() {
    let call = json!({"functionCall": {"name": "f", "args": {}}});
    let answer = |index| json!({"index": index, "content": {"parts": [call, call]}, "finishReason": "STOP"});
    let body = Bytes::from(json!({"candidates": [answer(0), answer(1)]}).to_string());
    let names = Names { id_seed: "req/1 é".to_owned(), ..Names::default() };
    let reply = gemini().chat_reply(&body, &names).unwrap();
    let ids: Vec<_> = reply.choices.iter().flat_map(|choice| &choice.tool_calls).map(|call| call.id.as_ref()).collect();
    assert_eq!(ids, ["call_req1_1", "call_req1_2", "call_req1_3", "call_req1_4"]);
}

fn check_reply(id: &str, body: &Value) {
    let responses = body.as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    let expected = expected(&responses);
    for text in [body.to_string(), serde_json::to_string_pretty(body).unwrap()] {
        let bytes = Bytes::from(text);
        let reply = gemini().chat_reply(&bytes, &Names::default()).unwrap_or_else(|fault| panic!("{id}: {fault:?}"));
        assert_eq!(said(&reply), expected, "{id}");
        assert_eq!(reply.id, responses[0]["responseId"].as_str().unwrap_or_default(), "{id}");
        assert_eq!(reply.model, responses[0]["modelVersion"].as_str().unwrap_or_default(), "{id}");
    }
}

fn check_stream(id: &str, sse: &str) {
    let responses: Vec<Value> =
        sse.lines().filter_map(|line| line.strip_prefix("data:")).map(|data| serde_json::from_str(data).unwrap()).collect();
    let expected = expected(&responses);
    for size in [1, 2, 3, 17, sse.len()] {
        let (said, complete) = streamed(sse.as_bytes(), size);
        assert_eq!(said, expected, "{id}, cut at {size}");
        assert!(complete, "{id}");
    }
    // Without the event that holds the finish reason it is truncated.
    let end = sse.rfind("finishReason").map(|at| sse[..at].rfind("data:").unwrap()).unwrap();
    assert!(!streamed(&sse.as_bytes()[..end], 64).1, "{id}: taken for whole");
}

fn streamed(sse: &[u8], size: usize) -> (Said, bool) {
    let mut reader = gemini().chat_stream(Names::default());
    let mut said = Said::default();
    let mut splitter = Splitter::new(1 << 22);
    let mut arguments: Vec<(String, String)> = Vec::new();
    let mut take = |event: StreamEvent<'_>| match event {
        StreamEvent::Text { text, .. } => said.text.push_str(&text.text()),
        StreamEvent::Reasoning { text, .. } => said.reasoning.push_str(&text.text()),
        StreamEvent::ReasoningSignature { signature, .. } => said.signatures.push(signature.text().into_owned()),
        StreamEvent::ToolStart { name, thought_signature, id, .. } => {
            assert!(!id.is_empty());
            said.signatures.extend(thought_signature.map(|signature| signature.text().into_owned()));
            arguments.push((name.into_owned(), String::new()));
        }
        StreamEvent::ToolArguments { fragment, index, .. } => arguments[index as usize].1.push_str(&fragment.text()),
        StreamEvent::Finish { reason, .. } => assert_eq!(said.finish.replace(reason), None, "one finish reason"),
        StreamEvent::Usage(usage) => said.usage = Some(usage),
        StreamEvent::Start { .. } => {}
        other => panic!("unexpected {other:?}"),
    };
    for chunk in sse.chunks(size) {
        let chunk = Bytes::copy_from_slice(chunk);
        splitter.push(&chunk, &mut |event| reader.read(event, &mut take)).unwrap();
    }
    splitter.end(&mut |event| reader.read(event, &mut take)).unwrap();
    reader.end(&mut take);
    said.calls = arguments.into_iter().map(|(name, arguments)| (name, serde_json::from_str(&arguments).unwrap_or_default())).collect();
    let complete = reader.is_complete();
    (said, complete)
}

fn said(reply: &Reply<'_>) -> Said {
    let [choice] = reply.choices.as_slice() else { panic!("one choice") };
    let mut said = Said { finish: choice.finish, usage: reply.usage, ..Said::default() };
    choice.text.iter().for_each(|text| said.text.push_str(&text.text()));
    for reasoning in &choice.reasoning {
        let Reasoning::Text { text, signature } = reasoning else { panic!("text") };
        said.reasoning.push_str(&text.text());
        said.signatures.extend(signature.as_ref().map(|signature| signature.text().into_owned()));
    }
    for call in &choice.tool_calls {
        said.signatures.extend(call.thought_signature.as_ref().map(|signature| signature.text().into_owned()));
        said.calls.push((call.name.clone().into_owned(), serde_json::from_str(&call.arguments.text()).unwrap()));
    }
    // A reply keeps thoughts and calls apart, so that their signatures are in another order.
    said
}

/// What the responses say, by a plain walk over them.
fn expected(responses: &[Value]) -> Said {
    let mut said = Said::default();
    for response in responses {
        for part in response["candidates"][0]["content"]["parts"].as_array().into_iter().flatten() {
            let call = &part["functionCall"];
            said.signatures.extend(part["thoughtSignature"].as_str().map(str::to_owned));
            match part["text"].as_str() {
                Some(text) if part["thought"] == true => said.reasoning.push_str(text),
                Some(text) => said.text.push_str(text),
                None => {}
            }
            if let Some(name) = call["name"].as_str() {
                said.calls.push((name.to_owned(), call.get("args").cloned().unwrap_or_else(|| json!({}))));
            }
            for piece in call["partialArgs"].as_array().into_iter().flatten() {
                put(&mut said.calls.last_mut().unwrap().1, piece);
            }
        }
        match &response["candidates"][0]["finishReason"] {
            Value::Null => {}
            reason => said.finish = Some(finish(reason, !said.calls.is_empty())),
        }
        let counts = &response["usageMetadata"];
        let count = |key: &str| counts[key].as_u64();
        let add = |a: &str, b: &str| (count(a).is_some() || count(b).is_some()).then(|| count(a).unwrap_or(0) + count(b).unwrap_or(0));
        let usage = Usage {
            prompt_tokens: add("promptTokenCount", "toolUsePromptTokenCount"),
            completion_tokens: add("candidatesTokenCount", "thoughtsTokenCount"),
            cached_tokens: count("cachedContentTokenCount"),
            reasoning_tokens: count("thoughtsTokenCount"),
            total_tokens: count("totalTokenCount"),
            ..Usage::default()
        };
        said.usage = Some(usage).filter(|usage| *usage != Usage::default()).or(said.usage);
    }
    said
}

fn finish(reason: &Value, called: bool) -> FinishReason {
    match reason {
        Value::String(reason) if reason == "MAX_TOKENS" => FinishReason::Length,
        reason if *reason == json!("STOP") || *reason == json!(1) => {
            if called {
                FinishReason::ToolCalls
            } else {
                FinishReason::Stop
            }
        }
        other => panic!("a reason not seen before: {other}"),
    }
}

/// Puts a piece of an argument where its JSON path says, by way of a JSON pointer.
fn put(arguments: &mut Value, piece: &Value) {
    let path = piece["jsonPath"].as_str().unwrap().replace('[', ".").replace(']', "");
    let mut at = arguments;
    for step in path.trim_start_matches("$.").split('.') {
        at = match step.parse::<usize>() {
            Ok(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let items = at.as_array_mut().unwrap();
                items.resize(items.len().max(index + 1), Value::Null);
                &mut items[index]
            }
            Err(_) => {
                if !at.is_object() {
                    *at = json!({});
                }
                at.as_object_mut().unwrap().entry(step).or_insert(Value::Null)
            }
        };
    }
    *at = match (&*at, &piece["stringValue"]) {
        (Value::String(before), Value::String(more)) => json!(format!("{before}{more}")),
        (_, Value::String(text)) => json!(text),
        _ => piece.get("numberValue").or_else(|| piece.get("boolValue")).cloned().unwrap_or(Value::Null),
    };
}

fn gemini() -> &'static dyn Dialect {
    dialect::by_name("gemini").unwrap()
}

/// Recorded cases of both endpoints on both surfaces.
fn cases(root: &Path) -> Vec<Value> {
    let index = fs::read_to_string(root.join("dev/index.jsonl")).unwrap();
    let rows = index.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours = rows.filter(|row| {
        matches!(row["provider"].as_str(), Some("gemini" | "vertex"))
            && matches!(row["endpoint"].as_str(), Some("generateContent" | "streamGenerateContent"))
    });
    ours.map(|row| {
        let file = row["file"].as_str().unwrap();
        read_json(&root.join(file.strip_prefix("dev/").map_or_else(|| format!("dev/{file}"), |rest| format!("dev/{rest}"))))
    })
    .collect()
}

fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn fixtures() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let root = std::env::var_os("HELIOSTAT_FIXTURES").map_or_else(default, PathBuf::from);
    if !root.join("dev/index.jsonl").exists() {
        println!("skipped: no recordings at {}", root.display());
        return None;
    }
    Some(root)
}
