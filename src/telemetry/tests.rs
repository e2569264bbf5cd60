//! Telemetry as an operator sees it.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use heliostat_filters::loss::{Loss, LossKind};
use heliostat_filters::usage::Usage;

use super::event::{AttemptTimes, Blame, Labels, Outcome, Waits};
use super::*;

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

fn record() -> RequestRecord {
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
        upstream_request_id: None,
        usage: Usage { prompt_tokens: Some(1_100), completion_tokens: Some(20), ..Usage::default() },
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
    }
}

#[test]
fn metrics_say_what_happened() {
    let telemetry = Telemetry::with_access_log(std::io::sink()).unwrap();
    let losses = vec![Loss { path: "logit_bias".into(), kind: LossKind::Dropped }];
    attempts(Instant::now()).iter().for_each(|attempt| telemetry.attempt(attempt));
    telemetry.request(RequestRecord { losses, ..record() });
    let mut gone = RequestRecord { outcome: Outcome::ClientGone, status: 499, ..record() };
    gone.attempts[1].model = "made up by a client".to_owned();
    telemetry.request(gone);
    telemetry.reload(true);
    telemetry.reload(false);
    telemetry.credentials([("openai", "GONE", CredentialState::Off)]);
    telemetry.credentials([("openai", "PRIMARY", CredentialState::Cooling)]);
    telemetry.in_flight(1);
    let text = telemetry.render_metrics();
    for line in [
        r#"heliostat_requests_total{endpoint="chat",model="claude",provider="anthropic",status="200",stream="true"} 1"#,
        r#"heliostat_attempts_total{credential="PRIMARY",model="other",outcome="overloaded",provider="openai"} 1"#,
        r#"heliostat_request_duration_seconds_bucket{model="claude",provider="anthropic",le="0.5"} 1"#,
        r#"heliostat_first_content_seconds_bucket{model="claude",provider="anthropic",le="0.25"} 1"#,
        r#"heliostat_own_time_microseconds_bucket{endpoint="chat",le="40"} 0"#,
        r#"heliostat_own_time_microseconds_bucket{endpoint="chat",le="80"} 2"#,
        r#"heliostat_tokens_total{kind="prompt",model="claude",provider="anthropic"} 1100"#,
        r#"heliostat_failovers_total{from="openai",to="anthropic"} 2"#,
        r#"heliostat_losses_total{dialect="openai",kind="dropped"} 1"#,
        r#"heliostat_credential_state{credential="PRIMARY",provider="openai"} 1"#,
        r#"heliostat_config_reloads_total{result="refused"} 1"#,
        "heliostat_config_last_reload_successful 0",
        "heliostat_requests_in_flight 1",
        "heliostat_clients_gone_total 1",
        "heliostat_telemetry_dropped_total{sink=\"access_log\"} 0",
        concat!(r#"heliostat_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("made up") && !text.contains("GONE"), "{text}");
}

#[test]
fn a_line_is_one_json_object() {
    let written = Written::default();
    let telemetry = Telemetry::with_access_log(written.clone()).unwrap();
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
    assert_eq!(line["attempts"][0]["outcome"], "overloaded");
    assert_eq!(line["usage"], serde_json::json!({"prompt_tokens": 1_100, "completion_tokens": 20}));
    assert_eq!((line["losses"].as_array().unwrap().len(), &line["losses_total"]), (32, &serde_json::json!(40)));
    assert!(line["losses"][0].as_str().unwrap().len() <= 256);
    assert!(lines[1].get("provider").is_none() && lines[1].get("usage").is_none());
}

#[test]
fn a_stuck_output_drops_and_counts_but_never_blocks() {
    let (release, stuck) = std::sync::mpsc::channel();
    let telemetry = Telemetry::with_access_log(Stuck(stuck)).unwrap();
    (0..20_000).for_each(|_| telemetry.request(record()));
    telemetry.flush(Duration::ZERO);
    let dropped = || telemetry.metrics.dropped(access_log::SINK).get();
    assert!(dropped() > 10_000, "{}", dropped());
    drop(release);
    telemetry.flush(PATIENCE);
}
