//! The command line.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::{Parser, Subcommand};

mod operator;

use self::operator::Asked;
use crate::config::{self, Problem, Severity, Snapshot, WithoutEnvironment};
use crate::live::Live;
use crate::proxy::explain::{Question, explain};
use crate::source::{Source, USUAL_FILE};
use crate::{demo, server, simulator};

/// A configuration or a start that failed.
const FAILURE: u8 = 1;

/// A gateway between applications and AI model providers.
///
/// Applications keep their OpenAI SDK and change the base URL. Heliostat translates between providers, spreads requests over weighted
/// keys, and moves on to the next provider when one fails, before the client sees a byte.
#[derive(Debug, Parser)]
#[command(name = "heliostat", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Try it without keys:  heliostat demo
Run it:               heliostat run --config /etc/heliostat/heliostat.yaml
Ask it about itself:  heliostat explain --config FILE request.json  ·  heliostat upstreams
Practise a failure:   heliostat drill openai 529 60
Reload it:            kill -HUP <pid>   (a bad file is refused, the old one stays)
Stop it:              kill -TERM <pid>  (requests in flight finish)";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    ///
    /// Without --config: /etc/heliostat/heliostat.yaml if it is there, else the providers whose usual variables are set
    /// (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY and so on).
    Run {
        /// The configuration file, YAML or JSON
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say what a configuration means, or what is wrong with it
    ///
    /// Prints every problem with file, line, key and the nearest known key, and exits with 1 if there is an error.
    Check {
        /// The configuration file, YAML or JSON
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Do not look for the secrets that env.NAME, file.PATH and credential.NAME name
        #[arg(long)]
        without_env: bool,
    },
    /// Say what would become of a request, without asking anybody
    ///
    /// Prints who would be tried and in which order, with which keys, what a translation would lose, and why others are out. Of a gateway
    /// that runs, `POST /explain` on its admin listener says the same with its keys as they stand now.
    Explain {
        /// The configuration file, YAML or JSON
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Do not look for the secrets that env.NAME, file.PATH and credential.NAME name
        #[arg(long)]
        without_env: bool,
        /// The path it would be sent to
        #[arg(long, value_name = "PATH", default_value = "/v1/chat/completions")]
        path: String,
        /// A header it would have, such as `x-heliostat-strict: true`
        #[arg(long, value_name = "HEADER")]
        header: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// The request's body
        #[arg(value_name = "REQUEST.JSON")]
        request: PathBuf,
    },
    /// Show how every key of a running gateway stands
    Upstreams {
        #[command(flatten)]
        admin: Admin,
    },
    /// Make a key, or a whole provider, of a running gateway fail on purpose for a while
    ///
    /// The provider is not asked meanwhile and bills nothing; everything else is as in a real failure. At its end the key is usable at
    /// once.
    Drill {
        /// `provider`, or `provider/key`
        target: String,
        /// 429, 500, 503, 529, timeout, refused, reset; or `end`
        fault: String,
        /// For how long
        #[arg(default_value_t = 60)]
        seconds: u64,
        #[command(flatten)]
        admin: Admin,
    },
    /// Take a key, or a whole provider, of a running gateway out; requests under way finish
    Cordon {
        /// `provider`, or `provider/key`
        target: String,
        /// For how long; without it until `uncordon`
        seconds: Option<u64>,
        #[command(flatten)]
        admin: Admin,
    },
    /// Put back what `cordon` took out
    Uncordon {
        /// `provider`, or `provider/key`
        target: String,
        #[command(flatten)]
        admin: Admin,
    },
    /// Run the gateway with three simulated providers: no keys, no network
    Demo {
        /// Where clients connect
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where operators connect: metrics and health
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
        admin_listen: SocketAddr,
        /// Where the simulated collector shows traces
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8082")]
        traces_listen: SocketAddr,
    },
}

/// Which running gateway is meant.
#[derive(Debug, clap::Args)]
struct Admin {
    /// Its admin listener
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    admin: SocketAddr,
}

impl Cli {
    /// Does what was asked. `pending_reload` is set by a SIGHUP that comes before the server listens for it.
    #[must_use]
    pub fn run(self, pending_reload: Arc<AtomicBool>) -> ExitCode {
        let done = match self.command {
            Command::Run { config } => run(Source::find(config), pending_reload),
            Command::Check { config, without_env } => check(&Source::find(config), without_env),
            Command::Explain { config, without_env, path, header, json, request } => {
                explained(&Source::find(config), without_env, path, &header, json, &request)
            }
            Command::Upstreams { admin } => operator::ask(admin.admin, &Asked::upstreams()),
            Command::Drill { target, fault, admin, .. } if fault == "end" => operator::ask(admin.admin, &Asked::end("/drill", &target)),
            Command::Drill { target, fault, seconds, admin } => operator::ask(admin.admin, &Asked::drill(&target, &fault, seconds)),
            Command::Cordon { target, seconds, admin } => operator::ask(admin.admin, &Asked::cordon(&target, seconds)),
            Command::Uncordon { target, admin } => operator::ask(admin.admin, &Asked::end("/cordon", &target)),
            Command::Demo { listen, admin_listen, traces_listen } => run_demo(listen, admin_listen, traces_listen, pending_reload),
        };
        match done {
            Ok(code) => code,
            Err(error) => {
                let _ = writeln!(io::stderr(), "heliostat: {error}");
                ExitCode::from(FAILURE)
            }
        }
    }
}

type Done = Result<ExitCode, Box<dyn std::error::Error + Send + Sync>>;

fn run(source: Source, pending_reload: Arc<AtomicBool>) -> Done {
    match source.load() {
        Ok(snapshot) => {
            server::run(source, snapshot, pending_reload)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => refuse(&source, &problems),
    }
}

fn loaded(source: &Source, without_env: bool) -> Result<Snapshot, Vec<Problem>> {
    match (source, without_env) {
        (Source::File(path), true) => config::load_file(path, &WithoutEnvironment),
        _ => source.load(),
    }
}

fn explained(source: &Source, without_env: bool, path: String, headers: &[String], json: bool, request: &Path) -> Done {
    let snapshot = match loaded(source, without_env) {
        Ok(snapshot) => snapshot,
        Err(problems) => return refuse(source, &problems),
    };
    let body = std::fs::read(request).map_err(|error| format!("{}: {error}", request.display()))?;
    let headers = operator::headers(headers)?;
    let explanation = explain(&Live::new(snapshot, None), Question { path, headers, body: body.into() }, Instant::now());
    let explanation = explanation.map_err(|problem| format!("{}: {} ({})", request.display(), problem.message, problem.status))?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?;
    } else {
        write!(out, "{explanation}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn check(source: &Source, without_env: bool) -> Done {
    match loaded(source, without_env) {
        Ok(snapshot) => {
            accept(source, &snapshot)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => refuse(source, &problems),
    }
}

fn accept(source: &Source, snapshot: &Snapshot) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}: good\n\n{}", source.name(), config::describe(snapshot))
}

fn refuse(source: &Source, problems: &[Problem]) -> Done {
    let mut out = io::stderr().lock();
    for problem in problems {
        writeln!(out, "{problem}")?;
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let s = if errors == 1 { "" } else { "s" };
    writeln!(out, "{}: {errors} error{s}", source.name())?;
    if matches!(source, Source::Environment) {
        writeln!(out, "Name a file with --config, put one at {USUAL_FILE}, or try `heliostat demo`.")?;
    }
    Ok(ExitCode::from(FAILURE))
}

fn run_demo(listen: SocketAddr, admin_listen: SocketAddr, traces_listen: SocketAddr, pending_reload: Arc<AtomicBool>) -> Done {
    // The providers live in a runtime of their own, as they would on hosts of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let simulators = runtime.block_on(simulator::start(std::net::Ipv4Addr::LOCALHOST.into()))?;
    let collector = runtime.block_on(simulator::collector::start(traces_listen));
    let collector = collector.map_err(|error| format!("--traces-listen {traces_listen}: {error}"))?;
    let source = Source::Text(demo::configuration(&simulators, &collector, listen, admin_listen));
    match source.load() {
        Ok(snapshot) => {
            server::probe_listeners(&snapshot)?;
            writeln!(io::stdout().lock(), "{}", demo::greeting(listen, admin_listen, collector.addr))?;
            server::run(source, snapshot, pending_reload)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => refuse(&source, &problems),
    }
}
