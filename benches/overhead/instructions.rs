//! User instructions a request, counted by callgrind: the same on a busy machine as on a quiet one. `.ci/run`
//! gates on these and on nothing else about speed: in an optimised build (`--profile profiling`), as ratios.
//!
//! A process is run twice under valgrind, with few requests and with many; the difference is what the requests cost.

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::Route;
use super::load;
use super::process::Process;
use super::scenario::{SCENARIOS, Scenario};

/// What is counted: scenario, requests of the long run beyond those of the short one.
const COUNTED: &[(&str, usize)] = &[("1 KB", 300), ("image 1.3 MB", 20), ("stream of 200", 30)];
/// Requests of the short run: they warm up connections, caches and lazily made things.
const WARM: usize = 20;

/// The gate: at most so many instructions for one of the pass-through's, in the same build. A tenth above what was measured last
/// (`benches/RESULTS.md`), and a quarter where it depends on the moment how much arrives at once: a regression fails.
const LIMITS: &[(&str, Route, f64)] = &[
    ("1 KB", Route::SameDialect, 1.18),
    ("1 KB", Route::Translated, 1.65),
    ("image 1.3 MB", Route::SameDialect, 0.47),
    ("image 1.3 MB", Route::Translated, 0.53),
    ("stream of 200", Route::SameDialect, 0.40),
    ("stream of 200", Route::Translated, 1.80),
];

/// Counts, prints, and fails where a limit is passed.
pub fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut out = io::stdout().lock();
    writeln!(out, "| scenario | route | instructions a request | ratio | limit |\n|---|---|---|---|---|")?;
    let mut passed = true;
    for (name, requests) in COUNTED {
        let Some(scenario) = SCENARIOS.iter().find(|scenario| scenario.name == *name) else { continue };
        let yardstick = count(Route::PassThrough, scenario, *requests)?;
        writeln!(out, "| {name} | {} | {yardstick:.0} | 1.00 | |", Route::PassThrough.name())?;
        for (_, route, limit) in LIMITS.iter().filter(|(limited, ..)| limited == name) {
            let counted = count(*route, scenario, *requests)?;
            let ratio = counted / yardstick;
            passed &= ratio <= *limit;
            writeln!(out, "| {name} | {} | {counted:.0} | {ratio:.2} | {limit:.2} |", route.name())?;
        }
    }
    if passed { Ok(()) } else { Err("a limit is passed".into()) }
}

fn count(route: Route, scenario: &Scenario, requests: usize) -> Result<f64, Box<dyn Error + Send + Sync>> {
    let few = instructions(route, scenario, WARM)?;
    let many = instructions(route, scenario, WARM + requests)?;
    Ok(many.saturating_sub(few) as f64 / requests as f64)
}

fn instructions(route: Route, scenario: &Scenario, requests: usize) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let counts = folder.path().join("callgrind.out");
    let upstream = Process::upstream()?;
    let process = Process::on_the_way(route, upstream.address, &valgrind(&counts))?;
    load::run(process.address, &scenario.request(route), 1, requests)?;
    process.interrupt()?;
    total(&counts)
}

/// The command that counts the instructions of the command after it.
pub fn valgrind(counts: &Path) -> Vec<String> {
    let file = format!("--callgrind-out-file={}", counts.display());
    ["valgrind", "--tool=callgrind", "--quiet", &file].map(str::to_owned).into()
}

pub fn total(counts: &Path) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let text = fs::read_to_string(counts)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")));
    Ok(total.ok_or("callgrind wrote no total")?.trim().parse()?)
}
