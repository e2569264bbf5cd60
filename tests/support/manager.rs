//! A service manager: hears what the gateway tells it over `NOTIFY_SOCKET`.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdDatagram};

use tempfile::TempDir;
use tokio::net::UnixDatagram;

use super::within;

/// A socket that hears notifications.
pub struct Manager {
    socket: UnixDatagram,
    name: String,
    _folder: Option<TempDir>,
}

impl Manager {
    /// One whose socket is a file.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Self { socket, name: path.display().to_string(), _folder: Some(folder) }
    }

    /// One whose socket has an abstract name, as in containers.
    pub fn without_a_file() -> Self {
        let name = format!("heliostat-test-{}-{}", std::process::id(), next_number());
        let socket = StdDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).expect("a name")).expect("a socket");
        socket.set_nonblocking(true).expect("non-blocking");
        Self { socket: UnixDatagram::from_std(socket).expect("a socket"), name: format!("@{name}"), _folder: None }
    }

    /// One that hears nothing more: its queue is full, and nobody reads it.
    pub fn deaf() -> Self {
        let manager = Self::new();
        let sender = StdDatagram::unbound().expect("a socket");
        sender.set_nonblocking(true).expect("non-blocking");
        while sender.send_to(b"noise", manager.name()).is_ok() {}
        manager
    }

    /// What `NOTIFY_SOCKET` is set to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next message.
    pub async fn word(&self) -> String {
        let mut message = [0; 4096];
        let length = within("word to the manager", self.socket.recv(&mut message)).await.expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }

    /// The next message that begins so; fails on any other, except the watchdog's.
    #[track_caller]
    pub fn hears(&self, first: &'static str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            loop {
                let word = self.word().await;
                if word.lines().next() == Some(first) {
                    return word;
                }
                assert!(word.starts_with("WATCHDOG=1"), "{caller}: {word:?} instead of {first}");
            }
        }
    }
}

/// A number that no other manager of this process has.
fn next_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
