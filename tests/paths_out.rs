//! However a request ends, it is counted once and leaves one line, by its id: refused, aborted, given up, switched, or ended under a
//! configuration that is no longer in force.

use crate::support::{Config, Gateway, Provider, Reply, Value, ask, ask_stream, client, http, json, native, reply, with, within};

const CHAT: &str = "/v1/chat/completions";
const KEY: (&str, &str) = ("authorization", "Bearer client-1");
const SOCKET: &[(&str, &str)] = &[
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

struct Watched {
    openai: Provider,
    anthropic: Provider,
    gateway: Gateway,
    /// Requests so far.
    count: std::cell::Cell<u32>,
}

/// With bounds that requests of these tests run into.
fn bounded(config: Config, anthropic: &Provider) -> Config {
    let one = "concurrency_and_buffer_size: { concurrency: 1, buffer_size: 4 }";
    let config = config.provider("anthropic", anthropic).line("anthropic", one).line("anthropic", "queue_ms: 100");
    let config = config.top("client_keys: [{ name: team, value: env.CLIENT_KEY }]");
    config.top("limits: { body_bytes: 20000, header_bytes: 8192, header_timeout_ms: 500, body_timeout_ms: 500, images: 1 }")
}

impl Watched {
    async fn start() -> Self {
        let (openai, anthropic) = (Provider::start().await, Provider::start().await);
        let config = bounded(Config::new().provider("openai", &openai), &anthropic);
        let gateway = Gateway::with_variables(&config.yaml(), &[("CLIENT_KEY", "client-1")]).await;
        Self { openai, anthropic, gateway, count: std::cell::Cell::new(0) }
    }

    /// The configuration without its first provider.
    fn without_openai(&self) -> String {
        bounded(Config::new(), &self.anthropic).yaml()
    }

    /// One request more has been counted, and one line has its id and says this.
    async fn told(&self, id: &str, status: u16, outcome: &str, code: Option<&str>) -> Value {
        let line = self.gateway.access(id).await;
        let told = (line["status"].as_u64(), line["outcome"].as_str(), line["error_code"].as_str());
        assert_eq!(told, (Some(status.into()), Some(outcome), code), "{line}");
        assert_eq!(self.gateway.access_count(id).await, 1, "{id}");
        self.count.set(self.count.get() + 1);
        let text = self.gateway.admin_get("/metrics").await.text();
        let series = text.lines().filter(|line| line.starts_with("heliostat_requests_total{"));
        let counted: u32 = series.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap()).sum();
        assert_eq!(counted, self.count.get(), "{id}: {text}");
        line
    }

    async fn send(&self, id: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let headers = [&[("x-request-id", id)], headers].concat();
        client::send(self.gateway.address, method, path, &headers, body).await
    }
}

#[tokio::test]
async fn what_is_refused_is_counted_and_told_once() {
    let watched = Watched::start().await;
    let chat = |more: Value| with(ask("openai/gpt-4o"), more).to_string();
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
    let images = json!({"messages": [{"role": "user", "content": [image, image]}]});
    let long = "v".repeat(10_000);
    for (method, path, headers, body, status, code) in [
        ("POST", CHAT, &[KEY][..], "{".to_owned(), 400, "invalid_json"),
        ("POST", CHAT, &[KEY], json!({"messages": []}).to_string(), 400, "missing_required_parameter"),
        ("POST", CHAT, &[KEY], chat(json!({"model": "nobody/knows"})), 404, "model_not_found"),
        ("POST", CHAT, &[KEY], chat(json!({"user": "u".repeat(30_000)})), 413, "request_too_large"),
        ("POST", CHAT, &[KEY], chat(images), 400, "too_many_images"),
        ("POST", CHAT, &[KEY, ("content-encoding", "gzip")], "x".to_owned(), 415, "unsupported_content_encoding"),
        ("POST", CHAT, &[KEY, ("x-long", &long)], chat(json!({})), 431, "header_too_large"),
        ("POST", CHAT, &[("authorization", "Bearer nobody")], chat(json!({})), 401, "invalid_api_key"),
        ("POST", CHAT, &[], chat(json!({})), 401, "missing_api_key"),
        ("POST", CHAT, &[KEY, ("x-heliostat-timeout-ms", "soon")], chat(json!({})), 400, "invalid_header"),
        ("GET", CHAT, &[KEY], String::new(), 405, "method_not_allowed"),
        ("GET", "/nothing", &[KEY], String::new(), 404, "unknown_url"),
        ("GET", "/openai/../files", &[KEY], String::new(), 400, "invalid_path"),
        ("GET", "/openai/files", &[], String::new(), 401, "missing_api_key"),
        ("POST", "/v1/messages", &[KEY], "{".to_owned(), 400, "invalid_json"),
        ("POST", "/v1/responses", &[KEY], "{".to_owned(), 400, "invalid_json"),
        ("GET", "/openai/realtime", SOCKET, String::new(), 401, "missing_api_key"),
    ] {
        let id = format!("refused-{code}-{:02}", watched.count.get());
        watched.send(&id, method, path, headers, body.as_bytes()).await.expect(status);
        watched.told(&id, status, "refused", Some(code)).await;
    }
    assert!(watched.openai.received().is_empty());
}

#[tokio::test]
async fn so_is_what_cannot_be_read() {
    let watched = Watched::start().await;
    let crowded = format!("GET /v1/models HTTP/1.1\r\nHost: h\r\n{}\r\n", "x: y\r\n".repeat(300));
    for (sent, status, code) in [
        // Two readers could read it in two ways.
        (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "malformed_head",
        ),
        ("GET /v1/models HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400, "malformed_head"),
        ("GET\r\n\r\n", 400, "malformed_head"),
        (&crowded, 431, "header_too_large"),
        ("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 405, "method_not_allowed"),
        ("GET /v1/models HTTP/1.1\r\nHo", 408, "request_timeout"),
        (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer client-1\r\nContent-Length: 9\r\n\r\n{",
            408,
            "request_timeout",
        ),
    ] {
        let mut connection = client::connect(watched.gateway.address).await;
        connection.write(sent.as_bytes()).await.unwrap();
        let reply = client::answer(&mut connection).await;
        reply.expect(status);
        watched.told(reply.header("x-request-id"), status, "refused", Some(code)).await;
    }
}

#[tokio::test]
async fn so_is_what_a_client_leaves_or_a_provider_ends() {
    let watched = Watched::start().await;
    let Watched { openai, anthropic, gateway, .. } = &watched;
    let body = with(ask("openai/gpt-4o"), json!({"fallbacks": []}));

    // It leaves while it waits for an answer,
    let mut waits = client::connect(gateway.address).await;
    waits.write(&client::request("POST", CHAT, &[KEY, ("x-request-id", "left-0")], body.to_string().as_bytes())).await.unwrap();
    let held = openai.next_request().await;
    drop(waits);
    held.closed().await;
    watched.told("left-0", 499, "client_gone", None).await;

    // while it receives one,
    openai.script([reply::ending([native::chunk_text("x")], reply::End::Stall)]);
    let mut stream = gateway.stream_with(&[KEY, ("x-request-id", "left-1")], &ask_stream("openai/gpt-4o")).await;
    stream.event().await;
    stream.leave();
    watched.told("left-1", 200, "client_gone", None).await;

    // and in the middle of its own request.
    let mut half = client::connect(gateway.address).await;
    let head = format!("POST {CHAT} HTTP/1.1\r\nHost: h\r\n{}: {}\r\nx-request-id: left-2\r\nContent-Length: 90\r\n\r\n{{", KEY.0, KEY.1);
    half.write(head.as_bytes()).await.unwrap();
    drop(half);
    let line = gateway.access("left-2").await;
    watched.told("left-2", line["status"].as_u64().unwrap() as u16, line["outcome"].as_str().unwrap(), line["error_code"].as_str()).await;
    assert_eq!(line["fault"], "client", "{line}");

    // A provider fails, and nobody else is left; or breaks off within its answer.
    openai.script([reply::status(500), reply::ending([native::chunk_text("x")], reply::End::Cut)]);
    watched.send("failed-0", "POST", CHAT, &[KEY], body.to_string().as_bytes()).await.expect(500);
    let line = watched.told("failed-0", 500, "error", gateway.access("failed-0").await["error_code"].as_str()).await;
    assert_eq!(line["fault"], "provider", "{line}");
    gateway.stream_with(&[KEY, ("x-request-id", "failed-1")], &ask_stream("openai/gpt-4o")).await.rest().await;
    watched.told("failed-1", 200, "error", gateway.access("failed-1").await["error_code"].as_str()).await;

    // One finds the queue full, or nobody is faster than it may wait.
    let claude = with(ask("anthropic/claude-sonnet-4-5"), json!({"fallbacks": []})).to_string();
    let waits = watched.send("queue-0", "POST", CHAT, &[KEY], claude.as_bytes());
    let late = async {
        let held = anthropic.next_request().await;
        watched.send("queue-1", "POST", CHAT, &[KEY], claude.as_bytes()).await.expect(503);
        watched.told("queue-1", 503, "refused", Some("concurrency_limit")).await;
        held.respond_json(200, &native::anthropic("ok")).await;
    };
    let (answered, ()) = tokio::join!(waits, late);
    answered.expect(200);
    watched.told("queue-0", 200, "ok", None).await;
}

#[tokio::test]
async fn so_is_a_socket_and_one_whose_provider_left_the_configuration() {
    let watched = Watched::start().await;
    let Watched { openai, gateway, .. } = &watched;
    let mut socket = client::connect(gateway.address).await;
    let headers = [&[KEY, ("x-request-id", "socket-0")], SOCKET].concat();
    socket.write(&client::request("GET", "/openai/realtime?model=m", &headers, b"")).await.unwrap();
    let mut upstream = openai.next_request().await.into_connection();
    let fields = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")];
    upstream.write(&http::head("HTTP/1.1 101 Switching Protocols", &fields)).await.unwrap();
    assert_eq!(within("the switch", socket.interim_head()).await.line, "101");
    drop(upstream);
    drop(socket);
    watched.told("socket-0", 101, "ok", None).await;

    let body = ask("openai/gpt-4o").to_string();
    let asked = watched.send("reloaded-0", "POST", CHAT, &[KEY], body.as_bytes());
    let reload = async {
        let held = openai.next_request().await;
        gateway.reload(&watched.without_openai()).await;
        held.respond_json(200, &native::openai("still here")).await;
    };
    let (answered, ()) = tokio::join!(asked, reload);
    assert_eq!(answered.expect(200).content(), "still here");
    let line = watched.told("reloaded-0", 200, "ok", None).await;
    assert_eq!(line["provider"], "openai");
}
