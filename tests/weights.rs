//! Weighted keys: the shares are exact, over short runs too.

use crate::support::{Config, Gateway, Provider, ask, config::secret_of, json, native, reply};

/// How often each key was used over `count` requests.
async fn shares(keys: &str, count: usize) -> (usize, usize) {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let gateway = Gateway::start(Config::new().provider("openai", &openai).keys("openai", keys)).await;
    for _ in 0..count {
        gateway.chat(&ask("openai/gpt-4o")).await.expect(200);
    }
    let bearer = |name: &str| format!("Bearer {}", secret_of(name));
    let used = |name: &str| openai.received().iter().filter(|s| s.head.header("authorization") == Some(bearer(name).as_str())).count();
    (used("KEY_A"), used("KEY_B"))
}

#[tokio::test]
async fn seventy_to_thirty_is_exact_over_ten_and_over_a_hundred() {
    let keys = "[{ value: env.KEY_A, weight: 0.7 }, { value: env.KEY_B, weight: 0.3 }]";
    assert_eq!(shares(keys, 10).await, (7, 3));
    assert_eq!(shares(keys, 100).await, (70, 30));
}

#[tokio::test]
async fn a_missing_weight_is_one() {
    assert_eq!(shares("[{ value: env.KEY_A }, { value: env.KEY_B }]", 10).await, (5, 5));
    assert_eq!(shares("[{ value: env.KEY_A, weight: 3 }, { value: env.KEY_B }]", 8).await, (6, 2));
}

#[tokio::test]
async fn a_weight_of_zero_is_never_used() {
    assert_eq!(shares("[{ value: env.KEY_A, weight: 0 }, { value: env.KEY_B, weight: 0.1 }]", 6).await, (0, 6));
}

#[tokio::test]
async fn a_key_serves_only_the_models_it_lists() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let keys = "[{ value: env.KEY_A, models: [gpt-4o] }, { value: env.KEY_B, models: [\"gpt-4o-mini*\"] }]";
    let gateway = Gateway::start(Config::new().provider("openai", &openai).keys("openai", keys)).await;
    for (model, key) in [("openai/gpt-4o", "KEY_A"), ("openai/gpt-4o-mini", "KEY_B"), ("openai/gpt-4o-mini-2024", "KEY_B")] {
        gateway.chat(&ask(model)).await.expect(200);
        let seen = openai.received().pop().unwrap().head;
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {}", secret_of(key)).as_str()), "{model}");
    }
    let reply = gateway.chat(&ask("openai/gpt-5")).await;
    assert_eq!(reply.expect(404).json()["error"]["code"], json!("model_not_found"));
}

#[tokio::test]
async fn a_named_key_stands_under_its_name_and_never_under_its_secret() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let config = Config::new().provider("openai", &openai).keys("openai", "[{ value: env.KEY_A, name: production }]");
    let reply = Gateway::start(config).await.chat(&ask("gpt-4o")).await;
    assert_eq!(reply.attempts(), ["openai/gpt-4o#production;200"]);
    assert!(!format!("{:?}", reply.head).contains(&secret_of("KEY_A")));
}
