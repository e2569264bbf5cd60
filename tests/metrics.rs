//! What happened, found again: every metric that the reference names is told, with the operator's labels, and a request's line by its id.

use crate::support::{Config, Gateway, Provider, ask, ask_stream, client, json, native, reply, with, within};

const CLAUDE: &str = "anthropic/claude-sonnet-4-5";
const LABELS: &str = "observability: { prometheus_labels: [x-team], metric_aliases: [litellm, bifrost] }";
const TEAM: (&str, &str) = ("x-team", "vision");

/// The names in a table of the reference.
fn reference() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/telemetry/METRICS.md");
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.split("\n## Lines").next().unwrap_or_default().lines();
    lines.filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
}

/// Whether there is a series of this name that is not just registered.
fn told(text: &str, name: &str) -> bool {
    let suffixes = ["", "_count"];
    text.lines()
        .filter_map(|line| line.strip_prefix(name))
        .any(|rest| suffixes.iter().any(|suffix| rest.strip_prefix(suffix).is_some_and(|rest| rest.starts_with(['{', ' ']))))
}

async fn metrics(gateway: &Gateway) -> String {
    gateway.admin_get("/metrics").await.expect(200).text()
}

async fn until_metrics(gateway: &Gateway, wanted: &str) -> String {
    within(wanted, async {
        loop {
            let text = metrics(gateway).await;
            if text.contains(wanted) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn ask_as(gateway: &Gateway, id: &str, body: &crate::support::Value) -> crate::support::Reply {
    gateway.chat_with(&[("x-request-id", id), TEAM], body.to_string().as_bytes()).await
}

#[tokio::test]
async fn every_metric_of_the_reference_is_told() {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let config = Config::three(&openai, &anthropic, &gemini).top(LABELS).top("limits: { body_bytes: 20000 }");
    let config = config
        .top("semantic_cache: { enabled: true }")
        .line("gemini", "concurrency_and_buffer_size: { concurrency: 1, buffer_size: 4 }")
        .line("gemini", "queue_ms: 9000");
    let config = config.top("network: { breaker: { consecutive: 1 }, retry: { max_retries: 1, backoff_initial_ms: 1 } }");
    let config = config.line("openai", "network: { hedge: { after_ms: 500 } }");
    let gateway = Gateway::start(config).await;

    let mut thought = native::openai("again");
    thought["usage"] = json!({
        "prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12,
        "completion_tokens_details": {"reasoning_tokens": 4}, "prompt_tokens_details": {"audio_tokens": 1}
    });

    // A hedge.
    openai.script([reply::Reply::Hang]);
    gemini.script([reply::json(native::gemini("beside it"))]);
    ask_as(&gateway, "walk-hedged", &with(ask("openai/gpt-4o"), json!({"fallbacks": ["gemini/gemini-2.5-flash"]}))).await.expect(200);
    gemini.stepwise();

    // A retry, a cool-down, a fallback, a loss, cached and reasoned tokens, and a stream of them.
    openai.script([reply::status(500), reply::json(thought), reply::status(429).header("retry-after", "1")]);
    ask_as(&gateway, "walk-0", &ask("openai/gpt-4o-mini")).await.expect(200);
    let mut answer = native::anthropic("ok");
    answer["usage"] = json!({"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2});
    anthropic.script([reply::json(answer), reply::events(native::anthropic_stream(&["a", "b"]))]);
    let body = with(ask("openai/gpt-4o"), json!({"fallbacks": [CLAUDE], "logit_bias": {"1": 1}}));
    ask_as(&gateway, "walk-1", &body).await.expect(200);
    gateway.stream_with(&[TEAM], &ask_stream(CLAUDE)).await.rest().await;

    // One waits in the queue for another.
    let flash = ask("gemini/gemini-2.5-flash");
    let first = ask_as(&gateway, "walk-2", &flash);
    let second = ask_as(&gateway, "walk-3", &flash);
    let serve = async {
        let held = gemini.next_request().await;
        until_metrics(&gateway, "heliostat_queue_length{provider=\"gemini\"} 1").await;
        held.respond_json(200, &native::gemini("ok")).await;
        gemini.next_request().await.respond_json(200, &native::gemini("ok")).await;
    };
    let (first, second, ()) = tokio::join!(first, second, serve);
    first.expect(200);
    second.expect(200);

    // A client leaves, another sends too much, a configuration is read anew.
    anthropic.script([reply::ending(native::anthropic_opening().into_iter().chain([native::anthropic_text("x")]), reply::End::Stall)]);
    let mut stream = gateway.stream_with(&[("x-request-id", "walk-4"), TEAM], &with(ask_stream(CLAUDE), json!({"stop": "4"}))).await;
    stream.event().await;
    stream.leave();
    gateway.access("walk-4").await;
    ask_as(&gateway, "walk-5", &with(ask(CLAUDE), json!({"user": "u".repeat(30_000)}))).await.expect(413);
    openai.script([reply::status(500), reply::status(500)]);
    ask_as(&gateway, "walk-6", &with(ask("openai/gpt-4o-mini"), json!({"seed": 6}))).await.expect(502);

    let text = metrics(&gateway).await;
    let missing: Vec<String> = reference().into_iter().filter(|name| !told(&text, name)).collect();
    assert!(missing.is_empty(), "nothing tells {missing:?} in\n{text}");
    let labelled = r#"heliostat_fallbacks_total{from_model="other",from_provider="openai",to_model="claude-sonnet-4-5",to_provider="anthropic",x_team="vision"} 1"#;
    assert!(text.contains(labelled), "{text}");
    let undocumented: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let undocumented: Vec<&&str> = undocumented.iter().filter(|name| !reference().iter().any(|known| known == **name)).collect();
    assert!(undocumented.is_empty(), "{undocumented:?} stand in no reference");
}

#[tokio::test]
async fn a_failed_attempt_is_counted_while_the_stream_after_it_hangs() {
    let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
    let gateway = Gateway::start(Config::three(&openai, &anthropic, &gemini).top(LABELS)).await;
    openai.always(reply::status(529));
    anthropic.script([reply::ending(native::anthropic_opening().into_iter().chain([native::anthropic_text("x")]), reply::End::Stall)]);
    let body = with(ask_stream("openai/gpt-4o"), json!({"fallbacks": [CLAUDE]}));
    let mut stream = gateway.stream_with(&[("x-request-id", "walk-0"), TEAM], &body).await;
    stream.event().await;
    let attempts = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("heliostat_attempts_total"));
        lines.map(str::to_owned).collect()
    };
    // It is still under way, and has not answered yet.
    let text = metrics(&gateway).await;
    let [failed] = &attempts(&text)[..] else { panic!("{text}") };
    assert!(failed.contains(r#"outcome="overloaded",provider="openai",x_team="vision"} 1"#), "{failed}");
    assert!(text.contains("heliostat_streams_open 1") && !text.contains("heliostat_requests_total{"), "{text}");
    // Each is counted once.
    stream.leave();
    gateway.access("walk-0").await;
    let counted = attempts(&metrics(&gateway).await);
    assert!(counted.len() == 2 && counted.iter().all(|line| line.ends_with(" 1")), "{counted:?}");
}

#[tokio::test]
async fn a_scraper_gets_the_format_that_it_asks_for() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("ok")));
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    ask_as(&gateway, "walk-0", &ask("openai/gpt-4o-mini")).await.expect(200);
    let reply = gateway.admin_get("/metrics").await;
    assert_eq!(reply.expect(200).header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!reply.text().contains("walk-0"));
    let text = within("an example", async {
        loop {
            let accept = [("accept", "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")];
            let reply = client::send(gateway.admin, "GET", "/metrics", &accept, b"").await;
            assert_eq!(reply.expect(200).header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
            assert!(reply.text().ends_with("\n# EOF\n"));
            if reply.text().contains("walk-0") {
                return reply.text();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    for metric in [
        "heliostat_request_duration_seconds_bucket",
        "heliostat_own_time_microseconds_bucket",
        "heliostat_upstream_stage_seconds_bucket",
        "gen_ai_server_request_duration_bucket",
        "heliostat_attempts_total",
    ] {
        let told = text.lines().any(|line| line.starts_with(metric) && line.contains(r#"# {request_id="walk-0"} "#));
        assert!(told, "{metric} in {text}");
    }
}

#[tokio::test]
async fn a_request_is_counted_and_told_on_every_path_out() {
    let openai = Provider::start().await;
    let config = Config::new().provider("openai", &openai).top("limits: { connections: 1, header_timeout_ms: 300 }");
    let gateway = Gateway::start(config).await;
    let told = |status: u16, code: &'static str| {
        let gateway = &gateway;
        async move {
            let line = gateway.output_line(code).await;
            let line: crate::support::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&line["status"], &line["outcome"]), (&json!(status), &json!("refused")), "{line}");
            let counted = format!("reason=\"{code}\"}} ");
            until_metrics(gateway, &counted).await;
        }
    };
    // The one place may still be that of who looked whether the gateway is up.
    let connection = within("the place", async {
        loop {
            let mut connection = client::connect(gateway.address).await;
            if client::exchange(&mut connection, "POST", "/v1/chat/completions", &[], b"{").await.status == 400 {
                return connection;
            }
        }
    })
    .await;
    told(400, "invalid_json").await;
    // The place is taken by the connection that is still open.
    let mut turned_away = client::connect(gateway.address).await;
    turned_away.write(b"GET /v1/models HTTP/1.1\r\nhost: h\r\n\r\n").await.unwrap();
    client::answer(&mut turned_away).await.expect(503);
    told(503, "too_many_connections").await;
    drop(connection);
    for (sent, status, code) in [("GET\r\n\r\n", 400, "malformed_head"), ("GET / HTTP/1.1\r\nHo", 408, "request_timeout")] {
        within("a place", async {
            loop {
                let mut connection = client::connect(gateway.address).await;
                connection.write(sent.as_bytes()).await.unwrap();
                if connection.response_head().await.is_some_and(|head| head.line.contains(&status.to_string())) {
                    return;
                }
            }
        })
        .await;
        told(status, code).await;
    }
}
