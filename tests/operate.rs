//! What operators do: look at the keys, ask what would become of a request, practise a failure, take a key out.

use crate::support::client;
use crate::support::gateway::{file, run};
use crate::support::http;
use crate::support::reply::Reply;
use crate::support::{Config, Gateway, Provider, Value, ask, json, native, reply, with};

const KEYS: &str = "[{ value: env.KEY_A, name: one, weight: 0.7 }, { value: env.KEY_B, name: two, weight: 0.3 }]";
const CHANGE: &[(&str, &str)] = &[("x-heliostat-admin", "1"), ("host", "localhost")];

/// OpenAI with two keys and Claude behind it; both answer.
async fn pair() -> (Provider, Provider, Gateway) {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    openai.always(reply::json(native::openai("from gpt")));
    anthropic.always(reply::json(native::anthropic("from claude")));
    let config = Config::new().provider("openai", &openai).keys("openai", KEYS).provider("anthropic", &anthropic);
    let gateway = Gateway::start(config).await;
    (openai, anthropic, gateway)
}

fn question() -> Value {
    with(ask("openai/gpt-4o"), json!({"fallbacks": ["anthropic/claude-sonnet-4-5"]}))
}

async fn change(gateway: &Gateway, method: &str, path: &str, body: &Value) -> client::Reply {
    client::send(gateway.admin, method, path, CHANGE, body.to_string().as_bytes()).await
}

async fn key(gateway: &Gateway, name: &str) -> Value {
    let told = gateway.admin_get("/upstreams").await.expect(200).json();
    let keys = told["keys"].as_array().unwrap();
    keys.iter().find(|key| key["key"] == name).unwrap_or_else(|| panic!("{name} in {told}")).clone()
}

#[tokio::test]
async fn the_state_of_every_key_is_told_and_no_secret() {
    let (openai, _anthropic, gateway) = pair().await;
    let limited = Reply::Whole(429, vec![("retry-after".into(), "60".into())], b"{}".to_vec());
    openai.script([limited, reply::json(native::openai("from gpt"))]);
    assert_eq!(gateway.chat(&question()).await.expect(200).content(), "from gpt");
    let (one, two) = (key(&gateway, "one").await, key(&gateway, "two").await);
    assert_eq!(one["standing"], "cooling", "{one}");
    assert_eq!(one["cooling_stated"], true);
    assert!(one["cooling_ms"].as_u64().unwrap() > 50_000 && one["share"] == 0.0 && one["share_configured"] == 0.7, "{one}");
    assert!(two["standing"] == "healthy" && two["share"] == 1.0 && two["first_content_ms"].is_number(), "{two}");
    assert!(!gateway.admin_get("/upstreams").await.text().contains("secret"));
}

#[tokio::test]
async fn a_drilled_provider_is_not_asked_and_the_failover_is_the_real_one() {
    let (openai, _anthropic, gateway) = pair().await;
    for (fault, word) in [("529", "drill 529"), ("429", "drill 429"), ("500", "drill 500"), ("refused", "drill "), ("reset", "drill ")] {
        let drill = json!({"target": "openai", "fault": fault, "seconds": 600});
        let told = change(&gateway, "POST", "/drill", &drill).await.expect(200).json();
        assert_eq!(told["fault"], fault);
        let answer = gateway.chat_with(&[("x-request-id", &format!("drill-{fault}"))], question().to_string().as_bytes()).await;
        assert_eq!(answer.expect(200).content(), "from claude", "{fault}");
        assert_eq!(gateway.access(&format!("drill-{fault}")).await["attempts"][0]["drill"], true);
        assert!(answer.attempts()[0].contains(word), "{:?}", answer.attempts());
        assert_eq!(key(&gateway, "one").await["drill"], fault);
        let metrics = gateway.admin_get("/metrics").await.text();
        assert!(metrics.contains("heliostat_credential_state{credential=\"one\",provider=\"openai\"} 4"), "{metrics}");
        change(&gateway, "DELETE", "/drill", &json!({"target": "openai"})).await.expect(200);
        assert_eq!(openai.received().len(), 0, "{fault}: nothing was sent");
    }
    assert_eq!(gateway.chat(&question()).await.expect(200).content(), "from gpt", "usable at once");
    assert!(gateway.admin_get("/metrics").await.text().contains("heliostat_credential_state{credential=\"one\",provider=\"openai\"} 0"));
    assert!(gateway.log().contains("openai: drill 529 begins") && gateway.log().contains("openai: drill 529 has ended"));
}

#[tokio::test]
async fn a_drill_ends_by_itself() {
    let (openai, _anthropic, gateway) = pair().await;
    change(&gateway, "POST", "/drill", &json!({"target": "openai", "fault": "429", "seconds": 1})).await.expect(200);
    assert_eq!(gateway.chat(&question()).await.expect(200).content(), "from claude");
    crate::support::within("the end of the drill", async { while gateway.chat(&question()).await.expect(200).content() != "from gpt" {} })
        .await;
    assert!(!openai.received().is_empty());
    assert_eq!(gateway.admin_get("/upstreams").await.json()["interventions"], json!([]));
}

#[tokio::test]
async fn a_drill_of_silence_is_waited_for_no_longer_than_the_real_one() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    anthropic.always(reply::json(native::anthropic("from claude")));
    let config = Config::new().provider("openai", &openai).timeouts("openai", "header_ms: 300").provider("anthropic", &anthropic);
    let gateway = Gateway::start(config).await;
    change(&gateway, "POST", "/drill", &json!({"target": "openai", "fault": "timeout", "seconds": 600})).await.expect(200);
    let answer = gateway.chat(&question()).await;
    assert_eq!(answer.expect(200).content(), "from claude");
    assert_eq!(answer.attempts()[0], "openai/gpt-4o#OPENAI_API_KEY;drill timeout_header");
    assert_eq!(openai.received().len(), 0);
}

#[tokio::test]
async fn raw_requests_are_drilled_too() {
    let (openai, _anthropic, gateway) = pair().await;
    change(&gateway, "POST", "/drill", &json!({"target": "openai", "fault": "503", "seconds": 600})).await.expect(200);
    client::send(gateway.address, "GET", "/openai/models", &[], b"").await.expect(503);
    assert_eq!(openai.received().len(), 0);
}

/// An upload streams through, and cannot be sent again.
async fn upload(gateway: &Gateway) -> client::Reply {
    let mut connection = client::connect(gateway.address).await;
    let fields = [("host", "h"), ("content-type", "audio/wav"), ("transfer-encoding", "chunked")];
    connection.write(&http::head("POST /openai/v1/files HTTP/1.1", &fields)).await.unwrap();
    let _ = connection.write(&http::chunk(b"some")).await;
    let _ = connection.write(b"0\r\n\r\n").await;
    client::answer(&mut connection).await
}

#[tokio::test]
async fn an_upload_meets_the_fault_that_is_drilled() {
    let (openai, _anthropic, gateway) = pair().await;
    for (fault, status, word) in [
        ("429", 429, "drill 429"),
        ("500", 500, "drill 500"),
        ("503", 503, "drill 503"),
        // As the client's dialect says it.
        ("529", 503, "drill 529"),
        ("timeout", 504, "drill timeout_header"),
        ("refused", 502, "drill connect"),
        ("reset", 502, "drill reset"),
    ] {
        change(&gateway, "POST", "/drill", &json!({"target": "openai", "fault": fault, "seconds": 600})).await.expect(200);
        let reply = upload(&gateway).await;
        assert!(reply.expect(status).error().contains("drill"), "{fault}: {}", reply.text());
        assert!(reply.attempts().iter().all(|attempt| attempt.ends_with(word)) && !reply.attempts().is_empty(), "{:?}", reply.attempts());
        change(&gateway, "DELETE", "/drill", &json!({"target": "openai"})).await.expect(200);
    }
    assert_eq!(openai.received().len(), 0);
    // A limit is one key's: the other takes the upload.
    change(&gateway, "POST", "/drill", &json!({"target": "openai/one", "fault": "429", "seconds": 600})).await.expect(200);
    for _ in 0..4 {
        upload(&gateway).await.expect(200);
    }
    assert!(openai.received().iter().all(|seen| seen.head.header("authorization") == Some("Bearer sk-secret-key_b")));
}

#[tokio::test]
async fn the_end_of_a_drill_leaves_what_the_provider_said() {
    let (openai, _anthropic, gateway) = pair().await;
    let limited = || reply::status(429).header("retry-after", "600");
    openai.script([limited(), limited()]);
    assert_eq!(gateway.chat(&question()).await.expect(200).content(), "from claude");
    for target in ["openai", "openai/one"] {
        change(&gateway, "POST", "/drill", &json!({"target": target, "fault": "429", "seconds": 60})).await.expect(200);
        assert_eq!(gateway.chat(&question()).await.expect(200).content(), "from claude");
        change(&gateway, "DELETE", "/drill", &json!({"target": target})).await.expect(200);
        for name in ["one", "two"] {
            let key = key(&gateway, name).await;
            assert!(key["standing"] == "cooling" && key["cooling_ms"].as_u64().unwrap() > 500_000, "{target}: {key}");
        }
    }
    assert_eq!(openai.received().len(), 2);
}

#[tokio::test]
async fn a_cordoned_key_gets_nothing_until_it_is_back_also_after_a_reload() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    openai.always(reply::json(native::openai("from gpt")));
    anthropic.always(reply::json(native::anthropic("from claude")));
    let config = Config::new().provider("openai", &openai).keys("openai", KEYS).provider("anthropic", &anthropic);
    let gateway = Gateway::start(config.clone()).await;
    change(&gateway, "POST", "/cordon", &json!({"target": "openai/one"})).await.expect(200);
    gateway.reload(&config.yaml()).await;
    for _ in 0..10 {
        assert_eq!(gateway.chat(&question()).await.expect(200).attempts(), ["openai/gpt-4o#two;200"]);
    }
    assert_eq!(key(&gateway, "one").await["standing"], "cordoned");
    change(&gateway, "POST", "/cordon", &json!({"target": "openai"})).await.expect(200);
    assert_eq!(gateway.chat(&question()).await.expect(200).content(), "from claude");
    for target in ["openai", "openai/one"] {
        change(&gateway, "DELETE", "/cordon", &json!({"target": target})).await.expect(200);
    }
    assert_eq!(gateway.chat(&question()).await.expect(200).content(), "from gpt");
}

#[tokio::test]
async fn what_is_wrong_with_a_change_is_told() {
    let (_openai, _anthropic, gateway) = pair().await;
    for (method, path, body, status, word) in [
        ("POST", "/drill", json!({"target": "openai", "fault": "529"}), 400, "seconds"),
        ("POST", "/drill", json!({"target": "openai", "fault": "401", "seconds": 9}), 400, "529"),
        ("POST", "/drill", json!({"target": "openai", "fault": "529", "seconds": 0}), 400, "86400"),
        ("POST", "/drill", json!({"target": "openai/three", "fault": "529", "seconds": 9}), 404, "openai/three"),
        ("POST", "/cordon", json!({"target": "nobody"}), 404, "nobody"),
        ("DELETE", "/cordon", json!({"target": "openai"}), 404, "/upstreams"),
    ] {
        let answer = change(&gateway, method, path, &body).await;
        assert!(answer.expect(status).text().contains(word), "{}", answer.text());
    }
    let drill = json!({"target": "openai", "fault": "529", "seconds": 9}).to_string();
    for headers in [&CHANGE[..1], &CHANGE[1..]] {
        client::send(gateway.admin, "POST", "/drill", headers, drill.as_bytes()).await.expect(403);
    }
}

#[tokio::test]
async fn a_request_is_explained_and_not_sent() {
    let (openai, anthropic, gateway) = pair().await;
    change(&gateway, "POST", "/cordon", &json!({"target": "openai/one"})).await.expect(200);
    let body = with(question(), json!({"seed": 7}));
    let told = change(&gateway, "POST", "/explain", &body).await.expect(200).json();
    let candidates = told["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "{told}");
    assert!(candidates[0]["provider"] == "openai" && candidates[0]["translated"] == false, "{told}");
    assert_eq!(candidates[0]["keys"][0]["standing"], "cordoned");
    assert_eq!(candidates[0]["keys"][1]["share"], 1.0);
    assert_eq!(candidates[1]["losses"], json!(["dropped seed"]));
    let unknown = change(&gateway, "POST", "/explain", &ask("nobody/nothing")).await;
    assert!(unknown.expect(404).text().contains("nobody/nothing"));
    assert_eq!(openai.received().len() + anthropic.received().len(), 0);
}

#[tokio::test]
async fn where_a_conversation_goes_that_is_too_long_is_explained() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let larger = "context_fallbacks: [{ primary: openai/gpt-4o, fallback: [openai/gpt-4.1, anthropic/claude-sonnet-4-5] }]";
    let route = "mcp: [{ id: kept, primary: openai/gpt-4o, policy: { providers: [openai] } }]";
    let config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic).top(larger).top(route);
    let gateway = Gateway::start(config).await;
    for (model, wanted) in
        [("openai/gpt-4o", json!(["openai/gpt-4.1", "anthropic/claude-sonnet-4-5"])), ("kept", json!(["openai/gpt-4.1"]))]
    {
        let told = change(&gateway, "POST", "/explain", &ask(model)).await.expect(200).json();
        assert_eq!(told["candidates"][0]["context_fallbacks"], wanted, "{told}");
    }
    let told = change(&gateway, "POST", "/explain", &ask("anthropic/claude-sonnet-4-5")).await.expect(200).json();
    assert_eq!(told["candidates"][0]["context_fallbacks"], json!([]));
}

#[tokio::test]
async fn the_order_that_is_explained_is_the_one_that_is_gone() {
    let (_openai, _anthropic, gateway) = pair().await;
    change(&gateway, "POST", "/drill", &json!({"target": "openai", "fault": "429", "seconds": 600})).await.expect(200);
    gateway.chat(&question()).await.expect(200);
    let told = change(&gateway, "POST", "/explain", &question()).await.expect(200).json();
    assert_eq!(told["candidates"][0]["provider"], "anthropic", "{told}");
    assert!(told["candidates"][1]["why_not"].as_str().unwrap().contains("last"), "{told}");
    assert_eq!(gateway.chat(&question()).await.expect(200).attempts(), ["anthropic/claude-sonnet-4-5#ANTHROPIC_API_KEY;200"]);
}

#[tokio::test]
async fn the_command_line_does_all_of_it() {
    let (_openai, _anthropic, gateway) = pair().await;
    let admin = gateway.admin.to_string();
    for (arguments, word) in [
        (&["drill", "openai/one", "529", "60"][..], "drill"),
        (&["upstreams"], "\"drill\": \"529\""),
        (&["drill", "openai/one", "end"], "ended"),
        (&["cordon", "openai/one"], "cordon"),
        (&["uncordon", "openai/one"], "ended"),
    ] {
        let output = run(&[arguments, &["--admin", &admin]].concat()).await;
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(word), "{arguments:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
    }
    let refused = run(&["drill", "nobody", "529", "--admin", &admin]).await;
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("nobody"));
}

#[tokio::test]
async fn a_configuration_explains_a_request_without_running() {
    let yaml = "providers:\n  openai: { keys: [{ value: env.KEY_A }] }\n  anthropic: { keys: [{ value: env.KEY_B }] }\n\
                mcp:\n  - { id: caption, primary: anthropic/claude-haiku-4-5, fallbacks: [openai/gpt-4o-mini] }\n";
    let (_folder, config) = file("heliostat.yaml", yaml);
    let (_other, request) = file("request.json", &with(ask("caption"), json!({"seed": 7})).to_string());
    let output = run(&["explain", "--without-env", "--config", config.to_str().unwrap(), request.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    let place = |word: &str| said.find(word).unwrap_or_else(|| panic!("{word} in {said}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(place("1. anthropic/claude-haiku-4-5") < place("loses: dropped seed"));
    assert!(place("loses: dropped seed") < place("2. openai/gpt-4o-mini  as it is"));
}
