//! A route's policy: where no failover goes, also not one that the client asks for.

use crate::support::{Config, Gateway, Provider, Value, ask, client, json, native, reply, with};

/// Claude's host fails; OpenAI would answer.
async fn kept(policy: &str) -> (Provider, Provider, Gateway) {
    let (anthropic, openai) = (Provider::start().await, Provider::start().await);
    anthropic.always(reply::status_json(500, json!({"type": "error", "error": {"type": "api_error", "message": "down"}})));
    openai.always(reply::json(native::openai("from gpt")));
    let route = format!("mcp: [{{ id: caption, primary: anthropic/claude-haiku-4-5, policy: {{ {policy} }} }}]");
    let config = Config::new().provider("anthropic", &anthropic).provider("openai", &openai).top(&route);
    let config = config.line("anthropic", "region: eu").line("openai", "region: us");
    let gateway = Gateway::start(config).await;
    (anthropic, openai, gateway)
}

fn question() -> Value {
    with(ask("caption"), json!({"fallbacks": ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"]}))
}

#[tokio::test]
async fn a_failover_that_would_leave_is_refused_and_said() {
    for (policy, word) in [
        ("same_family: true", "policy_family"),
        ("regions: [eu, europe-*]", "policy_region"),
        ("providers: [anthropic]", "policy_provider"),
    ] {
        let (anthropic, openai, gateway) = kept(policy).await;
        let answer = gateway.chat_with(&[("x-request-id", word)], question().to_string().as_bytes()).await;
        let said = answer.expect(502).json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(said.contains(&format!("openai/gpt-4o: skipped {word}")), "{said}");
        let attempts = answer.attempts();
        assert!(attempts.iter().any(|attempt| attempt.contains(word)), "{attempts:?}");
        let logged = gateway.access(word).await;
        assert!(logged["attempts"].to_string().contains(word), "{logged}");
        assert_eq!((anthropic.received().len(), openai.received().len()), (2, 0), "{policy}");
        let metrics = gateway.admin_get("/metrics").await.text();
        assert!(metrics.contains("skipped_policy"), "{metrics}");
    }
}

#[tokio::test]
async fn a_larger_model_elsewhere_is_refused_too_and_said() {
    let (anthropic, openai) = (Provider::start().await, Provider::start().await);
    let long = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 250000 tokens"}});
    anthropic.always(reply::status_json(400, long));
    let config = Config::new().provider("anthropic", &anthropic).provider("openai", &openai);
    let config = config.top("mcp: [{ id: caption, primary: anthropic/claude-haiku-4-5, policy: { same_family: true } }]");
    let config = config.top("context_fallbacks: [{ primary: anthropic/claude-haiku-4-5, fallback: [openai/gpt-4.1] }]");
    let gateway = Gateway::start(config).await;
    let answer = gateway.chat(&ask("caption")).await;
    assert_eq!(answer.expect(400).attempts()[1], "openai/gpt-4.1;skipped policy_family");
    assert_eq!(openai.received().len(), 0);
}

#[tokio::test]
async fn a_request_that_is_served_is_none_of_the_policys_business() {
    let (anthropic, _openai, gateway) = kept("same_family: true").await;
    anthropic.always(reply::json(native::anthropic("from claude")));
    let answer = gateway.chat(&question()).await;
    assert_eq!(answer.expect(200).attempts(), ["anthropic/claude-haiku-4-5#ANTHROPIC_API_KEY;200"]);
}

#[tokio::test]
async fn without_a_policy_the_client_goes_where_it_likes() {
    let (_anthropic, _openai, gateway) = kept("same_family: false").await;
    assert_eq!(gateway.chat(&question()).await.expect(200).content(), "from gpt");
}

#[tokio::test]
async fn an_explanation_says_whom_the_policy_keeps_out() {
    let (_anthropic, openai, gateway) = kept("same_family: true").await;
    let headers = [("x-heliostat-admin", "1"), ("host", "localhost")];
    let told = client::send(gateway.admin, "POST", "/explain", &headers, question().to_string().as_bytes()).await.expect(200).json();
    let candidates = told["candidates"].as_array().unwrap();
    let names: Vec<_> = candidates.iter().map(|candidate| candidate["model"].as_str().unwrap()).collect();
    assert_eq!(names, ["claude-haiku-4-5", "claude-sonnet-4-5", "gpt-4o"]);
    assert!(candidates[2]["why_not"].as_str().unwrap().contains("another family"), "{told}");
    assert_eq!(openai.received().len(), 0);
}
