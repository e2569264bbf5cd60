//! HTTP/2 to a provider that asks for it: many requests over one connection, and nothing lost when that connection ends.

use crate::support::h2::H2Provider;
use crate::support::native::{chunk, chunk_text, openai_stream, text_of};
use crate::support::sample::{ask_parts, big_png, data_uri, image};
use crate::support::{Config, Gateway, Provider, ask, ask_stream, json, native, reply, with, within};

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-5";

async fn over_http2(streams: u32) -> (H2Provider, Gateway) {
    let openai = H2Provider::start(streams).await;
    let gateway = Gateway::start(Config::new().at("openai", &openai.url()).line("openai", "http2: true")).await;
    (openai, gateway)
}

#[tokio::test]
async fn a_request_goes_over_http2_with_the_same_fields() {
    let (openai, gateway) = over_http2(100).await;
    let body = ask(GPT);
    let answer = async {
        let mut asked = openai.next().await;
        assert_eq!(asked.path, "/v1/chat/completions");
        assert_eq!(asked.headers["authorization"], "Bearer sk-secret-openai_api_key");
        assert!(!asked.headers.contains_key("host") && !asked.headers.contains_key("connection"));
        let length: usize = asked.headers["content-length"].to_str().unwrap().parse().unwrap();
        assert_eq!(asked.body().await.len(), length);
        asked.json(200, &native::openai("over two"));
    };
    let (reply, ()) = tokio::join!(gateway.chat(&body), answer);
    assert_eq!(reply.expect(200).content(), "over two");
}

#[tokio::test]
async fn twenty_megabytes_pass_whole() {
    let (openai, gateway) = over_http2(100).await;
    let picture = big_png(20_000_000, 7);
    let body = ask_parts(GPT, &[image(&data_uri("image/png", &picture))]);
    let answer = async {
        let mut asked = openai.next().await;
        let body = asked.body().await;
        asked.json(200, &native::openai("seen"));
        body
    };
    let (reply, arrived) = tokio::join!(gateway.chat(&body), answer);
    assert_eq!(reply.expect(200).content(), "seen");
    let arrived: serde_json::Value = serde_json::from_slice(&arrived).unwrap();
    assert!(arrived["messages"][0]["content"][0]["image_url"]["url"].as_str().unwrap().ends_with(&picture));
}

#[tokio::test]
async fn an_early_refusal_of_a_large_body_is_read_and_keeps_the_connection() {
    let (openai, anthropic) = (H2Provider::start(100).await, Provider::start().await);
    anthropic.always(reply::json(native::anthropic("from claude")));
    let config = Config::new().at("openai", &openai.url()).line("openai", "http2: true").provider("anthropic", &anthropic);
    let gateway = Gateway::start(config).await;
    let body = with(ask_parts(GPT, &[image(&data_uri("image/png", &big_png(4_000_000, 1)))]), json!({"fallbacks": [CLAUDE]}));
    // Of the body no more is read than fits the window.
    let refuse = async { openai.next().await.json(529, &json!({"error": {"message": "overloaded"}})) };
    let (reply, ()) = tokio::join!(gateway.chat(&body), refuse);
    assert_eq!(reply.expect(200).content(), "from claude");
    assert!(reply.attempts()[0].ends_with(";529"), "{:?}", reply.attempts());
    let plain = ask("openai/other");
    let answer = async { openai.next().await.json(200, &native::openai("back")) };
    let (reply, ()) = tokio::join!(gateway.chat(&plain), answer);
    assert_eq!(reply.expect(200).content(), "back");
    assert_eq!(openai.connections(), 1);
}

#[tokio::test]
async fn events_of_a_stream_pass_one_by_one() {
    let (openai, gateway) = over_http2(100).await;
    let body = ask_stream(GPT);
    let (mut client, mut events) = {
        let begin = async {
            let mut events = openai.next().await.events();
            events.event(&chunk_text("one"));
            events
        };
        tokio::join!(gateway.stream(&body), begin)
    };
    assert_eq!(text_of(&[client.event().await.unwrap()]), "one");
    for word in ["two", "three"] {
        events.event(&chunk_text(word));
        assert_eq!(text_of(&[client.event().await.unwrap()]), word);
    }
    events.event(&chunk(json!({}), Some("stop")));
    events.event("data: [DONE]\n\n");
    events.end();
    assert_eq!(client.rest().await.len(), 2);
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_stream_alone() {
    let (openai, gateway) = over_http2(100).await;
    let body = ask_stream(GPT);
    let (stays, events) = tokio::join!(gateway.stream(&body), async {
        let mut events = openai.next().await.events();
        events.event(&chunk_text("one"));
        events
    });
    let (leaves, other) = tokio::join!(gateway.stream(&body), async {
        let mut events = openai.next().await.events();
        events.event(&chunk_text("one"));
        events
    });
    leaves.leave();
    assert_eq!(other.reset().await, h2::Reason::CANCEL);
    let (mut stays, mut events) = (stays, events);
    openai_stream(&["two"]).iter().for_each(|event| events.event(event));
    events.end();
    assert_eq!(stays.rest().await.last().unwrap(), "data: [DONE]");
    assert_eq!(openai.connections(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_resets_its_stream() {
    let (openai, gateway) = over_http2(100).await;
    let mut client = crate::support::client::connect(gateway.address).await;
    let request = crate::support::client::request("POST", "/v1/chat/completions", &[], ask(GPT).to_string().as_bytes());
    client.write(&request).await.unwrap();
    let asked = openai.next().await;
    drop(client);
    assert_eq!(asked.reset().await, h2::Reason::CANCEL);
}

#[tokio::test]
async fn fifty_requests_share_one_connection() {
    let (openai, gateway) = over_http2(100).await;
    let body = ask(GPT);
    let all = (0..50).map(|_| gateway.chat(&body));
    let answer = async {
        let mut asked = Vec::new();
        for _ in 0..50 {
            asked.push(openai.next().await);
        }
        asked.into_iter().for_each(|asked| asked.json(200, &native::openai("one of fifty")));
    };
    let (replies, ()) = tokio::join!(join_all(all), answer);
    assert!(replies.iter().all(|reply| reply.expect(200).content() == "one of fifty"));
    assert_eq!(openai.connections(), 1);
}

#[tokio::test]
async fn a_limit_of_the_provider_opens_another_connection() {
    let (openai, gateway) = over_http2(2).await;
    let body = ask(GPT);
    // The first answer has brought the provider's settings.
    let first = async { openai.next().await.json(200, &native::openai("first")) };
    tokio::join!(gateway.chat(&body), first).0.expect(200);
    let all = (0..4).map(|_| gateway.chat(&body));
    let answer = async {
        let mut asked = Vec::new();
        for _ in 0..4 {
            asked.push(openai.next().await);
        }
        asked.into_iter().for_each(|asked| asked.json(200, &native::openai("all")));
    };
    let (replies, ()) = tokio::join!(join_all(all), answer);
    assert!(replies.iter().all(|reply| reply.expect(200).content() == "all"));
    assert_eq!(openai.connections(), 2);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_once() {
    let (openai, gateway) = over_http2(100).await;
    let body = ask(GPT);
    let answer = async {
        openai.next().await.refuse();
        openai.next().await.json(200, &native::openai("again"));
    };
    let (reply, ()) = tokio::join!(gateway.chat(&body), answer);
    assert_eq!(reply.expect(200).content(), "again");
    assert_eq!(reply.attempts(), ["openai/gpt-4o#OPENAI_API_KEY;stale_connection", "openai/gpt-4o#OPENAI_API_KEY;200"]);
}

#[tokio::test]
async fn a_provider_that_goes_away_finishes_what_it_took_and_gets_a_new_connection() {
    let (openai, gateway) = over_http2(100).await;
    *openai.leaves_after_one.lock().unwrap() = true;
    let body = ask(GPT);
    for round in 1..=4 {
        let answer = async { openai.next().await.json(200, &native::openai("round")) };
        let (reply, ()) = within("a reply", async { tokio::join!(gateway.chat(&body), answer) }).await;
        assert_eq!(reply.expect(200).content(), "round");
        assert_eq!(openai.connections(), round);
    }
}

#[tokio::test]
async fn a_provider_that_speaks_no_http2_is_left() {
    let anthropic = Provider::start().await;
    anthropic.script([reply::json(native::anthropic("from claude"))]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt as _;
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let config = Config::new().at("openai", &url).line("openai", "http2: true").provider("anthropic", &anthropic);
    let reply = Gateway::start(config).await.chat(&with(ask(GPT), json!({"fallbacks": [CLAUDE]}))).await;
    assert_eq!(reply.expect(200).content(), "from claude");
}

/// Waits for all, side by side.
pub async fn join_all<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, slot) in waiting.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
