//! When a provider fails, the next one answers: before any byte reached the client, and never twice.

use std::time::{Duration, Instant};

use crate::support::native::{chunk, data_of, gemini_stream, is_done, openai_stream, text_of};
use crate::support::reply::{End, Reply};
use crate::support::sample::{ask_parts, big_png, data_uri, image};
use crate::support::{Config, Gateway, Provider, Value, ask, ask_stream, client, json, native, reply, with};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const FLASH: &str = "gemini/gemini-2.5-flash";

struct Three {
    openai: Provider,
    anthropic: Provider,
    gemini: Provider,
    gateway: Gateway,
}

async fn three_with(more: impl FnOnce(Config) -> Config) -> Three {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(more(Config::three(&openai, &anthropic, &gemini))).await;
    Three { openai, anthropic, gemini, gateway }
}

async fn three() -> Three {
    three_with(|config| config).await
}

/// GPT with Claude behind it.
fn with_fallback() -> Value {
    with(ask(GPT), json!({"fallbacks": [CLAUDE]}))
}

fn claude_ok() -> Reply {
    reply::json(native::anthropic("from claude"))
}

/// A provider with two keys, each on a fake of its own, and Claude.
struct Keys {
    a: Provider,
    b: Provider,
    anthropic: Provider,
    gateway: Gateway,
}

async fn two_keys(more: impl FnOnce(Config) -> Config) -> Keys {
    let (a, b, anthropic) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let keys = format!(
        "[{{ value: env.KEY_A, base_url: \"{}\", weight: 1.0 }}, {{ value: env.KEY_B, base_url: \"{}\", weight: 0.000001 }}]",
        a.url(),
        b.url()
    );
    let config = Config::new().provider("openai", &a).keys("openai", &keys).provider("anthropic", &anthropic);
    let gateway = Gateway::start(more(config)).await;
    Keys { a, b, anthropic, gateway }
}

#[tokio::test]
async fn a_server_fault_goes_to_the_next_candidate() {
    for status in [500, 502, 503, 504, 529, 520, 408] {
        let three = three().await;
        three.openai.script([reply::status(status)]);
        three.anthropic.script([claude_ok()]);
        let reply = three.gateway.chat(&with_fallback()).await;
        assert_eq!(reply.expect(200).content(), "from claude", "{status}");
        let wanted = [format!("openai/gpt-4o#OPENAI_API_KEY;{status}"), "anthropic/claude-sonnet-4-5#ANTHROPIC_API_KEY;200".to_owned()];
        assert_eq!(reply.attempts(), wanted);
        assert_eq!((reply.header("x-heliostat-provider"), reply.header("x-heliostat-model")), ("anthropic", "claude-sonnet-4-5"));
    }
}

#[tokio::test]
async fn a_transport_fault_goes_to_the_next_candidate() {
    for fault in [Reply::Reset, Reply::Cut] {
        let three = three().await;
        three.openai.always(fault);
        three.anthropic.script([claude_ok()]);
        assert_eq!(three.gateway.chat(&with_fallback()).await.expect(200).content(), "from claude");
    }
}

#[tokio::test]
async fn a_refused_connection_goes_to_the_next_candidate() {
    let (openai, anthropic) = (Provider::refusing().await, Provider::start().await);
    anthropic.script([claude_ok()]);
    let gateway = Gateway::start(Config::new().provider("openai", &openai).provider("anthropic", &anthropic)).await;
    let reply = gateway.chat(&with_fallback()).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.attempts().len()), ("from claude", 2));
}

#[tokio::test]
async fn a_host_that_does_not_accept_goes_to_the_next_candidate() {
    let (openai, anthropic) = (Provider::deaf().await, Provider::start().await);
    anthropic.script([claude_ok()]);
    let config = Config::new().provider("openai", &openai).provider("anthropic", &anthropic).timeouts("openai", "connect_ms: 100");
    let gateway = Gateway::start(config).await;
    let began = Instant::now();
    assert_eq!(gateway.chat(&with_fallback()).await.expect(200).content(), "from claude");
    assert!(began.elapsed() < Duration::from_millis(1_400), "the connect clock is the configured one: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_goes_to_the_next_candidate() {
    let anthropic = Provider::start().await;
    anthropic.script([claude_ok()]);
    let yaml = format!(
        "providers:\n  openai: {{ base_url: \"http://nowhere.invalid/v1\", keys: [{{ value: env.OPENAI_API_KEY }}] }}\n  anthropic: {{ base_url: \"{}\", keys: [{{ value: env.ANTHROPIC_API_KEY }}] }}\n",
        anthropic.url()
    );
    assert_eq!(Gateway::with(&yaml).await.chat(&with_fallback()).await.expect(200).content(), "from claude");
}

#[tokio::test]
async fn a_provider_that_hangs_before_its_header_is_left() {
    let three = three_with(|c| c.timeouts("openai", "header_ms: 200, first_content_ms: 200")).await;
    three.openai.always(Reply::Hang);
    three.anthropic.always(claude_ok());
    three.gemini.always(reply::events(gemini_stream(&["from gemini"])));
    assert_eq!(three.gateway.chat(&with_fallback()).await.expect(200).content(), "from claude");
    let seen = three.gateway.stream(&with(ask_stream(GPT), json!({"fallbacks": [FLASH]}))).await.rest().await;
    assert_eq!(text_of(&seen), "from gemini");
}

#[tokio::test]
async fn a_provider_that_hangs_after_its_header_is_left() {
    let three = three_with(|c| c.timeouts("openai", "first_content_ms: 200")).await;
    three.openai.script([reply::ending::<&str>([], End::Stall)]);
    three.gemini.script([reply::events(gemini_stream(&["ok"]))]);
    let seen = three.gateway.stream(&with(ask_stream(GPT), json!({"fallbacks": [FLASH]}))).await.rest().await;
    assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("ok", true));
}

#[tokio::test]
async fn keep_alives_and_a_role_do_not_hide_a_stall() {
    let role = chunk(json!({"role": "assistant", "content": ""}), None);
    for noise in [": keep-alive\n\n".to_owned(), role] {
        let three = three_with(|c| c.timeouts("openai", "first_content_ms: 400")).await;
        three.gemini.script([reply::events(gemini_stream(&["ok"]))]);
        let body = with(ask_stream(GPT), json!({"fallbacks": [FLASH]}));
        let client = async { three.gateway.stream(&body).await.rest().await };
        let upstream = async {
            let mut stream = three.openai.next_request().await.stream().await;
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            for _ in 0..10 {
                beat.tick().await;
                stream.event(&noise).await;
            }
            stream.closed().await;
        };
        let (seen, ()) = tokio::join!(client, upstream);
        assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("ok", true), "{noise}");
    }
}

#[tokio::test]
async fn a_rate_limited_key_goes_to_the_next_key_of_the_same_provider() {
    let keys = two_keys(|c| c).await;
    keys.a.script([reply::status(429)]);
    keys.b.script([reply::json(native::openai("from b"))]);
    let reply = keys.gateway.chat(&with_fallback()).await;
    assert_eq!(reply.expect(200).content(), "from b");
    assert_eq!(reply.attempts(), ["openai/gpt-4o#KEY_A;429", "openai/gpt-4o#KEY_B;200"]);
}

#[tokio::test]
async fn a_rate_limited_key_rests_while_another_is_there() {
    let keys = two_keys(|c| c).await;
    keys.a.script([reply::status(429).header("retry-after", "30")]);
    keys.b.always(reply::json(native::openai("from b")));
    for _ in 0..4 {
        assert_eq!(keys.gateway.chat(&ask(GPT)).await.expect(200).content(), "from b");
    }
    assert_eq!(keys.a.received().len(), 1, "one 429 is enough");
}

#[tokio::test]
async fn a_wrong_key_is_off_until_the_next_reload() {
    for status in [401, 403] {
        let keys = two_keys(|c| c).await;
        keys.a.script([reply::status(status)]);
        keys.b.always(reply::json(native::openai("from b")));
        for _ in 0..4 {
            assert_eq!(keys.gateway.chat(&ask(GPT)).await.expect(200).content(), "from b");
        }
        assert_eq!(keys.a.received().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_fault_of_the_host_tries_the_next_candidate_before_another_key() {
    let upstream = Provider::start().await;
    let anthropic = Provider::start().await;
    let config = Config::new()
        .provider("openai", &upstream)
        .keys("openai", "[{ value: env.KEY_A }, { value: env.KEY_B }]")
        .provider("anthropic", &anthropic);
    let gateway = Gateway::start(config).await;
    upstream.script([reply::status(529)]);
    anthropic.script([claude_ok()]);
    let reply = gateway.chat(&with_fallback()).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.attempts().len()), ("from claude", 2));
}

#[tokio::test]
async fn with_no_candidate_left_a_fault_of_the_host_tries_another_key() {
    let keys = two_keys(|c| c).await;
    keys.a.script([reply::status(503)]);
    keys.b.script([reply::json(native::openai("from b"))]);
    assert_eq!(keys.gateway.chat(&ask(GPT)).await.expect(200).content(), "from b");
}

#[tokio::test]
async fn a_fault_of_the_request_goes_to_the_client_as_it_is() {
    for status in [400, 409, 413, 422] {
        let three = three().await;
        let body =
            format!("{{ \"error\" : {{\"message\":\"bad {status}\",\"type\":\"invalid_request_error\",\"param\":\"x\",\"code\":\"y\"}} }}");
        three.openai.script([reply::bytes(status, "application/json", body.clone())]);
        let reply = three.gateway.chat(&with_fallback()).await;
        assert_eq!(reply.expect(status).text(), body);
    }
}

#[tokio::test]
async fn a_model_that_is_not_there_goes_to_the_next_candidate() {
    let three = three().await;
    three.openai.script([reply::status(404)]);
    three.anthropic.script([claude_ok()]);
    assert_eq!(three.gateway.chat(&with_fallback()).await.expect(200).content(), "from claude");
}

#[tokio::test]
async fn the_bodys_fallbacks_come_in_their_order_and_may_be_objects() {
    let three = three().await;
    three.openai.script([reply::status(529)]);
    three.anthropic.script([reply::status(529)]);
    three.gemini.script([reply::json(native::gemini("from gemini"))]);
    let body = with(ask(GPT), json!({"fallbacks": [{"provider": "anthropic", "model": "claude-sonnet-4-5"}, FLASH]}));
    let reply = three.gateway.chat(&body).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.attempts().len()), ("from gemini", 3));
}

#[tokio::test]
async fn the_files_fallbacks_serve_where_the_body_names_none() {
    let three = three_with(|c| c.top(&format!("fallbacks: [{GPT}, {CLAUDE}]"))).await;
    three.openai.script([reply::status(529)]);
    three.anthropic.script([claude_ok()]);
    let reply = three.gateway.chat(&ask(GPT)).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.attempts().len()), ("from claude", 2));
}

#[tokio::test]
async fn an_empty_list_in_the_body_means_no_fallback() {
    let three = three_with(|c| c.top(&format!("fallbacks: [{CLAUDE}]"))).await;
    three.openai.script([reply::status(529)]);
    three.gateway.chat(&with(ask(GPT), json!({"fallbacks": []}))).await.expect(529);
}

#[tokio::test]
async fn fallbacks_of_a_primary_serve_that_model_alone() {
    let three = three_with(|c| c.top(&format!("fallbacks: [{{ primary: {GPT}, fallback: [{CLAUDE}] }}]"))).await;
    three.openai.script([reply::status(529), reply::status(503)]);
    three.anthropic.script([claude_ok()]);
    assert_eq!(three.gateway.chat(&ask(GPT)).await.expect(200).content(), "from claude");
    three.gateway.chat(&ask("openai/gpt-4o-mini")).await.expect(503);
}

#[tokio::test]
async fn a_route_is_a_model_with_fallbacks_of_its_own() {
    let three = three_with(|c| c.top(&format!("mcp: [{{ id: caption, primary: {GPT}, fallbacks: [{CLAUDE}] }}]"))).await;
    three.openai.script([reply::status(529)]);
    three.anthropic.script([claude_ok()]);
    let reply = three.gateway.chat(&ask("caption")).await;
    assert_eq!(reply.expect(200).content(), "from claude");
    assert_eq!(serde_json::from_slice::<Value>(&three.openai.received()[0].body).unwrap()["model"], "gpt-4o");
}

#[tokio::test]
async fn an_unknown_fallback_is_refused_before_anything_is_sent() {
    let three = three().await;
    let reply = three.gateway.chat(&with(ask(GPT), json!({"fallbacks": ["antropic/claude"]}))).await;
    assert!(matches!(reply.status, 400 | 404), "{}", reply.text());
    assert!(reply.error().contains("antropic"), "{}", reply.text());
    let odd = three.gateway.chat(&with(ask(GPT), json!({"fallbacks": "anthropic/claude"}))).await;
    odd.expect(400).error();
}

#[tokio::test]
async fn one_failed_attempt_in_the_same_dialect_is_shown_as_it_is() {
    let three = three().await;
    for status in [500, 503, 529, 429] {
        let body = format!("<html>edge {status}</html>");
        three.openai.script([reply::bytes(status, "text/html", body.clone()).header("retry-after", "7")]);
        let reply = three.gateway.chat(&ask(&format!("openai/gpt-{status}"))).await;
        assert_eq!((reply.expect(status).text(), reply.header("retry-after")), (body, "7"));
        assert_eq!(reply.attempts().len(), 1);
    }
}

#[tokio::test]
async fn when_all_are_rate_limited_the_client_gets_429_and_the_least_retry_after() {
    let three = three().await;
    three.openai.script([reply::status(429).header("retry-after", "40")]);
    three.anthropic.script([reply::status(429).header("retry-after", "9")]);
    let reply = three.gateway.chat(&with_fallback()).await;
    let message = reply.expect(429).error();
    assert_eq!(reply.header("retry-after"), "9");
    assert!(message.contains("openai/gpt-4o") && message.contains("anthropic/claude-sonnet-4-5"), "{message}");
    assert_ne!(reply.head.header("x-should-retry"), Some("false"), "a known wait of nine seconds is worth a retry");
}

#[tokio::test]
async fn the_last_failure_names_the_final_status() {
    for (last, status) in [(reply::status(529), 503), (reply::status(401), 502), (reply::status(500), 502), (Reply::Reset, 502)] {
        let three = three().await;
        three.openai.script([reply::status(500)]);
        three.anthropic.always(last);
        let reply = three.gateway.chat(&with_fallback()).await;
        let message = reply.expect(status).error();
        assert!(message.contains("openai/gpt-4o") && message.contains("anthropic/claude-sonnet-4-5"), "{message}");
        assert_eq!(reply.header("x-should-retry"), "false");
        assert_eq!(reply.attempts().len(), 2, "{:?}", reply.attempts());
    }
}

#[tokio::test]
async fn a_timeout_as_the_last_failure_is_504() {
    let three = three_with(|c| c.timeouts("anthropic", "header_ms: 150, first_content_ms: 150")).await;
    three.openai.script([reply::status(500)]);
    three.anthropic.always(Reply::Hang);
    three.gateway.chat(&with_fallback()).await.expect(504).error();
}

#[tokio::test]
async fn the_callers_deadline_leaves_time_for_the_next_candidate() {
    let three = three().await;
    three.openai.always(Reply::Hang);
    three.anthropic.script([claude_ok()]);
    let began = Instant::now();
    let reply = three.gateway.chat_with(&[("x-heliostat-timeout-ms", "2000")], with_fallback().to_string().as_bytes()).await;
    assert_eq!(reply.expect(200).content(), "from claude");
    assert!(began.elapsed() < Duration::from_millis(1_800), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_sdks_own_read_timeout_is_a_deadline_too() {
    let three = three().await;
    three.openai.always(Reply::Hang);
    three.anthropic.script([claude_ok()]);
    let began = Instant::now();
    let reply = three.gateway.chat_with(&[("x-stainless-read-timeout", "2")], with_fallback().to_string().as_bytes()).await;
    assert_eq!(reply.expect(200).content(), "from claude");
    assert!(began.elapsed() < Duration::from_millis(1_800), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_deadline_that_passes_is_a_504() {
    let three = three().await;
    three.openai.always(Reply::Hang);
    let reply = three.gateway.chat_with(&[("x-heliostat-timeout-ms", "300")], ask(GPT).to_string().as_bytes()).await;
    reply.expect(504).error();
}

#[tokio::test]
async fn retries_are_exactly_as_many_as_the_file_says() {
    for (retries, calls) in [(0, 1), (2, 3)] {
        let openai = Provider::start().await;
        openai.always(reply::status(500));
        let config = Config::new()
            .provider("openai", &openai)
            .line("openai", &format!("network: {{ retry: {{ max_retries: {retries}, backoff_initial_ms: 10 }} }}"));
        let gateway = Gateway::start(config).await;
        let reply = gateway.chat(&ask(GPT)).await;
        assert_eq!((openai.received().len(), reply.attempts().len()), (calls, calls));
    }
}

#[tokio::test]
async fn a_back_off_that_ends_after_the_deadline_is_no_further_attempt() {
    let openai = Provider::start().await;
    openai.always(reply::status(500));
    let config =
        Config::new().provider("openai", &openai).line("openai", "network: { retry: { max_retries: 2, backoff_initial_ms: 86400000 } }");
    let gateway = Gateway::start(config).await;
    let reply = gateway.chat_with(&[("x-heliostat-timeout-ms", "300")], ask(GPT).to_string().as_bytes()).await;
    reply.expect(500);
    assert_eq!(openai.received().len(), 1);
}

#[tokio::test]
async fn a_retry_is_not_made_for_a_rate_limit_on_the_same_key() {
    let openai = Provider::start().await;
    openai.always(reply::status(429));
    let config = Config::new().provider("openai", &openai).line("openai", "network: { retry: { max_retries: 2, backoff_initial_ms: 10 } }");
    Gateway::start(config).await.chat(&ask(GPT)).await.expect(429);
    assert_eq!(openai.received().len(), 1);
}

#[tokio::test]
async fn a_body_of_many_megabytes_is_sent_again_whole() {
    let three = three().await;
    three.openai.always(reply::status(529));
    three.anthropic.script([reply::status(503)]);
    three.gemini.script([reply::json(native::gemini("ok"))]);
    let images: Vec<String> = (0..6).map(|seed| big_png(2 << 20, seed)).collect();
    let parts: Vec<Value> = images.iter().map(|i| image(&data_uri("image/png", i))).collect();
    let body = with(ask_parts(GPT, &parts), json!({"fallbacks": [CLAUDE, FLASH]}));
    assert_eq!(three.gateway.chat(&body).await.expect(200).content(), "ok");
    let seen: Value = serde_json::from_slice(&three.gemini.received()[0].body).unwrap();
    for (at, data) in images.iter().enumerate() {
        assert!(seen["contents"][0]["parts"][at]["inlineData"]["data"] == data.as_str(), "image {at}");
    }
}

#[tokio::test]
async fn a_provider_that_answers_before_the_body_is_sent_is_heard() {
    let three = three().await;
    three.anthropic.script([claude_ok()]);
    let parts = [image(&data_uri("image/png", &big_png(8 << 20, 1)))];
    let body = with(ask_parts(GPT, &parts), json!({"fallbacks": [CLAUDE]}));
    let early = early_503().await;
    let yaml = format!(
        "providers:\n  openai: {{ base_url: \"http://{early}/v1\", keys: [{{ value: env.OPENAI_API_KEY }}] }}\n  anthropic: {{ base_url: \"{}\", keys: [{{ value: env.ANTHROPIC_API_KEY }}] }}\n",
        three.anthropic.url()
    );
    let reply = Gateway::with(&yaml).await.chat(&body).await;
    assert_eq!(reply.expect(200).content(), "from claude");
}

/// A host that answers 503 as soon as it has read a head, and closes.
async fn early_503() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = crate::support::http::Connection::new(socket);
            connection.request_head().await;
            let _ = connection.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    });
    address
}

#[tokio::test]
async fn a_pooled_connection_that_died_is_replaced_without_the_client_noticing() {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    let body = ask(GPT);
    let (first, ()) =
        tokio::join!(gateway.chat(&body), async { openai.next_request().await.respond_json(200, &native::openai("one")).await });
    first.expect(200);
    // The second request comes over the pooled connection, which dies before any byte of an answer.
    let second = async {
        openai.next_request().await.cut();
        openai.next_request().await.respond_json(200, &native::openai("two")).await;
    };
    let (reply, ()) = tokio::join!(gateway.chat(&body), second);
    assert_eq!((reply.expect(200).content().as_str(), openai.connections()), ("two", 2));
}

#[tokio::test]
async fn a_fresh_connection_that_dies_is_not_replayed_on_the_same_key() {
    let openai = Provider::start().await;
    openai.always(Reply::Cut);
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    gateway.chat(&ask(GPT)).await.expect(502).error();
    assert_eq!(openai.received().len(), 1);
}

#[tokio::test]
async fn nothing_is_delivered_twice() {
    let three = three().await;
    // Text reached the client: from here on no other provider may be asked, whatever happens.
    let body = with(ask_stream(GPT), json!({"fallbacks": [CLAUDE, FLASH]}));
    let upstream = async {
        let mut stream = three.openai.next_request().await.stream().await;
        stream.event(&native::chunk_text("only once")).await;
        stream
    };
    let (mut client, upstream) = tokio::join!(three.gateway.stream(&body), upstream);
    let first = client.event().await.unwrap();
    upstream.reset();
    let rest = client.rest().await;
    assert_eq!(text_of(&[vec![first], rest.clone()].concat()), "only once");
    assert!(data_of(&rest).iter().any(|d| d.get("error").is_some()) && !is_done(&rest), "{rest:?}");
}

#[tokio::test]
async fn a_broken_body_of_a_plain_answer_goes_to_the_next_candidate() {
    let three = three().await;
    three.anthropic.script([claude_ok()]);
    let body = with_fallback();
    let upstream = async {
        let mut connection = three.openai.next_request().await.into_connection();
        connection
            .write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"choices\":[{\"mess")
            .await
            .unwrap();
    };
    let (reply, ()) = tokio::join!(three.gateway.chat(&body), upstream);
    assert_eq!(reply.expect(200).content(), "from claude");
}

#[tokio::test]
async fn an_error_inside_a_plain_200_goes_to_the_next_candidate() {
    let three = three().await;
    three.openai.script([reply::json(json!({"error": {"message": "upstream overloaded", "type": "server_error", "code": 503}}))]);
    three.anthropic.script([claude_ok()]);
    assert_eq!(three.gateway.chat(&with_fallback()).await.expect(200).content(), "from claude");
}

#[tokio::test]
async fn a_translated_stream_may_follow_a_failed_one_of_another_dialect() {
    let three = three().await;
    three.anthropic.script([reply::status(529)]);
    three.gemini.script([Reply::Reset]);
    three.openai.script([reply::events(openai_stream(&["a", "b"]))]);
    let mut stream = three.gateway.stream(&with(ask_stream(CLAUDE), json!({"fallbacks": [FLASH, GPT]}))).await;
    assert_eq!(stream.head.header("x-heliostat-provider"), Some("openai"));
    assert_eq!(text_of(&stream.rest().await), "ab");
}

#[tokio::test]
async fn each_of_many_concurrent_requests_gets_its_own_answer() {
    let three = three().await;
    three.openai.always(reply::status(529));
    three.anthropic.always(claude_ok());
    let body = with_fallback().to_string().into_bytes();
    let address = three.gateway.address;
    let calls = (0..50).map(|_| {
        let body = body.clone();
        tokio::spawn(async move { client::send(address, "POST", "/v1/chat/completions", &[], &body).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().expect(200).content(), "from claude");
    }
}

#[tokio::test]
async fn every_sdks_word_for_its_timeout_is_a_deadline() {
    for header in ["x-stainless-timeout", "x-server-timeout"] {
        let three = three().await;
        three.openai.always(Reply::Hang);
        let began = Instant::now();
        let reply = three.gateway.chat_with(&[(header, "1")], ask(GPT).to_string().as_bytes()).await;
        reply.expect(504).error();
        assert!(began.elapsed() < Duration::from_secs(5), "{header}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_routes_clocks_hold_for_all_that_is_asked_through_it_and_for_nothing_else() {
    let route = "mcp: [{ id: quick, primary: openai/gpt-4o, fallbacks: [anthropic/claude-sonnet-4-5], timeouts: { header_ms: 200 } }]";
    let three = three_with(|c| c.top(route).top("network: { breaker: { enabled: false } }")).await;
    three.openai.always(Reply::Hang);
    three.anthropic.script([claude_ok(), Reply::Hang]);
    three.gemini.script([reply::json(native::gemini("from gemini"))]);
    assert_eq!(three.gateway.chat(&ask("quick")).await.expect(200).content(), "from claude");
    let own = three.gateway.chat(&with(ask("quick"), json!({"fallbacks": [CLAUDE, FLASH]}))).await;
    assert_eq!(own.expect(200).attempts().len(), 3, "the request's own fallbacks keep them too: {:?}", own.attempts());
    let began = Instant::now();
    three.gateway.chat_with(&[("x-heliostat-timeout-ms", "900")], ask(GPT).to_string().as_bytes()).await.expect(504);
    assert!(began.elapsed() >= Duration::from_millis(850), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_callers_own_clock_for_the_first_content_holds() {
    let three = three().await;
    three.openai.script([reply::ending([chunk(json!({"role": "assistant", "content": ""}), None)], End::Stall)]);
    three.anthropic.script([reply::events(native::anthropic_stream(&["from claude"]))]);
    let body = with(ask_stream(GPT), json!({"fallbacks": [CLAUDE]}));
    let mut stream = three.gateway.stream_with(&[("x-heliostat-first-content-ms", "300")], &body).await;
    assert_eq!(stream.attempts()[0], "openai/gpt-4o#OPENAI_API_KEY;timeout_first_content");
    assert_eq!(text_of(&stream.rest().await), "from claude");
}

#[tokio::test]
async fn while_another_candidate_is_left_an_attempt_gets_half_of_what_remains_and_the_last_gets_all() {
    let three = three().await;
    three.openai.always(Reply::Hang);
    three.anthropic.always(Reply::Hang);
    three.gemini.always(Reply::Hang);
    let body = with(ask(GPT), json!({"fallbacks": [CLAUDE, FLASH]}));
    let reply = three.gateway.chat_with(&[("x-heliostat-timeout-ms", "1600")], body.to_string().as_bytes()).await;
    let took: Vec<u64> = reply
        .expect(504)
        .head
        .header("x-heliostat-attempts")
        .unwrap()
        .split(", ")
        .map(|attempt| attempt.rsplit(';').next().unwrap().trim_end_matches("ms").parse().unwrap())
        .collect();
    // 1,600 ms: a half, a half of the rest, the rest; less what passed before the first began, more by what a busy machine is late.
    assert!((600..1_100).contains(&took[0]), "{took:?}");
    assert!((150..600).contains(&took[1]), "{took:?}");
    assert!(took[2] >= 50 && took.iter().sum::<u64>() < 2_600, "{took:?}");
}

#[tokio::test]
async fn a_host_that_says_so_is_not_asked_again() {
    let upstream = Provider::start().await;
    let config = Config::new().provider("openai", &upstream).keys("openai", "[{ value: env.KEY_A }, { value: env.KEY_B }]");
    for retry in ["", "network: { retry: { max_retries: 2, backoff_initial_ms: 1 } }"] {
        let config = if retry.is_empty() { config.clone() } else { config.clone().line("openai", retry) };
        let gateway = Gateway::start(config).await;
        upstream.script([reply::status(500).header("x-should-retry", "false")]);
        let reply = gateway.chat(&ask(GPT)).await;
        assert_eq!((reply.expect(500).header("x-should-retry"), reply.attempts().len()), ("false", 1), "as the provider said it");
        upstream.script([reply::status(429).header("x-should-retry", "false"), reply::json(native::openai("the other key"))]);
        assert_eq!(gateway.chat(&ask(GPT)).await.expect(200).content(), "the other key", "a limit is the key's, not the host's");
    }
}

#[tokio::test]
async fn a_host_that_says_so_elsewhere_is_left_for_a_key_at_another_host_and_for_the_next_candidate() {
    let keys = two_keys(|c| c).await;
    keys.a.script([reply::status(500).header("x-should-retry", "false")]);
    keys.b.script([reply::status(500).header("x-should-retry", "false")]);
    keys.anthropic.script([claude_ok()]);
    let reply = keys.gateway.chat(&with_fallback()).await;
    assert_eq!((reply.expect(200).content().as_str(), reply.attempts().len()), ("from claude", 3));
}

#[tokio::test]
async fn a_refusal_that_is_to_be_tried_again_is_tried_elsewhere() {
    for status in [400, 409] {
        let three = three().await;
        three.openai.script([reply::status(status).header("x-should-retry", "true")]);
        three.anthropic.script([claude_ok()]);
        assert_eq!(three.gateway.chat(&with_fallback()).await.expect(200).content(), "from claude", "{status}");
        three.openai.script([reply::status(status).header("x-should-retry", "true")]);
        let alone = three.gateway.chat(&ask(GPT)).await;
        assert_eq!(alone.expect(status).header("x-should-retry"), "true", "alone, it is the client's to try again");
    }
    // What is too long, or against a policy, stays so.
    let three = three().await;
    let long = json!({"error": {"message": "too long", "type": "invalid_request_error", "param": null, "code": "context_length_exceeded"}});
    three.openai.script([reply::status_json(400, long).header("x-should-retry", "true")]);
    three.gateway.chat(&with_fallback()).await.expect(400);
}
