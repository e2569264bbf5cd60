//! A provider that is down is not asked twice by everyone, and a calm one is retried.

use crate::support::{Config, Gateway, Provider, ask, json, native, reply, with};

const RETRY: &str = "max_retries: 1, backoff_initial_ms: 1";

async fn pair(budget: &str) -> (Provider, Provider, Gateway) {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    anthropic.always(reply::json(native::anthropic("from claude")));
    let network = format!("network: {{ breaker: {{ enabled: false }}, retry: {{ {RETRY}, budget: {{ {budget} }} }} }}");
    let config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic).top(&network);
    let gateway = Gateway::start(config).await;
    (openai, anthropic, gateway)
}

#[tokio::test]
async fn beyond_the_budget_a_failed_request_goes_on_without_a_repeat_and_says_so() {
    let (openai, _anthropic, gateway) = pair("share: 0, reserve: 1").await;
    openai.always(reply::status(500));
    let body = with(ask("openai/gpt-4o"), json!({"fallbacks": ["anthropic/claude-sonnet-4-5"]}));
    assert_eq!(gateway.chat(&body).await.expect(200).attempts().len(), 3, "one repeat is free");
    let second = gateway.chat(&body).await.expect(200).attempts();
    assert_eq!(openai.received().len(), 3, "no further one: {second:?}");
    assert!(second[1].starts_with("openai/gpt-4o;skipped retry_budget"), "{second:?}");
    gateway.until_metrics(r#"outcome="skipped_retry_budget""#).await;
}

#[tokio::test]
async fn with_nobody_else_to_ask_the_error_names_it() {
    let (openai, _anthropic, gateway) = pair("share: 0, reserve: 0").await;
    openai.always(reply::status(500));
    let body = with(ask("openai/gpt-4o"), json!({"fallbacks": []}));
    let answer = gateway.chat(&body).await;
    assert_eq!(answer.status, 500, "one attempt in the client's own dialect: the provider's answer");
    assert!(answer.attempts().iter().any(|attempt| attempt.contains("skipped retry_budget")), "{:?}", answer.attempts());
    assert_eq!(openai.received().len(), 1);
}

#[tokio::test]
async fn going_elsewhere_costs_nothing() {
    let (openai, _anthropic, gateway) = pair("share: 0, reserve: 0").await;
    openai.always(reply::status(500));
    let body = with(ask("openai/gpt-4o"), json!({"fallbacks": ["anthropic/claude-sonnet-4-5"]}));
    for _ in 0..30 {
        assert_eq!(gateway.chat(&body).await.expect(200).content(), "from claude");
    }
}

#[tokio::test]
async fn by_default_four_faults_in_ten_are_all_repeated() {
    let (openai, _anthropic, gateway) = pair("enabled: true").await;
    let body = with(ask("openai/gpt-4o"), json!({"fallbacks": []}));
    for number in 0..100 {
        if number % 5 < 2 {
            openai.script([reply::status(500)]);
        }
        openai.script([reply::json(native::openai("in the end"))]);
        assert_eq!(gateway.chat(&body).await.expect(200).content(), "in the end");
    }
}
