//! `/{provider}/…` is the provider's own API with the gateway's keys: what goes and what comes back is not altered.

use std::time::{Duration, Instant};

use crate::support::config::secret_of;
use crate::support::http::{self, Framing};
use crate::support::native::openai_stream;
use crate::support::{Config, Gateway, Provider, Reply, client, json, reply, within};

struct One {
    provider: Provider,
    gateway: Gateway,
}

async fn one_with(name: &str, more: impl FnOnce(Config) -> Config) -> One {
    let provider = Provider::start().await;
    let gateway = Gateway::start(more(Config::new().provider(name, &provider))).await;
    One { provider, gateway }
}

async fn one(name: &str) -> One {
    one_with(name, |config| config).await
}

/// A provider with two keys, of which the first goes first.
async fn two_keys() -> One {
    one_with("openai", |config| config.keys("openai", "[{ value: env.KEY_A, weight: 1.0 }, { value: env.KEY_B, weight: 0.000001 }]")).await
}

impl One {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        client::send(self.gateway.address, method, path, headers, body).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"").await
    }

    /// Secrets of the keys that the provider saw, in order.
    fn keys_seen(&self) -> Vec<String> {
        let bearer = |seen: &crate::support::provider::Seen| seen.head.header("authorization").unwrap_or_default().to_owned();
        self.provider.received().iter().map(bearer).collect()
    }
}

fn bearer(variable: &str) -> String {
    format!("Bearer {}", secret_of(variable))
}

#[tokio::test]
async fn a_path_joins_the_base_url_and_its_query_passes_without_credentials() {
    let cases = [
        ("openai", "/openai/v1/files?limit=2&after=a%2Fb", "/v1/files?limit=2&after=a%2Fb"),
        ("openai", "/openai/files/f-1/content", "/v1/files/f-1/content"),
        ("anthropic", "/anthropic/v1/messages/batches?key=client", "/v1/messages/batches"),
        ("gemini", "/gemini/v1beta/models?key=client&pageSize=3", "/v1beta/models?pageSize=3"),
        ("gemini", "/google/v1/models", "/v1/models"),
        ("gemini", "/gemini/upload/v1beta/files", "/upload/v1beta/files"),
    ];
    for (name, asked, reached) in cases {
        let one = one(name).await;
        one.provider.script([reply::json(json!({"data": []})).header("x-ratelimit-remaining-requests", "7").header("set-cookie", "a=b")]);
        let reply = one.get(asked).await;
        assert_eq!(reply.expect(200).text(), r#"{"data":[]}"#);
        assert_eq!((reply.header("x-heliostat-provider"), reply.header("x-ratelimit-remaining-requests")), (name, "7"));
        assert_eq!(reply.head.header("set-cookie"), None);
        assert_eq!(one.provider.received()[0].line, format!("GET {reached}"));
    }
}

#[tokio::test]
async fn the_clients_credentials_end_here_and_the_gateways_go_on() {
    let own = [("openai", "authorization", bearer("OPENAI_API_KEY")), ("anthropic", "x-api-key", secret_of("ANTHROPIC_API_KEY"))];
    for (name, field, value) in own.into_iter().chain([("gemini", "x-goog-api-key", secret_of("GEMINI_API_KEY"))]) {
        let one = one(name).await;
        one.provider.script([reply::json(json!({}))]);
        let client = [
            ("authorization", "Bearer client-1"),
            ("x-api-key", "client-2"),
            ("api-key", "client-3"),
            ("x-goog-api-key", "client-4"),
            ("cookie", "client-5"),
            ("x-forwarded-for", "client-6"),
            ("openai-beta", "assistants=v2"),
            ("anthropic-beta", "files-api-2025-04-14"),
            ("x-goog-upload-protocol", "resumable"),
        ];
        one.send("POST", &format!("/{name}/anything?key=client-7"), &client, b"{}").await.expect(200);
        let seen = one.provider.received().remove(0);
        assert_eq!(seen.head.header(field), Some(value.as_str()));
        assert!(!format!("{seen:?}").contains("client-"), "{seen:?}");
        assert_eq!(
            (seen.head.header("openai-beta"), seen.head.header("anthropic-beta")),
            (Some("assistants=v2"), Some("files-api-2025-04-14"))
        );
        assert_eq!(seen.head.header("x-goog-upload-protocol"), Some("resumable"));
        let version = seen.head.header("anthropic-version");
        assert_eq!(version, (name == "anthropic").then_some("2023-06-01"));
    }
}

#[tokio::test]
async fn a_multipart_body_arrives_byte_for_byte() {
    let one = one("openai").await;
    one.provider.script([reply::json(json!({"id": "file-1"}))]);
    let content_type = "multipart/form-data; boundary=\"--x'y z\"";
    let body = b"----x'y z\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n\x00\xff\r\n\r\n----x'y z--\r\n";
    one.send("POST", "/openai/v1/files", &[("content-type", content_type)], body).await.expect(200);
    let seen = one.provider.received().remove(0);
    assert_eq!((seen.body.as_slice(), seen.head.header("content-type")), (&body[..], Some(content_type)));
}

#[tokio::test]
async fn a_stream_is_passed_on_event_by_event() {
    let one = one("openai").await;
    let body = json!({"model": "gpt-4o", "stream": true}).to_string();
    let opened = client::open(one.gateway.address, "/openai/v1/audio/speech", &[], body.as_bytes());
    let (mut stream, mut upstream) = tokio::join!(opened, async {
        let request = one.provider.next_request().await;
        assert_eq!(request.body, body.as_bytes());
        let mut upstream = request.stream().await;
        upstream.event("event: odd\ndata:{\"no\" : 1}\n\n").await;
        upstream
    });
    assert_eq!(stream.event().await.as_deref(), Some("event: odd\ndata:{\"no\" : 1}"));
    for event in openai_stream(&["a", "b"]) {
        upstream.event(&event).await;
        assert_eq!(stream.event().await.map(|seen| seen + "\n\n"), Some(event));
    }
    upstream.end().await;
    assert_eq!((stream.event().await, stream.head.header("content-type")), (None, Some("text/event-stream")));
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_cancels_it() {
    let one = one("openai").await;
    let opened = client::open(one.gateway.address, "/openai/v1/audio/speech", &[], b"{}");
    let (mut stream, mut upstream) = tokio::join!(opened, async {
        let mut upstream = one.provider.next_request().await.stream().await;
        upstream.event("data: 1\n\n").await;
        upstream
    });
    stream.event().await;
    stream.leave();
    upstream.event("data: 2\n\n").await;
    upstream.closed().await;
}

#[tokio::test]
async fn errors_come_back_as_they_are() {
    for (status, body) in [(400, "no"), (404, r#"{"error":"where"}"#), (500, "<html>"), (529, "busy"), (422, "")] {
        let one = one("openai").await;
        one.provider.script([reply::bytes(status, "text/x-odd", body).header("x-odd", "yes")]);
        let reply = one.send("POST", "/openai/v1/whatever", &[], b"{}").await;
        assert_eq!(reply.expect(status).text(), body);
        assert_eq!((reply.header("content-type"), reply.header("x-odd")), ("text/x-odd", "yes"));
    }
}

#[tokio::test]
async fn another_key_takes_over_where_the_first_is_refused() {
    for status in [429, 401, 402, 403] {
        let two = two_keys().await;
        two.provider.script([reply::status(status), reply::json(json!({"ok": 1}))]);
        let reply = two.send("POST", "/openai/v1/images/edits", &[("content-type", "multipart/form-data; boundary=x")], b"--x--").await;
        assert_eq!(reply.expect(200).attempts(), [format!("openai#KEY_A;{status}"), "openai#KEY_B;200".to_owned()]);
        assert_eq!(two.keys_seen(), [bearer("KEY_A"), bearer("KEY_B")]);
        assert!(two.provider.received().iter().all(|seen| seen.body == b"--x--"));
    }
}

#[tokio::test]
async fn a_refused_key_is_left_alone_here_and_in_chat() {
    let two = two_keys().await;
    two.provider.script([reply::status(401), reply::json(json!({})), reply::json(json!({})), reply::status(400)]);
    two.get("/openai/v1/models").await.expect(200);
    two.get("/openai/v1/models").await.expect(200);
    two.gateway.chat(&crate::support::ask("openai/gpt-4o")).await.expect(400);
    assert_eq!(two.keys_seen()[1..], [bearer("KEY_B"), bearer("KEY_B"), bearer("KEY_B")]);
}

#[tokio::test]
async fn when_all_keys_are_refused_the_last_answer_comes_back() {
    let two = two_keys().await;
    let said = format!("no such key: {}", secret_of("KEY_B"));
    two.provider.script([reply::status(401), reply::bytes(401, "text/plain", said)]);
    assert_eq!(two.get("/openai/v1/models").await.expect(401).text(), "no such key: [redacted]");
    assert_eq!(two.get("/openai/v1/models").await.expect(502).json()["error"]["code"], "upstream_authentication");
}

#[tokio::test]
async fn a_failing_provider_is_asked_again_only_for_what_changes_nothing() {
    let reading = one("openai").await;
    reading.provider.script([reply::Reply::Reset, reply::json(json!({}))]);
    reading.get("/openai/v1/models").await.expect(200);
    let writing = one("openai").await;
    writing.provider.script([reply::Reply::Reset]);
    let reply = writing.send("POST", "/openai/v1/batches", &[], b"{}").await;
    assert!(reply.expect(502).error().contains("openai failed"));
}

#[tokio::test]
async fn errors_of_our_own_speak_the_providers_dialect() {
    let (anthropic, gemini) = (Provider::refusing().await, Provider::refusing().await);
    let gateway = Gateway::start(Config::new().provider("anthropic", &anthropic).provider("gemini", &gemini)).await;
    let anthropic = client::send(gateway.address, "POST", "/anthropic/v1/files", &[], b"{}").await;
    assert_eq!(
        (anthropic.expect(502).json()["type"].as_str(), anthropic.json()["error"]["type"].as_str()),
        (Some("error"), Some("api_error"))
    );
    assert_eq!(anthropic.header("request-id"), anthropic.header("x-request-id"));
    let gemini = client::send(gateway.address, "POST", "/gemini/v1beta/models/m:countTokens", &[], b"{}").await;
    assert_eq!(
        (gemini.expect(502).json()["error"]["code"].as_u64(), gemini.json()["error"]["status"].as_str()),
        (Some(502), Some("UNAVAILABLE"))
    );
    assert_eq!(gemini.attempts(), ["gemini/m#GEMINI_API_KEY;connect"]);
}

#[tokio::test]
async fn a_path_cannot_leave_the_base_url() {
    let one = one("openai").await;
    for path in
        ["/openai/../admin", "/openai/v1/%2e%2e/%2E%2E/admin", "/openai/v1/..%2f..%2fadmin", "/openai/v1/%252e%252e/x", "/openai/./x"]
    {
        assert_eq!(one.get(path).await.expect(400).json()["error"]["code"], "invalid_path", "{path}");
    }
    for (path, word) in [("/openai/v1/a%00b", "NUL"), ("/openai/v1/%2525252525252e", "percent-encoded"), ("/openai/v1/..", "`..`")] {
        let error = one.get(path).await.expect(400).error().to_owned();
        assert!(error.contains(word), "{path}: {error}");
    }
    one.provider.script([reply::json(json!({}))]);
    one.get("/openai//evil.example/x").await.expect(200);
    assert_eq!(one.provider.received()[0].line, "GET /v1/evil.example/x");
}

#[tokio::test]
async fn an_unknown_provider_is_not_found() {
    let one = one("openai").await;
    for path in ["/nobody/v1/files", "/cohere/v1/files", "/openai", "/openai/", "/v1/files"] {
        assert_eq!(one.get(path).await.expect(404).json()["error"]["code"], "unknown_url", "{path}");
    }
}

#[tokio::test]
async fn a_link_to_the_provider_leads_through_the_gateway() {
    let one = one("gemini").await;
    let url = |path: &str| format!("{}{path}", one.provider.url());
    let (upload, elsewhere) = (url("/upload/v1beta/files?upload_id=7"), "https://elsewhere.example/x");
    one.provider
        .script([reply::json(json!({})).header("x-goog-upload-url", &upload).header("location", elsewhere), reply::json(json!({}))]);
    let reply = one.send("POST", "/gemini/upload/v1beta/files", &[("x-goog-upload-command", "start")], b"{}").await;
    assert_eq!(reply.expect(200).header("location"), elsewhere);
    let path = reply.header("x-goog-upload-url").strip_prefix("http://heliostat.test").expect("the host that the client named");
    one.send("POST", path, &[("content-type", "video/mp4")], b"bytes").await.expect(200);
    assert_eq!(one.provider.received()[1].line, "POST /upload/v1beta/files?upload_id=7");
}

#[tokio::test]
async fn every_method_passes() {
    let one = one("openai").await;
    one.provider.always(reply::bytes(200, "text/plain", ""));
    for method in ["GET", "DELETE", "PUT", "PATCH", "POST", "OPTIONS"] {
        one.send(method, "/openai/v1/files/f", &[], b"").await.expect(200);
    }
    let seen: Vec<_> = one.provider.received().into_iter().map(|seen| seen.line).collect();
    assert_eq!(seen, ["GET", "DELETE", "PUT", "PATCH", "POST", "OPTIONS"].map(|method| format!("{method} /v1/files/f")));
}

#[tokio::test]
async fn head_has_no_body_and_its_connections_live_on() {
    let one = one("openai").await;
    let mut client = client::connect(one.gateway.address).await;
    for _ in 0..2 {
        client.write(&http::head("HEAD /openai/v1/files/f HTTP/1.1", &[("host", "h")])).await.unwrap();
        let mut upstream = one.provider.next_request().await.into_connection();
        upstream.write(&http::head("HTTP/1.1 200 OK", &[("content-length", "1000"), ("connection", "close")])).await.unwrap();
        let head = within("an answer", client.response_head()).await.expect("a head");
        assert_eq!((head.line.as_str(), head.header("content-length")), ("200", Some("1000")));
    }
}

#[tokio::test]
async fn an_answer_without_content_stays_without() {
    let one = one("openai").await;
    let deleted = client::send(one.gateway.address, "DELETE", "/openai/v1/files/f", &[], b"");
    let (reply, ()) = tokio::join!(deleted, async {
        let mut upstream = one.provider.next_request().await.into_connection();
        upstream.write(&http::head("HTTP/1.1 204 No Content", &[])).await.unwrap();
    });
    assert_eq!((reply.expect(204).body.len(), reply.head.header("content-type")), (0, None));
}

#[tokio::test]
async fn of_a_length_and_chunks_the_chunks_count() {
    let one = one("openai").await;
    let (reply, ()) = tokio::join!(one.get("/openai/v1/files/f/content"), async {
        let mut upstream = one.provider.next_request().await.into_connection();
        let fields = [("content-length", "3"), ("transfer-encoding", "chunked")];
        upstream.write(&http::head("HTTP/1.1 200 OK", &fields)).await.unwrap();
        upstream.write(&[http::chunk(b"hello"), b"0\r\n\r\n".to_vec()].concat()).await.unwrap();
    });
    assert_eq!((reply.expect(200).text(), reply.head.header("content-length")), ("hello".into(), None));
}

#[tokio::test]
async fn what_the_providers_connection_names_ends_with_it() {
    let one = one("openai").await;
    let answer = reply::json(json!({})).header("connection", "keep-alive, X-Secret").header("x-secret", "s").header("x-open", "o");
    one.provider.script([answer]);
    let reply = one.get("/openai/v1/files").await;
    assert_eq!((reply.expect(200).head.header("x-secret"), reply.header("x-open")), (None, "o"));
}

#[tokio::test]
async fn a_long_chunked_upload_streams_through() {
    let one = one("openai").await;
    one.provider.script([reply::json(json!({"id": "file-1"}))]);
    let mut client = client::connect(one.gateway.address).await;
    let fields = [("host", "h"), ("content-type", "audio/wav"), ("authorization", "Bearer client-1"), ("transfer-encoding", "chunked")];
    client.write(&http::head("POST /openai/v1/files?purpose=x HTTP/1.1", &fields)).await.unwrap();
    let piece: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    for _ in 0..20 {
        client.write(&http::chunk(&piece)).await.unwrap();
    }
    client.write(b"0\r\n\r\n").await.unwrap();
    let reply = client::answer(&mut client).await;
    assert_eq!(reply.expect(200).json()["id"], "file-1");
    assert_eq!((reply.header("x-heliostat-provider"), reply.attempts()), ("openai", vec!["openai#OPENAI_API_KEY;200".to_owned()]));
    let seen = one.provider.received().remove(0);
    assert_eq!((seen.line.as_str(), seen.body.len()), ("POST /v1/files?purpose=x", 20 << 20));
    assert!(seen.body == piece.repeat(20));
    assert_eq!(
        (seen.head.header("authorization"), seen.head.header("content-type")),
        (Some(bearer("OPENAI_API_KEY").as_str()), Some("audio/wav"))
    );
    let line = one.gateway.access(reply.header("x-request-id")).await;
    assert_eq!((line["endpoint"].as_str(), line["request_bytes"].as_u64()), (Some("passthrough"), Some(20 << 20)));
}

#[tokio::test]
async fn a_long_announced_upload_streams_through_and_is_not_held_for_expect() {
    let one = one("openai").await;
    one.provider.script([reply::json(json!({"id": "file-1"}))]);
    let body = vec![7; 6 << 20];
    let mut client = client::connect(one.gateway.address).await;
    let length = body.len().to_string();
    let fields = [("host", "h"), ("content-type", "audio/wav"), ("content-length", length.as_str()), ("expect", "100-continue")];
    client.write(&http::head("POST /openai/v1/files HTTP/1.1", &fields)).await.unwrap();
    assert_eq!(client.interim().await, "100");
    client.write(&body).await.unwrap();
    client::answer(&mut client).await.expect(200);
    assert!(one.provider.received()[0].body == body);
}

#[tokio::test]
async fn a_short_body_is_not_held_for_expect_either() {
    let one = one("openai").await;
    one.provider.script([reply::json(json!({}))]);
    let mut client = client::connect(one.gateway.address).await;
    let fields = [("host", "h"), ("content-length", "2"), ("expect", "100-continue")];
    client.write(&http::head("POST /openai/v1/files HTTP/1.1", &fields)).await.unwrap();
    assert_eq!(client.interim().await, "100");
    client.write(b"{}").await.unwrap();
    client::answer(&mut client).await.expect(200);
}

#[tokio::test]
async fn uploads_have_a_limit_of_their_own() {
    let one = one_with("openai", |config| config.top("limits: { upload_bytes: 5000000, body_bytes: 1000 }")).await;
    let binary = ("content-type", "audio/wav");
    let reply = one.send("POST", "/openai/v1/files", &[binary], &vec![0; 5_000_001]).await;
    assert!(reply.expect(413).error().contains("limits.upload_bytes"));
    let reply = one.send("POST", "/openai/v1/files", &[("content-type", "application/json")], &vec![b' '; 1_001]).await;
    assert!(reply.expect(413).error().contains("limits.body_bytes"));
    let mut client = client::connect(one.gateway.address).await;
    client.write(&http::head("POST /openai/v1/files HTTP/1.1", &[("host", "h"), binary, ("transfer-encoding", "chunked")])).await.unwrap();
    for _ in 0..6 {
        let _ = client.write(&http::chunk(&vec![0; 1_000_000])).await;
    }
    assert!(client::answer(&mut client).await.expect(413).error().contains("limits.upload_bytes"));
}

#[tokio::test]
async fn an_upload_learns_from_its_answer_and_rotates_while_it_can() {
    let two = two_keys().await;
    two.provider.script([reply::status(429), reply::json(json!({})), reply::json(json!({}))]);
    let mut client = client::connect(two.gateway.address).await;
    let fields = [("host", "h"), ("content-type", "audio/wav"), ("transfer-encoding", "chunked")];
    client.write(&http::head("POST /openai/v1/files HTTP/1.1", &fields)).await.unwrap();
    client.write(&[http::chunk(b"short"), b"0\r\n\r\n".to_vec()].concat()).await.unwrap();
    let reply = client::answer(&mut client).await;
    assert_eq!(reply.expect(200).attempts(), ["openai#KEY_A;429", "openai#KEY_B;200"]);
    assert!(two.provider.received().iter().all(|seen| seen.body == b"short"));
    two.get("/openai/v1/models").await.expect(200);
    assert_eq!(two.keys_seen()[2], bearer("KEY_B"));
}

#[tokio::test]
async fn an_upload_to_nobody_is_told_so() {
    let provider = Provider::refusing().await;
    let gateway = Gateway::start(Config::new().provider("openai", &provider)).await;
    let reply = client::send(gateway.address, "POST", "/openai/v1/files", &[("content-type", "audio/wav")], &vec![0; 5 << 20]).await;
    assert!(reply.expect(502).error().contains("could not be reached"));
    assert_eq!(reply.attempts().len(), 2);
}

#[tokio::test]
async fn an_upgrade_to_anything_but_a_web_socket_is_ignored() {
    let one = one("openai").await;
    one.provider.always(reply::json(json!({})));
    let upgrade = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__")];
    one.send("GET", "/openai/v1/models", &upgrade, b"").await.expect(200);
    one.send("POST", "/openai/v1/audio/speech", &upgrade, b"{}").await.expect(200);
    one.send("POST", "/openai/v1/files", &[upgrade[0], upgrade[1], ("content-type", "audio/wav")], &vec![0; 5 << 20]).await.expect(200);
    assert!(one.provider.received().iter().all(|seen| seen.head.header("upgrade").is_none()));
    let bodies: Vec<_> = one.provider.received().iter().map(|seen| seen.body.len()).collect();
    assert_eq!(bodies, [0, 2, 5 << 20]);
}

const HANDSHAKE: [(&str, &str); 6] = [
    ("host", "h"),
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "realtime, openai-insecure-api-key.client-1"),
];

async fn accept(request: crate::support::provider::Request) -> http::Connection {
    let mut upstream = request.into_connection();
    let fields = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")];
    upstream.write(&http::head("HTTP/1.1 101 Switching Protocols", &fields)).await.unwrap();
    upstream
}

async fn receive(connection: &mut http::Connection, length: usize) -> Vec<u8> {
    let mut seen = Vec::new();
    while seen.len() < length {
        let piece = within("bytes of a socket", connection.piece(&mut { Framing::UntilClose })).await.expect("an open socket");
        seen.extend(piece.expect("more bytes"));
    }
    seen
}

#[tokio::test]
async fn a_web_socket_carries_bytes_both_ways_and_may_be_silent() {
    let one = one_with("openai", |config| config.timeouts("openai", "header_ms: 300, stall_ms: 300")).await;
    let mut client = client::connect(one.gateway.address).await;
    client.write(&http::head("GET /openai/v1/realtime?model=gpt-realtime HTTP/1.1", &HANDSHAKE)).await.unwrap();
    let request = one.provider.next_request().await;
    assert_eq!(
        (request.line.as_str(), request.header("sec-websocket-protocol")),
        ("GET /v1/realtime?model=gpt-realtime", Some("realtime"))
    );
    assert_eq!(request.header("authorization"), Some(bearer("OPENAI_API_KEY").as_str()));
    assert_eq!(request.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    let mut upstream = accept(request).await;
    let head = client.interim_head().await;
    assert_eq!((head.line.as_str(), head.header("sec-websocket-accept")), ("101", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    assert_eq!(head.header("x-heliostat-provider"), Some("openai"));
    for round in 0..2 {
        let frame = [0x82, 0x03, round, 0xff, 0x00];
        client.write(&frame).await.unwrap();
        assert_eq!(receive(&mut upstream, 5).await, frame);
        upstream.write(&frame).await.unwrap();
        assert_eq!(receive(&mut client, 5).await, frame);
        // Silence of several times the clocks of an ordinary answer.
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    drop(client);
    within("the provider's socket to close", upstream.closed()).await;
}

#[tokio::test]
async fn a_web_socket_that_one_key_is_refused_opens_with_another() {
    let two = two_keys().await;
    let mut client = client::connect(two.gateway.address).await;
    client.write(&http::head("GET /openai/v1/realtime HTTP/1.1", &HANDSHAKE)).await.unwrap();
    two.provider.next_request().await.respond(429, &[], "").await;
    let request = two.provider.next_request().await;
    assert_eq!(request.header("authorization"), Some(bearer("KEY_B").as_str()));
    let _upstream = accept(request).await;
    let head = client.interim_head().await;
    assert_eq!((head.line.as_str(), head.header("x-heliostat-attempts").map(|list| list.matches("429").count())), ("101", Some(1)));
}

#[tokio::test]
async fn a_web_socket_that_the_provider_refuses_is_an_ordinary_answer() {
    let one = one("openai").await;
    one.provider.script([reply::bytes(404, "application/json", "{}")]);
    let mut client = client::connect(one.gateway.address).await;
    client.write(&http::head("GET /openai/v1/realtime HTTP/1.1", &HANDSHAKE)).await.unwrap();
    assert_eq!(client::answer(&mut client).await.expect(404).text(), "{}");
}

#[tokio::test]
async fn callers_are_asked_for_their_key_wherever_they_carry_it() {
    let one = one_with("gemini", |config| config.top("client_keys: [{ name: app, value: env.KEY_C }]")).await;
    one.provider.always(reply::json(json!({})));
    let key = secret_of("KEY_C");
    let refused = one.get("/gemini/v1beta/models").await;
    assert_eq!(refused.expect(401).json()["error"]["status"], "UNAUTHENTICATED");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    one.get("/gemini/v1beta/models?key=wrong").await.expect(401);
    one.send("GET", "/gemini/v1beta/models", &[("authorization", &format!("bearer   {key}"))], b"").await.expect(200);
    one.get(&format!("/gemini/v1beta/models?key={key}")).await.expect(200);
    one.send("GET", "/gemini/v1beta/models", &[("x-goog-api-key", key.as_str())], b"").await.expect(200);
    assert!(one.provider.received().iter().all(|seen| !format!("{seen:?}").contains(&key)));
    let protocol = format!("realtime, openai-insecure-api-key.{key}");
    let mut handshake = HANDSHAKE;
    handshake[5].1 = &protocol;
    let mut client = client::connect(one.gateway.address).await;
    client.write(&http::head("GET /gemini/ws/x HTTP/1.1", &handshake)).await.unwrap();
    client::answer(&mut client).await.expect(200);
}

#[tokio::test]
async fn a_key_is_used_only_for_the_models_it_is_meant_for() {
    let keys = "[{ value: env.KEY_A, models: [gpt-4o] }, { value: env.KEY_B, models: [tts-1] }]";
    let one = one_with("openai", |config| config.keys("openai", keys)).await;
    one.provider.always(reply::json(json!({})));
    one.send("POST", "/openai/v1/audio/speech", &[], br#"{"model":"tts-1"}"#).await.expect(200);
    one.send("POST", "/openai/v1/audio/speech", &[], br#"{"model":"gpt-4o"}"#).await.expect(200);
    assert_eq!(one.keys_seen(), [bearer("KEY_B"), bearer("KEY_A")]);
    let unknown = one.send("POST", "/openai/v1/audio/speech", &[], br#"{"model":"o3"}"#).await;
    assert_eq!(unknown.expect(404).json()["error"]["code"], "model_not_found");
    let twice = one.send("POST", "/openai/v1/audio/speech", &[], br#"{"model":"gpt-4o","model":"o3"}"#).await;
    assert_eq!(twice.expect(400).json()["error"]["code"], "duplicate_key");
}

#[tokio::test]
async fn the_bound_of_a_provider_holds_here_too() {
    let more = |config: Config| config.line("openai", "concurrency_and_buffer_size: { concurrency: 1 }").line("openai", "queue_ms: 50");
    let one = one_with("openai", more).await;
    let first = one.get("/openai/v1/models");
    let (first, second) = tokio::join!(first, async {
        let held = one.provider.next_request().await;
        let second = one.get("/openai/v1/models").await;
        held.respond_json(200, &json!({})).await;
        second
    });
    first.expect(200);
    assert_eq!(second.expect(503).json()["error"]["code"], "concurrency_limit");
}

#[tokio::test]
async fn a_silent_provider_times_out_in_the_callers_time() {
    let one = one("openai").await;
    one.provider.script([reply::Reply::Hang]);
    let began = Instant::now();
    let reply = one.send("POST", "/openai/v1/audio/speech", &[("x-heliostat-timeout-ms", "300")], b"{}").await;
    assert_eq!(reply.expect(504).json()["error"]["code"], "upstream_timeout");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_compressed_body_and_its_encoding_pass() {
    let one = one("openai").await;
    one.provider.script([reply::json(json!({})).header("content-encoding", "x-odd")]);
    let reply = one.send("POST", "/openai/v1/audio/speech", &[("content-encoding", "gzip")], b"\x1f\x8b").await;
    assert_eq!(reply.expect(200).header("content-encoding"), "x-odd");
    let seen = one.provider.received().remove(0);
    assert_eq!((seen.body.as_slice(), seen.head.header("content-encoding")), (&b"\x1f\x8b"[..], Some("gzip")));
}
