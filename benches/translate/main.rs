//! What translation costs, in user instructions counted by callgrind: each client dialect to each upstream dialect, and back.
//!
//! ```sh
//! cargo bench -p heliostat-filters --bench translate
//! ```
//!
//! Every case runs in a process of its own under valgrind, once without the translation and once with [`TIMES`] of it; the difference
//! is its cost. The scan of a body, which every request pays, has a column of its own, and its speed on base64 is timed.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::disallowed_types, reason = "a bench says what is wrong by failing")]

mod bodies;
mod callgrind;
#[path = "../../filters/tests/table/mod.rs"]
mod table;
mod work;

use std::time::Instant;

use heliostat_filters::dialect::{CLIENTS, DIALECTS};

use bodies::{SIZES, Size};
use work::Work;

/// Translations of one counted run.
const TIMES: usize = 8;
/// The gate on the scan of base64, in bytes a second.
const SCAN_BYTES_A_SECOND: f64 = 5e9;
/// Dialects without chat.
const WITHOUT_CHAT: &[&str] = &["cohere"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["work", client, upstream, size, times] => {
            let size = SIZES.iter().find(|known| known.name == size).expect("a size");
            Work::new(client, upstream, size).run(times.parse().expect("a number"));
        }
        _ => {
            table();
            scan_speed();
        }
    }
}

fn table() {
    println!("| client | upstream | body | bytes | scan | request | reply |\n|---|---|---|---|---|---|---|");
    for client in CLIENTS.iter().map(|client| client.name()) {
        for size in SIZES {
            let scan = cost(&format!("scan:{client}"), "none", size);
            for upstream in DIALECTS.iter().map(|dialect| dialect.name()).filter(|name| !WITHOUT_CHAT.contains(name)) {
                let request = cost(&format!("request:{client}"), upstream, size);
                // Between the same dialects a reply passes as it is.
                let reply = if client == upstream { 0 } else { cost(&format!("reply:{client}"), upstream, size) };
                let bytes = bodies::request(client, size).len();
                println!("| {client} | {upstream} | {} | {bytes} | {scan} | {request} | {reply} |", size.name);
            }
        }
    }
}

/// Instructions of one translation.
fn cost(what: &str, upstream: &str, size: &Size) -> u64 {
    let run = |times: usize| callgrind::instructions(&["work", what, upstream, size.name, &times.to_string()]);
    run(TIMES).saturating_sub(run(0)) / TIMES as u64
}

/// Times the scan of a body that is nearly all base64; the best of several, as a machine with neighbours only ever adds.
fn scan_speed() {
    let size = SIZES.last().expect("a size");
    for client in CLIENTS {
        let body = bodies::request(client.name(), size);
        let best_s = (0..200).map(|_| timed(|| work::scan(*client, &body))).fold(f64::INFINITY, f64::min);
        let speed = body.len() as f64 / best_s;
        let verdict = if speed >= SCAN_BYTES_A_SECOND { "met" } else { "missed" };
        println!(
            "\nscan of {} bytes ({}): {:.1} GB/s; aim {:.0} GB/s: {verdict}",
            body.len(),
            client.name(),
            speed / 1e9,
            SCAN_BYTES_A_SECOND / 1e9
        );
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64()
}
