//! A Messages stream put together as Anthropic's SDKs do, and held to the order of its events.

use super::{Value, json};

/// The message that a stream tells. Panics where the stream breaks the protocol: a block that is not open, two that overlap, anything
/// behind `message_stop`.
pub fn assemble(events: &[String]) -> Value {
    let mut message = Value::Null;
    let mut open: Option<(usize, String)> = None;
    let mut ended = false;
    for event in events.iter().filter(|event| !event.starts_with(':')) {
        let (name, data) = parse(event);
        assert_eq!(data["type"], name.as_str(), "the name stands in the data too: {event}");
        assert!(!ended, "{name} behind message_stop");
        match name.as_str() {
            "message_start" => {
                assert!(message.is_null(), "a second message_start");
                message = data["message"].clone();
                assert_eq!((&message["content"], &message["stop_reason"]), (&json!([]), &Value::Null));
                assert!(message["usage"]["input_tokens"].is_u64() && message["usage"]["output_tokens"].is_u64(), "{message}");
            }
            "ping" => assert!(!message.is_null(), "a ping before the message"),
            "content_block_start" => {
                assert!(open.is_none(), "a block begins before another ended: {event}");
                let content = message["content"].as_array_mut().expect("message_start came first");
                assert_eq!(data["index"], content.len(), "{event}");
                content.push(data["content_block"].clone());
                open = Some((content.len() - 1, String::new()));
            }
            "content_block_delta" => {
                let (index, input) = open.as_mut().unwrap_or_else(|| panic!("no block is open: {event}"));
                assert_eq!(data["index"], *index, "{event}");
                add(&mut message["content"][*index], &data["delta"], input);
            }
            "content_block_stop" => {
                let (index, input) = open.take().unwrap_or_else(|| panic!("no block is open: {event}"));
                assert_eq!(data["index"], index, "{event}");
                if !input.is_empty() {
                    message["content"][index]["input"] = serde_json::from_str(&input).unwrap_or_else(|_| panic!("no JSON: {input}"));
                }
            }
            "message_delta" => {
                assert!(open.is_none(), "a block is open at the end");
                message["stop_reason"] = data["delta"]["stop_reason"].clone();
                message["usage"] = data["usage"].clone();
            }
            "message_stop" => {
                assert!(!message["stop_reason"].is_null(), "no message_delta came");
                ended = true;
            }
            other => panic!("unknown event {other}: {event}"),
        }
    }
    assert!(ended, "no message_stop in {events:?}");
    message
}

/// Name and data of an event.
pub fn parse(event: &str) -> (String, Value) {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {event:?}"));
    (field("event: ").to_owned(), serde_json::from_str(field("data: ")).expect("data is JSON"))
}

fn add(block: &mut Value, delta: &Value, input: &mut String) {
    let kind = block["type"].as_str().expect("a block has a type").to_owned();
    let (of, key) = match delta["type"].as_str().expect("a delta has a type") {
        "text_delta" => ("text", "text"),
        "thinking_delta" => ("thinking", "thinking"),
        "signature_delta" => ("thinking", "signature"),
        "input_json_delta" => ("tool_use", "partial_json"),
        other => panic!("unknown delta {other}"),
    };
    assert_eq!(kind, of, "{delta} in a block of {kind}");
    let piece = delta[key].as_str().unwrap_or_else(|| panic!("no {key} in {delta}"));
    match of {
        "tool_use" => input.push_str(piece),
        _ => block[key] = json!(block[key].as_str().unwrap_or_default().to_owned() + piece),
    }
}
