//! The processes under measurement.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Route;

/// How long a process may take to listen: long, for one that runs under valgrind on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that listens. Ended when dropped.
pub struct Process {
    child: Child,
    /// Where.
    pub address: SocketAddr,
    /// Lives as long as the process: its configuration is in it.
    folder: Option<tempfile::TempDir>,
}

/// The fake provider, the pass-through, and a gateway for each of its routes.
pub struct Processes {
    upstream: Process,
    passthrough: Process,
    same_dialect: Process,
    translated: Process,
}

impl Processes {
    /// Starts all.
    pub fn start() -> io::Result<Self> {
        let upstream = Process::upstream()?;
        let passthrough = Process::passthrough(upstream.address, &[])?;
        let same_dialect = Process::gateway(upstream.address, &[], "")?;
        let translated = Process::gateway(upstream.address, &[], "")?;
        Ok(Self { upstream, passthrough, same_dialect, translated })
    }

    /// The process a route begins at.
    pub fn of(&self, route: Route) -> &Process {
        match route {
            Route::Direct => &self.upstream,
            Route::PassThrough => &self.passthrough,
            Route::SameDialect => &self.same_dialect,
            Route::Translated => &self.translated,
        }
    }
}

impl Process {
    /// The fake provider.
    pub fn upstream() -> io::Result<Self> {
        let address = free()?;
        Self::spawn(&own()?, &["upstream", &address.to_string()], address, &[])
    }

    /// The process that a route to `upstream` goes through, run by the command `under`.
    pub fn on_the_way(route: Route, upstream: SocketAddr, under: &[String]) -> io::Result<Self> {
        if route == Route::PassThrough { Self::passthrough(upstream, under) } else { Self::gateway(upstream, under, "") }
    }

    fn passthrough(upstream: SocketAddr, under: &[String]) -> io::Result<Self> {
        let address = free()?;
        Self::spawn(&own()?, &["passthrough", &address.to_string(), &upstream.to_string()], address, under)
    }

    /// The gateway, with more lines in its configuration.
    pub fn gateway(upstream: SocketAddr, under: &[String], more: &str) -> io::Result<Self> {
        let (address, admin) = (free()?, free()?);
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("heliostat.yaml").display().to_string();
        fs::write(&config, configuration(address, admin, upstream) + more)?;
        let mut process = Self::spawn(env!("CARGO_BIN_EXE_heliostat"), &["run", "--config", &config], address, under)?;
        process.folder = Some(folder);
        wait_until(|| is_ready(address))?;
        Ok(process)
    }

    fn spawn(program: &str, arguments: &[&str], address: SocketAddr, under: &[String]) -> io::Result<Self> {
        let mut words = under.iter().map(String::as_str).chain([program]).chain(arguments.iter().copied());
        let mut command = Command::new(words.next().unwrap_or(program));
        let child = command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        wait_until(|| TcpStream::connect(address).map(drop))?;
        Ok(Self { child, address, folder: None })
    }

    /// CPU time it has used, user and system.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        let times = tasks.filter_map(|task| {
            let schedule = fs::read_to_string(task.path().join("schedstat")).ok()?;
            schedule.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(times.sum())
    }

    /// The most memory it has had.
    pub fn peak_bytes(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory it has.
    pub fn resident_bytes(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Ends it by SIGINT, and waits until it has.
    pub fn interrupt(mut self) -> io::Result<()> {
        Command::new("kill").args(["-INT", &self.child.id().to_string()]).status()?;
        self.child.wait().map(drop)
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "listen: {listen}\nadmin: {{ listen: {admin} }}\nthreads: 1\nproviders:\n  openai: {{ base_url: 'http://{upstream}', keys: [{{ value: one, name: one }}] }}\n  anthropic: {{ base_url: 'http://{upstream}', keys: [{{ value: two, name: two }}] }}\n"
    )
}

/// How this process is scheduled, and all that it starts: `proc_pid_stat(5)`, field 41.
pub fn scheduling() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let policy = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(38));
    match policy {
        Some("0") => "SCHED_OTHER".to_owned(),
        Some("3") => "SCHED_BATCH, as by the unit in `systemd/`".to_owned(),
        other => format!("policy {}", other.unwrap_or("unknown")),
    }
}

fn own() -> io::Result<String> {
    Ok(std::env::current_exe()?.display().to_string())
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The gateway tries its address before it listens there for good: one that connects knows nothing yet.
fn is_ready(gateway: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(gateway)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    if &status == b"HTTP/1.1 200" { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

fn wait_until(reached: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match reached() {
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
            Ok(()) => return Ok(()),
        }
    }
}
