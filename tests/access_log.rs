//! The access log where an operator wants it, and nothing in it, or in an error, that is a secret.

use crate::support::collector::{Collector, Otlp};
use crate::support::{Config, Gateway, Provider, ask, client, config::secret_of, json, native, reply, within};

async fn ask_as(gateway: &Gateway, id: &str, model: &str) -> crate::support::Reply {
    gateway.chat_with(&[("x-request-id", id)], ask(model).to_string().as_bytes()).await
}

/// Waits for a line with this id in a file.
async fn line_in(path: &std::path::Path, id: &str) -> String {
    within(id, async {
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if let Some(line) = text.lines().find(|line| line.contains(id)) {
                return line.to_owned();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn lines_go_to_a_file_that_can_be_moved_away() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = format!("observability: {{ access_log: {{ output: {} }} }}", path.display());
    let gateway = Gateway::start(Config::new().provider("openai", &openai).top(&log)).await;
    ask_as(&gateway, "file-1", "openai/gpt-4o").await.expect(200);
    let line: crate::support::Value = serde_json::from_str(&line_in(&path, "file-1").await).unwrap();
    assert_eq!((&line["level"], &line["status"]), (&json!("info"), &json!(200)));
    std::fs::rename(&path, &moved).unwrap();
    gateway.reopen();
    // The signal is on its way: lines end up in the new file sooner or later, and none is lost.
    within("the new file", async {
        let mut count = 2;
        while !path.exists() {
            ask_as(&gateway, &format!("file-{count}-"), "openai/gpt-4o").await.expect(200);
            count += 1;
        }
    })
    .await;
    ask_as(&gateway, "file-last", "openai/gpt-4o").await.expect(200);
    line_in(&path, "file-last").await;
    assert!(!gateway.output().contains("file-"), "{}", gateway.output());
}

#[tokio::test]
async fn a_level_and_a_share_leave_lines_out_and_a_reload_changes_them() {
    let openai = Provider::start().await;
    let config = |log: &str| Config::new().provider("openai", &openai).top(&format!("observability: {{ access_log: {{ {log} }} }}"));
    let gateway = Gateway::start(config("sample: 0")).await;
    openai.script([reply::json(native::openai("ok")), reply::status(500)]);
    ask_as(&gateway, "sampled-away", "openai/gpt-4o").await.expect(200);
    ask_as(&gateway, "a-failure", "openai/gpt-4o").await.expect(500);
    let line = gateway.access("a-failure").await;
    assert_eq!((&line["level"], &line["fault"]), (&json!("error"), &json!("provider")), "{line}");
    gateway.reload(&config("level: info").yaml()).await;
    openai.script([reply::json(native::openai("ok"))]);
    ask_as(&gateway, "a-success", "openai/gpt-4o").await.expect(200);
    gateway.access("a-success").await;
    assert!(!gateway.output().contains("sampled-away"), "{}", gateway.output());
}

/// Where clients of every dialect may put a key, and a request of each: method, path with `{key}`, headers with it, body with it.
type Place = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);
const PLACES: &[Place] = &[
    (
        "POST",
        "/v1/chat/completions",
        &[("authorization", "Bearer {key}")],
        r#"{"model": "openai/gpt-4o", "messages": [], "user": "in-the-body"}"#,
    ),
    (
        "POST",
        "/v1/chat/completions",
        &[("authorization", "Bearer {key}")],
        r#"{"model": "anthropic/claude-sonnet-4-5", "messages": [{"role": "user", "content": "in-the-body"}]}"#,
    ),
    (
        "POST",
        "/v1/chat/completions",
        &[("authorization", "Bearer {key}")],
        r#"{"model": "gemini/gemini-2.5-pro", "messages": [{"role": "user", "content": "in-the-body"}]}"#,
    ),
    (
        "POST",
        "/v1/chat/completions",
        &[("authorization", "Bearer {key}")],
        r#"{"model": "{key}", "messages": [{"role": "user", "content": "x"}]}"#,
    ),
    (
        "POST",
        "/v1/chat/completions",
        &[("authorization", "Bearer {key}")],
        r#"{"model": "anthropic/claude-sonnet-4-5", "{key}": 1, "messages": [{"role": "user", "content": "x"}]}"#,
    ),
    (
        "POST",
        "/v1/chat/completions",
        &[("authorization", "Bearer {key}")],
        r#"{"model": "anthropic/claude-sonnet-4-5", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://user:{key}@127.0.0.1/a.png?token={key}"}}]}]}"#,
    ),
    ("POST", "/v1/chat/completions", &[("authorization", "Bearer {key}")], r#"{"model": "openai/gpt-4o", "{key}"#),
    ("POST", "/v1/responses", &[("authorization", "Bearer {key}")], r#"{"model": "openai/gpt-4o", "input": "in-the-body"}"#),
    ("POST", "/v1/responses", &[("authorization", "Bearer {key}")], r#"{"model": "anthropic/claude-sonnet-4-5", "input": "in-the-body"}"#),
    (
        "POST",
        "/v1/messages",
        &[("x-api-key", "{key}")],
        r#"{"model": "anthropic/claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "in-the-body"}]}"#,
    ),
    (
        "POST",
        "/v1/messages",
        &[("x-api-key", "{key}")],
        r#"{"model": "openai/gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "in-the-body"}]}"#,
    ),
    (
        "POST",
        "/v1beta/models/gemini-2.5-pro:generateContent?key={key}",
        &[],
        r#"{"contents": [{"role": "user", "parts": [{"text": "in-the-body"}]}]}"#,
    ),
    (
        "POST",
        "/v1beta/models/gemini-2.5-pro:generateContent",
        &[("x-goog-api-key", "{key}")],
        r#"{"contents": [{"role": "user", "parts": [{"text": "in-the-body"}]}]}"#,
    ),
    ("POST", "/v1beta/models/gemini-2.5-pro:generateContent?key=wrong-{key}", &[], "{}"),
    ("GET", "/gemini/v1beta/models?key={key}", &[], ""),
    ("GET", "/openai/files?key={key}&after={key}", &[("authorization", "Bearer {key}")], ""),
    ("GET", "/v1/models?key={key}", &[], ""),
    ("GET", "/v1/{key}?api_key={key}", &[("authorization", "Bearer {key}")], ""),
    (
        "GET",
        "/openai/realtime",
        &[("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-protocol", "realtime, openai-insecure-api-key.{key}")],
        "",
    ),
];

#[tokio::test]
async fn planted_secrets_are_in_no_line_no_error_no_metric_and_no_span() {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let collector = Collector::start(Otlp::Http).await;
    let observability =
        format!("observability: {{ prometheus_labels: [x-team], {}, otel_headers: {{ authorization: env.OTEL_KEY }} }}", collector.yaml());
    let keys = "client_keys: [{ name: team, value: env.CLIENT_KEY }]";
    let config = Config::three(&openai, &anthropic, &gemini).top(keys).top(&observability).top("image_fetch: { mode: always }");
    let theirs = "planted-client-key";
    let variables = [("CLIENT_KEY", theirs), ("OTEL_KEY", "planted-otel-key"), ("RUST_LOG", "debug")];
    let gateway = Gateway::with_variables(&config.yaml(), &variables).await;
    let providers = [(&openai, "OPENAI_API_KEY", 400), (&anthropic, "ANTHROPIC_API_KEY", 500), (&gemini, "GEMINI_API_KEY", 500)];
    let ours = providers.map(|(provider, variable, status)| {
        let key = secret_of(variable);
        let of = |what: &str| format!("{what} {key}");
        provider
            .always(reply::status_json(status, json!({"error": {"message": of("bad"), "type": "x", "param": of("p"), "code": of("c")}})));
        key
    });
    let mut seen = String::new();
    for (position, (method, path, headers, body)) in PLACES.iter().enumerate() {
        // As it is, and as a label; sometimes as the name of a key of a well-known make.
        let (id, team) =
            (format!("planted-{position:02}"), ["planted-client-key", "sk-ant-0123456789abcdef", "AIzaSy0123456789abcdef"][position % 3]);
        let with_key = |text: &str| text.replace("{key}", theirs);
        let headers: Vec<(&str, String)> = headers.iter().map(|(name, value)| (*name, with_key(value))).collect();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).chain([("x-request-id", &*id), ("x-team", team)]).collect();
        let reply = client::send(gateway.address, method, &with_key(path), &headers, with_key(body).as_bytes()).await;
        // What the client itself wrote may come back to it, and to nobody else.
        seen += &reply.text().replace(theirs, "");
        gateway.access(&id).await;
        collector.trace(&id).await;
    }
    // The id itself is a key.
    gateway.chat_with(&[("x-request-id", theirs)], b"{").await;
    let accept = [("accept", "application/openmetrics-text")];
    within("the last example", async {
        while !client::send(gateway.admin, "GET", "/metrics", &accept, b"").await.text().contains("planted-18") {}
    })
    .await;
    seen += &client::send(gateway.admin, "GET", "/metrics", &accept, b"").await.text();
    seen += &gateway.admin_get("/metrics").await.text();
    seen += &gateway.admin_get("/upstreams").await.text();
    seen += &gateway.log();
    seen += &format!("{:?}", collector.spans());
    let theirs = [theirs, "planted-otel-key", "sk-ant-0123456789abcdef", "AIzaSy0123456789abcdef", "in-the-body"];
    for secret in ours.iter().map(String::as_str).chain(theirs) {
        let leaks: Vec<&str> = seen.lines().filter(|line| line.contains(secret)).map(|line| line.get(..400).unwrap_or(line)).collect();
        assert!(leaks.is_empty(), "{secret} in {leaks:#?}");
    }
}
