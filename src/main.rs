//! Parses the command line and runs it.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use heliostat::cli::Cli;
use tikv_jemallocator::Jemalloc;

/// Against the C library's: half the instructions, and the memory of large bodies and of many streams comes back.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    // Until the reload service listens, a SIGHUP would end the process: note it instead.
    let pending_reload = Arc::new(AtomicBool::new(false));
    if signal_hook::flag::register(signal_hook::consts::SIGHUP, pending_reload.clone()).is_err() {
        return ExitCode::FAILURE;
    }
    // And a SIGUSR1 too, before there is a log to be opened anew.
    if signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::default()).is_err() {
        return ExitCode::FAILURE;
    }
    let filter = env_logger::Env::default().default_filter_or("info,pingora=warn,pingora_core=warn,pingora_proxy=warn");
    env_logger::Builder::from_env(filter).format_target(false).init();
    Cli::parse().run(pending_reload)
}
