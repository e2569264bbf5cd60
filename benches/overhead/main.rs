//! What the gateway costs: `cargo bench --bench overhead`. One command, one table.
//!
//! In one run, interleaved round by round, the same requests go directly to a fake provider, through a plain Pingora pass-through, through
//! Heliostat to a provider of the client's dialect, and through Heliostat to Anthropic. Everything is on loopback; each part is a
//! process of its own, gateways with one worker thread. Figures are ratios against the pass-through of the same run: the machine may
//! be busy, but it is equally busy for all. Below the table stand the aims, each as a ratio with its spread over the rounds.

mod collectors;
mod gates;
mod instructions;
mod load;
mod passthrough;
mod process;
mod results;
mod scenario;
mod table;
mod telling;
mod upstream;

use std::io::Write as _;
use std::net::SocketAddr;

use self::load::Measured;
use self::process::Processes;
use self::scenario::{SCENARIOS, Scenario};
use self::table::Row;

/// Rounds of every scenario and path; the table shows the median and the spread of the rounds.
const ROUNDS: usize = 5;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Direct,
    PassThrough,
    SameDialect,
    Translated,
}

const ROUTES: [Route; 4] = [Route::Direct, Route::PassThrough, Route::SameDialect, Route::Translated];

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["upstream", listen] => upstream::serve(listen.parse()?),
        ["passthrough", listen, upstream] => passthrough::serve(listen.parse()?, upstream.parse()?),
        ["instructions"] => instructions::run(),
        ["collectors"] => collectors::run(),
        ["telling"] => telling::run(),
        ["streams"] => streams(),
        filter => compare(filter.first().copied().unwrap_or_default()),
    }
}

/// Every scenario over every route; the table goes to standard output.
fn compare(filter: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut rows = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(filter)) {
        // New ones for each: a peak of memory is that of one scenario.
        let processes = Processes::start()?;
        let mut measured: Vec<Vec<Measured>> = ROUTES.map(|_| Vec::new()).into();
        for _ in 0..ROUNDS {
            for (route, rounds) in ROUTES.iter().zip(&mut measured) {
                rounds.push(measure(&processes, *route, scenario)?);
            }
        }
        rows.extend(
            ROUTES.iter().zip(measured).map(|(route, rounds)| Row::new(scenario.name, *route, &rounds, processes.of(*route).peak_bytes())),
        );
        write!(std::io::stderr(), ".")?;
    }
    writeln!(std::io::stderr())?;
    writeln!(std::io::stdout(), "Scheduled as {}.\n", process::scheduling())?;
    table::print(&rows)?;
    gates::print(&rows)
}

fn measure(processes: &Processes, route: Route, scenario: &Scenario) -> Result<Measured, Box<dyn std::error::Error + Send + Sync>> {
    let request = scenario.request(route);
    let address: SocketAddr = processes.of(route).address;
    let single = load::run(address, &request, 1, scenario.single)?;
    let before = processes.of(route).cpu();
    let many = load::run(address, &request, scenario.connections, scenario.many)?;
    let cpu_us = processes.of(route).cpu().saturating_sub(before).as_secs_f64() * 1e6 / many.latencies_us.len() as f64;
    Ok(Measured { single, many, cpu_us })
}

/// Memory a stream: 500 at once, held open. Fails where one takes more than [`gates::STREAM_BYTES`] in the gateway.
fn streams() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let processes = Processes::start()?;
    let mut passed = true;
    for route in [Route::PassThrough, Route::SameDialect, Route::Translated] {
        let per_stream =
            load::hold_streams(processes.of(route).address, &scenario::held_stream(route), 500, || processes.of(route).resident_bytes())?;
        writeln!(std::io::stdout(), "{:<14} {:>6.1} KiB a stream", route.name(), per_stream as f64 / 1024.0)?;
        passed &= route == Route::PassThrough || per_stream <= gates::STREAM_BYTES;
    }
    if passed { Ok(()) } else { Err("a stream takes more memory than it may".into()) }
}

impl Route {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::PassThrough => "pass-through",
            Self::SameDialect => "same dialect",
            Self::Translated => "to Anthropic",
        }
    }
}
