//! Bodies in flight: how much memory they hold together, and for how long a slow one may.

use crate::support::http::{Connection, chunk};
use crate::support::{Config, Gateway, Provider, ask, client, json, native, reply, with, within};

const CHAT: &str = "/v1/chat/completions";

async fn gateway(limits: &str) -> (Provider, Gateway) {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top(&format!("limits: {{ {limits} }}"))).await;
    (openai, gateway)
}

/// A chat request of 60,000 bytes and a little.
fn large() -> Vec<u8> {
    with(ask("gpt-4o"), json!({"user": "u".repeat(60_000)})).to_string().into_bytes()
}

async fn metric(gateway: &Gateway, line: &str) -> u64 {
    let text = gateway.admin_get("/metrics").await.text();
    let value = text.lines().find_map(|known| known.strip_prefix(line)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_default()
}

async fn held(gateway: &Gateway) -> u64 {
    metric(gateway, "heliostat_body_bytes_in_flight").await
}

async fn until_held(gateway: &Gateway, wanted: impl Fn(u64) -> bool) {
    within("the bodies' memory to change", async {
        while !wanted(held(gateway).await) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The head of a request of this length, with nothing of its body.
async fn announce(gateway: &Gateway, length: usize) -> Connection {
    let mut connection = client::connect(gateway.address).await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
    connection.write(head.as_bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn beyond_the_memory_for_bodies_a_request_is_503_until_another_has_ended() {
    let (openai, gateway) = gateway("memory_bytes: 100000, body_bytes: 90000").await;
    let body = large();
    let second = async {
        let first = openai.next_request().await;
        assert_eq!(held(&gateway).await, body.len() as u64);
        let refused = gateway.chat_bytes(&body).await;
        first.respond_json(200, &native::openai("first")).await;
        refused
    };
    let (first, refused) = tokio::join!(gateway.chat_bytes(&body), second);
    first.expect(200);
    refused.expect(503).error();
    assert_eq!((refused.json()["error"]["code"].as_str(), refused.header("retry-after")), (Some("memory_limit"), "1"));
    assert_eq!(refused.header("connection"), "close");
    until_held(&gateway, |held| held == 0).await;
    openai.script([reply::json(native::openai("again"))]);
    gateway.chat_bytes(&body).await.expect(200);
    assert_eq!(metric(&gateway, "heliostat_rejected_total{reason=\"memory_limit\"}").await, 1);
}

#[tokio::test]
async fn an_announced_length_is_reserved_and_given_back_when_the_client_leaves() {
    let (openai, gateway) = gateway("memory_bytes: 100000, body_bytes: 90000").await;
    openai.always(reply::json(native::openai("ok")));
    let connection = announce(&gateway, 80_000).await;
    until_held(&gateway, |held| held == 80_000).await;
    gateway.chat_bytes(&large()).await.expect(503);
    drop(connection);
    until_held(&gateway, |held| held == 0).await;
    gateway.chat_bytes(&large()).await.expect(200);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_counted_as_it_grows() {
    let (_openai, gateway) = gateway("memory_bytes: 200000, body_bytes: 180000").await;
    let mut connection = client::connect(gateway.address).await;
    connection.write(format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    connection.write(&chunk(&[b' '; 1_000])).await.unwrap();
    until_held(&gateway, |held| (1_000..=65_536).contains(&held)).await;
    connection.write(&chunk(&[b' '; 90_000])).await.unwrap();
    until_held(&gateway, |held| (91_000..=180_000).contains(&held)).await;
    gateway.chat_bytes(&[b' '; 120_000]).await.expect(503);
    drop(connection);
    until_held(&gateway, |held| held == 0).await;
}

#[tokio::test]
async fn a_large_body_that_is_not_read_still_gets_its_answer() {
    let (openai, gateway) = gateway("memory_bytes: 1000").await;
    let refused = gateway.chat_bytes(&vec![b' '; 20_000_000]).await;
    refused.expect(503).error();
    assert!(openai.received().is_empty());
    assert_eq!(held(&gateway).await, 0);
}

#[tokio::test]
async fn a_body_that_trickles_is_408() {
    let (openai, gateway) = gateway("body_timeout_ms: 300").await;
    let mut connection = announce(&gateway, 1_000_000).await;
    let trickle = async {
        let (mut answer, mut writer) = (None, tokio::time::interval(std::time::Duration::from_millis(20)));
        while answer.is_none() {
            writer.tick().await;
            let _ = connection.write(b" ").await;
            answer = tokio::time::timeout(std::time::Duration::from_millis(1), client::answer(&mut connection)).await.ok();
        }
        answer.unwrap()
    };
    let answer = within("the gateway to lose patience", trickle).await;
    answer.expect(408).error();
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(metric(&gateway, "heliostat_rejected_total{reason=\"request_timeout\"}").await, 1);
    assert!(openai.received().is_empty());
}
