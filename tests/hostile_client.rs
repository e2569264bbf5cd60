//! Clients that speak HTTP and JSON in odd ways: each gets an answer that helps, or none; nobody else notices; the log stays readable.

use std::time::Duration;

use crate::support::native::{is_done, openai_stream, text_of};
use crate::support::stage::{Stage, Step, Version};
use crate::support::{Config, Gateway, Provider, ask, ask_stream, client, json, native, reply, with, within};

const CHAT: &str = "/v1/chat/completions";

async fn gateway() -> (Provider, Gateway) {
    let openai = Provider::start().await;
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    (openai, gateway)
}

/// Sends bytes on a connection of their own, and reads until the gateway closes it.
async fn raw(gateway: &Gateway, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = within("the gateway to close", socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Lines printed so far.
fn lines(gateway: &Gateway) -> usize {
    gateway.log().lines().filter(|line| !line.is_empty()).count()
}

#[tokio::test]
async fn requests_in_a_row_on_one_connection_are_answered_in_order() {
    let (openai, gateway) = gateway().await;
    openai.script([reply::json(native::openai("one")), reply::events(openai_stream(&["two"])), reply::json(native::openai("three"))]);
    let mut bytes = Vec::new();
    for body in [ask("a"), ask_stream("b"), ask("c")] {
        bytes.extend(client::request("POST", CHAT, &[], body.to_string().as_bytes()));
    }
    bytes.extend(client::request("GET", "/v1/models", &[("connection", "close")], b""));
    let answer = raw(&gateway, &bytes).await;
    let places: Vec<_> = ["\"one\"", "\"two\"", "[DONE]", "\"three\"", "\"list\""].iter().map(|word| answer.find(word)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} in {answer}");
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_plain_and_streamed_answers() {
    let (openai, gateway) = gateway().await;
    openai.script([reply::json(native::openai("plain")), reply::events(openai_stream(&["streamed"]))]);
    for (body, word) in [(ask("a"), "plain"), (ask_stream("b"), "streamed")] {
        let body = body.to_string();
        let answer = raw(&gateway, format!("POST {CHAT} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
        assert!(answer.contains(" 200 ") && answer.contains(word), "{answer}");
        assert!(!answer.to_lowercase().contains("transfer-encoding"), "{answer}");
    }
}

#[tokio::test]
async fn a_head_has_no_body() {
    let (_openai, gateway) = gateway().await;
    for (path, status) in [("/v1/models", " 200 "), (CHAT, " 405 "), ("/nothing", " 404 "), ("/healthz", " 200 ")] {
        let answer = raw(&gateway, format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.contains(status) && answer.ends_with("\r\n\r\n"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_400_and_sends_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_openai, gateway) = gateway().await;
    let body = ask("a").to_string();
    let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 100);
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    within("an answer", socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains(" 400 ") && answer.contains("incomplete_body"), "{answer}");
}

#[tokio::test]
async fn chunks_that_are_none_and_trailers_without_end_are_400() {
    let (openai, gateway) = gateway().await;
    openai.always(reply::json(native::openai("ok")));
    let body = ask("a").to_string();
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    let trailer = |lines| format!("{chunk}0\r\n{}", format!("x-t: {}\r\n", "a".repeat(993)).repeat(lines));
    for (sent, status) in [(trailer(16) + "\r\n", " 200 "), (trailer(17), " 400 "), (chunk.clone() + "zz\r\n", " 400 ")] {
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
        let answer = raw(&gateway, format!("{head}{sent}").as_bytes()).await;
        assert!(answer.contains(status), "{answer}");
        assert_eq!(answer.contains("incomplete_body") && answer.contains("chunks"), status == " 400 ", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_read_holds_its_place_no_longer_than_a_reply_may_take() {
    let events = ("text/event-stream", native::chunk_text(&"x".repeat(1_000)));
    let delta = native::anthropic_text(&"x".repeat(1_000));
    let (stream, plain) = (ask_stream("openai/gpt-4o"), ask("openai/gpt-4o"));
    let cases = [
        ("a stream", "openai", CHAT, stream, events, native::chunk_text("one")),
        ("a translated stream", "anthropic", CHAT, ask_stream("anthropic/claude-sonnet-4-5"), ("text/event-stream", delta), opening()),
        ("a plain answer", "openai", CHAT, plain.clone(), ("application/json", " ".repeat(1_000)), "{".to_owned()),
        ("a raw answer", "openai", "/openai/v1/audio/speech", plain, ("audio/mpeg", "x".repeat(1_000)), "x".to_owned()),
    ];
    for (name, provider, path, body, (media_type, more), first) in cases {
        let answer = Step::Answer(200, vec![("content-type", media_type.into())]);
        let steps = vec![Step::Head, Step::Body, answer, Step::Data(first.into()), Step::Repeat(more.repeat(64).into(), Duration::ZERO)];
        let stage = Stage::start(Version::One, steps).await;
        let config = Config::new().at(provider, &format!("http://{}", stage.address));
        let gateway = Gateway::start(config.top("network: { timeouts: { total_ms: 2000 } }")).await;
        let mut client = client::connect(gateway.address).await;
        client.write(&client::request("POST", path, &[("x-request-id", "idle-1")], body.to_string().as_bytes())).await.unwrap();
        let line = gateway.access("idle-1").await;
        assert_eq!((line["status"].as_u64(), line["outcome"].as_str()), (Some(200), Some("client_gone")), "{name}: {line}");
        assert!((1_900_000..8_000_000).contains(&line["total_us"].as_u64().unwrap()), "{name}: {line}");
        gateway.log_line("the client did not read the reply within network.timeouts.total_ms").await;
        drop(client);
    }
}

/// What stands before the content of a stream of Anthropic's.
fn opening() -> String {
    native::anthropic_opening().concat()
}

#[tokio::test]
async fn a_client_that_closes_its_side_has_left_and_is_told_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (openai, gateway) = gateway().await;
    let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let body = ask("a").to_string();
    socket.write_all(&client::request("POST", CHAT, &[("x-request-id", "half-1")], body.as_bytes())).await.unwrap();
    let request = openai.next_request().await;
    socket.shutdown().await.unwrap();
    request.closed().await;
    let mut answer = String::new();
    within("the gateway to close", socket.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "");
    assert_eq!(gateway.access("half-1").await["status"], 499);
}

#[tokio::test]
async fn a_refusal_before_the_body_is_read_never_reads_it_as_a_request() {
    let (_openai, gateway) = gateway().await;
    let smuggled = "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";
    let bytes = format!("POST /v1/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{smuggled}", smuggled.len());
    let mut connection = client::connect(gateway.address).await;
    connection.write(bytes.as_bytes()).await.unwrap();
    client::answer(&mut connection).await.expect(404).error();
    // Whether the connection lives on or not, the body is not answered.
    let _ = connection.write(&client::request("GET", "/v1/nothing-more", &[], b"")).await;
    if let Some(next) = within("the next answer", connection.response_head()).await {
        assert_eq!(next.line, "404");
    }
}

#[tokio::test]
async fn names_of_models_are_bounded_and_so_are_fallbacks() {
    let (openai, gateway) = gateway().await;
    openai.always(reply::json(native::openai("ok")));
    let long = "m".repeat(600);
    let many: Vec<_> = (0..33).map(|n| format!("openai/m-{n}")).collect();
    for (body, param) in [
        (ask(&long), "model"),
        (ask("openai/gpt\n[2026-01-01] forged"), "model"),
        (with(ask("openai/a"), json!({"fallbacks": [long]})), "fallbacks[0]"),
        (with(ask("openai/a"), json!({"fallbacks": many})), "fallbacks"),
    ] {
        let reply = gateway.chat(&body).await;
        reply.expect(400).error();
        assert_eq!(reply.json()["error"]["param"], param);
        assert!(reply.body.len() < 1_000);
    }
    gateway.chat(&ask(&"m".repeat(512))).await.expect(200);
    let path = format!("/{}", "a".repeat(20_000));
    assert!(gateway.get(&path).await.expect(404).body.len() < 1_000);
}

#[tokio::test]
async fn a_storm_of_bad_requests_is_one_short_line_each() {
    let (_openai, gateway) = gateway().await;
    let odd_json = [
        "",
        "{",
        "[]",
        "{\"model\":1}",
        "{\"model\":\"a\",\"model\":\"b\"}",
        "\u{feff}{}",
        "nul",
        "{\"model\":\"a\",\"stream\":\"very private\"}",
    ];
    let before = lines(&gateway);
    let mut ids = Vec::new();
    for (n, body) in odd_json.iter().cycle().take(64).enumerate() {
        let id = format!("storm-{n}-");
        let status = gateway.chat_with(&[("x-request-id", &id)], body.as_bytes()).await.status;
        assert!((400..500).contains(&status), "{body}: {status}");
        ids.push(id);
    }
    for id in &ids {
        gateway.access(id).await;
        gateway.log_line(&format!("{id} ended with 4")).await;
    }
    let log = gateway.log();
    assert_eq!(lines(&gateway) - before, 2 * ids.len(), "one line of the access log and one that says why: {log}");
    assert!(log.lines().all(|line| line.len() < 1_200) && !log.contains("private"), "{log}");
}

#[tokio::test]
async fn connections_that_speak_no_http_leave_no_more_than_a_line() {
    let (openai, gateway) = gateway().await;
    let before = lines(&gateway);
    for _ in 0..10 {
        raw(&gateway, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 very private \r\n\r\n").await;
        raw(&gateway, b"GET\r\n\r\n").await;
        raw(&gateway, format!("POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n").as_bytes()).await;
    }
    openai.script([reply::json(native::openai("still here"))]);
    assert_eq!(gateway.chat(&ask("a")).await.expect(200).content(), "still here");
    let log = gateway.log();
    assert!(lines(&gateway) - before <= 31 && !log.contains("private"), "{log}");
}

#[tokio::test]
async fn one_who_waits_in_the_queue_and_leaves_gives_the_turn_up() {
    let openai = Provider::start().await;
    let one = "concurrency_and_buffer_size: { concurrency: 1, buffer_size: 1 }";
    let gateway = Gateway::start(Config::new().provider("openai", &openai).line("openai", one).line("openai", "queue_ms: 9000")).await;
    let body = ask("gpt-4o");
    let rest = async {
        let held = openai.next_request().await;
        let mut waiter = client::connect(gateway.address).await;
        let headers = [("x-request-id", "waiter-1")];
        waiter.write(&client::request("POST", CHAT, &headers, body.to_string().as_bytes())).await.unwrap();
        drop(waiter);
        assert_eq!(gateway.access("waiter-1").await["status"], 499, "long before its turn");
        held.respond_json(200, &native::openai("first")).await;
    };
    let (first, ()) = tokio::join!(gateway.chat(&body), rest);
    first.expect(200);
    openai.script([reply::json(native::openai("next"))]);
    assert_eq!(gateway.chat(&body).await.expect(200).content(), "next");
}

#[tokio::test]
async fn a_stream_asked_for_in_odd_words_is_a_400() {
    let (openai, gateway) = gateway().await;
    for odd in [json!("true"), json!(1), json!([])] {
        let reply = gateway.chat(&with(ask("a"), json!({"stream": odd}))).await;
        assert_eq!((reply.expect(400).json()["error"]["param"].as_str(), reply.error().is_empty()), (Some("stream"), false));
    }
    openai.script([reply::json(native::openai("null is none"))]);
    gateway.chat(&with(ask("a"), json!({"stream": null}))).await.expect(200);
    openai.script([reply::events(openai_stream(&["x"]))]);
    let seen = gateway.stream(&ask_stream("a")).await.rest().await;
    assert_eq!((text_of(&seen).as_str(), is_done(&seen)), ("x", true));
}
