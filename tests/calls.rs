//! How a call arrives over HTTP/1: in any cut, in chunks, with a body that nobody wants, with another one behind it.

use crate::support::{Config, Gateway, Provider, ask, ask_stream, client, json, native, reply, sample, within};

const CHAT: &str = "/v1/chat/completions";

async fn gateway(top: &str) -> (Provider, Gateway) {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top(top)).await;
    (openai, gateway)
}

/// The same call with its body in chunks of `size`, with an extension and a trailer.
fn in_chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(size) {
        bytes.extend(format!("{:X};name=value\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\nx-checksum: 1\r\n\r\n");
    bytes
}

#[tokio::test]
async fn a_call_is_the_same_in_any_cut() {
    let (openai, gateway) = gateway("").await;
    let body = ask("gpt-4o").to_string();
    let mut connection = client::connect(gateway.address).await;
    let mut asked = 0;
    for call in [client::request("POST", CHAT, &[], body.as_bytes()), in_chunks(body.as_bytes(), 7)] {
        for at in 1..call.len() {
            connection.write(&call[..at]).await.unwrap();
            tokio::task::yield_now().await;
            connection.write(&call[at..]).await.unwrap();
            client::answer(&mut connection).await.expect(200);
            asked += 1;
        }
    }
    let received = openai.received();
    assert_eq!(received.len(), asked);
    assert!(received.iter().all(|seen| seen.body == body.as_bytes()));
}

#[tokio::test]
async fn an_image_arrives_whole_however_it_is_framed_and_cut() {
    let (openai, gateway) = gateway("").await;
    let image = sample::image(&sample::data_uri("image/png", &sample::big_png(300_000, 7)));
    let body = sample::ask_parts("gpt-4o", &[image]).to_string();
    let mut connection = client::connect(gateway.address).await;
    for (call, piece) in [
        (client::request("POST", CHAT, &[], body.as_bytes()), 1_000),
        (client::request("POST", CHAT, &[], body.as_bytes()), usize::MAX),
        (in_chunks(body.as_bytes(), 1_021), 700),
        (in_chunks(body.as_bytes(), 65_536), usize::MAX),
    ] {
        for piece in call.chunks(piece.min(call.len())) {
            connection.write(piece).await.unwrap();
        }
        client::answer(&mut connection).await.expect(200);
        assert!(openai.received().last().is_some_and(|seen| seen.body == body.as_bytes()));
    }
}

#[tokio::test]
async fn a_body_nobody_wanted_is_read_past_or_ends_the_connection() {
    let (openai, gateway) = gateway("client_keys: [{ name: studio, value: env.KEY_C }]").await;
    let body = ask("gpt-4o").to_string();
    let key = format!("Bearer {}", crate::support::config::secret_of("KEY_C"));
    let mut connection = client::connect(gateway.address).await;
    for call in [client::request("POST", CHAT, &[], body.as_bytes()), in_chunks(body.as_bytes(), 9)] {
        connection.write(&call).await.unwrap();
        client::answer(&mut connection).await.expect(401);
        client::exchange(&mut connection, "POST", CHAT, &[("authorization", &key)], body.as_bytes()).await.expect(200);
    }
    // What may never come, or is more than anybody reads for nothing.
    for (fields, sent) in [("expect: 100-continue\r\ncontent-length: 9", 0), ("content-length: 90000000", 1_000_000)] {
        let mut connection = client::connect(gateway.address).await;
        connection.write(format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\n{fields}\r\n\r\n").as_bytes()).await.unwrap();
        let answer = client::answer(&mut connection).await;
        assert_eq!((answer.status, answer.header("connection")), (401, "close"), "{fields}");
        let _ = connection.write(&vec![b' '; sent]).await;
        within("the connection to close", connection.closed()).await;
    }
    assert_eq!(openai.received().len(), 2);
}

#[tokio::test]
async fn a_client_that_sends_images_in_vain_is_told_why() {
    let (_openai, gateway) = gateway("client_keys: [{ name: studio, value: env.KEY_C }]").await;
    let mut connection = client::connect(gateway.address).await;
    // It reads no answer before all is sent.
    connection.write(&client::request("POST", CHAT, &[], &vec![b' '; 30_000_000])).await.unwrap();
    client::answer(&mut connection).await.expect(401);
}

#[tokio::test]
async fn chunks_that_are_none_are_refused_and_reach_nobody() {
    let (openai, gateway) = gateway("").await;
    for bad in ["zz\r\n", "-1\r\n", "2\r\nabc\r\n", "2\nab\n", "\r\n"] {
        let call = format!("POST {CHAT} HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{bad}0\r\n\r\n");
        let mut connection = client::connect(gateway.address).await;
        connection.write(call.as_bytes()).await.unwrap();
        let answer = client::answer(&mut connection).await;
        assert_eq!((answer.status, answer.header("connection")), (400, "close"), "{bad:?}");
        within(bad, connection.closed()).await;
    }
    assert!(openai.received().is_empty());
}

#[tokio::test]
async fn the_next_call_waits_its_turn_while_a_stream_runs() {
    let (openai, gateway) = gateway("").await;
    openai.stepwise();
    let mut connection = client::connect(gateway.address).await;
    connection.write(&client::request("POST", CHAT, &[], ask_stream("gpt-4o").to_string().as_bytes())).await.unwrap();
    let mut upstream = openai.next_request().await.stream().await;
    upstream.event(&native::chunk_text("one")).await;
    let head = within("the stream", connection.response_head()).await.unwrap();
    connection.write(&client::request("POST", CHAT, &[], ask("gpt-4o").to_string().as_bytes())).await.unwrap();
    upstream.event(&native::chunk_text("two")).await;
    upstream.event(&native::chunk(json!({}), Some("stop"))).await;
    upstream.event("data: [DONE]\n\n").await;
    upstream.end().await;
    let body = within("the rest", connection.body(crate::support::http::Connection::response_framing(&head))).await.unwrap();
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains("one") && text.contains("two") && text.ends_with("data: [DONE]\n\n"), "{text}");
    openai.next_request().await.respond_json(200, &native::openai("next")).await;
    assert_eq!(client::answer(&mut connection).await.expect(200).content(), "next");
}
