//! Bounds on what a client may send, and errors in OpenAI's shape.

use crate::support::{Config, Gateway, Provider, Reply, ask, client, json, native, reply, with};

/// One request at a time, and one that waits.
const ONE_AND_ONE: &str = "concurrency_and_buffer_size: { concurrency: 1, buffer_size: 1 }";

async fn gateway(more: &str) -> (Provider, Gateway) {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top(more)).await;
    (openai, gateway)
}

async fn refused(openai: &Provider, gateway: &Gateway, body: &str, status: u16) -> Reply {
    let reply = gateway.chat_bytes(body.as_bytes()).await;
    reply.expect(status).error();
    assert!(openai.received().is_empty(), "nothing was sent for {body:.80}");
    reply
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let (openai, gateway) = gateway("limits: { body_bytes: 10000 }").await;
    let large = with(ask("gpt-4o"), json!({"user": "u".repeat(10_000)})).to_string();
    refused(&openai, &gateway, &large, 413).await;
    let exact = with(ask("gpt-4o"), json!({"user": ""})).to_string();
    let exact = exact.replace("\"user\":\"\"", &format!("\"user\":\"{}\"", "u".repeat(10_000 - exact.len())));
    gateway.chat_bytes(exact.as_bytes()).await.expect(200);
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_too() {
    let (openai, gateway) = gateway("limits: { body_bytes: 10000 }").await;
    let mut connection = client::connect(gateway.address).await;
    connection.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    connection.write(&crate::support::http::chunk(&[b' '; 9_000])).await.unwrap();
    connection.write(&crate::support::http::chunk(&[b' '; 9_000])).await.unwrap();
    client::answer(&mut connection).await.expect(413).error();
    assert!(openai.received().is_empty());
}

#[tokio::test]
async fn a_body_that_is_no_object_is_named_so() {
    let (openai, gateway) = gateway("").await;
    let reply = refused(&openai, &gateway, "[]", 400).await;
    assert_eq!(reply.error(), "Invalid type for the request body: expected an object, but got an array instead.");
}

#[tokio::test]
async fn broken_json_is_400() {
    let (openai, gateway) = gateway("").await;
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"x\"",
        "{\"model\":\"gpt-4o\"",
        "{\"model\":\"gpt-4o\",}",
        "{'model':'gpt-4o'}",
        "{\"model\":\"gpt-4o\"} x",
    ] {
        refused(&openai, &gateway, body, 400).await;
    }
}

#[tokio::test]
async fn a_body_that_is_not_utf8_is_400() {
    let (openai, gateway) = gateway("").await;
    let mut body = ask("gpt-4o").to_string().into_bytes();
    let at = body.windows(2).position(|w| w == b"hi").unwrap();
    body[at] = 0xff;
    gateway.chat_bytes(&body).await.expect(400).error();
    assert!(openai.received().is_empty());
}

#[tokio::test]
async fn a_missing_or_odd_model_is_400() {
    let (openai, gateway) = gateway("").await;
    for (body, param) in
        [("{\"messages\":[]}", "model"), ("{\"model\":7,\"messages\":[]}", "model"), ("{\"model\":\"\",\"messages\":[]}", "model")]
    {
        let reply = refused(&openai, &gateway, body, 400).await;
        assert_eq!(reply.json()["error"]["param"], param);
    }
}

#[tokio::test]
async fn duplicate_policy_keys_are_400_and_name_the_key() {
    let (openai, gateway) = gateway("").await;
    let messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";
    for (body, key) in [
        (format!("{{\"model\":\"gpt-4o\",\"model\":\"gpt-4o-mini\",{messages}}}"), "model"),
        (format!("{{\"model\":\"gpt-4o\",\"m\\u006fdel\":\"gpt-4o-mini\",{messages}}}"), "model"),
        (format!("{{\"model\":\"gpt-4o\",\"stream\":true,\"stream\":false,{messages}}}"), "stream"),
        (format!("{{\"model\":\"gpt-4o\",{messages},{messages}}}"), "messages"),
    ] {
        assert!(refused(&openai, &gateway, &body, 400).await.error().contains(key));
    }
}

#[tokio::test]
async fn absurd_depth_is_400_and_an_ordinary_one_is_not() {
    let (openai, gateway) = gateway("").await;
    let nested = |depth: usize| format!("{{\"model\":\"gpt-4o\",\"messages\":[],\"x\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    refused(&openai, &gateway, &nested(200), 400).await;
    refused(&openai, &gateway, &nested(100_000), 400).await;
    gateway.chat_bytes(nested(100).as_bytes()).await.expect(200);
}

#[tokio::test]
async fn an_unknown_model_is_404_and_lists_what_exists() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let config = Config::new()
        .provider("openai", &openai)
        .keys("openai", "[{ value: env.KEY_A, models: [gpt-4o] }]")
        .provider("anthropic", &anthropic)
        .top("mcp: [{ id: caption, primary: openai/gpt-4o }]");
    let gateway = Gateway::start(config).await;
    let reply = gateway.chat(&ask("llama-3")).await;
    let message = reply.expect(404).error();
    assert_eq!(reply.json()["error"]["code"], "model_not_found");
    for word in ["llama-3", "openai", "anthropic", "caption"] {
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn a_compressed_request_is_415() {
    let (openai, gateway) = gateway("").await;
    let reply = gateway.chat_with(&[("content-encoding", "gzip")], b"\x1f\x8b\x08").await;
    reply.expect(415).error();
    assert!(openai.received().is_empty());
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_in_openais_shape() {
    let (_openai, gateway) = gateway("").await;
    gateway.get("/v1/nothing").await.expect(404).error();
    client::send(gateway.address, "POST", "/nothing", &[], b"{}").await.expect(404).error();
    gateway.get("/v1/chat/completions").await.expect(405).error();
}

#[tokio::test]
async fn too_many_header_fields_are_431_in_the_clients_words() {
    let (openai, gateway) = gateway("").await;
    // Beyond 256 no field can be read.
    for count in [150, 255, 256, 257, 300, 5_000] {
        let names: Vec<String> = (0..count).map(|i| format!("x-field-{i}")).collect();
        let headers: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "1")).collect();
        let body = ask("gpt-4o").to_string();
        for (path, code) in [
            ("/v1/chat/completions", Some("header_too_large")),
            ("/v1/messages", None),
            ("/v1beta/models/gemini-2.5-flash:generateContent", None),
            ("/openai/v1/files", Some("header_too_large")),
        ] {
            let reply = client::send(gateway.address, "POST", path, &headers, body.as_bytes()).await;
            let json = reply.expect(431).json();
            assert_eq!(json["error"]["code"].as_str(), code, "{count} {path}: {json}");
            assert_eq!(json["type"] == "error", path == "/v1/messages", "{count} {path}: {json}");
            assert_eq!(json["error"]["code"] == 431, path.contains("gemini"), "{count} {path}: {json}");
        }
    }
    for length in [70_000, 1_200_000] {
        let long = "v".repeat(length);
        let reply = client::send(gateway.address, "GET", "/v1/models", &[("x-long", &long)], b"").await;
        assert_eq!(reply.expect(431).json()["error"]["code"], "header_too_large", "{length}");
    }
    assert!(openai.received().is_empty());
}

#[tokio::test]
async fn the_lines_of_a_body_are_no_header_fields() {
    let (_openai, gateway) = gateway("").await;
    let sent = format!("POST /v1/messages HTTP/1.1\r\nhost h\r\n\r\n{}", "\n".repeat(500));
    let mut connection = client::connect(gateway.address).await;
    connection.write(sent.as_bytes()).await.unwrap();
    let reply = client::answer(&mut connection).await;
    assert_eq!(reply.expect(400).json()["type"], "error", "in Anthropic's shape: {}", reply.text());
}

#[tokio::test]
async fn a_provider_at_its_concurrency_limit_is_503_after_the_wait() {
    let openai = Provider::start().await;
    let gateway =
        Gateway::start(Config::new().provider("openai", &openai).line("openai", ONE_AND_ONE).line("openai", "queue_ms: 100")).await;
    let body = ask("gpt-4o");
    let second = async {
        let held = openai.next_request().await;
        let reply = gateway.chat(&body).await;
        held.respond_json(200, &native::openai("first")).await;
        reply
    };
    let (first, second) = tokio::join!(gateway.chat(&body), second);
    first.expect(200);
    second.expect(503).error();
    assert_eq!(second.json()["error"]["code"], "concurrency_limit");
    assert!(second.header("retry-after").parse::<u64>().is_ok());
}

#[tokio::test]
async fn a_request_that_waits_gets_the_place_that_falls_free() {
    let openai = Provider::start().await;
    let gateway =
        Gateway::start(Config::new().provider("openai", &openai).line("openai", ONE_AND_ONE).line("openai", "queue_ms: 5000")).await;
    let body = ask("gpt-4o");
    let upstream = async {
        for text in ["one", "two"] {
            openai.next_request().await.respond_json(200, &native::openai(text)).await;
        }
    };
    let (first, second, ()) = tokio::join!(gateway.chat(&body), gateway.chat(&body), upstream);
    let mut texts = [first.expect(200).content(), second.expect(200).content()];
    texts.sort();
    assert_eq!(texts, ["one", "two"]);
}

#[tokio::test]
async fn a_full_provider_sends_its_requests_to_the_next_candidate() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    anthropic.script([reply::json(native::anthropic("from claude"))]);
    let limit = "concurrency_and_buffer_size: { concurrency: 1, buffer_size: 0 }";
    let config = Config::new().provider("openai", &openai).line("openai", limit).provider("anthropic", &anthropic);
    let gateway = Gateway::start(config).await;
    let body = with(ask("openai/gpt-4o"), json!({"fallbacks": ["anthropic/claude-sonnet-4-5"]}));
    let second = async {
        let held = openai.next_request().await;
        let reply = gateway.chat(&body).await;
        held.respond_json(200, &native::openai("first")).await;
        reply
    };
    let (first, second) = tokio::join!(gateway.chat(&body), second);
    assert_eq!((first.content().as_str(), second.expect(200).content().as_str()), ("first", "from claude"));
}

#[tokio::test]
async fn a_place_is_given_back_when_a_client_leaves() {
    let openai = Provider::start().await;
    let gateway =
        Gateway::start(Config::new().provider("openai", &openai).line("openai", ONE_AND_ONE).line("openai", "queue_ms: 5000")).await;
    let body = ask("gpt-4o").to_string();
    let mut gone = client::connect(gateway.address).await;
    gone.write(&client::request("POST", "/v1/chat/completions", &[], body.as_bytes())).await.unwrap();
    let request = openai.next_request().await;
    drop(gone);
    request.closed().await;
    openai.script([reply::json(native::openai("ok"))]);
    gateway.chat_bytes(body.as_bytes()).await.expect(200);
}

#[tokio::test]
async fn callers_without_a_client_key_are_401() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let config = Config::new().provider("openai", &openai).top("client_keys: [{ name: studio, value: env.KEY_C }]");
    let gateway = Gateway::start(config).await;
    let body = ask("gpt-4o").to_string();
    gateway.chat_bytes(body.as_bytes()).await.expect(401).error();
    gateway.chat_with(&[("authorization", "Bearer wrong")], body.as_bytes()).await.expect(401).error();
    let right = format!("Bearer {}", crate::support::config::secret_of("KEY_C"));
    gateway.chat_with(&[("authorization", &right)], body.as_bytes()).await.expect(200);
    assert_eq!(openai.received().len(), 1);
}
