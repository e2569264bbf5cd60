//! What telling of a request costs its thread, in user instructions counted by callgrind, and timed.
//!
//! ```sh
//! cargo bench --bench telemetry
//! ```
//!
//! Every part runs in a process of its own under valgrind, with few records and with many; the difference is what they cost. Only the
//! part itself is counted, not the threads that write lines and encode spans. The gate is on instructions, a tenth above what was measured
//! last (`benches/RESULTS.md`); the aim, in microseconds, is told beside the time that this machine took.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a bench says what is wrong by failing")]

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime};

use heliostat::config::Observability;
use heliostat::telemetry::Telemetry;
use heliostat::telemetry::event::{AttemptRecord, AttemptTimes, Blame, Labels, Outcome, RequestRecord, Waits};
use heliostat_filters::usage::Usage;

/// Records of the short run, which finds the series, and of the long one.
const FEW: usize = 10;
const MANY: usize = 1_010;
/// What is measured, how many instructions it may take, and how many nanoseconds are aimed at.
const PARTS: &[(&str, u64, u64)] = &[
    ("metrics", 6_500, 1_000),
    ("hand to the log and the examples", 880, 1_500),
    ("hand to the log, the examples and the spans", 980, 2_500),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", part, count] => {
            run(part, count.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        _ => table(),
    }
}

fn table() -> ExitCode {
    println!("| part | instructions a request | limit | ns | aim |\n|---|---|---|---|---|");
    let mut passed = true;
    for (part, limit, aim_ns) in PARTS {
        let counted = (instructions(part, MANY) - instructions(part, FEW)) / (MANY - FEW) as u64;
        let best = (0..20).map(|_| run(part, MANY)).min().expect("several");
        passed &= counted <= *limit;
        println!("| {part} | {counted} | {limit} | {} | {aim_ns} |", best.as_nanos() / MANY as u128);
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells of so many requests, and returns how long that took.
fn run(part: &str, count: usize) -> Duration {
    let rules = Observability { prometheus_labels: ["x-team".into(), "x-stage".into()].into(), ..Observability::default() };
    let telemetry = Telemetry::with_access_log(&rules, std::io::sink()).expect("telemetry");
    let spans = (part == "hand to the log, the examples and the spans").then(|| telemetry.add_sink("spans"));
    let records: Vec<_> = (0..count).map(|_| record(&rules)).collect();
    let began = Instant::now();
    match part {
        "metrics" => counting(&telemetry, &records),
        _ => handing_on(&telemetry, records),
    }
    let took = began.elapsed();
    drop(spans);
    took
}

#[inline(never)]
fn counting(telemetry: &Telemetry, records: &[RequestRecord]) {
    for record in records {
        telemetry.count(black_box(record));
    }
}

#[inline(never)]
fn handing_on(telemetry: &Telemetry, records: Vec<RequestRecord>) {
    for record in records {
        telemetry.hand_on(black_box(record));
    }
}

/// A stream that fell back, with two labels.
fn record(rules: &Observability) -> RequestRecord {
    let started = Instant::now();
    let at = |ms: u64| started + Duration::from_millis(ms);
    let attempt = |provider: &str, outcome, blame, settled| AttemptRecord {
        provider: provider.to_owned(),
        model: "a-model".to_owned(),
        credential: "PRIMARY".to_owned(),
        status: Some(200),
        outcome,
        blame,
        times: AttemptTimes { connected: Some(at(1)), header: Some(at(9)), first_content: Some(at(10)), ..AttemptTimes::begin(started) },
        settled,
        dialect: "openai",
        skipped: None,
    };
    RequestRecord {
        started_at: SystemTime::now(),
        ended: at(900),
        client: Some("team".to_owned()),
        labels: Labels { names: rules.prometheus_labels.clone(), values: vec![Some("vision".into()), Some("caption".into())] },
        endpoint: "chat",
        asked_model: "openai/a-model".to_owned(),
        status: 200,
        stream: true,
        outcome: Outcome::Ok,
        error_code: None,
        attempts: vec![attempt("openai", "overloaded", Some(Blame::Provider), at(5)), attempt("anthropic", "ok", None, at(20))],
        usage: Usage { prompt_tokens: Some(1_100), completion_tokens: Some(200), cached_tokens: Some(500), ..Usage::default() },
        request_bytes: 1_300_000,
        response_bytes: 9_000,
        chunks: 200,
        first_content: Some(at(20)),
        waits: Some(Waits { client: Duration::from_millis(3), upstream: Duration::from_millis(890), ..Waits::default() }),
        ..RequestRecord::refused("req_0123456789abcdef0123456789abcdef".to_owned(), None, 200, "", 0)
    }
}

/// User instructions of a part with so many records.
fn instructions(part: &str, count: usize) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let counts = folder.path().join("callgrind.out");
    let counted = if part == "metrics" { "telemetry::counting*" } else { "telemetry::handing_on*" };
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no", &format!("--toggle-collect={counted}")])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe().expect("this program"))
        .args(["run", part, &count.to_string()])
        .status()
        .expect("valgrind");
    assert!(status.success(), "{status}");
    let text = std::fs::read_to_string(&counts).expect("counts");
    let total = text.lines().find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")));
    total.expect("a total").trim().parse().expect("a number")
}
