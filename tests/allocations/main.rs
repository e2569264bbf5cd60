//! How much memory a request asks for, from its first byte to its last: a counting allocator around the whole gateway.
//!
//! The client and the fake provider are in the same process; they allocate nothing once they have begun.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod peers;

use std::alloc::System;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser as _;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a request may allocate beyond twice its body.
const BESIDE_BODY_BYTES: usize = 256 << 10;
/// Requests before anything is counted: connections, metrics and caches are made by the first.
const WARM: usize = 8;
/// Requests that are counted together.
const COUNTED: usize = 8;

/// Set in the process that counts.
const COUNTING: &str = "HELIOSTAT_COUNTING";

/// In a process of its own, whose access log, on standard output, nobody wants to read.
#[test]
fn a_request_allocates_at_most_twice_its_body_and_a_little() {
    if std::env::var_os(COUNTING).is_some() {
        return count();
    }
    let program = std::env::current_exe().expect("this program");
    let status = Command::new(program).arg("--nocapture").env(COUNTING, "1").stdout(Stdio::null()).status();
    assert!(status.expect("it runs").success(), "what it says stands above");
}

fn count() {
    let gateway = start(peers::provider());
    for (name, images, image_bytes) in [("1 KB", 0, 0), ("an image of 1.3 MB", 1, 1_300_000), ("12 images of 1 MB", 12, 1_000_000)] {
        for model in ["openai/gpt-4o", "anthropic/claude-sonnet-4-6"] {
            let request = peers::request(model, images, image_bytes);
            let mut client = peers::Client::connect(gateway);
            client.ask(&request, WARM);
            let region = Region::new(ALLOCATOR);
            client.ask(&request, COUNTED);
            let allocated = region.change().bytes_allocated / COUNTED;
            let limit = 2 * request.body_bytes + BESIDE_BODY_BYTES;
            eprintln!("{name} to {model}: body {} bytes, allocated {allocated}, at most {limit}", request.body_bytes);
            assert!(allocated <= limit, "{name} to {model} allocates {allocated} bytes, at most {limit} are allowed");
        }
    }
}

/// Runs the gateway in a thread of this process, in front of one provider that speaks both dialects.
fn start(provider: SocketAddr) -> SocketAddr {
    let (listen, admin) = (free(), free());
    let folder = tempfile::tempdir().expect("a folder").keep();
    let config = folder.join("heliostat.yaml");
    let key = "keys: [{ value: one, name: one }]";
    let text = format!(
        "listen: {listen}\nadmin: {{ listen: {admin} }}\nthreads: 1\nproviders:\n  openai: {{ base_url: 'http://{provider}', {key} }}\n  anthropic: {{ base_url: 'http://{provider}', {key} }}\n"
    );
    std::fs::write(&config, text).expect("a configuration");
    let words = ["heliostat".into(), "run".into(), "--config".into(), config.into_os_string()];
    let cli = heliostat::cli::Cli::try_parse_from::<_, std::ffi::OsString>(words).expect("a command line");
    std::thread::spawn(move || cli.run(Arc::new(AtomicBool::new(false))));
    peers::wait_until_ready(listen);
    listen
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("an address")
}
