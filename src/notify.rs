//! Words to the service manager (sd_notify). Without one (`NOTIFY_SOCKET` unset) they go nowhere; to one that does not listen they are lost,
//! after a moment: nobody waits for it.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use sd_notify::NotifyState;
use tokio::net::TcpStream;
use tokio::time::MissedTickBehavior;

/// How often the listeners are tried until they accept.
const TRY: Duration = Duration::from_millis(5);
/// How long a word may wait for a place in the manager's queue. A stop says one, a reload two.
const PATIENCE: Duration = Duration::from_millis(400);

/// The last word was lost. Said once, not for each.
static UNHEARD: AtomicBool = AtomicBool::new(false);

/// Says that the process is ready once its listeners accept, and then that it lives.
pub struct Herald {
    /// What must accept.
    pub listeners: Vec<SocketAddr>,
}

/// The configuration is being read again.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Requests are served.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The process is on its way out.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

fn tell(states: &[NotifyState<'_>]) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    let sent = send(&socket, message.as_bytes());
    let first = !UNHEARD.swap(sent.is_err(), Ordering::Relaxed);
    match sent {
        Err(error) if first => log::warn!("the service manager does not hear {:?}: {error}", message.trim_end()),
        _ => {}
    }
}

/// One datagram. (`sd_notify::notify` does not know abstract names, which begin with `@`, and waits for a full queue without end.)
fn send(socket: &OsStr, message: &[u8]) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => UnixAddress::from_abstract_name(name)?,
        None => UnixAddress::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(PATIENCE))?;
    sender.send_to_addr(message, &address).map(drop)
}

#[async_trait]
impl BackgroundService for Herald {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        for listener in &self.listeners {
            until_it_accepts(*listener).await;
        }
        ready("serving");
        let Some(patience) = sd_notify::watchdog_enabled() else { return };
        let mut beats = tokio::time::interval(patience / 2);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beats.tick() => tell(&[NotifyState::Watchdog]),
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// Pingora does not tell when its sockets listen: find out as a client would. (The address of all interfaces connects to this machine.)
async fn until_it_accepts(listener: SocketAddr) {
    while TcpStream::connect(listener).await.is_err() {
        tokio::time::sleep(TRY).await;
    }
}
