//! Whatever transcript a client writes, Anthropic gets one it accepts: turns alternate and begin with the user, results lead their
//! turn and answer the calls before them, no text is blank; or the request is refused by name.

#![allow(clippy::disallowed_types, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by failing")]

mod table;

use bytes::Bytes;
use heliostat_filters::chat::{CHAT, ChatRequest};
use heliostat_filters::dialect::{self, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use proptest::prelude::*;
use serde_json::{Value, json};

proptest! {
    #[test]
    fn any_transcript_becomes_one_the_api_accepts(messages in prop::collection::vec(message(), 1..12)) {
        let body = json!({ "model": "claude-sonnet-4-5", "messages": messages });
        if let Some(sent) = translated(&body) {
            check(sent["messages"].as_array().expect("messages"));
            for block in sent["system"].as_array().into_iter().flatten() {
                prop_assert!(is_worded(block), "{block}");
            }
        }
    }
}

fn message() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(vec!["", " ", "a", "b \n", "\u{e9}\"\\"]);
    let id = || prop::sample::select(vec!["call_1", "call_2", "call.3"]);
    prop_oneof![
        (prop::sample::select(vec!["system", "developer", "user", "assistant"]), text())
            .prop_map(|(role, text)| json!({ "role": role, "content": text })),
        (text(), text()).prop_map(
            |(one, two)| json!({ "role": "user", "content": [{ "type": "text", "text": one }, { "type": "text", "text": two }] })
        ),
        (text(), prop::collection::btree_set(id(), 1..3)).prop_map(|(text, ids)| {
            let calls: Vec<_> =
                ids.iter().map(|id| json!({ "id": id, "type": "function", "function": { "name": "f", "arguments": "" } })).collect();
            json!({ "role": "assistant", "content": text, "tool_calls": calls })
        }),
        (id(), text()).prop_map(|(id, text)| json!({ "role": "tool", "tool_call_id": id, "content": text })),
    ]
}

fn translated(body: &Value) -> Option<Value> {
    let document = Document::scan(Bytes::from(body.to_string()), &CHAT, ScanLimits::default()).expect("JSON");
    let request = ChatRequest::read(&document).expect("a chat request");
    let surface = Surface { image_types: Vec::new(), image_urls: false, ..table::surface() };
    let anthropic = dialect::by_name("anthropic").expect("a dialect");
    match anthropic.chat_request(&request, &Target { model: "claude-sonnet-4-5", surface: &surface, fetched: Fetched::NONE }) {
        Ok(translated) => Some(serde_json::from_slice(&translated.body.join()).expect("a body is JSON")),
        Err(refusal) => {
            assert_eq!(refusal.path, "messages", "{refusal}");
            None
        }
    }
}

fn check(turns: &[Value]) {
    let mut open: Vec<String> = Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        let role = if index % 2 == 0 { "user" } else { "assistant" };
        assert_eq!(turn["role"], role, "turns alternate: {turns:?}");
        let blocks = turn["content"].as_array().expect("blocks");
        assert!(!blocks.is_empty(), "a turn says something");
        let results: Vec<_> = blocks.iter().filter(|block| block["type"] == "tool_result").collect();
        assert!(blocks.iter().take(results.len()).all(|block| block["type"] == "tool_result"), "results lead: {turn}");
        for result in results {
            let at = open.iter().position(|id| result["tool_use_id"] == *id.as_str());
            open.remove(at.expect("a result answers a call, once"));
        }
        assert!(blocks.iter().all(is_worded), "no blank text: {turn}");
        open =
            blocks.iter().filter(|block| block["type"] == "tool_use").filter_map(|block| block["id"].as_str().map(str::to_owned)).collect();
    }
}

fn is_worded(block: &Value) -> bool {
    block["type"] != "text" || block["text"].as_str().is_some_and(|text| !text.trim().is_empty())
}
