//! What a collector's troubles cost a request: nothing. Instructions of the thread that serves requests, counted by callgrind while the
//! collector takes spans, is not there, never answers, or answers errors. `.ci/extended` gates on it.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::load;
use super::process::Process;
use super::scenario::SCENARIOS;
use super::{Route, instructions, results};

/// Requests of the short run and of the long one; the difference counts.
const FEW: usize = 200;
const MANY: usize = 800;
/// All are run in rounds, and the least of each counts: at least so many, and more, on a busy machine, while they differ.
const ROUNDS_MIN: usize = 2;
const ROUNDS_MAX: usize = 6;
/// The gate: so far from what a request costs with a collector that takes its spans.
const TOLERANCE: f64 = 0.01;

/// What a collector does with a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    None,
    Takes,
    Gone,
    Silent,
    Fails,
}

/// The first is no trouble, but tells what spans cost; the second is what the others are compared with.
const MANNERS: [(Manner, &str); 5] = [
    (Manner::None, "is not configured"),
    (Manner::Takes, "takes spans"),
    (Manner::Gone, "is not there"),
    (Manner::Silent, "never answers"),
    (Manner::Fails, "answers 503"),
];

/// What was counted so far: the least that the busiest thread took of few requests and of many. With so many, that is the thread that
/// serves them; what it takes beyond the least is chance: who comes first at a start, how often it is woken.
#[derive(Clone, Copy)]
struct Least {
    few: u64,
    many: u64,
}

/// Counts, prints, and fails where a collector's trouble is felt.
pub fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut counted = MANNERS.map(|_| Least { few: u64::MAX, many: u64::MAX });
    for round in 1..=ROUNDS_MAX {
        for ((manner, _), least) in MANNERS.into_iter().zip(&mut counted) {
            least.few = least.few.min(busiest(manner, FEW)?);
            least.many = least.many.min(busiest(manner, MANY)?);
        }
        if round >= ROUNDS_MIN && off(&counted).iter().all(|off| off.abs() <= TOLERANCE) {
            break;
        }
    }
    let mut table =
        String::from("| the collector | instructions a request, on its thread | against one that takes spans |\n|---|---|---|\n");
    for (((manner, name), least), off) in MANNERS.iter().zip(&counted).zip(off(&counted)) {
        let against = if *manner == Manner::None { String::new() } else { format!("{:+.2} % ", off * 100.0) };
        writeln!(table, "| {name} | {:.0} | {against}|", least.a_request())?;
    }
    results::tell("collectors", &table)?;
    if off(&counted).iter().all(|off| off.abs() <= TOLERANCE) { Ok(()) } else { Err("a request feels what its collector does".into()) }
}

/// How far each is from a collector that takes spans; one that is not configured is not compared.
fn off(counted: &[Least; MANNERS.len()]) -> [f64; MANNERS.len()] {
    let [_, takes, ..] = counted;
    let mut off = counted.map(|least| least.a_request() / takes.a_request() - 1.0);
    off[0] = 0.0;
    off
}

impl Least {
    fn a_request(self) -> f64 {
        self.many.saturating_sub(self.few) as f64 / (MANY - FEW) as f64
    }
}

/// Instructions of the busiest thread while so many requests are served.
fn busiest(manner: Manner, requests: usize) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let scenario = SCENARIOS.first().ok_or("no scenario")?;
    let folder = tempfile::tempdir()?;
    let counts = folder.path().join("callgrind.out");
    let (upstream, collector) = (Process::upstream()?, collector(manner)?);
    let observability = match manner {
        Manner::None => String::new(),
        _ => format!("observability: {{ otel_endpoint: 'http://{collector}', otel_timeout_ms: 1000, otel_batch_ms: 200 }}\n"),
    };
    let mut under = instructions::valgrind(&counts);
    under.push("--separate-threads=yes".to_owned());
    let process = Process::gateway(upstream.address, &under, &observability)?;
    load::run(process.address, &scenario.request(Route::SameDialect), 1, requests)?;
    process.interrupt()?;
    // Callgrind writes a file for each thread: `callgrind.out-02`. The first one starts the gateway, which takes as much as hundreds of
    // requests do, and serves none.
    let files = fs::read_dir(folder.path())?.filter_map(|entry| Some(entry.ok()?.path()));
    let of_threads = files.filter(|path| serves(&path.to_string_lossy())).filter_map(|path| instructions::total(&path).ok());
    of_threads.max().ok_or_else(|| "callgrind wrote nothing".into())
}

fn serves(counts: &str) -> bool {
    counts.contains(".out-") && !counts.ends_with(".out-01")
}

/// A collector that takes spans, and tells nobody.
pub fn taking() -> io::Result<SocketAddr> {
    collector(Manner::Takes)
}

/// A collector in this process, which callgrind does not watch.
fn collector(manner: Manner) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    if manner != Manner::Gone {
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || serve(stream, manner));
            }
        });
    }
    Ok(address)
}

/// Whatever comes is a batch, or a part of one: an answer goes out when nothing more has come for a moment.
fn serve(mut stream: TcpStream, manner: Manner) -> io::Result<()> {
    let answer: &[u8] = match manner {
        Manner::Fails => b"HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n",
        _ => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    };
    let mut buffer = [0; 1 << 16];
    while stream.read(&mut buffer)? > 0 {
        stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        while matches!(stream.read(&mut buffer), Ok(count) if count > 0) {}
        stream.set_read_timeout(None)?;
        if manner != Manner::Silent {
            stream.write_all(answer)?;
        }
    }
    Ok(())
}
