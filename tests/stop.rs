//! SIGTERM: first a notice, then closed listeners, then the end as soon as nothing is in flight. No request that began is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::support::client::Stream as ClientStream;
use crate::support::http::Connection;
use crate::support::native::{chunk, chunk_text, is_done, text_of};
use crate::support::provider::Stream as UpstreamStream;
use crate::support::{Config, Gateway, Provider, ask, ask_stream, client, json, native, reply, within};

const CHAT: &str = "/v1/chat/completions";

async fn draining_by(clocks: &str) -> (Provider, Gateway) {
    let openai = Provider::start().await;
    let config = Config::new().provider("openai", &openai).top(&format!("drain: {{ {clocks} }}"));
    let gateway = Gateway::start(config).await;
    (openai, gateway)
}

/// A stream under way, with its first event delivered.
async fn begun(openai: &Provider, gateway: &Gateway) -> (ClientStream, UpstreamStream) {
    let body = ask_stream("gpt-4o");
    let upstream = async {
        let mut stream = openai.next_request().await.stream().await;
        stream.event(&chunk_text("before")).await;
        stream
    };
    let (mut client, upstream) = tokio::join!(gateway.stream(&body), upstream);
    client.event().await.expect("the first event");
    (client, upstream)
}

async fn finish(mut upstream: UpstreamStream) {
    upstream.event(&chunk_text(" and after")).await.event(&chunk(json!({}), Some("stop"))).await.event("data: [DONE]\n\n").await;
    upstream.end().await;
}

/// Waits until the listener refuses connections.
async fn refused(gateway: &Gateway) {
    let closed = async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("the listener to close", closed).await;
}

/// Asks over one connection as long as it is kept, then opens another, until none can be had. Every request must be answered.
async fn hammer(address: std::net::SocketAddr, done: Arc<AtomicBool>) -> usize {
    let body = ask("gpt-4o").to_string();
    let mut answered = 0;
    while !done.load(Ordering::Relaxed) {
        let Ok(socket) = TcpStream::connect(address).await else { break };
        let mut connection = Connection::new(socket);
        loop {
            let answer = client::exchange(&mut connection, "POST", CHAT, &[], body.as_bytes()).await;
            answer.expect(200);
            answered += 1;
            if answer.head.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                break;
            }
        }
    }
    answered
}

#[tokio::test]
async fn a_connection_whose_body_nobody_wanted_is_idle_after_it() {
    let openai = Provider::start().await;
    let keys = "client_keys: [{ name: studio, value: env.KEY_C }]\ndrain: { notice_ms: 500, deadline_ms: 60000 }";
    let mut gateway = Gateway::start(Config::new().provider("openai", &openai).top(keys)).await;
    let call = client::request("POST", CHAT, &[], ask("gpt-4o").to_string().as_bytes());
    let (head, body) = call.split_at(call.len() - 9);
    let mut connection = client::connect(gateway.address).await;
    connection.write(head).await.unwrap();
    assert_eq!(client::answer(&mut connection).await.expect(401).header("connection"), "keep-alive");
    connection.write(body).await.unwrap();
    // It is read during the notice.
    gateway.terminate();
    within("the connection to close", connection.closed()).await;
    gateway.ended().await;
}

#[tokio::test]
async fn new_connections_are_served_during_the_notice_and_refused_after_it() {
    let (openai, mut gateway) = draining_by("notice_ms: 1000, deadline_ms: 20000").await;
    openai.always(reply::json(native::openai("ok")));
    gateway.terminate();
    gateway.log_line("draining").await;
    let answer = gateway.chat(&ask("gpt-4o")).await;
    assert_eq!(answer.expect(200).header("connection"), "close");
    assert_eq!(gateway.get("/readyz").await.expect(503).header("connection"), "close");
    refused(&gateway).await;
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn the_process_leaves_right_after_the_last_stream() {
    let (openai, mut gateway) = draining_by("notice_ms: 200, deadline_ms: 60000").await;
    let (mut client, upstream) = begun(&openai, &gateway).await;
    gateway.terminate();
    refused(&gateway).await;
    finish(upstream).await;
    let finished = Instant::now();
    let rest = client.rest().await;
    assert_eq!((text_of(&rest).as_str(), is_done(&rest)), (" and after", true));
    assert!(gateway.ended().await.success());
    assert!(finished.elapsed() < Duration::from_secs(2), "{:?}", finished.elapsed());
    gateway.log_line("drained").await;
}

#[tokio::test]
async fn a_request_whose_body_is_on_its_way_is_served() {
    let (openai, mut gateway) = draining_by("notice_ms: 100, deadline_ms: 20000").await;
    openai.always(reply::json(native::openai("served")));
    let body = ask("gpt-4o").to_string();
    let request = client::request("POST", CHAT, &[], body.as_bytes());
    let mut connection = client::connect(gateway.address).await;
    connection.write(&request[..request.len() - 10]).await.unwrap();
    gateway.terminate();
    refused(&gateway).await;
    connection.write(&request[request.len() - 10..]).await.unwrap();
    let answer = client::answer(&mut connection).await;
    assert_eq!((answer.expect(200).content().as_str(), answer.header("connection")), ("served", "close"));
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_request_of_which_half_the_head_was_read_is_served() {
    let (openai, mut gateway) = draining_by("notice_ms: 200, deadline_ms: 20000").await;
    openai.always(reply::json(native::openai("served")));
    let body = ask("gpt-4o").to_string();
    let request = client::request("POST", CHAT, &[], body.as_bytes());
    let mut fresh = client::connect(gateway.address).await;
    fresh.write(&request[..5]).await.unwrap();
    let mut kept = client::connect(gateway.address).await;
    client::exchange(&mut kept, "POST", CHAT, &[], body.as_bytes()).await.expect(200);
    kept.write(&request[..20]).await.unwrap();
    gateway.terminate();
    refused(&gateway).await;
    for (mut connection, sent) in [(fresh, 5), (kept, 20)] {
        connection.write(&request[sent..]).await.unwrap();
        assert_eq!(client::answer(&mut connection).await.expect(200).content(), "served");
    }
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn idle_connections_are_closed_with_the_listeners_while_a_stream_goes_on() {
    let (openai, mut gateway) = draining_by("notice_ms: 100, deadline_ms: 20000").await;
    let (mut client, upstream) = begun(&openai, &gateway).await;
    let mut kept = client::connect(gateway.address).await;
    client::exchange(&mut kept, "GET", "/readyz", &[], b"").await.expect(200);
    let mut fresh = client::connect(gateway.address).await;
    gateway.terminate();
    within("the idle connections to close", async { tokio::join!(kept.closed(), fresh.closed()) }).await;
    gateway.admin_get("/readyz").await.expect(503);
    gateway.admin_get("/metrics").await.expect(200);
    finish(upstream).await;
    assert!(is_done(&client.rest().await));
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn clients_that_never_pause_lose_nothing() {
    let (openai, mut gateway) = draining_by("notice_ms: 600, deadline_ms: 20000").await;
    openai.always(reply::json(native::openai("ok")));
    let stopping = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6).map(|_| tokio::spawn(hammer(gateway.address, Arc::clone(&stopping)))).collect();
    while openai.received().len() < 50 {
        tokio::task::yield_now().await;
    }
    gateway.terminate();
    gateway.log_line("draining").await;
    // What comes to a listener as it closes is refused by the kernel: those who listen to the notice are gone by then.
    let served = openai.received().len();
    while openai.received().len() < served + 50 {
        tokio::task::yield_now().await;
    }
    stopping.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert!(answered >= 100, "there was load: {answered}");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn what_is_in_flight_at_the_deadline_is_cut_told_and_counted() {
    let (openai, mut gateway) = draining_by("notice_ms: 50, deadline_ms: 400").await;
    let (mut client, _upstream) = begun(&openai, &gateway).await;
    let asked = Instant::now();
    gateway.terminate();
    let rest = client.rest().await;
    assert!(rest.last().is_some_and(|event| event.contains("gateway_stopping")) && !is_done(&rest), "{rest:?}");
    assert!(asked.elapsed() >= Duration::from_millis(400));
    assert!(gateway.ended().await.success());
    gateway.log_line("1 requests still in flight after 400 ms").await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    for twice in [Gateway::terminate, Gateway::interrupt] {
        let (openai, mut gateway) = draining_by("notice_ms: 60000, deadline_ms: 60000").await;
        let _stream = begun(&openai, &gateway).await;
        gateway.terminate();
        gateway.log_line("draining").await;
        twice(&gateway);
        assert!(gateway.ended().await.success());
    }
}

#[tokio::test]
async fn an_interrupt_alone_ends_it_at_once() {
    let (openai, mut gateway) = draining_by("notice_ms: 60000, deadline_ms: 60000").await;
    let _stream = begun(&openai, &gateway).await;
    gateway.interrupt();
    assert!(gateway.ended().await.success());
}
