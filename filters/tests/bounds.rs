//! What an upstream's stream or a client's request may make us keep or compute: bounded, and said where it bites.

#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use heliostat_filters::chat::{CHAT, ChatRequest, StreamEvent};
use heliostat_filters::dialect::{Names, Surface, Target, by_name};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use heliostat_filters::sse::Event;

/// Words for the failures and losses of a stream of these events.
fn told(dialect: &str, events: impl Iterator<Item = String>) -> Vec<String> {
    let mut reader = by_name(dialect).expect("a dialect").chat_stream(Names::default());
    let mut told = Vec::new();
    for data in events {
        reader.read(Event { name: "", data: &data }, &mut |event| match event {
            StreamEvent::Failed(fault) => told.push(fault.message),
            StreamEvent::Lost(loss) => told.push(loss.to_string()),
            _ => {}
        });
    }
    told
}

#[test]
fn a_stream_of_too_many_choices_fails() {
    let said = told("openai", (0..1025).map(|index| format!(r#"{{"choices":[{{"index":{index},"delta":{{"content":"x"}}}}]}}"#)));
    assert_eq!(said, ["the upstream's stream has more than 1024 choices"]);
    let part = r#"{"content":{"parts":[{"text":"x"}]}"#;
    let said = told("gemini", (0..1025).map(|index| format!(r#"{{"candidates":[{part},"index":{index}}}]}}"#)));
    assert_eq!(said, ["the upstream's stream has more than 1024 candidates"]);
}

#[test]
fn calls_past_the_limit_are_a_loss() {
    let call = |index| format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":{index},"function":{{"name":"f"}}}}]}}}}]}}"#);
    assert_eq!(told("openai", (0..4097).map(call)), ["dropped choices[0].delta.tool_calls"]);
}

#[test]
fn a_stream_of_too_many_open_blocks_fails() {
    let begin = |index| format!(r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"text","text":""}}}}"#);
    let said = told("anthropic", (0..1025).map(begin));
    assert!(matches!(said.as_slice(), [one] if one.contains("open at once")), "{said:?}");
}

/// Walks over all messages for each of them would take minutes here.
#[test]
fn a_request_with_very_many_losses_is_translated_in_time() {
    let messages: Vec<String> = (0..60_000).map(|number| format!(r#"{{"role":"user","content":"h","name":"n{number}"}}"#)).collect();
    let body = format!(r#"{{"model":"m","messages":[{}]}}"#, messages.join(","));
    let document = Document::scan(Bytes::from(body), &CHAT, ScanLimits::default()).expect("JSON");
    let request = ChatRequest::read(&document).expect("a request");
    for dialect in ["anthropic", "gemini"] {
        let (began, surface) = (Instant::now(), Surface::default());
        let translated =
            by_name(dialect).expect("a dialect").chat_request(&request, &Target { model: "m", surface: &surface, fetched: Fetched::NONE });
        let losses = translated.expect("a translation").losses;
        assert_eq!(losses.last().map(ToString::to_string).as_deref(), Some("dropped (more)"), "{dialect}");
        assert!(began.elapsed() < Duration::from_secs(20), "{dialect}: {:?}", began.elapsed());
    }
}
