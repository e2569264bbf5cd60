//! A stream that begins slowly is left while there is somebody else, and nothing of it is delivered.

use std::time::Duration;

use crate::support::native::{chunk_text, is_done, openai_stream};
use crate::support::stage::{Stage, Step, Version};
use crate::support::{Config, Gateway, Provider, Value, ask_stream, json, native, reply, with};

const PRIMARY: &str = "openai/gpt-4o";

fn asked(fallbacks: &[&str]) -> Value {
    with(ask_stream(PRIMARY), json!({"fallbacks": fallbacks}))
}

/// Words that come so far apart, without an end.
fn words(pause_ms: u64) -> Vec<Step> {
    let answer = Step::Answer(200, vec![("content-type", "text/event-stream".into())]);
    vec![Step::Head, Step::Body, answer, Step::Repeat(chunk_text("word ").into(), Duration::from_millis(pause_ms))]
}

async fn gateway(primary: &str, slow_stream: &str) -> (Provider, Gateway) {
    let anthropic = Provider::start().await;
    anthropic.always(reply::events(native::anthropic_stream(&["from claude"])));
    let config = Config::new().at("openai", primary).provider("anthropic", &anthropic);
    let gateway = Gateway::start(config.timeouts("openai", &format!("slow_stream: {{ {slow_stream} }}"))).await;
    (anthropic, gateway)
}

#[tokio::test]
async fn one_that_begins_slowly_is_left_and_nobody_waits_for_it_again() {
    let stage = Stage::start(Version::One, words(150)).await;
    let (_anthropic, gateway) = gateway(&format!("http://{}", stage.address), "window_ms: 400, min_bytes_per_s: 1000").await;
    let body = asked(&["anthropic/claude-sonnet-4-5"]);
    let mut stream = gateway.stream(&body).await;
    let attempts = stream.attempts();
    assert!(attempts[0].ends_with(";slow_stream"), "{attempts:?}");
    let events = stream.rest().await;
    assert_eq!(native::text_of(&events), "from claude");
    stage.quiet().await;
    let again = gateway.stream(&body).await.attempts();
    assert_eq!(again.len(), 1, "its breaker is open: {again:?}");
}

#[tokio::test]
async fn the_last_candidate_may_be_slow() {
    let stage = Stage::start(Version::One, words(150)).await;
    let (_anthropic, gateway) = gateway(&format!("http://{}", stage.address), "window_ms: 200, min_bytes_per_s: 1000").await;
    let mut stream = gateway.stream(&asked(&[])).await;
    assert_eq!(stream.status, 200);
    assert!(matches!(stream.try_event().await, Ok(Some(_))));
}

#[tokio::test]
async fn a_short_answer_is_not_slow_and_a_quick_one_is_not_held() {
    let openai = Provider::start().await;
    openai.always(reply::events(openai_stream(&["ok"])));
    let (_anthropic, gateway) = gateway(&openai.url(), "window_ms: 8000, min_bytes_per_s: 1000").await;
    let mut stream = gateway.stream(&asked(&["anthropic/claude-sonnet-4-5"])).await;
    let events = stream.rest().await;
    assert_eq!((native::text_of(&events).as_str(), is_done(&events)), ("ok", true));
}

#[tokio::test]
async fn what_breaks_while_it_is_held_has_not_been_delivered() {
    let openai = Provider::start().await;
    openai.always(reply::ending([chunk_text("never")], reply::End::Cut));
    let (_anthropic, gateway) = gateway(&openai.url(), "window_ms: 8000, min_bytes_per_s: 1000").await;
    let mut stream = gateway.stream(&asked(&["anthropic/claude-sonnet-4-5"])).await;
    assert_eq!(native::text_of(&stream.rest().await), "from claude");
}
