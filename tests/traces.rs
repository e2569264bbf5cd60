//! Traces: every request is a span, every attempt is one below it, and whoever it passes on the way is told.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::support::collector::{self, Collector, Manner, Otlp, any, hex, integer, text};
use super::support::native::{self, openai_stream};
use super::support::*;

const GPT: &str = "openai/gpt-4o";
const CLAUDE: &str = "anthropic/claude-sonnet-4-6";
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The usual three, the first of which is overloaded, with a collector.
struct Observed {
    openai: Provider,
    anthropic: Provider,
    collector: Collector,
    gateway: Gateway,
}

impl Observed {
    async fn start(otlp: Otlp, more: &str) -> Self {
        let (openai, anthropic, gemini) = (Provider::start().await, Provider::start().await, Provider::start().await);
        openai.always(reply::status(529));
        anthropic.always(reply::json(native::anthropic("from claude")).header("request-id", "req_upstream").header("x-region", "eu-7"));
        let collector = Collector::start(otlp).await;
        let observability = format!("observability: {{ {}{more} }}", collector.yaml());
        let gateway = Gateway::start(Config::three(&openai, &anthropic, &gemini).top(&observability)).await;
        Self { openai, anthropic, collector, gateway }
    }

    /// Sends a request that fails over; its id.
    async fn failover(&self, headers: &[(&str, &str)]) -> String {
        let body = with(ask(GPT), json!({"fallbacks": [CLAUDE], "metadata": {"job": {"id": 7}}}));
        let reply = self.gateway.chat_with(headers, body.to_string().as_bytes()).await;
        reply.expect(200);
        reply.header("x-request-id").to_owned()
    }
}

fn lasts(span: &Span) -> Duration {
    Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano)
}

fn is_error(span: &Span) -> bool {
    span.status.is_some()
}

#[tokio::test]
async fn a_failover_is_told_span_by_span() {
    for otlp in [Otlp::Http, Otlp::Grpc] {
        let observed = Observed::start(otlp, ", prometheus_labels: [x-team, x-pipeline-stage]").await;
        let id =
            observed.failover(&[("traceparent", CALLER), ("tracestate", "a=b"), ("x-team", "shoes"), ("x-pipeline-stage", "score")]).await;
        let trace = observed.collector.trace(&id).await;
        assert_eq!(trace.spans.len(), 3, "{trace:#?}");

        let request = trace.request();
        assert_eq!((request.name.as_str(), hex(&request.trace_id).as_str()), ("chat", "4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!((hex(&request.parent_span_id).as_str(), request.trace_state.as_str()), ("00f067aa0ba902b7", "a=b"));
        assert_eq!((text(request, "heliostat.provider"), text(request, "heliostat.verdict")), (Some("anthropic"), Some("ok")));
        assert_eq!((text(request, "gen_ai.request.model"), text(request, "gen_ai.operation.name")), (Some(GPT), Some("chat")));
        assert_eq!((integer(request, "heliostat.attempts"), integer(request, "http.response.status_code")), (Some(2), Some(200)));
        assert!(!is_error(request));

        let attempts = trace.attempts();
        let [first, second] = attempts.as_slice() else { panic!("{trace:#?}") };
        assert_eq!((first.name.as_str(), second.name.as_str()), ("chat gpt-4o", "chat claude-sonnet-4-6"));
        assert_eq!((text(first, "gen_ai.provider.name"), text(first, "heliostat.credential")), (Some("openai"), Some("OPENAI_API_KEY")));
        assert_eq!((text(first, "heliostat.verdict"), integer(first, "http.response.status_code")), (Some("overloaded"), Some(529)));
        assert_eq!((text(first, "error.type"), text(first, "heliostat.blame")), (Some("overloaded"), Some("provider")));
        assert!(is_error(first) && !is_error(second));

        assert_eq!(
            (text(second, "gen_ai.provider.name"), text(second, "gen_ai.request.model")),
            (Some("anthropic"), Some("claude-sonnet-4-6"))
        );
        assert_eq!((text(second, "heliostat.verdict"), text(second, "heliostat.upstream_request_id")), (Some("ok"), Some("req_upstream")));
        assert!(integer(second, "gen_ai.usage.input_tokens").is_some() && integer(second, "gen_ai.usage.output_tokens").is_some());
        assert!(text(second, "gen_ai.response.model").is_some());
        assert!(
            matches!(any(&second.attributes, "gen_ai.response.finish_reasons"), Some(Any::ArrayValue(reasons)) if reasons.values.len() == 1)
        );
        assert!(
            matches!(any(&second.attributes, "gen_ai.response.time_to_first_chunk"), Some(Any::DoubleValue(seconds)) if *seconds > 0.0)
        );
        let moments: Vec<&str> = second.events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(moments, ["heliostat.connected", "heliostat.header", "heliostat.first_content"]);
        assert!(second.events.windows(2).all(|two| two[0].time_unix_nano <= two[1].time_unix_nano));
        assert!(first.end_time_unix_nano <= second.start_time_unix_nano && lasts(second) <= lasts(request));
        for span in &trace.spans {
            assert_eq!((text(span, "x-team"), text(span, "x-pipeline-stage")), (Some("shoes"), Some("score")), "{}", span.name);
        }
        // Each provider was told its own span.
        for (provider, span) in [(&observed.openai, first), (&observed.anthropic, second)] {
            let received = provider.received();
            let head = &received[0].head;
            let told = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", hex(&span.span_id));
            assert_eq!((head.header("traceparent"), head.header("tracestate")), (Some(told.as_str()), Some("a=b")));
        }
        assert_eq!(observed.collector.resource()["service.name"], "heliostat");
        assert_eq!(observed.gateway.access(&id).await["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}

#[tokio::test]
async fn a_trace_that_nobody_began_begins_here() {
    let observed = Observed::start(Otlp::Http, "").await;
    let id = observed.failover(&[("baggage", "user=7"), ("tracestate", "a=b"), ("traceparent", "00-no-trace-01")]).await;
    let trace = observed.collector.trace(&id).await;
    assert!(trace.request().parent_span_id.is_empty() && trace.request().trace_state.is_empty());
    let received = observed.anthropic.received();
    let head = &received[0].head;
    let told = format!("00-{}-{}-01", hex(&trace.request().trace_id), hex(&trace.attempts()[1].span_id));
    assert_eq!(head.header("traceparent"), Some(told.as_str()));
    assert_eq!((head.header("tracestate"), head.header("baggage")), (None, Some("user=7")));
    assert_eq!(observed.gateway.access(&id).await["span_id"], hex(&trace.request().span_id));
}

#[tokio::test]
async fn without_a_collector_the_callers_trace_passes_as_it_came() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("hi")));
    let gateway = Gateway::start(Config::new().provider("openai", &openai)).await;
    let headers = [("traceparent", CALLER), ("tracestate", "a=b"), ("baggage", "user=7")];
    gateway.chat_with(&headers, ask(GPT).to_string().as_bytes()).await.expect(200);
    client::send(gateway.address, "GET", "/openai/files", &headers, b"").await.expect(200);
    for seen in openai.received() {
        headers.iter().for_each(|(name, value)| assert_eq!(seen.head.header(name), Some(*value), "{}", seen.line));
    }
    gateway.chat(&ask(GPT)).await.expect(200);
    assert_eq!(openai.received()[2].head.header("traceparent"), None);
}

#[tokio::test]
async fn raw_requests_and_uploads_are_part_of_the_trace() {
    let observed = Observed::start(Otlp::Http, "").await;
    observed.openai.always(reply::json(json!({"id": "file-1"})));
    let long = vec![b'x'; 5 << 20];
    for body in [&b"short"[..], &long] {
        let headers = [("traceparent", CALLER), ("content-type", "application/octet-stream")];
        let reply = client::send(observed.gateway.address, "POST", "/openai/files", &headers, body).await;
        let trace = observed.collector.trace(reply.expect(200).header("x-request-id")).await;
        assert_eq!((trace.request().name.as_str(), trace.attempts().len()), ("passthrough", 1));
        let told = observed.openai.received().last().unwrap().head.header("traceparent").unwrap().to_owned();
        assert_eq!(told, format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", hex(&trace.attempts()[0].span_id)));
    }
}

#[tokio::test]
async fn a_stream_lasts_until_its_end() {
    let observed = Observed::start(Otlp::Http, "").await;
    observed.openai.always(reply::events(openai_stream(&["a", "b"])));
    let mut stream = observed.gateway.stream(&ask_stream(GPT)).await;
    let id = stream.head.header("x-request-id").unwrap().to_owned();
    stream.rest().await;
    let trace = observed.collector.trace(&id).await;
    let attempt = trace.attempts()[0];
    assert_eq!(attempt.end_time_unix_nano, trace.request().end_time_unix_nano);
    assert!(matches!(any(&attempt.attributes, "gen_ai.request.stream"), Some(Any::BoolValue(true))));
    assert!(any(&attempt.attributes, "gen_ai.response.finish_reasons").is_some());
}

#[tokio::test]
async fn what_is_refused_has_a_span_too() {
    let observed = Observed::start(Otlp::Http, "").await;
    let reply = observed.gateway.chat_bytes(b"no json").await;
    let trace = observed.collector.trace(reply.expect(400).header("x-request-id")).await;
    assert_eq!((trace.spans.len(), text(trace.request(), "heliostat.outcome")), (1, Some("refused")));
    assert_eq!((text(trace.request(), "heliostat.blame"), is_error(trace.request())), (Some("client"), false));
    let reply = observed.gateway.chat(&with(ask(GPT), json!({"fallbacks": []}))).await;
    let trace = observed.collector.trace(reply.header("x-request-id")).await;
    assert!(reply.status >= 500 && is_error(trace.request()) && is_error(trace.attempts()[0]));
}

#[tokio::test]
async fn attributes_come_from_headers_bodies_and_the_configuration() {
    let attributes = ", attributes: { app.user: { request_header: x-user }, app.job: { body: /metadata/job/id }, app.all: { body: /metadata }, \
                      region: { response_header: x-region }, env: { constant: staging }, none: { body: /nothing }, \
                      heliostat.request_id: { constant: forged } }";
    let observed = Observed::start(Otlp::Http, attributes).await;
    let id = observed.failover(&[("x-user", "jo")]).await;
    let trace = observed.collector.trace(&id).await;
    for span in &trace.spans {
        assert_eq!((text(span, "app.user"), integer(span, "app.job")), (Some("jo"), Some(7)), "{}", span.name);
        assert_eq!((text(span, "region"), text(span, "env")), (Some("eu-7"), Some("staging")), "{}", span.name);
        assert_eq!((text(span, "app.all"), any(&span.attributes, "none")), (Some(r#"{"job":{"id":7}}"#), None));
        assert_eq!(text(span, "heliostat.request_id"), Some(id.as_str()));
    }
}

#[tokio::test]
async fn waits_are_spans() {
    let observed = Observed::start(Otlp::Http, ", sampling: { ratio: 1 }").await;
    // A stated cool-down that ends in time, with nothing else left.
    observed.openai.script([reply::status(429).header("retry-after-ms", "500"), reply::json(native::openai("hi"))]);
    let body = with(ask(GPT), json!({"fallbacks": []}));
    let _ = observed.gateway.chat(&body).await;
    let reply = observed.gateway.chat(&body).await;
    let trace = observed.collector.trace(reply.expect(200).header("x-request-id")).await;
    assert_eq!(trace.stages(), ["cool_down"]);
}

/// Until a request has waited for a place, for long enough to be told.
async fn waiting(gateway: &Gateway) {
    within("one that waits", async {
        while !gateway.admin_get("/metrics").await.text().contains("heliostat_queue_length{provider=\"openai\"} 1") {}
    })
    .await;
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[tokio::test]
async fn a_wait_for_a_place_is_a_span_of_every_kind_of_request() {
    let (openai, collector) = (Provider::start().await, Collector::start(Otlp::Http).await);
    let bounded =
        Config::new().provider("openai", &openai).line("openai", "concurrency_and_buffer_size: { concurrency: 1, buffer_size: 4 }");
    let config = bounded.line("openai", "queue_ms: 9000").top(&format!("observability: {{ {} }}", collector.yaml()));
    let gateway = Gateway::start(config).await;
    let (chat, upload) = (ask(GPT).to_string().into_bytes(), vec![b'x'; 5 << 20]);
    let json = ("content-type", "application/json");
    for (path, kind, body) in [
        ("/v1/chat/completions", json, &chat[..]),
        ("/openai/files", json, b"{}"),
        ("/openai/files", ("content-type", "application/octet-stream"), &upload),
    ] {
        openai.stepwise();
        let (headers, before) = ([kind], ask(GPT));
        let after_it = async {
            let held = openai.next_request().await;
            let release = async {
                waiting(&gateway).await;
                held.respond_json(200, &native::openai("hi")).await;
                openai.next_request().await.respond_json(200, &native::openai("hi")).await;
            };
            tokio::join!(client::send(gateway.address, "POST", path, &headers, body), release).0
        };
        let (_, second) = tokio::join!(gateway.chat(&before), after_it);
        let trace = collector.trace(second.expect(200).header("x-request-id")).await;
        assert_eq!(trace.stages(), ["queue"], "{path}");
    }
}

#[tokio::test]
async fn what_failed_or_failed_over_or_took_long_is_kept_whatever_the_share() {
    let sampling = ", sampling: { ratio: 0, slow_ms: 100 }";
    let observed = Observed::start(Otlp::Http, sampling).await;
    // One that is fine, which is not kept; then one that fails over.
    observed.gateway.chat(&ask(CLAUDE)).await.expect(200);
    let id = observed.failover(&[]).await;
    let kept = observed.collector.trace(&id).await;
    assert_eq!(kept.attempts().len(), 2);
    // Upstreams were told that the trace was not chosen.
    assert!(observed.anthropic.received()[0].head.header("traceparent").unwrap().ends_with("-00"));
    let refused = observed.gateway.chat_bytes(b"no json").await;
    observed.collector.trace(refused.header("x-request-id")).await;
    let slow = async {
        let request = observed.openai.next_request().await;
        tokio::time::sleep(Duration::from_millis(120)).await;
        request.respond_json(200, &native::openai("hi")).await;
    };
    observed.openai.stepwise();
    let body = ask("openai/another");
    let (reply, ()) = tokio::join!(observed.gateway.chat(&body), slow);
    observed.collector.trace(reply.expect(200).header("x-request-id")).await;
    // A caller that keeps its trace has ours too.
    let reply = observed.gateway.chat_with(&[("traceparent", CALLER)], ask(CLAUDE).to_string().as_bytes()).await;
    observed.collector.trace(reply.header("x-request-id")).await;
    let roots = observed.collector.spans().iter().filter(|span| span.kind == 2).count();
    assert_eq!(roots, 4, "the one that was fine is not among them");
}

#[tokio::test]
async fn a_collector_that_says_later_gets_a_batch_again_and_one_that_refuses_does_not() {
    for (otlp, later, refused) in [(Otlp::Http, 503, 400), (Otlp::Grpc, 14, 3)] {
        let observed = Observed::start(otlp, "").await;
        observed.collector.will(Manner::Answers(later));
        let id = observed.failover(&[]).await;
        observed.collector.batches(1).await;
        observed.collector.will(Manner::Takes);
        observed.collector.trace(&id).await;
        observed.gateway.log_line("takes no spans").await;
        observed.gateway.log_line("takes spans again").await;
        observed.collector.will(Manner::Answers(refused));
        observed.failover(&[]).await;
        dropped(&observed.gateway, 1).await;
        observed.collector.will(Manner::Rejects(2));
        observed.failover(&[]).await;
        dropped(&observed.gateway, 3).await;
    }
}

/// Waits until so much of traces is counted as lost.
async fn dropped(gateway: &Gateway, count: u64) {
    let line = format!("heliostat_telemetry_dropped_total{{sink=\"traces\"}} {count}");
    within("what is lost to be counted", async {
        while !gateway.admin_get("/metrics").await.text().lines().any(|found| found == line) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn no_collector_holds_up_a_request_a_start_or_a_stop() {
    let silent = Collector::start(Otlp::Http).await;
    silent.will(Manner::Silent);
    let deaf = Provider::deaf().await;
    let refusing = Provider::refusing().await;
    let endpoints = ["http://collector.invalid:4318".to_owned(), deaf.url(), refusing.url(), format!("http://{}", silent.address)];
    for endpoint in endpoints {
        let openai = Provider::start().await;
        openai.always(reply::json(native::openai("hi")));
        let observability = format!("observability: {{ otel_endpoint: '{endpoint}', otel_batch_ms: 10, otel_timeout_ms: 300 }}");
        let config = Config::new().provider("openai", &openai).top(&observability).top("drain: { notice_ms: 0 }");
        let mut gateway = Gateway::start(config).await;
        for _ in 0..20 {
            gateway.chat(&ask(GPT)).await.expect(200);
        }
        gateway.log_line("takes no spans").await;
        gateway.terminate();
        assert!(gateway.ended().await.success(), "{endpoint}");
    }
}

#[tokio::test]
async fn the_standard_variables_are_enough() {
    let (openai, collector) = (Provider::start().await, Collector::start(Otlp::Grpc).await);
    openai.always(reply::json(native::openai("hi")));
    let endpoint = format!("http://{}", collector.address);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=a%20b"),
        ("OTEL_SERVICE_NAME", "studio-gateway"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.name=other"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_TRACES_SAMPLER", "nonsense"),
    ];
    let yaml = Config::new().provider("openai", &openai).yaml();
    let gateway = Gateway::with_variables(&yaml, &variables).await;
    gateway.log_line("OTEL_TRACES_SAMPLER cannot be understood").await;
    let reply = gateway.chat(&ask(GPT)).await;
    collector.trace(reply.header("x-request-id")).await;
    let resource = collector.resource();
    assert_eq!((resource["service.name"].as_str(), resource["deployment.environment.name"].as_str()), ("studio-gateway", "test"));
    assert_eq!(collector.heads()[0]["x-token"], "a b");

    let off = Gateway::with_variables(&yaml, &[variables[0], ("OTEL_SDK_DISABLED", "true")]).await;
    off.chat_with(&[], ask(GPT).to_string().as_bytes()).await.expect(200);
    assert_eq!(openai.received()[1].head.header("traceparent"), None);
}

#[tokio::test]
async fn a_reload_changes_where_spans_go() {
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("hi")));
    let config = Config::new().provider("openai", &openai);
    let gateway = Gateway::start(config.clone()).await;
    gateway.chat(&ask(GPT)).await.expect(200);
    for otlp in [Otlp::Http, Otlp::Grpc] {
        let collector = Collector::start(otlp).await;
        gateway.reload(&config.clone().top(&format!("observability: {{ {} }}", collector.yaml())).yaml()).await;
        let reply = gateway.chat(&ask(GPT)).await;
        let trace = collector.trace(reply.expect(200).header("x-request-id")).await;
        assert_eq!(collector::text(trace.request(), "heliostat.provider"), Some("openai"));
    }
}

#[tokio::test]
async fn what_is_said_is_told_only_where_that_is_wanted() {
    let secret = "sk-proj-0123456789abcdefghij";
    let body = |model: &str| {
        let image = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", sample::PNG)}});
        let text = json!({"type": "text", "text": format!("my key is {secret} {}", "x".repeat(600))});
        json!({"model": model, "messages": [{"role": "user", "content": [image, text]}, {"role": "user", "content": "beyond"}]})
    };
    let quiet = Observed::start(Otlp::Http, "").await;
    let reply = quiet.gateway.chat(&body(CLAUDE)).await;
    let trace = quiet.collector.trace(reply.expect(200).header("x-request-id")).await;
    assert!(trace.spans.iter().all(|span| text(span, "gen_ai.input.messages").is_none() && text(span, "gen_ai.output.messages").is_none()));

    let observed = Observed::start(Otlp::Http, ", content: { capture: true, max_bytes: 300 }").await;
    observed.openai.always(reply::events(openai_stream(&["so ", "said"])));
    let reply = observed.gateway.chat(&body(CLAUDE)).await;
    let mut stream = observed.gateway.stream(&with(body(GPT), json!({"stream": true}))).await;
    stream.rest().await;
    for (id, answer) in
        [(reply.expect(200).header("x-request-id"), "from claude"), (stream.head.header("x-request-id").unwrap(), "so said")]
    {
        let trace = observed.collector.trace(id).await;
        let prompt = text(trace.request(), "gen_ai.input.messages").unwrap();
        let said: Value = serde_json::from_str(prompt).unwrap();
        assert!(prompt.len() < 600 && !prompt.contains(secret) && !prompt.contains("beyond") && !prompt.contains("base64"), "{prompt}");
        assert_eq!((&said[0]["role"], &said[0]["parts"][0]["type"]), (&json!("user"), &json!("blob")));
        assert!(said[0]["parts"][1]["content"].as_str().unwrap().starts_with("my key is [redacted] xxx"), "{prompt}");
        let reply: Value = serde_json::from_str(text(trace.request(), "gen_ai.output.messages").unwrap()).unwrap();
        assert_eq!(reply[0]["parts"][0], json!({"type": "text", "content": answer}));
    }
    assert!(!observed.gateway.log().contains(secret) && !observed.gateway.log().contains("so said"));
}

#[tokio::test]
async fn a_collector_behind_tls_is_verified() {
    let authority = tls::Authority::new();
    let openai = Provider::start().await;
    openai.always(reply::json(native::openai("hi")));
    for (otlp, protocol, alpn) in [(Otlp::Http, "http/protobuf", "http/1.1"), (Otlp::Grpc, "grpc", "h2")] {
        let collector = Collector::start(otlp).await;
        let front = authority.front("localhost", &[alpn], collector.address).await;
        let config = |more: &str| {
            let endpoint = front.url_as("localhost");
            let observability =
                format!("observability: {{ otel_endpoint: '{endpoint}', otel_protocol: {protocol}, otel_batch_ms: 50{more} }}");
            Config::new().provider("openai", &openai).top(&observability)
        };
        let gateway = Gateway::start(config(&format!(", otel_ca_file: '{}'", authority.file().display()))).await;
        let reply = gateway.chat(&ask(GPT)).await;
        collector.trace(reply.expect(200).header("x-request-id")).await;
        assert_eq!(front.handshakes(), 1);

        let stranger = Gateway::start(config("")).await;
        stranger.chat(&ask(GPT)).await.expect(200);
        stranger.log_line("takes no spans").await;
        assert_eq!(front.handshakes(), 1);
    }
}
