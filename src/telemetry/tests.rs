//! Telemetry as an operator sees it.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use heliostat_filters::loss::{Loss, LossKind};
use heliostat_filters::usage::Usage;

use super::event::{AttemptRecord, AttemptTimes, Blame, BreakerStanding, CredentialState, Labels, Outcome, Waits};
use super::*;
use crate::config::MetricAliases;

/// What was written, readable while it is.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An output that never takes anything until its other end is dropped.
struct Stuck(std::sync::mpsc::Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

fn attempt(started: Instant, provider: &str, status: u16, outcome: &'static str, took_ms: u64) -> AttemptRecord {
    AttemptRecord {
        provider: provider.to_owned(),
        model: if provider == "openai" { "gpt-4o" } else { "claude" }.to_owned(),
        credential: if provider == "openai" { "PRIMARY" } else { "CLAUDE" }.to_owned(),
        dialect: "openai",
        status: Some(status),
        outcome,
        skipped: None,
        blame: (outcome != "ok").then_some(Blame::Provider),
        times: AttemptTimes::begin(started),
        settled: started + Duration::from_millis(took_ms),
    }
}

fn attempts(started: Instant) -> Vec<AttemptRecord> {
    vec![attempt(started, "openai", 529, "overloaded", 12), attempt(started, "anthropic", 200, "ok", 300)]
}

pub(super) fn record() -> RequestRecord {
    let started = Instant::now();
    RequestRecord {
        request_id: "req-1".to_owned(),
        started,
        started_at: SystemTime::UNIX_EPOCH,
        ended: started + Duration::from_micros(312_000),
        trace: None,
        trace_state: String::new(),
        client: None,
        client_address: None,
        labels: Labels::default(),
        dialect: "openai",
        endpoint: "chat",
        asked_model: "openai/gpt-4o \"quoted\"\n".to_owned(),
        status: 200,
        stream: true,
        outcome: Outcome::Ok,
        error_code: None,
        attempts: attempts(started),
        counted: 0,
        upstream_request_id: None,
        usage: Usage { prompt_tokens: Some(1_100), completion_tokens: Some(20), ..Usage::default() },
        prompt: None,
        reply: None,
        response_model: None,
        finish_reason: None,
        losses: vec![],
        request_bytes: 1_300_000,
        response_bytes: 900,
        chunks: 3,
        first_content: Some(started + Duration::from_millis(210)),
        waits: Some(Waits { upstream: Duration::from_micros(312_000 - 41), ..Waits::default() }),
        stages: vec![],
        attributes: vec![],
        cache: None,
    }
}

fn rules() -> Observability {
    let metric_aliases = vec![MetricAliases::LiteLlm, MetricAliases::Bifrost];
    Observability { prometheus_labels: ["x-team".into()].into(), metric_aliases, ..Observability::default() }
}

fn of_team(team: &str) -> Labels {
    Labels { names: rules().prometheus_labels, values: vec![Some(team.into())] }
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
}

#[test]
fn metrics_say_what_happened() {
    let telemetry = Telemetry::with_access_log(&rules(), std::io::sink()).unwrap();
    let losses = vec![Loss { path: "messages[7].name".into(), kind: LossKind::Dropped }];
    telemetry.request(RequestRecord { losses, labels: of_team("vision"), ..record() });
    let mut gone = RequestRecord { outcome: Outcome::ClientGone, status: 499, ..record() };
    gone.attempts[1] = AttemptRecord { model: "made up by a client".to_owned(), outcome: "client_gone", ..gone.attempts[1].clone() };
    telemetry.request(gone);
    telemetry.reload(true);
    telemetry.reload(false);
    let standing = |credential, state| CredentialStanding { provider: "openai", credential, state, in_flight: 3, breakers: vec![] };
    telemetry.credentials([standing("GONE", CredentialState::Off)]);
    let breakers = vec![BreakerStanding { model: "claude".to_owned(), open: true }];
    telemetry.credentials([CredentialStanding { breakers, ..standing("PRIMARY", CredentialState::Cooling) }]);
    telemetry.queues([QueueStanding { provider: "openai", taken: 32, waiting: 5 }]);
    telemetry.under_way(1, 4_096);
    telemetry.cooldown("openai", "PRIMARY", "rate_limited");
    let open = telemetry.stream();
    let text = telemetry.render_metrics(Format::Text);
    drop(open);
    for line in [
        r#"heliostat_requests_total{client="",endpoint="chat",model="claude",outcome="ok",provider="anthropic",status="200",stream="true",x_team="vision"} 1"#,
        r#"heliostat_attempts_total{credential="PRIMARY",model="other",outcome="overloaded",provider="openai",x_team="vision"} 1"#,
        r#"heliostat_errors_total{client="",endpoint="chat",fault="client",model="other",provider="anthropic",reason="client_gone",x_team=""} 1"#,
        r#"heliostat_client_aborts_total{endpoint="chat",model="other",provider="anthropic",while="receiving",x_team=""} 1"#,
        r#"gen_ai_server_request_duration_bucket{error_type="",gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_request_model="claude",x_team="vision",le="0.32"} 1"#,
        r#"gen_ai_server_time_to_first_token_bucket{gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_request_model="claude",x_team="vision",le="0.25"} 1"#,
        r#"gen_ai_client_token_usage_sum{gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_request_model="claude",gen_ai_token_type="input",x_team="vision"} 1100"#,
        r#"heliostat_own_time_microseconds_bucket{endpoint="chat",x_team="vision",le="40"} 0"#,
        r#"heliostat_own_time_microseconds_bucket{endpoint="chat",x_team="vision",le="80"} 1"#,
        r#"heliostat_wait_seconds_count{endpoint="chat",for="upstream",x_team="vision"} 1"#,
        r#"heliostat_bytes_total{direction="from_client",endpoint="chat",x_team="vision"} 1300000"#,
        r#"heliostat_tokens_total{client="",kind="prompt",model="claude",provider="anthropic",x_team="vision"} 1100"#,
        r#"heliostat_fallbacks_total{from_model="other",from_provider="openai",to_model="claude",to_provider="anthropic",x_team="vision"} 1"#,
        r#"heliostat_losses_total{field="messages[].name",kind="dropped",provider="anthropic",x_team="vision"} 1"#,
        r#"heliostat_credential_state{credential="PRIMARY",provider="openai"} 1"#,
        r#"heliostat_attempts_in_flight{credential="PRIMARY",provider="openai"} 3"#,
        r#"heliostat_breaker_state{credential="PRIMARY",model="other",provider="openai"} 2"#,
        r#"heliostat_queue_length{provider="openai"} 5"#,
        r#"heliostat_cooldowns_total{credential="PRIMARY",provider="openai",reason="rate_limited"} 1"#,
        r#"heliostat_config_reloads_total{result="refused"} 1"#,
        "heliostat_config_last_reload_successful 0",
        "heliostat_requests_in_flight 1",
        "heliostat_streams_open 1",
        r#"heliostat_telemetry_dropped_total{sink="access_log"} 0"#,
        concat!(r#"heliostat_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    ] {
        has(&text, line);
    }
    assert!(!text.contains("made up") && !text.contains("GONE"), "{text}");
    has(&telemetry.render_metrics(Format::Text), "heliostat_streams_open 0");
}

#[test]
fn examples_lead_from_a_series_to_a_request() {
    let telemetry = Telemetry::with_access_log(&rules(), std::io::sink()).unwrap();
    let trace = trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_ref().map(trace::Trace::of_caller);
    telemetry.request(RequestRecord { labels: of_team("vision"), ..record() });
    let last = || RequestRecord { trace, labels: of_team("a \"b\"\n\\c"), ..record() };
    for (id, trace) in [("too-early".to_owned(), trace), ("i".repeat(119), trace), ("i".repeat(120), None), ("req-2".to_owned(), trace)] {
        telemetry.request(RequestRecord { request_id: id, trace, ..last() });
    }
    telemetry.flush(PATIENCE);
    let text = telemetry.render_metrics(Format::OpenMetrics);
    for line in [
        "# TYPE heliostat_attempts counter",
        r#"heliostat_attempts_total{credential="PRIMARY",model="other",outcome="overloaded",provider="openai",x_team="vision"} 1 # {request_id="req-1"} 1 0.312"#,
        r#"heliostat_attempts_total{credential="PRIMARY",model="other",outcome="overloaded",provider="openai",x_team="a \"b\"\n\\c"} 4 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736",request_id="req-2"} 1 0.312"#,
        r#"heliostat_request_duration_seconds_bucket{endpoint="chat",outcome="ok",x_team="vision",le="0.16"} 0"#,
        r#"heliostat_request_duration_seconds_bucket{endpoint="chat",outcome="ok",x_team="vision",le="0.32"} 1 # {request_id="req-1"} 0.312 0.312"#,
        r#"heliostat_request_duration_seconds_bucket{endpoint="chat",outcome="ok",x_team="vision",le="0.64"} 1"#,
        r#"heliostat_own_time_microseconds_bucket{endpoint="chat",x_team="vision",le="80.0"} 1 # {request_id="req-1"} 41 0.312"#,
        r#"heliostat_own_time_microseconds_bucket{endpoint="chat",x_team="vision",le="+Inf"} 1"#,
        "heliostat_requests_in_flight 0",
    ] {
        has(&text, line);
    }
    assert!(text.contains(r#"gen_ai_server_time_to_first_token_bucket{gen_ai_operation_name="chat",gen_ai_provider_name="anthropic",gen_ai_request_model="claude",x_team="vision",le="0.25"} 1 # {request_id="req-1"} 0.21 "#), "{text}");
    assert!(text.ends_with("\n# EOF\n") && !text.contains("\n\n"), "{text}");
    assert!(!telemetry.render_metrics(Format::Text).contains("req-"));
}

#[test]
fn an_example_names_what_has_room_and_can_be_found() {
    let trace = trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_ref().map(trace::Trace::of_caller);
    let ours = |sampled| Some(trace::Trace { written: true, sampled, ..trace.unwrap() });
    let sampling = crate::config::Sampling::default();
    let mut one = record();
    one.attempts.remove(0);
    for (length, trace, named) in [
        (5, None, (true, false)),
        (78, trace, (true, true)),
        (79, trace, (true, false)),
        (118, trace, (true, false)),
        (119, trace, (false, true)),
        (5, trace.map(|trace| trace::Trace { sampled: false, ..trace }), (true, false)),
        (5, ours(true), (true, true)),
        (5, ours(false), (true, false)),
    ] {
        let record = RequestRecord { request_id: "i".repeat(length), trace, ..one.clone() };
        let example = exemplars::Example::of(&record, &record.request_id, Some(&sampling));
        assert_eq!((example.request_id.is_some(), example.trace_id.is_some()), named, "{length} {trace:?}");
    }
}

#[test]
fn labels_follow_the_configuration_and_the_rest_goes_on() {
    let telemetry = Telemetry::with_access_log(&rules(), std::io::sink()).unwrap();
    let open = telemetry.stream();
    telemetry.request(RequestRecord { labels: of_team("vision"), ..record() });
    let labels: Arc<[Box<str>]> = ["x-stage".into(), "x-team".into()].into();
    telemetry.metrics.follow(&labels, &[MetricAliases::Bifrost]).unwrap();
    // One that began before, and one that began after.
    telemetry.request(RequestRecord { labels: of_team("vision"), ..record() });
    let values = vec![Some("score".into()), Some("vision".into())];
    telemetry.request(RequestRecord { labels: Labels { names: telemetry.labels(), values }, ..record() });
    telemetry.flush(PATIENCE);
    let text = telemetry.render_metrics(Format::Text);
    has(&text, r#"heliostat_bytes_total{direction="to_client",endpoint="chat",x_stage="",x_team="vision"} 900"#);
    has(&text, r#"heliostat_bytes_total{direction="to_client",endpoint="chat",x_stage="score",x_team="vision"} 900"#);
    has(&text, "heliostat_streams_open 1");
    assert!(!text.contains("litellm_") && text.contains("bifrost_success_requests_total{"), "{text}");
    assert!(telemetry.render_metrics(Format::OpenMetrics).contains(r#"x_stage="score",x_team="vision"} 1 # {request_id="req-1"}"#));
    // The same again begins nothing anew.
    telemetry.metrics.follow(&labels, &[]).unwrap();
    has(
        &telemetry.render_metrics(Format::Text),
        r#"heliostat_bytes_total{direction="to_client",endpoint="chat",x_stage="",x_team="vision"} 900"#,
    );
    drop(open);
}

#[test]
fn dashboards_for_other_gateways_find_their_names() {
    let telemetry = Telemetry::with_access_log(&rules(), std::io::sink()).unwrap();
    telemetry.request(RequestRecord { labels: of_team("vision"), ..record() });
    let text = telemetry.render_metrics(Format::Text);
    for line in [
        r#"litellm_input_tokens_metric_total{api_key_alias="",api_provider="anthropic",kind="prompt",litellm_model_name="claude",x_team="vision"} 1100"#,
        r#"litellm_deployment_failure_responses_total{api_provider="openai",credential="PRIMARY",litellm_model_name="other",outcome="overloaded",x_team="vision"} 1"#,
        r#"litellm_overhead_latency_metric_bucket{endpoint="chat",x_team="vision",le="0.00008"} 1"#,
        r#"bifrost_success_requests_total{model="claude",outcome="ok",provider="anthropic",selected_key_name="CLAUDE",x_team="vision"} 1"#,
    ] {
        has(&text, line);
    }
    assert!(!text.contains("litellm_request_queue_time_seconds"), "nobody waited in a queue");
}

#[test]
fn a_model_that_answered_once_has_a_label_where_it_fails_too() {
    let telemetry = Telemetry::with_access_log(&rules(), std::io::sink()).unwrap();
    let failing = || {
        let mut record = RequestRecord { outcome: Outcome::Error, status: 502, ..record() };
        record.attempts.truncate(1);
        record
    };
    telemetry.request(failing());
    telemetry.metrics.learn("openai", "gpt-4o");
    telemetry.request(failing());
    let text = telemetry.render_metrics(Format::Text);
    for model in ["other", "gpt-4o"] {
        has(
            &text,
            &format!(
                r#"heliostat_attempts_total{{credential="PRIMARY",model="{model}",outcome="overloaded",provider="openai",x_team=""}} 1"#
            ),
        );
    }
}

#[test]
fn what_clients_say_makes_no_more_than_so_many_series() {
    let telemetry = Telemetry::with_access_log(&rules(), std::io::sink()).unwrap();
    (0..10_000).for_each(|n| telemetry.request(RequestRecord { labels: of_team(&format!("team-{n}")), ..record() }));
    let text = telemetry.render_metrics(Format::Text);
    let series = text.lines().filter(|line| line.starts_with("heliostat_requests_total{")).count();
    assert_eq!(series, 101, "a hundred teams, and all others");
    assert!(text.contains(r#"x_team="other"} 9900"#), "{text}");
}

#[test]
fn a_line_is_one_json_object() {
    let written = Written::default();
    let telemetry = Telemetry::with_access_log(&rules(), written.clone()).unwrap();
    let trace = trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").as_ref().map(trace::Trace::of_caller);
    let losses = vec![Loss { path: "ü".repeat(1_000).into(), kind: LossKind::Dropped }; 40];
    let labels = Labels { names: ["x-team".into(), "x-stage".into()].into(), values: vec![Some("vision".into()), None] };
    telemetry.request(RequestRecord { trace, losses, labels, ..record() });
    telemetry.request(RequestRecord { attempts: vec![], usage: Usage::default(), ..record() });
    telemetry.flush(PATIENCE);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let line = &lines[0];
    assert_eq!(line["asked_model"], "openai/gpt-4o \"quoted\"\n");
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(line["labels"], serde_json::json!({"x-team": "vision"}));
    for (field, _) in line.as_object().unwrap() {
        assert!(access_log::FIELDS.iter().any(|(known, _)| known == field), "{field} stands in no reference");
    }
    assert_eq!(line["attempts"][0]["outcome"], "overloaded");
    assert_eq!(line["usage"], serde_json::json!({"prompt_tokens": 1_100, "completion_tokens": 20}));
    assert_eq!((line["losses"].as_array().unwrap().len(), &line["losses_total"]), (32, &serde_json::json!(40)));
    assert!(line["losses"][0].as_str().unwrap().len() <= 256);
    assert!(lines[1].get("provider").is_none() && lines[1].get("usage").is_none());
}

#[test]
fn a_stuck_output_drops_and_counts_but_never_blocks() {
    let (release, stuck) = std::sync::mpsc::channel();
    let telemetry = Telemetry::with_access_log(&rules(), Stuck(stuck)).unwrap();
    (0..20_000).for_each(|_| telemetry.request(record()));
    telemetry.flush(Duration::ZERO);
    let dropped = || telemetry.metrics.dropped(access_log::SINK).get();
    assert!(dropped() > 10_000, "{}", dropped());
    drop(release);
    telemetry.flush(PATIENCE);
}
