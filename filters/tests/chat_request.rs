//! Reading chat requests: what OpenAI accepts is read, what is wrong is named, what nobody reads is reported.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

use bytes::Bytes;
use heliostat_filters::chat::{self, CHAT, ChatRequest, FallbackRef, Part, ReasoningTrace, ResponseFormat, ToolChoice};
use heliostat_filters::json::{Document, ScanLimits, View};
use heliostat_filters::refusal::Refusal;

fn scan(body: &str) -> Document {
    Document::scan(Bytes::copy_from_slice(body.as_bytes()), &CHAT, ScanLimits::default()).expect("a JSON document")
}

/// A request of one user message, with these members beside it.
fn with(members: &str) -> Document {
    scan(&format!(r#"{{"model":"openai/gpt-4o","messages":[{{"role":"user","content":"Hi"}}]{members}}}"#))
}

/// A request of these messages.
fn saying(messages: &str) -> Document {
    scan(&format!(r#"{{"model":"gpt-4o","messages":[{messages}]}}"#))
}

fn refusal(document: &Document) -> Refusal {
    ChatRequest::read(document).expect_err("a refusal")
}

fn paths(views: &[View<'_>]) -> Vec<String> {
    views.iter().map(|view| view.path()).collect()
}

#[test]
fn a_plain_request_has_nothing_left_over() {
    let document = with(
        r#","stream":true,"stream_options":{"include_usage":true},"n":1.0,"temperature":0,"logit_bias":{ },"store":false,
        "modalities":[ "text" ],"metadata":null,"service_tier":"auto","parallel_tool_calls":true,"presence_penalty":0.0,
        "response_format":{"type":"text"},"user":"","fallbacks":["a/b"]"#,
    );
    let request = ChatRequest::read(&document).unwrap();
    assert_eq!(request.model, "openai/gpt-4o");
    assert!(request.stream && request.include_usage);
    assert!(request.n.is_none() && request.modalities.is_none() && request.service_tier.is_none() && request.user.is_none());
    assert!(request.no_parallel_tool_calls.is_none() && request.presence_penalty.is_none());
    assert_eq!(request.temperature.unwrap().number(), Some(0.0), "not neutral: models have defaults of their own");
    assert!(matches!(request.response_format, ResponseFormat::Text));
    assert_eq!(paths(&request.others), Vec::<String>::new());
}

#[test]
fn what_is_not_read_is_left_over_by_path() {
    let document = scan(
        r#"{"model":"m","verbosity":"low","metadata":{"a":"b"},"max_tokens":9,"max_completion_tokens":8,"user":"u","safety_identifier":"s",
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"b":1,"a":2},"x":1}},
        "functions":[{"name":"old"}],
        "tools":[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":2},"more":1},"y":2}],
        "messages":[{"role":"user","mood":"good","content":[
            {"type":"text","text":"t","annotation":1},
            {"type":"image_url","image_url":{"url":"data:,","detail":"auto","zoom":2}}]}]}"#,
    );
    let request = ChatRequest::read(&document).unwrap();
    let mut left = paths(&request.others);
    left.sort();
    assert_eq!(left, ["functions", "max_tokens", "metadata", "response_format.json_schema.x", "user", "verbosity"]);
    assert_eq!(request.max_tokens.unwrap().raw(), "8");
    assert_eq!(request.user.unwrap().raw(), "\"s\"");
    let ResponseFormat::JsonSchema { schema: Some(schema), .. } = request.response_format else { panic!("a schema") };
    assert_eq!(schema.raw(), r#"{"b":1,"a":2}"#);
    assert_eq!(paths(&request.tools[0].others), ["tools[0].function.more", "tools[0].y"]);
    assert_eq!(paths(&request.messages[0].others), ["messages[0].mood"]);
    let [Part::Text { others: text, .. }, Part::Image { others: image, detail: None, .. }] = &request.messages[0].content[..] else {
        panic!("a text and an image")
    };
    assert_eq!(paths(text), ["messages[0].content[0].annotation"]);
    assert_eq!(paths(image), ["messages[0].content[1].image_url.zoom"]);
}

#[test]
fn what_is_wrong_is_named_in_openai_words() {
    let cases = [
        (scan("[]"), "", "invalid_type"),
        (scan(r#"{"messages":[]}"#), "model", "missing_required_parameter"),
        (scan(r#"{"model":"","messages":[]}"#), "model", "missing_required_parameter"),
        (scan(r#"{"model":7,"messages":[]}"#), "model", "invalid_type"),
        (scan(r#"{"model":"m"}"#), "messages", "missing_required_parameter"),
        (scan(r#"{"model":"m","messages":[]}"#), "messages", "empty_array"),
        (with(r#","stream":"yes""#), "stream", "invalid_type"),
        (with(r#","temperature":"0""#), "temperature", "invalid_type"),
        (with(r#","stop":[1]"#), "stop[0]", "invalid_type"),
        (with(r#","tools":[{"type":"function","function":{}}]"#), "tools[0].function.name", "missing_required_parameter"),
        (with(r#","tools":[{"type":"function"}]"#), "tools[0].function", "missing_required_parameter"),
        (with(r#","tool_choice":"sometimes""#), "tool_choice", "invalid_value"),
        (saying(r#"{"role":"robot"}"#), "messages[0].role", "invalid_value"),
        (saying(r#"{"content":"x"}"#), "messages[0].role", "missing_required_parameter"),
        (saying(r#"{"role":"user","content":{}}"#), "messages[0].content", "invalid_type"),
        (saying(r#"{"role":"user","content":[{"text":"x"}]}"#), "messages[0].content[0].type", "missing_required_parameter"),
        (saying(r#"{"role":"user","content":[{"type":"text"}]}"#), "messages[0].content[0].text", "missing_required_parameter"),
        (
            saying(r#"{"role":"user","content":[{"type":"image_url","image_url":{}}]}"#),
            "messages[0].content[0].image_url.url",
            "missing_required_parameter",
        ),
        (saying(r#"{"role":"assistant","tool_calls":[{"id":"a"}]}"#), "messages[0].tool_calls[0].function", "missing_required_parameter"),
    ];
    for (document, path, code) in &cases {
        let refusal = refusal(document);
        assert_eq!((refusal.path.as_str(), refusal.code), (*path, *code), "{refusal}");
    }
}

#[test]
fn tool_choice_in_every_form() {
    let tools = r#","tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":"#;
    let named = |document: &Document| match ChatRequest::read(document).unwrap().tool_choice {
        ToolChoice::Named { name, .. } => name.text().unwrap().into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(named(&with(&format!(r#"{tools}{{"type":"function","function":{{"name":"a"}}}}"#))), "a");
    assert_eq!(named(&with(r#","functions":[{"name":"a"}],"function_call":{"name":"a"}"#)), "a");
    for form in [
        r#"{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"a"}}]}}"#,
        r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"a"}]}"#,
    ] {
        let document = with(&format!("{tools}{form}"));
        let ToolChoice::Allowed { names, required: true, .. } = ChatRequest::read(&document).unwrap().tool_choice else { panic!("{form}") };
        assert_eq!(names, ["a"]);
    }
    assert!(matches!(ChatRequest::read(&with(&format!(r#"{tools}"any""#))).unwrap().tool_choice, ToolChoice::Required(_)));
}

#[test]
fn legacy_functions_are_tools() {
    let document = with(r#","functions":[{"name":"f","description":"d","parameters":{}}],"function_call":"auto""#);
    let request = ChatRequest::read(&document).unwrap();
    assert!(request.legacy_functions && request.others.is_empty());
    assert_eq!(request.tools[0].name.unwrap().text().unwrap(), "f");
    assert!(request.tools[0].others.is_empty());
}

#[test]
fn a_replayed_assistant_message() {
    let document = saying(
        r#"{"role":"assistant","content":null,"refusal":null,"annotations":[],"audio":null,"function_call":null,"reasoning_content":"thought",
        "reasoning_details":[{"type":"reasoning.text","text":"thought","signature":"sig","index":0},{"type":"reasoning.encrypted","data":"e"}],
        "tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"},
            "extra_content":{"google":{"thought_signature":"g"}}},
            {"id":"d","type":"custom","custom":{"name":"g","input":"free"}}]},
        {"role":"assistant","reasoning":"plain"}"#,
    );
    let request = ChatRequest::read(&document).unwrap();
    let message = &request.messages[0];
    assert!(message.content.is_empty() && message.others.is_empty(), "{:?}", paths(&message.others));
    assert!(matches!(&message.reasoning[..], [ReasoningTrace::Signed { .. }, ReasoningTrace::Encrypted { .. }]));
    assert_eq!(message.tool_calls[0].thought_signature.as_ref().unwrap().text, "g");
    assert!(message.tool_calls[0].others.is_empty());
    assert_eq!(paths(&message.tool_calls[1].others), ["messages[0].tool_calls[1].custom"]);
    assert!(matches!(&request.messages[1].reasoning[..], [ReasoningTrace::Plain { .. }]));
}

#[test]
fn the_gateway_peeks_without_reading() {
    assert_eq!(chat::fallbacks(&with("")).unwrap(), None);
    assert_eq!(chat::fallbacks(&with(r#","fallbacks":null"#)).unwrap(), None);
    assert_eq!(chat::fallbacks(&with(r#","fallbacks":[]"#)).unwrap(), Some(vec![]));
    let both = with(r#","fallbacks":["a/b",{"provider":"c","model":"d"}]"#);
    let pair = FallbackRef::Pair { provider: "c".into(), model: "d".into() };
    assert_eq!(pair.name(), "c/d");
    assert_eq!(chat::fallbacks(&both).unwrap(), Some(vec![FallbackRef::Name("a/b".into()), pair]));
    assert_eq!(chat::fallbacks(&with(r#","fallbacks":[3]"#)).unwrap_err().path, "fallbacks[0]");
    assert_eq!(chat::fallbacks(&with(r#","fallbacks":[{"provider":"c"}]"#)).unwrap_err().path, "fallbacks[0].model");
    let images = saying(
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"a"}},{"type":"text","text":"x"},
        {"type":"image_url","image_url":"b"}]},{"role":"user","content":"c"}"#,
    );
    assert_eq!(chat::image_views(&images).map(|url| url.raw()).collect::<Vec<_>>(), ["\"a\"", "\"b\""]);
}
