//! The fault matrix: everything a provider is known to do wrong, one row each in [`faults`], against plain and streamed requests, small
//! and large ones, HTTP/1.1 and HTTP/2 upstream, with and without another candidate.
//!
//! Each case has providers of its own in the configuration of a gateway it shares with many others, so that no cool-down of one case
//! reaches another. All is judged from outside ([`case`]): what the client got, what `x-heliostat-attempts` and the access log say, how
//! long it took, and what each fake was asked.
//!
//! `cargo test` runs a short form, in which every fault meets every mode and version and sizes take turns. `HELIOSTAT_MATRIX=whole` runs
//! every combination.

mod case;
mod faults;
mod speech;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::case::{Case, Mode, Play, Size};
use self::faults::{FAULTS, Fault};
use self::speech::Speech;
use crate::support::gateway::Gateway;
use crate::support::stage::Version;
use crate::support::within;

/// Cases that share a gateway.
const SHARED: usize = 160;
/// Cases at a time: the clocks under test are short, and the machine may be small.
const AT_ONCE: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_ends_as_its_row_says() {
    let began = Instant::now();
    let filter = std::env::var("HELIOSTAT_MATRIX").unwrap_or_default();
    let cases = cases(&filter);
    let mut tally = BTreeMap::<(&str, &str), (usize, usize)>::new();
    let mut wrong = Vec::new();
    for (number, shared) in cases.chunks(SHARED).enumerate() {
        for (case, outcome) in run(number * SHARED, shared).await {
            let (all, passed) = tally.entry((case.fault.group, case.mode.name())).or_default();
            *all += 1;
            match outcome {
                Ok(()) => *passed += 1,
                Err(why) => wrong.push(format!("{case}: {why}")),
            }
        }
    }
    print(&tally, began);
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What is to be run: `whole`, the short form, or of the whole what contains a word.
fn cases(filter: &str) -> Vec<Case> {
    let every = || FAULTS.iter().flat_map(combinations);
    let chosen: Vec<_> = match filter {
        "whole" => every().collect(),
        "" => FAULTS.iter().enumerate().flat_map(|(number, fault)| short(number, fault)).collect(),
        word => every().filter(|case| case.to_string().contains(word)).collect(),
    };
    chosen
}

fn combinations(fault: &'static Fault) -> impl Iterator<Item = Case> {
    let mut all = Vec::new();
    for mode in Mode::ALL {
        for size in Size::ALL {
            for version in [Version::One, Version::Two] {
                for speech in [Speech::OpenAi, Speech::Anthropic] {
                    all.extend([true, false].map(|fallback| Case { fault, mode, size, version, speech, fallback }));
                }
            }
        }
    }
    all.into_iter().filter(Case::exists)
}

/// Every mode and version once, with sizes and dialects taking turns; and once with nobody to turn to.
fn short(number: usize, fault: &'static Fault) -> impl Iterator<Item = Case> {
    combinations(fault).filter(move |case| {
        let turn = number + case.mode as usize + 2 * (case.version as usize);
        let sizes: Vec<_> = Size::ALL.into_iter().filter(|size| Case { size: *size, ..*case }.exists()).collect();
        let speeches = [Speech::OpenAi, Speech::Anthropic].map(|speech| Case { speech, ..*case }).into_iter().filter(Case::exists);
        let speeches: Vec<_> = speeches.map(|case| case.speech).collect();
        let alone = !case.fallback && turn.is_multiple_of(2);
        (case.fallback || alone) && case.size == sizes[turn % sizes.len()] && case.speech == speeches[turn / 2 % speeches.len()]
    })
}

/// Runs cases side by side on a gateway of their own.
async fn run(first: usize, cases: &[Case]) -> Vec<(Case, Result<(), String>)> {
    let mut plays = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        plays.push(Play::prepare(first + number, *case).await);
    }
    let yaml: String = plays.iter().map(Play::yaml).collect();
    let gateway = Arc::new(Gateway::with(&format!("providers:\n{yaml}")).await);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for play in plays {
        let (gateway, places) = (Arc::clone(&gateway), Arc::clone(&places));
        running.spawn(async move {
            let _place = places.acquire().await;
            let case = play.case;
            let outcome = tokio::spawn(async move { play.run(&gateway).await }).await;
            (case, outcome.unwrap_or_else(|panic| Err(panic.to_string())))
        });
    }
    let mut outcomes = Vec::new();
    while let Some(outcome) = running.join_next().await {
        outcomes.push(outcome.expect("a case that ended"));
    }
    let gateway = Arc::into_inner(gateway).expect("no case under way");
    // A client has its answer a moment before the gateway has put the request away.
    within("nothing in flight any more", async {
        while !gateway.admin_get("/metrics").await.text().contains("\nheliostat_requests_in_flight 0\n") {}
    })
    .await;
    outcomes
}

/// To standard error, past the test harness: the counts are the proof.
fn print(tally: &BTreeMap<(&str, &str), (usize, usize)>, began: Instant) {
    let mut out = String::from("fault matrix        mode     cases passed\n");
    for ((group, mode), (all, passed)) in tally {
        out += &format!("{group:<19} {mode:<8} {all:>5} {passed:>6}\n");
    }
    let (all, passed) = tally.values().fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
    out += &format!("{:<28} {all:>5} {passed:>6}   in {} s\n", "together", began.elapsed().as_secs());
    let _ = std::io::stderr().write_all(out.as_bytes());
}
