//! Replays recorded traffic of OpenAI, xAI, Azure and others, where the recordings are at hand.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heliostat_filters::dialect::responses::write_reply;
use heliostat_filters::dialect::{Names, by_name};
use heliostat_filters::fault::FaultKind;
use serde_json::Value;

use crate::events::{context, read, rewritten};
use crate::naive::{Answer, answer, answer_of_items, check_order, events};

/// `HELIOSTAT_FIXTURES`, else `shared/fixtures` beside the checkout. `None` skips the test, saying so.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures");
    let folder = std::env::var_os("HELIOSTAT_FIXTURES").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no recorded traffic at {} (HELIOSTAT_FIXTURES names another place)", folder.display());
    None
}

/// Recorded pairs of one endpoint, as (id, case).
pub(crate) fn cases(folder: &Path, endpoint: &str) -> Vec<(String, Value)> {
    let index = fs::read_to_string(folder.join("dev/index.jsonl")).expect("an index");
    let rows = index.lines().map(|row| serde_json::from_str::<Value>(row).expect("a row"));
    rows.filter(|row| row["endpoint"] == endpoint)
        .map(|row| {
            let file = fs::read_to_string(folder.join(row["file"].as_str().expect("a file"))).expect("a case");
            (row["id"].to_string(), serde_json::from_str(&file).expect("a case"))
        })
        .collect()
}

/// Files of other projects' suites that hold a response, or the events of one.
fn replies(folder: &Path, suffix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for package in ["openai", "azure", "xai", "open-responses"] {
        for entry in fs::read_dir(folder.join("replies/vercel__ai").join(package)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            if path.to_string_lossy().ends_with(suffix)
                && (text.contains("\"response.created\"") || text.contains("\"object\": \"response\""))
            {
                found.push((path.display().to_string(), text));
            }
        }
    }
    found.sort();
    found
}

/// Whole responses, as (name, body).
fn responses(folder: &Path) -> Vec<(String, Value)> {
    let recorded = cases(folder, "responses").into_iter().filter(|(_, case)| case["status"] == 200);
    let recorded = recorded.filter_map(|(id, case)| Some((id, case.get("response_body").filter(|body| body.is_object())?.clone())));
    let others = replies(folder, ".json").into_iter().map(|(name, text)| (name, serde_json::from_str(&text).expect("JSON")));
    recorded.chain(others).collect()
}

/// Streams, as (name, SSE).
pub(crate) fn streams(folder: &Path) -> Vec<(String, String)> {
    let recorded = cases(folder, "responses").into_iter();
    let recorded = recorded.filter_map(|(id, case)| Some((id, case["response_sse"].as_str()?.to_owned())));
    let others = replies(folder, ".chunks.txt").into_iter().flat_map(|(name, text)| {
        let numbered = turns(&text).into_iter().enumerate();
        numbered.map(|(number, sse)| (format!("{name}#{number}"), sse)).collect::<Vec<_>>()
    });
    recorded.chain(others).collect()
}

/// Frames a file of events: some hold several turns, one after the other.
fn turns(text: &str) -> Vec<String> {
    let mut turns: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if turns.is_empty() || line.contains("\"type\":\"response.created\"") {
            turns.push(String::new());
        }
        turns.last_mut().expect("a turn").push_str(&format!("data: {line}\n\n"));
    }
    turns
}

#[test]
fn every_recorded_response_is_read_and_comes_back() {
    let Some(folder) = fixtures() else { return };
    let (mut run, mut exact, mut lossy) = (0, 0, 0);
    for (name, body) in responses(&folder) {
        let bytes = Bytes::from(body.to_string());
        let reply = by_name("responses").unwrap().chat_reply(&bytes, &Names::default()).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        let expected = answer(&body);
        run += 1;
        assert_eq!(reply.usage.and_then(|usage| usage.prompt_tokens), body["usage"]["input_tokens"].as_u64(), "{name}");
        assert_eq!(
            reply.usage.and_then(|usage| usage.reasoning_tokens),
            body["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64(),
            "{name}"
        );
        assert!(reply.choices[0].finish.is_some(), "{name}");
        assert_eq!(expected.others > 0, reply.losses.iter().any(|loss| !loss.path.contains(".content[")), "{name}: {:?}", reply.losses);
        let (written, _) = write_reply(&reply, &context());
        let written: Value = serde_json::from_slice(&written.join()).unwrap_or_else(|why| panic!("{name}: {why}"));
        for key in ["id", "model", "status"] {
            let same = written[key] == body[key] || key == "id" && !body[key].as_str().unwrap().starts_with("resp_") || body[key].is_null();
            assert!(same, "{name}: {key} is {} and was {}", written[key], body[key]);
        }
        assert_eq!(answer(&written), translated(&expected), "{name}");
        if expected.others == 0 && reply.losses.is_empty() { exact += 1 } else { lossy += 1 }
    }
    eprintln!("responses: {run} run, {exact} exact, {lossy} with named losses, 0 unexplained");
    assert!(run >= 30, "only {run}");
}

#[test]
fn every_recorded_stream_is_whole_and_comes_back() {
    let Some(folder) = fixtures() else { return };
    let (mut run, mut exact, mut lossy, mut failed, mut trimmed) = (0, 0, 0, 0, 0);
    for (name, sse) in streams(&folder) {
        run += 1;
        let whole = read(sse.as_bytes(), usize::MAX, false);
        for cut in [1, 7, 1024] {
            assert_eq!(read(sse.as_bytes(), cut, false), whole, "{name} cut every {cut} bytes");
        }
        let quiet = read(sse.as_bytes(), usize::MAX, true);
        assert_eq!(
            (&quiet.finish, &quiet.usage, quiet.complete, &quiet.failed),
            (&whole.finish, &whole.usage, whole.complete, &whole.failed)
        );
        let all = events(&sse);
        if sse.lines().filter(|line| line.starts_with("data:")).count() > all.len() {
            eprintln!("{name}: an event is no JSON");
            assert!(!whole.complete, "{name}");
            trimmed += 1;
            continue;
        }
        let again = events(&rewritten("responses", sse.as_bytes(), 9));
        check_order(&again, &name);
        if all.iter().any(|event| event["type"] == "response.failed" || event["type"] == "error") {
            failed += 1;
            assert!(whole.failed.is_some() && !whole.complete, "{name}");
            assert!(again.iter().any(|event| event["type"] == "response.failed"), "{name}");
            continue;
        }
        assert!(whole.complete && whole.done && whole.failed.is_none() && whole.finish.len() == 1, "{name}: {whole:?}");
        let expected = answer_of_items(&all);
        if !expected.text.starts_with(&deltas(&all)) {
            eprintln!("{name}: cut by hand, its pieces contradict what it repeats");
            trimmed += 1;
            continue;
        }
        assert_eq!(Answer { others: expected.others, ..whole.answer.clone() }, expected, "{name}");
        assert_eq!(answer_of_items(&again), translated(&expected), "{name}");
        if whole.lost.is_empty() { exact += 1 } else { lossy += 1 }
    }
    eprintln!(
        "streams: {run} run, {exact} exact, {lossy} with named losses, {failed} failures told, {trimmed} trimmed by hand, 0 unexplained"
    );
    assert!(trimmed <= 4, "{trimmed} trimmed");
    assert!(run >= 30, "only {run}");
}

/// What the pieces of text say.
fn deltas(events: &[Value]) -> String {
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    deltas.filter_map(|event| event["delta"].as_str()).collect()
}

/// What a response holds that was translated from such an answer: its own opaque reasoning is marked as another's.
fn translated(answer: &Answer) -> Answer {
    let encrypted = answer.encrypted.iter().filter(|data| !data.is_empty()).map(|data| format!("heliostat:opaque:{data}"));
    Answer { encrypted: encrypted.collect(), others: 0, ..answer.clone() }
}

#[test]
fn every_recorded_error_has_a_kind() {
    let Some(folder) = fixtures() else { return };
    for (id, case) in cases(&folder, "responses").into_iter().filter(|(_, case)| case["status"].as_u64() >= Some(400)) {
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let fault = by_name("responses").unwrap().fault(status, case["response_body"].to_string().as_bytes());
        assert!(!fault.message.is_empty(), "{id}");
        if id.contains("context-length") {
            assert_eq!(fault.kind, FaultKind::ContextLength, "{id}");
        }
    }
}

/// Recorded streams of the other dialects, as (dialect, name, SSE).
fn others(folder: &Path) -> Vec<(&'static str, String, String)> {
    let endpoints =
        [("openai", "chat.completions"), ("anthropic", "messages"), ("gemini", "generateContent"), ("gemini", "streamGenerateContent")];
    let mut found = Vec::new();
    for (dialect, endpoint) in endpoints {
        for (id, case) in cases(folder, endpoint).into_iter().filter(|(_, case)| case["status"] == 200) {
            found.extend(case["response_sse"].as_str().map(|sse| (dialect, id, sse.to_owned())));
        }
    }
    found
}

#[test]
fn every_recorded_stream_of_another_dialect_becomes_a_response() {
    let Some(folder) = fixtures() else { return };
    let mut run = 0;
    for (dialect, name, sse) in others(&folder) {
        let back = rewritten(dialect, sse.as_bytes(), usize::MAX);
        let all = events(&back);
        check_order(&all, &name);
        let last = all.last().expect("an end");
        assert!(matches!(last["type"].as_str(), Some("response.completed" | "response.incomplete")), "{name}: {last}");
        assert_eq!(rewritten(dialect, sse.as_bytes(), 1), back, "{name}, byte by byte");
        run += 1;
    }
    eprintln!("streams of other dialects: {run} run, {run} in order");
    assert!(run > 50, "only {run}");
}
