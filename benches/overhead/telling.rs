//! What a request's end costs the thread that serves it: filling its record, counting it, and handing it to the log, the examples and the
//! spans. Counted by callgrind within the running gateway, in each of these functions alone.

use std::error::Error;
use std::fmt::Write as _;

use super::load;
use super::process::Process;
use super::scenario::{SCENARIOS, Scenario};
use super::{Route, collectors, instructions, results};

/// Requests of the short run, which finds every series, and of the long one; the difference counts.
const FEW: usize = 50;
const MANY: usize = 450;
const PARTS: &[Part] = &[
    Part { what: "fill the record", function: "heliostat::proxy::finish::record*", limit: 860 },
    Part { what: "count it", function: "heliostat::telemetry::Telemetry::count*", limit: 3_860 },
    Part { what: "hand it to the log, the examples and the spans", function: "heliostat::telemetry::Telemetry::hand_on*", limit: 1_065 },
];
/// Two headers of the operator's, and a collector that takes spans.
const LABELS: &str = "prometheus_labels: [x-team, x-pipeline-stage]";

struct Part {
    what: &'static str,
    /// As callgrind names it.
    function: &'static str,
    /// The gate: so many instructions, a tenth above what was measured last.
    limit: u64,
}

/// Counts, prints, and fails where a limit is passed.
pub fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut table = String::from("| at the end of a request, on its thread | scenario | instructions | limit |\n|---|---|---|---|\n");
    let mut passed = true;
    for part in PARTS {
        for name in ["1 KB", "stream of 200"] {
            let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or("no such scenario")?;
            let (few, many) = (total(part, scenario, FEW)?, total(part, scenario, MANY)?);
            let counted = many.saturating_sub(few) / (MANY - FEW) as u64;
            passed &= (1..=part.limit).contains(&counted);
            writeln!(table, "| {} | {name} | {counted} | {} |", part.what, part.limit)?;
        }
    }
    results::tell("telling", &table)?;
    if passed { Ok(()) } else { Err("a limit is passed, or a part was not found".into()) }
}

fn total(part: &Part, scenario: &Scenario, requests: usize) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let counts = folder.path().join("callgrind.out");
    let (upstream, collector) = (Process::upstream()?, collectors::taking()?);
    let mut under = instructions::valgrind(&counts);
    under.extend(["--collect-atstart=no".to_owned(), format!("--toggle-collect={}", part.function)]);
    let observability = format!("observability: {{ otel_endpoint: 'http://{collector}', {LABELS} }}\n");
    let process = Process::gateway(upstream.address, &under, &observability)?;
    load::run(process.address, &scenario.request(Route::SameDialect), 1, requests)?;
    process.interrupt()?;
    instructions::total(&counts)
}
