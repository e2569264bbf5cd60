//! A second reading of responses and of their streams, by other means than the code under test.

use serde_json::Value;

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) struct Answer {
    pub text: String,
    pub refusal: String,
    pub reasoning: String,
    /// Opaque reasoning, as it would be replayed.
    pub encrypted: Vec<String>,
    /// (call id, name, arguments)
    pub calls: Vec<(String, String, String)>,
    pub images: usize,
    /// Items that a chat has no place for.
    pub others: usize,
}

/// Reads a response object.
pub(crate) fn answer(response: &Value) -> Answer {
    let mut answer = Answer::default();
    for item in response["output"].as_array().expect("an output") {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let parts = |key: &str| item[key].as_array().cloned().unwrap_or_default();
        match item["type"].as_str().unwrap_or_default() {
            "message" => {
                for part in parts("content") {
                    answer.text += &text(&part["text"]);
                    answer.refusal += &text(&part["refusal"]);
                }
            }
            "reasoning" => {
                for part in parts("summary").iter().chain(&parts("content")) {
                    answer.reasoning += &text(&part["text"]);
                }
                answer.encrypted.extend(item["encrypted_content"].as_str().map(str::to_owned));
            }
            "function_call" => answer.calls.push((text(&item["call_id"]), text(&item["name"]), text(&item["arguments"]))),
            "custom_tool_call" => answer.calls.push((text(&item["call_id"]), text(&item["name"]), text(&item["input"]))),
            "image_generation_call" if item["result"].is_string() => answer.images += 1,
            _ => answer.others += 1,
        }
    }
    answer
}

/// The data of each event of a stream.
pub(crate) fn events(sse: &str) -> Vec<Value> {
    let data = sse.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// What a stream says, by its finished items alone.
pub(crate) fn answer_of_items(events: &[Value]) -> Answer {
    let done = events.iter().filter(|event| event["type"] == "response.output_item.done");
    let mut items: Vec<_> = done.map(|event| (event["output_index"].as_u64(), event["item"].clone())).collect();
    items.sort_by_key(|(index, _)| *index);
    let items: Vec<Value> = items.into_iter().map(|(_, item)| item).collect();
    answer(&serde_json::json!({ "output": items }))
}

/// Checks that a stream keeps the order of the specification: numbers without a gap, items announced before anything is said of them,
/// the whole of each text repeated as its pieces said it, and the last event holding exactly the finished items.
pub(crate) fn check_order(events: &[Value], of: &str) {
    let mut texts: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    let mut open: Vec<u64> = Vec::new();
    let mut items: std::collections::BTreeMap<u64, Value> = std::collections::BTreeMap::new();
    for (number, event) in (0..).zip(events) {
        let kind = event["type"].as_str().expect("a type");
        assert_eq!(event["sequence_number"].as_u64(), Some(number), "{of}: {event}");
        let index = event["output_index"].as_u64();
        match kind {
            "response.created" => assert_eq!(number, 0, "{of}"),
            "response.in_progress" => assert_eq!(number, 1, "{of}"),
            "response.output_item.added" => {
                assert_eq!(index, Some((open.len() + items.len()) as u64), "{of}: items are numbered in order");
                open.push(index.unwrap());
            }
            "response.output_item.done" => {
                open.retain(|open| Some(*open) != index);
                assert!(items.insert(index.unwrap(), event["item"].clone()).is_none(), "{of}: done twice");
            }
            "response.completed" | "response.incomplete" => {
                assert!(open.is_empty(), "{of}: {open:?} never ended");
                let whole: Vec<_> = items.values().cloned().collect();
                assert_eq!(event["response"]["output"], Value::Array(whole), "{of}: the end repeats the items");
                assert_eq!(number as usize, events.len() - 1, "{of}: nothing comes after the end");
            }
            "response.failed" | "error" => {}
            _ => assert!(open.contains(&index.expect("an index")), "{of}: {kind} of an item that is not open"),
        }
        let place = format!("{index:?} {} {}", event["content_index"], event["summary_index"]);
        if kind.ends_with(".delta") {
            *texts.entry(place).or_default() += event["delta"].as_str().expect("a delta");
        } else if let Some(whole) = ["text", "arguments", "refusal"].iter().find_map(|key| event[key].as_str()) {
            assert_eq!(texts.remove(&place).unwrap_or_default(), whole, "{of}: {kind}");
        }
    }
    assert!(texts.is_empty(), "{of}: {texts:?} were never repeated");
}
