//! Azure OpenAI, both ways: `/openai/v1`, where a deployment stands for the model in the body, and the classic paths, where it stands in
//! the path and a version of the API behind it.

use crate::support::provider::Seen;
use crate::support::{Config, Gateway, Provider, Value, ask, ask_stream, client, json, messages, native, reply, with};

const USUAL: &str = "?api-version=2025-04-01-preview";

fn only(upstream: &Provider) -> (Seen, Value) {
    let mut received = upstream.received();
    assert_eq!(received.len(), 1, "one request");
    let body = serde_json::from_slice(&received[0].body).expect("a JSON body");
    (received.remove(0), body)
}

async fn of(name: &str, lines: &[&str]) -> (Provider, Gateway) {
    let upstream = Provider::start().await;
    upstream.always(reply::json(native::openai("hello")));
    let config = Config::new().provider(name, &upstream).keys(name, "[{ value: env.OTHER_API_KEY }]");
    let config = lines.iter().fold(config, |config, line| config.line(name, line));
    (upstream, Gateway::start(config).await)
}

/// What Azure says before it says anything, in a stream.
fn filtered_prompt() -> String {
    let safe = json!({"hate": {"filtered": false, "severity": "safe"}});
    let results = json!([{"prompt_index": 0, "content_filter_results": safe}]);
    format!("data: {}\n\n", json!({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": results}))
}

#[tokio::test]
async fn the_classic_path_names_the_deployment_and_the_version() {
    let (azure, gateway) = of("azure-classic", &[]).await;
    let reply = gateway.chat(&ask("azure-classic/prod 4o")).await;
    assert_eq!(reply.expect(200).content(), "hello");
    let (seen, body) = only(&azure);
    assert_eq!(seen.line, format!("POST /openai/deployments/prod%204o/chat/completions{USUAL}"));
    assert_eq!((seen.head.header("api-key"), seen.head.header("authorization")), (Some("sk-secret-other_api_key"), None));
    assert_eq!(body["model"], "prod 4o");
}

#[tokio::test]
async fn the_first_version_path_has_the_deployment_in_the_body_and_no_version() {
    let (azure, gateway) = of("azure", &["deployments: { gpt-4o: prod-4o }"]).await;
    assert_eq!(gateway.chat(&ask("azure/gpt-4o")).await.expect(200).header("x-heliostat-model"), "gpt-4o");
    let (seen, body) = only(&azure);
    assert_eq!((seen.line.as_str(), &body["model"]), ("POST /openai/v1/chat/completions", &json!("prod-4o")));
    assert_eq!((seen.head.header("api-key"), seen.head.header("authorization")), (Some("sk-secret-other_api_key"), None));
}

#[tokio::test]
async fn a_version_is_the_providers_or_the_keys_own() {
    let keys = "[{ value: env.KEY_A, models: [a] }, { value: env.KEY_B, models: [b], api_version: 2024-10-21 }]";
    for (name, path) in [("azure", "/openai/v1/chat/completions"), ("azure-classic", "/openai/deployments/M/chat/completions")] {
        let upstream = Provider::start().await;
        upstream.always(reply::json(native::openai("hello")));
        let gateway = Gateway::start(Config::new().provider(name, &upstream).keys(name, keys).line(name, "api_version: preview")).await;
        for model in ["a", "b"] {
            gateway.chat(&ask(&format!("{name}/{model}"))).await.expect(200);
        }
        let lines: Vec<_> = upstream.received().into_iter().map(|seen| seen.line).collect();
        let line = |model: &str, version: &str| format!("POST {}?api-version={version}", path.replace('M', model));
        assert_eq!(lines, [line("a", "preview"), line("b", "2024-10-21")]);
    }
}

#[tokio::test]
async fn embeddings_go_to_the_deployment_too() {
    let list = json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "text-embedding-3-small", "usage": {"prompt_tokens": 1, "total_tokens": 1}});
    let classic = format!("POST /openai/deployments/vectors/embeddings{USUAL}");
    for (name, line) in [("azure", "POST /openai/v1/embeddings"), ("azure-classic", classic.as_str())] {
        let (azure, gateway) = of(name, &["deployments: { text-embedding-3-small: vectors }"]).await;
        azure.always(reply::json(list.clone()));
        gateway.embed(&json!({"model": format!("{name}/text-embedding-3-small"), "input": "x", "dimensions": 1})).await.expect(200);
        let (seen, body) = only(&azure);
        assert_eq!((seen.line.as_str(), body), (line, json!({"model": "vectors", "input": "x", "dimensions": 1})));
    }
}

/// A deployment may have any name: what the model takes is told by the name that is asked for.
#[tokio::test]
async fn a_deployment_of_a_reasoning_model_is_asked_as_one() {
    let (azure, gateway) = of("azure-classic", &["deployments: { gpt-5: prod }"]).await;
    let asked = json!({"model": "azure-classic/gpt-5", "max_tokens": 2000, "temperature": 0.5, "system": "Be brief.",
        "thinking": {"type": "enabled", "budget_tokens": 1500}, "messages": [{"role": "user", "content": "hi"}]});
    let reply =
        client::send(gateway.address, "POST", "/v1/messages", &[("anthropic-version", "2023-06-01")], asked.to_string().as_bytes()).await;
    assert_eq!(reply.expect(200).json()["content"][0]["text"], "hello");
    let (seen, body) = only(&azure);
    assert_eq!(seen.line, format!("POST /openai/deployments/prod/chat/completions{USUAL}"));
    assert_eq!(
        (&body["model"], &body["max_completion_tokens"], &body["messages"][0]["role"]),
        (&json!("prod"), &json!(2000), &json!("developer"))
    );
    assert!(body.get("temperature").is_none() && body["reasoning_effort"].is_string(), "{body}");
}

#[tokio::test]
async fn filters_are_told_to_whom_has_words_for_them() {
    let (azure, gateway) = of("azure", &[]).await;
    let mut events = vec![filtered_prompt()];
    events.extend(native::openai_stream(&["hel", "lo"]));
    azure.always(reply::events(&events));
    let told = gateway.stream(&ask_stream("azure/gpt-4o")).await.bytes().await;
    assert_eq!(String::from_utf8(told).unwrap(), events.concat(), "byte for byte");
    let asked = json!({"model": "azure/gpt-4o", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let mut stream = client::open(gateway.address, "/v1/messages", &[], asked.to_string().as_bytes()).await;
    let message = messages::assemble(&stream.rest().await);
    assert_eq!(message["content"][0]["text"], "hello");
    assert!(!message["id"].as_str().unwrap().is_empty() && !message["model"].as_str().unwrap().is_empty(), "{message}");
}

#[tokio::test]
async fn a_filtered_prompt_is_a_400_with_its_reasons() {
    let (azure, gateway) = of("azure-classic", &[]).await;
    let error = json!({"error": {"message": "The response was filtered due to the prompt triggering Azure Content management policy.", "type": null, "param": "prompt",
        "code": "content_filter", "status": 400, "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": true, "severity": "high"}}}}});
    azure.always(reply::status_json(400, error.clone()));
    let reply = gateway.chat(&ask("azure-classic/d")).await;
    assert_eq!(reply.expect(400).json(), error, "its own words");
}

#[tokio::test]
async fn a_deployment_that_is_not_there_leads_to_the_next_candidate() {
    let (azure, gateway) = of("azure-classic", &[]).await;
    azure.script([
        reply::status_json(
            404,
            json!({"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}),
        ),
        reply::json(native::openai("hello")),
    ]);
    let reply = gateway.chat(&with(ask("azure-classic/d"), json!({"fallbacks": ["azure-classic/e"]}))).await;
    assert_eq!(reply.expect(200).header("x-heliostat-model"), "e");
}
