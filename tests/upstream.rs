//! The way to a provider: names, trust, reuse of connections, compressed answers.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::h2::H2Provider;
use crate::support::native::{openai_stream, text_of};
use crate::support::reply::Reply;
use crate::support::tls::Authority;
use crate::support::{Config, Gateway, Provider, Value, ask, ask_stream, client, json, native, reply, with};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";

fn with_fallback() -> Value {
    with(ask(GPT), json!({"fallbacks": [CLAUDE]}))
}

/// Claude behind an OpenAI of some kind.
async fn with_claude(config: Config) -> (Provider, Gateway) {
    let anthropic = Provider::start().await;
    anthropic.always(reply::json(native::anthropic("from claude")));
    let gateway = Gateway::start(config.provider("anthropic", &anthropic)).await;
    (anthropic, gateway)
}

#[tokio::test]
async fn a_certificate_of_a_named_authority_is_trusted_by_that_provider_alone() {
    let (authority, openai) = (Authority::new(), Provider::start().await);
    openai.always(reply::json(native::openai("safe")));
    let front = authority.front("127.0.0.1", &["http/1.1"], openai.address()).await;
    let trusting = format!("tls: {{ ca_file: \"{}\" }}", authority.file().display());
    let config = Config::new().at("openai", &front.url()).line("openai", &trusting).at("gemini", &front.url());
    let (_claude, gateway) = with_claude(config).await;
    for _ in 0..3 {
        assert_eq!(gateway.chat(&with_fallback()).await.expect(200).content(), "safe");
    }
    assert_eq!(front.handshakes(), 1, "and reused");
    let other = gateway.chat(&with(ask("gemini/gemini-2.5-flash"), json!({"fallbacks": [CLAUDE]}))).await;
    assert_eq!(other.attempts(), ["gemini/gemini-2.5-flash#GEMINI_API_KEY;tls", "anthropic/claude-sonnet-4-5#ANTHROPIC_API_KEY;200"]);
    gateway.log_line("UnknownIssuer").await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_unless_that_name_is_configured() {
    let (authority, openai) = (Authority::new(), Provider::start().await);
    openai.always(reply::json(native::openai("safe")));
    let front = authority.front("models.internal", &["http/1.1"], openai.address()).await;
    let ca = authority.file().display().to_string();
    let wrong = Config::new().at("openai", &front.url()).line("openai", &format!("tls: {{ ca_file: \"{ca}\" }}"));
    let (_claude, gateway) = with_claude(wrong).await;
    let reply = gateway.chat(&with_fallback()).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.attempts()[0].as_str()), ("from claude", "openai/gpt-4o#OPENAI_API_KEY;tls"));
    gateway.log_line("models.internal").await;
    let tls = format!("tls: {{ ca_file: \"{ca}\", server_name: models.internal }}");
    let (_claude, gateway) = with_claude(Config::new().at("openai", &front.url_as("localhost")).line("openai", &tls)).await;
    assert_eq!(gateway.chat(&with_fallback()).await.expect(200).content(), "safe");
}

#[tokio::test]
async fn without_any_authority_the_gateway_starts_and_says_what_is_missing() {
    let (authority, openai) = (Authority::new(), Provider::start().await);
    let front = authority.front("127.0.0.1", &[], openai.address()).await;
    let anthropic = Provider::start().await;
    anthropic.always(reply::json(native::anthropic("from claude")));
    let config = Config::new().at("openai", &front.url()).provider("anthropic", &anthropic);
    let gateway = Gateway::with_variables(&config.yaml(), &[("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")]).await;
    let reply = gateway.chat(&with_fallback()).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.attempts()[0].as_str()), ("from claude", "openai/gpt-4o#OPENAI_API_KEY;tls"));
    gateway.log_line("ca-certificates").await;
}

#[tokio::test]
async fn connect_and_handshake_have_clocks_and_words_of_their_own() {
    let (deaf, silent) = (Provider::deaf().await, Provider::start().await);
    for (url, clocks, word) in [
        (deaf.url(), "connect_ms: 100, tls_ms: 5000", "timeout_connect"),
        (silent.url().replace("http:", "https:"), "connect_ms: 5000, tls_ms: 100", "timeout_tls"),
    ] {
        let (_claude, gateway) = with_claude(Config::new().at("openai", &url).timeouts("openai", clocks)).await;
        let began = Instant::now();
        let reply = gateway.chat(&with_fallback()).await;
        assert_eq!(reply.expect(200).attempts()[0], format!("openai/gpt-4o#OPENAI_API_KEY;{word}"));
        assert!(began.elapsed() < Duration::from_secs(3), "{word} after {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn http2_is_chosen_by_the_handshake_and_http1_where_it_is_not_offered() {
    let (authority, plain, two) = (Authority::new(), Provider::start().await, H2Provider::start(100).await);
    plain.always(reply::json(native::openai("over one")));
    let one = authority.front("127.0.0.1", &["http/1.1"], plain.address()).await;
    let both = authority.front("127.0.0.1", &["h2", "http/1.1"], two.address).await;
    let settings = format!("tls: {{ ca_file: \"{}\" }}", authority.file().display());
    let gateway_at = |url: String| Gateway::start(Config::new().at("openai", &url).line("openai", &settings).line("openai", "http2: true"));
    let gateway = gateway_at(both.url()).await;
    let body = ask(GPT);
    for _ in 0..3 {
        let answer = async { two.next().await.json(200, &native::openai("over two")) };
        let (reply, ()) = tokio::join!(gateway.chat(&body), answer);
        assert_eq!(reply.expect(200).content(), "over two");
    }
    assert_eq!((both.handshakes(), two.connections()), (1, 1));
    let gateway = gateway_at(one.url()).await;
    for _ in 0..3 {
        assert_eq!(gateway.chat(&ask(GPT)).await.expect(200).content(), "over one");
    }
    assert_eq!(one.handshakes(), 1);
}

#[tokio::test]
async fn a_host_of_several_addresses_is_reached_where_one_refuses() {
    // `localhost` is ::1 and 127.0.0.1 to most systems; the fake listens on the latter alone.
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("reached")));
    let url = openai.url().replace("127.0.0.1", "localhost");
    let gateway = Gateway::start(Config::new().at("openai", &url)).await;
    for _ in 0..4 {
        let reply = gateway.chat(&ask(GPT)).await;
        assert_eq!((reply.expect(200).content().as_str(), reply.attempts().len()), ("reached", 1));
    }
    assert_eq!(openai.connections(), 1);
}

#[tokio::test]
async fn five_hundred_requests_one_after_another_use_one_connection() {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    for round in 0..125 {
        openai.script([
            reply::json(native::openai("fine")),
            reply::status(400),
            reply::events(openai_stream(&["a", "stream"])),
            reply::status(422),
        ]);
        gateway.chat(&ask(GPT)).await.expect(200);
        gateway.chat(&ask(GPT)).await.expect(400);
        assert_eq!(gateway.stream(&ask_stream(GPT)).await.rest().await.last().unwrap(), "data: [DONE]", "{round}");
        gateway.chat(&ask(GPT)).await.expect(422);
    }
    assert_eq!(openai.connections(), 1);
}

#[tokio::test]
async fn no_more_connections_are_opened_than_requests_run_at_once() {
    const CLIENTS: usize = 64;
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    openai.always(reply::status(503));
    anthropic.always(reply::events(native::anthropic_stream(&["from", "claude"])));
    let gateway = Gateway::start(Config::new().provider("openai", &openai).provider("anthropic", &anthropic)).await;
    let body = with(ask_stream(GPT), json!({"fallbacks": [CLAUDE]}));
    let client = async || {
        for _ in 0..20 {
            let events = gateway.stream(&body).await.rest().await;
            assert_eq!(events.last().unwrap(), "data: [DONE]");
        }
    };
    crate::http2::join_all((0..CLIENTS).map(|_| client())).await;
    assert!(openai.connections() <= CLIENTS, "{} connections", openai.connections());
    // A client is told of the end of a translated stream when that is known, which can be a moment before its connection is free.
    assert!(anthropic.connections() <= CLIENTS + CLIENTS / 10, "{} connections", anthropic.connections());
}

#[tokio::test]
async fn compressed_answers_are_read_and_passed_on_plain() {
    let (openai, anthropic) = (Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(Config::new().provider("openai", &openai).provider("anthropic", &anthropic)).await;
    openai.script([compressed(200, &native::openai("small")), compressed(400, &json!({"error": {"message": "you are wrong"}}))]);
    anthropic.script([compressed(200, &native::anthropic("translated"))]);
    let reply = gateway.chat(&ask(GPT)).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.head.header("content-encoding")), ("small", None));
    let refused = gateway.chat(&ask(GPT)).await;
    assert!(String::from_utf8_lossy(&refused.expect(400).body).contains("you are wrong"));
    assert_eq!(gateway.chat(&ask(CLAUDE)).await.expect(200).content(), "translated");
}

#[tokio::test]
async fn a_long_compressed_answer_is_whole() {
    let openai = Provider::start().await;
    let text: String = (0..400_000).map(|number| format!("{number:x} ")).collect();
    openai.script([compressed(200, &native::openai(&text))]);
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    assert!(gateway.chat(&ask(GPT)).await.expect(200).content() == text, "the whole text");
}

#[tokio::test]
async fn a_compressed_stream_passes_event_by_event() {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    let body = ask_stream(GPT);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut coded = move |event: &str| {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    let headers = [("content-type", "text/event-stream"), ("content-encoding", "gzip")];
    let begin = async { openai.next_request().await.stream_with(200, &headers).await };
    let first = coded(&native::chunk_text("one"));
    let (mut client, mut upstream) = tokio::join!(gateway.stream(&body), async {
        let mut upstream = begin.await;
        upstream.chunk(&first).await;
        upstream
    });
    assert_eq!(text_of(&[client.event().await.unwrap()]), "one");
    upstream.chunk(&coded(&native::chunk_text("two"))).await;
    assert_eq!(text_of(&[client.event().await.unwrap()]), "two");
    client.leave();
    upstream.closed().await;
}

#[tokio::test]
async fn an_unknown_coding_and_a_bomb_are_failures_of_the_provider() {
    let bomb = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b' '; 300 << 20]).unwrap();
        encoder.finish().unwrap()
    };
    for (coding, body) in [("br", b"whatever".to_vec()), ("gzip", bomb)] {
        let openai = Provider::start().await;
        openai.script([reply::bytes(200, "application/json", body).header("content-encoding", coding)]);
        let (_claude, gateway) = with_claude(Config::new().provider("openai", &openai)).await;
        let reply = gateway.chat(&with_fallback()).await;
        assert_eq!(reply.expect(200).attempts()[0], "openai/gpt-4o#OPENAI_API_KEY;malformed", "{coding}");
    }
}

fn compressed(status: u16, body: &Value) -> Reply {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.to_string().as_bytes()).unwrap();
    reply::bytes(status, "application/json", encoder.finish().unwrap()).header("content-encoding", "gzip")
}

/// A provider nobody has heard of, as data alone: to a client of its own dialect, and to one of another.
#[tokio::test]
async fn what_a_compatible_provider_refuses_or_calls_otherwise_is_data() {
    let novel = Provider::start().await;
    novel.always(reply::json(native::openai("hello")));
    let data = "{ max_completion_tokens: max_tokens, seed: random_seed }";
    let config = Config::new().at("novel", &novel.url()).keys("novel", "[{ value: env.OTHER_API_KEY }]");
    let config = config.line("novel", "dialect: openai").line("novel", &format!("renames: {data}")).line("novel", "refuses: [user]");
    let gateway = Gateway::start(config).await;
    let asked = with(ask("novel/m-1"), json!({"max_completion_tokens": 7, "seed": 3, "user": "u"}));
    let reply = gateway.chat(&asked).await;
    assert!(reply.expect(200).header("x-heliostat-loss").contains("user"));
    let strict = gateway.chat_with(&[("x-heliostat-strict", "true")], asked.to_string().as_bytes()).await;
    assert!(strict.expect(400).error().contains("user"), "{}", strict.text());
    let [received] = &novel.received()[..] else { panic!("asked once, for strict was refused") };
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!((&body["max_tokens"], &body["random_seed"]), (&json!(7), &json!(3)));
    assert!(body.get("max_completion_tokens").is_none() && body.get("seed").is_none() && body.get("user").is_none(), "{body}");
}

/// What a provider refuses and does anyway is not sent, and nothing is lost by it.
#[tokio::test]
async fn a_default_that_is_refused_loses_nothing() {
    let novel = Provider::start().await;
    novel.always(reply::json(native::openai("hello")));
    let config = Config::new().at("novel", &novel.url()).keys("novel", "[{ value: env.OTHER_API_KEY }]").line("novel", "dialect: openai");
    let gateway = Gateway::start(config.line("novel", "refuses: [tool_choice, n, temperature, user, store]")).await;
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]);
    let asked =
        with(ask("novel/m"), json!({"tools": tools, "tool_choice": "auto", "n": 1, "temperature": 1.0, "user": null, "store": false}));
    let strict = [("x-heliostat-strict", "true")];
    let reply = gateway.chat_with(&strict, asked.to_string().as_bytes()).await;
    assert!(reply.expect(200).head.header("x-heliostat-loss").is_none());
    let body: Value = serde_json::from_slice(&novel.received()[0].body).unwrap();
    assert_eq!(body, with(ask("m"), json!({"tools": tools})));
    // To a client of another dialect alike.
    let asked = json!({"model": "novel/m", "max_tokens": 9, "temperature": 1, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "look", "input_schema": {"type": "object", "properties": {}}}], "tool_choice": {"type": "auto"}});
    let reply = client::send(gateway.address, "POST", "/v1/messages", &strict, asked.to_string().as_bytes()).await;
    assert_eq!(reply.expect(200).json()["content"][0]["text"], "hello");
    let asked = with(ask("novel/m"), json!({"tools": tools, "tool_choice": "required"}));
    assert!(gateway.chat_with(&strict, asked.to_string().as_bytes()).await.expect(400).error().contains("tool_choice"));
}

/// What a provider refuses and renames of conversations says nothing of vectors.
#[tokio::test]
async fn embeddings_are_not_held_to_what_chats_are_refused() {
    let novel = Provider::start().await;
    novel.always(reply::json(json!({"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}], "model": "m"})));
    let config = Config::new().at("novel", &novel.url()).keys("novel", "[{ value: env.OTHER_API_KEY }]").line("novel", "dialect: openai");
    let gateway = Gateway::start(config.line("novel", "refuses: [user]").line("novel", "renames: { seed: random_seed }")).await;
    let asked = json!({"model": "novel/m", "input": "x", "user": "u", "seed": 1, "random_seed": 2, "fallbacks": []});
    let reply = gateway.embed_with(&[("x-heliostat-strict", "true")], asked.to_string().as_bytes()).await;
    assert!(reply.expect(200).head.header("x-heliostat-loss").is_none());
    let body: Value = serde_json::from_slice(&novel.received()[0].body).unwrap();
    assert_eq!(body, json!({"model": "m", "input": "x", "user": "u", "seed": 1, "random_seed": 2}));
}

/// What a model takes is data too: a name that says nothing may be told to be like one that does.
#[tokio::test]
async fn a_model_of_any_name_may_be_told_what_it_is_like() {
    let novel = Provider::start().await;
    novel.always(reply::json(native::openai("hello")));
    let config = Config::new().at("novel", &novel.url()).keys("novel", "[{ value: env.OTHER_API_KEY }]").line("novel", "dialect: openai");
    let rows = "[{ names: [prod], like: gpt-5 }, { names: [small], takes: { max_output_tokens: 100 } }]";
    let gateway = Gateway::start(config.line("novel", &format!("capabilities: {rows}"))).await;
    for (model, key, limit) in [("prod-eu", "max_completion_tokens", 500), ("small", "max_tokens", 100), ("other", "max_tokens", 500)] {
        let asked = json!({"model": format!("novel/{model}"), "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]});
        let reply = client::send(gateway.address, "POST", "/v1/messages", &[], asked.to_string().as_bytes()).await;
        assert_eq!(reply.expect(200).head.header("x-heliostat-loss").is_some(), limit == 100, "{model}");
        let body: Value = serde_json::from_slice(&novel.received().last().unwrap().body).unwrap();
        assert_eq!(body[key], limit, "{model}: {body}");
    }
}
