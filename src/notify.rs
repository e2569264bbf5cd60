//! Words to the service manager (sd_notify). Without one (`NOTIFY_SOCKET` unset) they go nowhere.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use sd_notify::NotifyState;
use tokio::net::TcpStream;

/// How often the listeners are tried until they accept.
const TRY: Duration = Duration::from_millis(5);

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
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("cannot tell the service manager: {error}");
    }
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
