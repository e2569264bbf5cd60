//! Rests of keys and models: they order what is tried, and forbid nothing.

use std::time::{Duration, Instant};

use crate::support::reply::Reply;
use crate::support::{Config, Gateway, Provider, ask, json, native, reply, with};

const GPT: &str = "openai/gpt-4o";

async fn openai() -> (Provider, Gateway) {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    (openai, gateway)
}

#[tokio::test]
async fn an_overload_rests_one_model_and_not_its_provider() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(Config::new().provider("openai", &openai).provider("anthropic", &anthropic)).await;
    let body = |model: &str| with(ask(model), json!({"fallbacks": ["anthropic/claude-sonnet-4-5"]}));
    anthropic.always(reply::json(native::anthropic("from claude")));
    openai.script([reply::status(529), reply::json(native::openai("another model"))]);
    assert_eq!(gateway.chat(&body(GPT)).await.expect(200).attempts().len(), 2);
    assert_eq!(gateway.chat(&body("openai/gpt-4o-mini")).await.expect(200).content(), "another model");
    assert_eq!(gateway.chat(&body(GPT)).await.expect(200).attempts(), ["anthropic/claude-sonnet-4-5#ANTHROPIC_API_KEY;200"]);
}

#[tokio::test]
async fn with_nothing_else_left_a_guessed_rest_admits_one_probe_at_a_time() {
    let (openai, gateway) = openai().await;
    openai.script([reply::status(429), Reply::Hang]);
    gateway.chat(&ask(GPT)).await.expect(429);
    let body = ask(GPT);
    let others = async {
        while openai.received().len() < 2 {
            tokio::task::yield_now().await;
        }
        // The fake fails the test if either is let through while the probe hangs.
        gateway.chat(&body).await.expect(429);
        gateway.chat(&body).await.expect(429);
    };
    tokio::select! {
        _ = gateway.chat(&body) => panic!("the probe hangs"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_probe_that_succeeds_ends_the_rest() {
    let (openai, gateway) = openai().await;
    openai.script([reply::status(429), reply::json(native::openai("well again")), reply::json(native::openai("and again"))]);
    gateway.chat(&ask(GPT)).await.expect(429);
    assert_eq!(gateway.chat(&ask(GPT)).await.expect(200).content(), "well again");
    assert_eq!(gateway.chat(&ask(GPT)).await.expect(200).content(), "and again");
}

#[tokio::test]
async fn a_stated_rest_that_ends_in_time_is_waited_for() {
    let (openai, gateway) = openai().await;
    openai.script([reply::status(429).header("retry-after-ms", "700"), reply::json(native::openai("waited"))]);
    gateway.chat(&ask(GPT)).await.expect(429);
    let began = Instant::now();
    assert_eq!(gateway.chat(&ask(GPT)).await.expect(200).content(), "waited");
    assert!(began.elapsed() > Duration::from_millis(300), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stated_rest_beyond_the_deadline_is_429_at_once() {
    for (name, value) in [("retry-after", "120"), ("retry-after-ms", "120000"), ("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")] {
        let (openai, gateway) = openai().await;
        openai.script([reply::status(429).header(name, value)]);
        gateway.chat(&ask(GPT)).await.expect(429);
        let reply = gateway.chat_with(&[("x-heliostat-timeout-ms", "5000")], ask(GPT).to_string().as_bytes()).await;
        let seconds: u64 = reply.expect(429).header("retry-after").parse().unwrap();
        assert!((100..=3_600).contains(&seconds) && reply.error().contains(GPT), "{name}: {value}: {seconds}");
        assert_eq!(reply.header("x-should-retry"), "false");
    }
}
