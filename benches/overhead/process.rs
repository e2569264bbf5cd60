//! The processes under measurement.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Route;

/// How long a process may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// The fake provider, the pass-through and the gateway. Ended when dropped.
pub struct Children {
    upstream: (Child, SocketAddr),
    passthrough: (Child, SocketAddr),
    gateway: (Child, SocketAddr),
    _config: tempfile::TempDir,
}

impl Children {
    /// Starts them and waits until they listen.
    pub fn start() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let own = std::env::current_exe()?;
        let [upstream, passthrough, gateway, admin] = [free()?, free()?, free()?, free()?];
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("heliostat.yaml");
        fs::write(&config, configuration(gateway, admin, upstream))?;
        let spawn = |program: &PathBuf, arguments: &[String]| {
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        let children = Self {
            upstream: (spawn(&own, &["upstream".into(), upstream.to_string()])?, upstream),
            passthrough: (spawn(&own, &["passthrough".into(), passthrough.to_string(), upstream.to_string()])?, passthrough),
            gateway: (
                spawn(&env!("CARGO_BIN_EXE_heliostat").into(), &["run".into(), "--config".into(), config.display().to_string()])?,
                gateway,
            ),
            _config: folder,
        };
        [upstream, passthrough, gateway].into_iter().try_for_each(wait_until_it_listens)?;
        Ok(children)
    }

    /// Where a route begins.
    pub fn address(&self, route: Route) -> SocketAddr {
        self.process(route).1
    }

    /// CPU time the route's process has used, user and system.
    pub fn cpu(&self, route: Route) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process(route).0.id())).into_iter().flatten().flatten();
        let nanoseconds =
            tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok()?.split_whitespace().next()?.parse::<u64>().ok());
        Duration::from_nanos(nanoseconds.sum())
    }

    /// The most memory the route's process has had.
    pub fn peak_bytes(&self, route: Route) -> u64 {
        self.status(route, "VmHWM:")
    }

    /// The memory it has.
    pub fn resident_bytes(&self, route: Route) -> u64 {
        self.status(route, "VmRSS:")
    }

    fn status(&self, route: Route, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process(route).0.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    }

    fn process(&self, route: Route) -> &(Child, SocketAddr) {
        match route {
            Route::Direct => &self.upstream,
            Route::PassThrough => &self.passthrough,
            Route::SameDialect | Route::Translated => &self.gateway,
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (child, _) in [&mut self.upstream, &mut self.passthrough, &mut self.gateway] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn configuration(listen: SocketAddr, admin: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "listen: {listen}\nadmin: {{ listen: {admin} }}\nthreads: 1\nproviders:\n  openai: {{ base_url: 'http://{upstream}', keys: [{{ value: one, name: one }}] }}\n  anthropic: {{ base_url: 'http://{upstream}', keys: [{{ value: two, name: two }}] }}\n"
    )
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn wait_until_it_listens(address: SocketAddr) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
