//! Uploads: raw requests whose bodies stream through, told apart from what follows them, and watched on both sides.

use crate::support::{Config, Gateway, Provider, client, config::secret_of, http, json, reply, within};

const AUDIO: (&str, &str) = ("content-type", "audio/wav");
const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");

async fn one_with(more: impl FnOnce(Config) -> Config) -> (Provider, Gateway) {
    let provider = Provider::start().await;
    let gateway = Gateway::start(more(Config::new().provider("openai", &provider))).await;
    (provider, gateway)
}

/// Begins an upload in chunks.
async fn begin(gateway: &Gateway, first: &[u8]) -> http::Connection {
    let mut connection = client::connect(gateway.address).await;
    connection.write(&http::head("POST /openai/v1/files HTTP/1.1", &[("host", "h.test"), AUDIO, CHUNKED])).await.unwrap();
    connection.write(first).await.unwrap();
    connection
}

/// A whole one.
async fn upload(gateway: &Gateway) -> client::Reply {
    let mut connection = begin(gateway, &[http::chunk(b"some"), b"0\r\n\r\n".to_vec()].concat()).await;
    client::answer(&mut connection).await
}

#[tokio::test]
async fn chunks_that_are_none_are_refused_and_begin_no_other_request() {
    let (provider, gateway) = one_with(|config| config).await;
    // What is no WebSocket's handshake is no other upgrade either.
    for (kind, upgrade) in [("audio/wav", "h2c"), ("application/json", "h2c"), ("audio/wav", "websocket")] {
        for bad in
            ["\r\n\r\n", " \r\n\r\n", ";a=b\r\n\r\n", "0;\n\r\n\r\n", "2;\nxx\r\nhe\r\n0\r\n\r\n", "2\r\nhello\r\n0\r\n\r\n", "x\r\n"]
        {
            let mut connection = client::connect(gateway.address).await;
            let head = http::head(
                "POST /openai/v1/files HTTP/1.1",
                &[("host", "h"), ("content-type", kind), ("connection", "upgrade"), ("upgrade", upgrade), CHUNKED],
            );
            let another = b"GET /openai/v1/smuggled HTTP/1.1\r\nhost: h\r\n\r\n";
            connection.write(&[&head, bad.as_bytes(), another].concat()).await.unwrap();
            assert!(client::answer(&mut connection).await.expect(400).header("connection").contains("close"), "{bad:?}");
            within("the end", connection.closed()).await;
        }
    }
    assert!(provider.received().iter().all(|seen| !seen.line.contains("smuggled")));
}

#[tokio::test]
async fn a_key_that_the_provider_repeats_ends_here() {
    let (provider, gateway) = one_with(|config| config).await;
    let secret = secret_of("OPENAI_API_KEY");
    provider.always(reply::status_json(400, json!({"error": {"message": format!("{secret} may not"), "type": "invalid_request_error"}})));
    let reply = upload(&gateway).await;
    assert!(reply.expect(400).text().contains("may not") && !reply.text().contains(&secret), "{}", reply.text());
}

#[tokio::test]
async fn a_client_that_stops_sending_is_408_and_the_provider_is_not_to_blame() {
    let (provider, gateway) = one_with(|config| config.top("network: { timeouts: { total_ms: 400 } }")).await;
    provider.always(reply::json(json!({})));
    let mut connection = begin(&gateway, &http::chunk(b"some")).await;
    let reply = client::answer(&mut connection).await;
    assert!(reply.expect(408).error().contains("total_ms"));
    assert_eq!(reply.attempts(), ["openai#OPENAI_API_KEY;client_gone"]);
    within("the end", connection.closed()).await;
    upload(&gateway).await.expect(200);
}

#[tokio::test]
async fn an_upload_must_make_a_step_within_each_body_timeout() {
    let (_provider, gateway) = one_with(|config| config.top("limits: { body_timeout_ms: 300 }")).await;
    let mut connection = begin(&gateway, &http::chunk(b"some")).await;
    assert!(client::answer(&mut connection).await.expect(408).error().contains("body_timeout_ms"));
}

#[tokio::test]
async fn a_provider_that_refuses_before_the_end_is_heard() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(Config::new().at("openai", &format!("http://{}", listener.local_addr().unwrap()))).await;
    let mut connection = begin(&gateway, &http::chunk(b"some")).await;
    let mut upstream = http::Connection::new(within("the upload", listener.accept()).await.unwrap().0);
    assert_eq!(upstream.request_head().await.unwrap().header("transfer-encoding"), Some("chunked"));
    upstream.write(&http::message("HTTP/1.1 413 Too Large", &[], b"too much")).await.unwrap();
    let reply = client::answer(&mut connection).await;
    assert!(reply.expect(413).text().contains("too much") && reply.header("connection").contains("close"));
    // Whatever came on it would be taken for the rest of the body.
    within("the end of the provider's connection", upstream.closed()).await;
}

#[tokio::test]
async fn an_old_client_gets_no_chunks() {
    let (provider, gateway) = one_with(|config| config).await;
    provider.always(reply::events(["data: hello\n\n"]));
    let mut connection = client::connect(gateway.address).await;
    let body = vec![b'x'; 5 << 20];
    let length = body.len().to_string();
    let head = http::head("POST /openai/v1/files HTTP/1.0", &[("host", "h"), AUDIO, ("content-length", &length)]);
    connection.write(&[head, body].concat()).await.unwrap();
    let reply = client::answer(&mut connection).await;
    assert_eq!((reply.expect(200).text().as_str(), reply.head.header("transfer-encoding")), ("data: hello\n\n", None));
}

#[tokio::test]
async fn links_of_an_answer_lead_through_the_gateway() {
    let (provider, gateway) = one_with(|config| config).await;
    let next = format!("{}/v1/next?id=7", provider.url());
    provider.always(reply::json(json!({})).header("x-goog-upload-url", &next));
    assert_eq!(upload(&gateway).await.expect(200).header("x-goog-upload-url"), "http://h.test/openai/v1/next?id=7");
}

#[tokio::test]
async fn another_request_may_follow_on_the_same_connection() {
    let (provider, gateway) = one_with(|config| config).await;
    provider.always(reply::json(json!({})));
    let whole = [http::chunk(b"some"), b"0\r\n\r\n".to_vec()].concat();
    let mut connection = begin(&gateway, &whole).await;
    client::answer(&mut connection).await.expect(200);
    client::exchange(&mut connection, "GET", "/openai/v1/models", &[], b"").await.expect(200);
    client::exchange(&mut connection, "POST", "/openai/v1/files", &[AUDIO], &vec![b'x'; 5 << 20]).await.expect(200);
    assert_eq!(provider.received().iter().map(|seen| seen.body.len()).collect::<Vec<_>>(), [4, 0, 5 << 20]);
}
