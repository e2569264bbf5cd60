//! A host that stops answering is waited for once, not by every request.

use std::time::{Duration, Instant};

use crate::support::reply::Reply;
use crate::support::{Config, Gateway, Provider, ask, json, native, reply, with};

const BOTH: (&str, &str) = ("openai/gpt-4o", "anthropic/claude-sonnet-4-5");

/// `rules` are those of the primary, of which `clocks` are short.
async fn pair(clocks: &str, rules: &str) -> (Provider, Provider, Gateway) {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    anthropic.always(reply::json(native::anthropic("from claude")));
    let network = format!("network: {{ timeouts: {{ {clocks} }}, breaker: {{ {rules} }} }}");
    let config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic).top(&network);
    let gateway = Gateway::start(config).await;
    (openai, anthropic, gateway)
}

#[tokio::test]
async fn after_a_timeout_nobody_pays_it_again() {
    let (openai, _anthropic, gateway) = pair("header_ms: 400", "open_ms: 60000").await;
    openai.always(Reply::Hang);
    let body = with(ask(BOTH.0), json!({"fallbacks": [BOTH.1]}));
    assert_eq!(gateway.chat(&body).await.expect(200).attempts().len(), 2);
    for _ in 0..20 {
        assert_eq!(gateway.chat(&body).await.expect(200).attempts().len(), 1, "only the fallback was asked");
    }
    assert_eq!(openai.received().len(), 1);
}

#[tokio::test]
async fn one_request_tries_again_and_its_answer_brings_the_host_back() {
    let (openai, _anthropic, gateway) = pair("header_ms: 400", "open_ms: 1").await;
    openai.script([Reply::Hang, reply::json(native::openai("back"))]);
    let body = with(ask(BOTH.0), json!({"fallbacks": [BOTH.1]}));
    assert_eq!(gateway.chat(&body).await.expect(200).content(), "from claude");
    assert_eq!(gateway.chat(&body).await.expect(200).content(), "back");
}

#[tokio::test]
async fn a_callers_own_impatience_shuts_nobody_off() {
    let (openai, _anthropic, gateway) = pair("total_ms: 20000", "open_ms: 60000").await;
    openai.script([Reply::Hang, reply::json(native::openai("still asked"))]);
    let body = with(ask(BOTH.0), json!({"fallbacks": [BOTH.1]}));
    let began = Instant::now();
    let hasty = gateway.chat_with(&[("x-heliostat-timeout-ms", "600")], body.to_string().as_bytes()).await;
    assert_eq!(hasty.expect(200).content(), "from claude");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(gateway.chat(&body).await.expect(200).content(), "still asked");
}

#[tokio::test]
async fn with_nothing_else_left_an_open_breaker_forbids_nothing() {
    let (openai, _anthropic, gateway) = pair("header_ms: 400", "open_ms: 60000").await;
    openai.script([Reply::Hang, reply::json(native::openai("back"))]);
    let body = with(ask(BOTH.0), json!({"fallbacks": []}));
    gateway.chat(&body).await.expect(504);
    assert_eq!(gateway.chat(&body).await.expect(200).content(), "back");
}

#[tokio::test]
async fn wrong_requests_open_nothing() {
    let (openai, _anthropic, gateway) = pair("header_ms: 5000", "consecutive: 2, open_ms: 60000").await;
    openai.script((0..5).map(|_| reply::status(400)));
    let body = with(ask(BOTH.0), json!({"fallbacks": [BOTH.1]}));
    for _ in 0..5 {
        gateway.chat(&body).await.expect(400);
    }
    openai.always(reply::json(native::openai("asked")));
    assert_eq!(gateway.chat(&body).await.expect(200).content(), "asked");
}
