//! The same dialect: what the client wrote is what the provider reads, and back.

use crate::support::{Config, Gateway, Provider, Value, ask, client, config::secret_of, json, native, reply, with};

async fn openai() -> (Provider, Gateway) {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    (openai, gateway)
}

#[tokio::test]
async fn a_request_passes_byte_for_byte_but_for_its_model() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    let body = "{ \"zeta\":1e2,\t\"model\" : \"openai/gpt-4o\",\"big\":123456789012345678901234567890, \"n\":1.0,\n \
                \"messages\":[{\"content\":\"h\\u00e9 \\/ \\ud83d\\ude00 é\",\"role\":\"user\",\"x\":{\"b\":1,\"a\":2}}],\"unknown\":[null,-0,1E-7] }";
    gateway.chat_bytes(body.as_bytes()).await.expect(200);
    let seen = &openai.received()[0];
    assert_eq!(String::from_utf8_lossy(&seen.body), body.replace("openai/gpt-4o", "gpt-4o"));
    assert_eq!(seen.line, "POST /v1/chat/completions");
}

#[tokio::test]
async fn a_bare_model_name_leaves_every_byte_as_it_was() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    let body = b" {\"model\":\"gpt-4o\" , \"messages\":[{\"role\":\"user\",\"content\":\"x\"}]} ";
    gateway.chat_bytes(body).await.expect(200);
    assert_eq!(String::from_utf8_lossy(&openai.received()[0].body).trim(), String::from_utf8_lossy(body).trim());
}

#[tokio::test]
async fn fallbacks_are_removed_and_the_rest_stays_wherever_they_stand() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    let rest = "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]";
    for (body, wanted) in [
        (format!("{{\"fallbacks\":[],\"model\":\"gpt-4o\",{rest}}}"), format!("{{\"model\":\"gpt-4o\",{rest}}}")),
        (format!("{{\"model\":\"gpt-4o\",\"fallbacks\":[],{rest}}}"), format!("{{\"model\":\"gpt-4o\",{rest}}}")),
        (format!("{{\"model\":\"gpt-4o\",{rest},\"fallbacks\":[]}}"), format!("{{\"model\":\"gpt-4o\",{rest}}}")),
    ] {
        gateway.chat_bytes(body.as_bytes()).await.expect(200);
        let seen = openai.received().pop().unwrap().body;
        assert_eq!(String::from_utf8_lossy(&seen), wanted);
    }
}

#[tokio::test]
async fn the_answer_comes_back_byte_for_byte() {
    let (openai, gateway) = openai().await;
    let body = "{ \"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"h\\u00e9\"},\"finish_reason\":\"stop\"}], \"new\":1e400 }";
    openai.always(reply::bytes(200, "application/json", body));
    let reply = gateway.chat(&ask("openai/gpt-4o")).await;
    assert_eq!(reply.expect(200).text(), body);
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn the_client_learns_who_answered_and_how() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")).header("x-request-id", "up-1"));
    let reply = gateway.chat(&ask("openai/gpt-4o")).await;
    assert_eq!((reply.header("x-heliostat-provider"), reply.header("x-heliostat-model")), ("openai", "gpt-4o"));
    assert_eq!(reply.header("x-upstream-request-id"), "up-1");
    assert!(reply.header("x-heliostat-own-us").parse::<u64>().is_ok());
    let attempts = reply.header("x-heliostat-attempts");
    let millis = attempts.strip_prefix("openai/gpt-4o#OPENAI_API_KEY;200;").and_then(|t| t.strip_suffix("ms"));
    assert!(millis.is_some_and(|m| m.parse::<u64>().is_ok()), "{attempts}");
}

#[tokio::test]
async fn the_clients_request_id_is_kept_and_a_missing_one_is_made() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    let body = ask("gpt-4o").to_string();
    let kept = gateway.chat_with(&[("x-request-id", "order-42")], body.as_bytes()).await;
    assert_eq!(kept.header("x-request-id"), "order-42");
    let made = gateway.chat_bytes(body.as_bytes()).await;
    assert!(made.header("x-request-id").len() >= 8);
    let odd = gateway.chat_with(&[("x-request-id", "a\"b<script>{}")], body.as_bytes()).await;
    assert!(!odd.header("x-request-id").contains(['"', '<', '{']));
}

#[tokio::test]
async fn only_listed_headers_go_upstream_and_our_credential_with_them() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    let kept = [
        ("openai-organization", "org-1"),
        ("openai-project", "p-1"),
        ("openai-beta", "b=1"),
        ("idempotency-key", "i-1"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let held = [
        ("authorization", "Bearer sk-client"),
        ("x-api-key", "sk-client"),
        ("api-key", "sk-client"),
        ("x-goog-api-key", "sk-client"),
        ("cookie", "c=1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-stainless-lang", "python"),
        ("x-heliostat-priority", "low"),
        ("x-other", "1"),
        ("referer", "http://client.test/"),
    ];
    let all: Vec<_> = kept.iter().chain(&held).copied().collect();
    gateway.chat_with(&all, ask("gpt-4o").to_string().as_bytes()).await.expect(200);
    let seen = openai.received().pop().unwrap().head;
    for (name, value) in kept {
        assert_eq!(seen.header(name), Some(value));
    }
    for (name, value) in held {
        assert_ne!(seen.header(name), Some(value), "{name} went upstream");
    }
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {}", secret_of("OPENAI_API_KEY")).as_str()));
    assert!(!format!("{:?}", seen.headers).contains("sk-client"));
}

#[tokio::test]
async fn across_dialects_only_the_trace_goes_upstream() {
    let anthropic = Provider::start().await;
    anthropic.always(reply::json(native::anthropic("ok")));
    let gateway = Gateway::start(Config::new().provider("anthropic", &anthropic)).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [("openai-organization", "org-1"), ("idempotency-key", "i-1"), ("traceparent", trace)];
    gateway.chat_with(&headers, ask("anthropic/claude-sonnet-4-5").to_string().as_bytes()).await.expect(200);
    let seen = anthropic.received().pop().unwrap().head;
    assert_eq!((seen.header("openai-organization"), seen.header("idempotency-key")), (None, None));
    assert!(seen.header("traceparent").is_some());
    assert_eq!(seen.header("x-api-key"), Some(secret_of("ANTHROPIC_API_KEY").as_str()));
    assert!(seen.header("anthropic-version").is_some());
}

#[tokio::test]
async fn rate_limit_headers_come_back_and_cookies_do_not() {
    let (openai, gateway) = openai().await;
    let told = [("x-ratelimit-remaining-requests", "99"), ("openai-processing-ms", "12")];
    let held = [("set-cookie", "__cf=1"), ("server", "cloudflare"), ("alt-svc", "h3=\":443\"")];
    let answer = told.iter().chain(&held).fold(reply::json(native::openai("ok")), |r, (n, v)| r.header(n, v));
    openai.always(answer);
    let reply = gateway.chat(&ask("gpt-4o")).await;
    for (name, value) in told {
        assert_eq!(reply.header(name), value);
    }
    for (name, value) in held {
        assert_ne!(reply.head.header(name), Some(value), "{name} came back");
    }
}

#[tokio::test]
async fn a_provider_by_base_url_is_called_below_its_path() {
    let local = Provider::start().await;
    local.always(reply::json(native::openai("ok")));
    let yaml = format!(
        "providers:\n  local:\n    base_url: {}/compat/v3\n    dialect: openai\n    keys: [{{ value: env.OTHER_API_KEY }}]\n",
        local.url()
    );
    let gateway = Gateway::with(&yaml).await;
    gateway.chat(&ask("local/meta-llama/Llama-3")).await.expect(200);
    let seen = local.received().pop().unwrap();
    assert_eq!(seen.line, "POST /compat/v3/chat/completions");
    assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap()["model"], "meta-llama/Llama-3");
}

#[tokio::test]
async fn each_dialect_has_its_path_and_its_way_to_sign() {
    let (anthropic, gemini, vertex) = (Provider::start().await, Provider::start().await, Provider::start().await);
    anthropic.always(reply::json(native::anthropic("a")));
    gemini.always(reply::json(native::gemini("g")));
    vertex.always(reply::json(native::gemini("v")));
    let config = Config::new().provider("anthropic", &anthropic).provider("gemini", &gemini).provider("vertex", &vertex);
    let gateway = Gateway::start(config).await;
    for (model, text) in [("anthropic/claude-sonnet-4-5", "a"), ("gemini/gemini-2.5-flash", "g"), ("google_vertex/gemini-2.5-pro", "v")] {
        assert_eq!(gateway.chat(&ask(model)).await.expect(200).content(), text);
    }
    assert_eq!(anthropic.received()[0].line, "POST /v1/messages");
    assert!(gemini.received()[0].line.ends_with("/models/gemini-2.5-flash:generateContent"), "{}", gemini.received()[0].line);
    assert!(
        vertex.received()[0].line.ends_with("/publishers/google/models/gemini-2.5-pro:generateContent"),
        "{}",
        vertex.received()[0].line
    );
    assert_eq!(gemini.received()[0].head.header("x-goog-api-key"), Some(secret_of("GEMINI_API_KEY").as_str()));
    assert_eq!(vertex.received()[0].head.header("x-goog-api-key"), Some(secret_of("VERTEX_API_KEY").as_str()));
}

#[tokio::test]
async fn a_model_finds_its_provider_by_key_list_then_by_prefix() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    openai.always(reply::json(native::openai("openai")));
    anthropic.always(reply::json(native::anthropic("anthropic")));
    let config = Config::new()
        .provider("openai", &openai)
        .keys("openai", "[{ value: env.KEY_A, models: [\"house-*\", gpt-4o] }]")
        .provider("anthropic", &anthropic)
        .keys("anthropic", "[{ value: env.KEY_B, models: [claude-sonnet-4-5] }]");
    let gateway = Gateway::start(config).await;
    for (model, text) in [("house-style", "openai"), ("gpt-4o", "openai"), ("claude-sonnet-4-5", "anthropic")] {
        assert_eq!(gateway.chat(&ask(model)).await.expect(200).content(), text, "{model}");
    }
}

#[tokio::test]
async fn the_only_provider_takes_any_model() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    gateway.chat(&ask("my-finetune")).await.expect(200);
    gateway.chat(&ask("org/my-finetune")).await.expect(200);
    let models: Vec<Value> = openai.received().iter().map(|s| serde_json::from_slice::<Value>(&s.body).unwrap()["model"].clone()).collect();
    assert_eq!(models, [json!("my-finetune"), json!("org/my-finetune")]);
}

#[tokio::test]
async fn models_are_listed_in_openais_shape() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let config = Config::new()
        .provider("openai", &openai)
        .keys("openai", "[{ value: env.KEY_A, models: [gpt-4o] }]")
        .provider("anthropic", &anthropic)
        .top("mcp: [{ id: caption, primary: openai/gpt-4o, fallbacks: [anthropic/claude-sonnet-4-5] }]");
    let list = Gateway::start(config).await.get("/v1/models").await.expect(200).json();
    assert_eq!(list["object"], "list");
    let data = list["data"].as_array().unwrap();
    assert!(data.iter().all(|m| m["object"] == "model" && m["id"].is_string() && m["owned_by"].is_string()), "{list}");
    let ids: Vec<_> = data.iter().filter_map(|m| m["id"].as_str()).collect();
    assert!(ids.contains(&"openai/gpt-4o") && ids.contains(&"caption"), "{ids:?}");
}

#[tokio::test]
async fn a_compressed_answer_is_not_asked_for() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    gateway.chat_with(&[("accept-encoding", "gzip, br")], ask("gpt-4o").to_string().as_bytes()).await.expect(200);
    let seen = openai.received().pop().unwrap().head;
    assert!(matches!(seen.header("accept-encoding"), None | Some("identity")), "{:?}", seen.header("accept-encoding"));
}

#[tokio::test]
async fn a_client_connection_serves_one_request_after_another() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    let mut connection = client::connect(gateway.address).await;
    let body = ask("gpt-4o").to_string();
    for _ in 0..5 {
        client::exchange(&mut connection, "POST", "/v1/chat/completions", &[], body.as_bytes()).await.expect(200);
    }
    assert_eq!(openai.connections(), 1, "the upstream connection is pooled");
}

#[tokio::test]
async fn a_chunked_request_body_is_read_to_its_end() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    let body = with(ask("gpt-4o"), json!({"user": "u".repeat(100_000)})).to_string();
    let mut connection = client::connect(gateway.address).await;
    connection.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    for piece in body.as_bytes().chunks(7_000) {
        connection.write(&crate::support::http::chunk(piece)).await.unwrap();
    }
    connection.write(b"0\r\n\r\n").await.unwrap();
    client::answer(&mut connection).await.expect(200);
    assert_eq!(String::from_utf8_lossy(&openai.received()[0].body), body);
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it() {
    let (openai, gateway) = openai().await;
    openai.always(reply::json(native::openai("ok")));
    let body = ask("gpt-4o").to_string();
    let mut connection = client::connect(gateway.address).await;
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len());
    connection.write(head.as_bytes()).await.unwrap();
    assert_eq!(connection.interim().await, "100");
    connection.write(body.as_bytes()).await.unwrap();
    client::answer(&mut connection).await.expect(200);
}
