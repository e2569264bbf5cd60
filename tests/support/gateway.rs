//! The gateway under test: the real binary, on ports of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use super::client::{self, Reply, Stream};
use super::{Config, Value, within};

const CHAT: &str = "/v1/chat/completions";

/// A running gateway. Killed, by its own process id, when dropped.
pub struct Gateway {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Where a demo shows traces.
    pub traces: SocketAddr,
    child: Child,
    folder: TempDir,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
}

#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<String>>,
    more: Notify,
}

impl Gateway {
    /// Runs the binary with this configuration and waits until it is ready.
    pub async fn start(config: Config) -> Self {
        Self::with(&config.yaml()).await
    }

    /// The same from YAML, which names no listeners.
    pub async fn with(yaml: &str) -> Self {
        Self::with_variables(yaml, &[]).await
    }

    /// The same with more variables in its environment.
    pub async fn with_variables(yaml: &str, variables: &[(&str, &str)]) -> Self {
        let mut gateway = Self::launch(yaml, variables);
        gateway.until_ready().await;
        gateway
    }

    /// The same with more variables, and without waiting for anything.
    pub fn launch(yaml: &str, variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder");
        let (address, admin) = (free_address(), free_address());
        write_config(&folder, yaml, address, admin);
        let path = folder.path().join("heliostat.yaml");
        let mut command = command();
        command.arg("run").arg("--config").arg(&path).envs(variables.iter().copied());
        Self::spawn(command, folder, address, admin)
    }

    /// Runs the demo with its own providers.
    pub async fn demo() -> Self {
        let (address, admin, traces) = (free_address(), free_address(), free_address());
        let mut command = command();
        command.args(["demo", "--listen", &address.to_string(), "--admin-listen", &admin.to_string()]);
        command.args(["--traces-listen", &traces.to_string()]);
        let mut gateway = Self::spawn(command, TempDir::new().expect("a folder"), address, admin);
        gateway.traces = traces;
        gateway.until_ready().await;
        gateway
    }

    fn spawn(mut command: Command, folder: TempDir, address: SocketAddr, admin: SocketAddr) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the gateway starts");
        let stdout = collect(child.stdout.take().expect("stdout"));
        let stderr = collect(child.stderr.take().expect("stderr"));
        Self { address, admin, traces: admin, child, folder, stdout, stderr }
    }

    /// Waits until `/readyz` says 200.
    async fn until_ready(&mut self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while tokio::time::Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                // The pipes may still hold its last words.
                tokio::time::sleep(Duration::from_millis(50)).await;
                panic!("the gateway ended with {status}: {}", self.log());
            }
            let listens = TcpStream::connect(self.address).await.is_ok() && TcpStream::connect(self.admin).await.is_ok();
            if listens && self.get("/readyz").await.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the gateway was not ready: {}", self.log());
    }

    /// Sends a chat request.
    pub async fn chat(&self, body: &Value) -> Reply {
        self.chat_bytes(body.to_string().as_bytes()).await
    }

    /// Sends a chat request byte for byte.
    pub async fn chat_bytes(&self, body: &[u8]) -> Reply {
        self.chat_with(&[], body).await
    }

    /// Sends a chat request with headers of its own.
    pub async fn chat_with(&self, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        client::send(self.address, "POST", CHAT, headers, body).await
    }

    /// Sends an embeddings request.
    pub async fn embed(&self, body: &Value) -> Reply {
        self.embed_with(&[], body.to_string().as_bytes()).await
    }

    /// Sends an embeddings request byte for byte, with headers of its own.
    pub async fn embed_with(&self, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        client::send(self.address, "POST", "/v1/embeddings", headers, body).await
    }

    /// Sends a chat request and returns once the head of the answer is there.
    pub async fn stream(&self, body: &Value) -> Stream {
        self.stream_with(&[], body).await
    }

    /// The same with headers of its own.
    pub async fn stream_with(&self, headers: &[(&str, &str)], body: &Value) -> Stream {
        client::open(self.address, CHAT, headers, body.to_string().as_bytes()).await
    }

    /// Fetches from the client listener.
    pub async fn get(&self, path: &str) -> Reply {
        client::send(self.address, "GET", path, &[], b"").await
    }

    /// Fetches from the admin listener.
    pub async fn admin_get(&self, path: &str) -> Reply {
        client::send(self.admin, "GET", path, &[], b"").await
    }

    /// Waits until the metrics hold this text: a request is counted when it is over, which its client may know a little sooner.
    pub async fn until_metrics(&self, hold: &str) {
        let held = async { while !self.admin_get("/metrics").await.text().contains(hold) {} };
        within(hold, held).await;
    }

    /// Replaces the configuration file and sends SIGHUP, without waiting for its effect.
    pub fn rewrite(&self, yaml: &str) {
        write_config(&self.folder, yaml, self.address, self.admin);
        self.signal("HUP");
    }

    /// Replaces the configuration file and waits until the log tells of a reload that took place or was refused.
    pub async fn reload(&self, yaml: &str) -> String {
        let seen = self.stderr.lines.lock().unwrap().len();
        self.rewrite(yaml);
        self.stderr
            .wait("word of the reload", seen, |l| l.contains("reload") && (l.contains("is in force") || l.contains("was refused")))
            .await
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Asks it to stop at once.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        within("the gateway to end", self.child.wait()).await.expect("a status")
    }

    /// The access-log line with this request id.
    pub async fn access(&self, request_id: &str) -> Value {
        let needle = format!("\"{request_id}\"");
        let line = self.stdout.wait("an access-log line", 0, |l| l.starts_with('{') && l.contains(&needle)).await;
        serde_json::from_str(&line).expect("a JSON line")
    }

    /// Access-log lines with this request id, once there is one.
    pub async fn access_count(&self, request_id: &str) -> usize {
        self.access(request_id).await;
        self.stdout.lines.lock().unwrap().iter().filter(|l| l.contains(request_id)).count()
    }

    /// Waits for a line on stderr.
    pub async fn log_line(&self, contains: &str) -> String {
        self.stderr.wait(contains, 0, |l| l.contains(contains)).await
    }

    /// Waits for a line on stdout.
    pub async fn output_line(&self, contains: &str) -> String {
        self.stdout.wait(contains, 0, |l| l.contains(contains)).await
    }

    /// Everything it printed so far on stdout.
    pub fn output(&self) -> String {
        self.stdout.lines.lock().unwrap().join("\n")
    }

    /// Everything it printed so far, both ways.
    pub fn log(&self) -> String {
        format!("{}\n{}", self.output(), self.stderr.lines.lock().unwrap().join("\n"))
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("/proc");
        let line = status.lines().find(|l| l.starts_with("VmRSS")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") * 1024
    }

    /// The folder of the configuration, where relative paths begin.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Has it open its log file anew.
    pub fn reopen(&self) {
        self.signal("USR1");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &id]).status().expect("kill");
        assert!(sent.success(), "the signal was sent");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the gateway said:\n{}", self.log());
        }
    }
}

impl Lines {
    async fn wait(&self, what: &str, from: usize, wanted: impl Fn(&str) -> bool) -> String {
        let found = async {
            loop {
                let more = self.more.notified();
                if let Some(line) = self.lines.lock().unwrap().iter().skip(from).find(|l| wanted(l)) {
                    return line.clone();
                }
                more.await;
            }
        };
        match tokio::time::timeout(super::PATIENCE, found).await {
            Ok(line) => line,
            Err(_) => {
                // Not within the panic: it would poison the lock, and the report of what the gateway said would end the whole run.
                let lines = self.lines.lock().unwrap().join("\n");
                panic!("no line for {what} in:\n{lines}")
            }
        }
    }
}

/// The binary with an environment that holds nothing but what tests need.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliostat"));
    command.env_clear().envs(Config::environment()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs the binary to its end.
pub async fn run(arguments: &[&str]) -> std::process::Output {
    within("the command to end", command().args(arguments).stdin(Stdio::null()).kill_on_drop(true).output()).await.expect("output")
}

/// Writes a file into a folder of its own.
pub fn file(name: &str, text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a written file");
    (folder, path)
}

/// Ports that one test process has to itself. Several may run at a time: each claims a block by holding its first port.
const BLOCK: u16 = 800;

/// A port of no interest to anyone else: below the ephemeral range, so that no `bind(0)` takes it meanwhile, and of a block of our own.
pub fn free_address() -> SocketAddr {
    static CLAIM: LazyLock<TcpListener> = LazyLock::new(claim);
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = CLAIM.local_addr().expect("an address").port();
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, first + 1 + NEXT.fetch_add(1, Ordering::Relaxed) % (BLOCK - 1)));
        match TcpListener::bind(address) {
            Ok(_) => return address,
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
            Err(e) => panic!("no port: {e}"),
        }
    }
}

fn claim() -> TcpListener {
    let mut firsts = (20_000..32_000).step_by(BLOCK.into());
    let held = firsts.find_map(|first| TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok());
    held.expect("a free block of ports")
}

fn write_config(folder: &TempDir, yaml: &str, address: SocketAddr, admin: SocketAddr) {
    // A test of listeners writes its own, one of them on ADDRESS.
    let listen = if yaml.contains("listen:") { String::new() } else { format!("listen: {address}\n") };
    let yaml = yaml.replace("ADDRESS", &address.to_string());
    let text = format!("{listen}admin: {{ listen: \"{admin}\" }}\n{yaml}");
    // Put in place whole, as operators should: a file that is read while it is written says something else.
    let draft = folder.path().join("draft");
    std::fs::write(&draft, text).expect("a written configuration");
    std::fs::rename(draft, folder.path().join("heliostat.yaml")).expect("a configuration in its place");
}

fn collect(pipe: impl AsyncRead + Unpin + Send + 'static) -> Arc<Lines> {
    let lines = Arc::new(Lines::default());
    let sink = Arc::clone(&lines);
    tokio::spawn(async move {
        let mut reader = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = reader.next_line().await {
            sink.lines.lock().unwrap().push(line);
            sink.more.notify_waiters();
        }
    });
    lines
}
