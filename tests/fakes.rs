//! The fakes themselves, without a gateway: a test library that lies is worse than none.

use crate::support::http::{Broken, Connection};
use crate::support::{Provider, client, json, native, reply, within};

fn address(provider: &Provider) -> std::net::SocketAddr {
    provider.url().trim_start_matches("http://").parse().unwrap()
}

#[tokio::test]
async fn a_request_is_seen_byte_for_byte_and_answered_by_hand() {
    let provider = Provider::start().await;
    let client = tokio::spawn(client::send(address(&provider), "POST", "/v1/x", &[("x-Test", "1")], b"{ \"a\": 1e2 }"));
    let request = provider.next_request().await;
    assert_eq!((request.line.as_str(), request.body.as_slice()), ("POST /v1/x", b"{ \"a\": 1e2 }".as_slice()));
    assert_eq!(request.header("x-test"), Some("1"));
    request.respond(418, &[("x-answer", "yes")], "teapot").await;
    let reply = client.await.unwrap();
    assert_eq!((reply.status, reply.text().as_str(), reply.header("x-answer")), (418, "teapot", "yes"));
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let provider = Provider::start().await;
    provider.always(reply::json(json!({})));
    let mut connection = client::connect(address(&provider)).await;
    for _ in 0..3 {
        client::exchange(&mut connection, "POST", "/", &[], b"{}").await.expect(200);
    }
    assert_eq!((provider.connections(), provider.received().len()), (1, 3));
}

#[tokio::test]
async fn a_stream_arrives_event_by_event() {
    let provider = Provider::start().await;
    let client = tokio::spawn(client::open(address(&provider), "/", &[], b"{}"));
    let mut upstream = provider.next_request().await.stream().await;
    let mut stream = client.await.unwrap();
    for word in ["one", "two"] {
        upstream.event(&native::chunk_text(word)).await;
        let event = stream.event().await.unwrap();
        assert_eq!(native::text_of(&[event]), word);
    }
    upstream.end().await;
    assert_eq!(stream.event().await, None);
}

#[tokio::test]
async fn a_cut_and_a_reset_are_told_apart_from_an_end() {
    let provider = Provider::start().await;
    for (end, seen) in [(reply::End::Cut, Broken::Short), (reply::End::Reset, Broken::Reset)] {
        provider.script([reply::ending(["data: 1\n\n"], end)]);
        let mut stream = client::open(address(&provider), "/", &[], b"{}").await;
        let mut broken = None;
        while broken.is_none() {
            broken = stream.try_event().await.err();
        }
        // A reset may overtake what was read: the kernel then says so instead of the end.
        assert!(broken == Some(seen) || broken == Some(Broken::Reset));
    }
}

#[tokio::test]
async fn a_provider_notices_that_its_caller_left() {
    let provider = Provider::start().await;
    let client = tokio::spawn(client::open(address(&provider), "/", &[], b"{}"));
    let mut upstream = provider.next_request().await.stream().await;
    upstream.event("data: 1\n\n").await;
    client.await.unwrap().leave();
    upstream.closed().await;
}

#[tokio::test]
async fn a_refusing_port_refuses_and_a_deaf_one_does_not_answer() {
    let refusing = tokio::net::TcpStream::connect(address(&Provider::refusing().await)).await;
    assert_eq!(refusing.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    let deaf = Provider::deaf().await;
    let attempt = tokio::net::TcpStream::connect(address(&deaf));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), attempt).await.is_err());
}

#[tokio::test]
#[should_panic(expected = "nobody expected this request")]
async fn an_unexpected_request_fails_the_test() {
    let provider = Provider::start().await;
    let mut connection = client::connect(address(&provider)).await;
    connection.write(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let queued = async {
        while provider.queued().await == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the request", queued).await;
}

#[tokio::test]
#[should_panic(expected = "one request more than scripted")]
async fn a_request_beyond_the_script_fails_the_test() {
    let provider = Provider::start().await;
    provider.script([]);
    client::send(address(&provider), "POST", "/", &[], b"{}").await;
}

#[tokio::test]
async fn chunks_split_anywhere_are_joined() {
    let provider = Provider::start().await;
    let client = tokio::spawn(client::send(address(&provider), "POST", "/", &[], b"{}"));
    let mut connection: Connection = provider.next_request().await.into_connection();
    for byte in b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" {
        connection.write(&[*byte]).await.unwrap();
    }
    assert_eq!(client.await.unwrap().text(), "abcde");
}
