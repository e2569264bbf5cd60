//! The way out: say so, let requests finish, go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::drain::Flights;
use crate::live::Live;
use crate::notify;
use crate::readiness::Readiness;
use crate::telemetry::Telemetry;

/// How often the requests in flight are counted.
const LOOK: Duration = Duration::from_millis(20);
/// How long requests that are cut may take to say so to their clients.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long the last lines of the access log may take.
const FLUSH: Duration = Duration::from_secs(2);

/// Turns SIGTERM into a drain and SIGINT into an end. Pingora's own graceful stop is a sleep, and cuts streams.
pub struct Stop {
    /// For the drain's clocks.
    pub live: Arc<ArcSwap<Live>>,
    /// Told first.
    pub readiness: Arc<Readiness>,
    /// Waited for.
    pub flights: Arc<Flights>,
    /// Closes the listeners.
    pub close: watch::Sender<bool>,
    /// Flushed last.
    pub telemetry: Arc<Telemetry>,
}

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            log::error!("cannot listen for signals");
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {
                tokio::select! {
                    () = self.drain() => {}
                    // Asked twice: now.
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            _ = interrupt.recv() => notify::stopping("stopping at once"),
        }
        self.telemetry.flush(FLUSH);
        ShutdownSignal::FastShutdown
    }
}

impl Stop {
    /// Readiness says no and every answer closes its connection, so that balancers and clients move on; then the listeners close, and
    /// with them the connections that are idle; then the requests in flight are waited for.
    async fn drain(&self) {
        let (notice, deadline) = self.clocks();
        let began = Instant::now();
        self.readiness.drain();
        self.flights.stop();
        notify::stopping("draining");
        log::info!("draining: {} requests in flight", self.flights.count());
        tokio::time::sleep(notice.min(deadline)).await;
        self.close.send_replace(true);
        log::info!("draining: no more connections, {} requests in flight", self.flights.count());
        // What has arrived already is given a moment to be read.
        tokio::time::sleep(LOOK).await;
        if self.ends_within(deadline.saturating_sub(began.elapsed())).await {
            return log::info!("drained");
        }
        log::warn!("{} requests still in flight after {} ms: cutting them", self.flights.count(), deadline.as_millis());
        self.flights.cut();
        self.ends_within(LAST_WORDS).await;
    }

    fn clocks(&self) -> (Duration, Duration) {
        let live = self.live.load();
        (Duration::from_millis(live.snapshot.drain_notice_ms), Duration::from_millis(live.snapshot.drain_deadline_ms))
    }

    /// Whether nothing was in flight any more before the time was over.
    async fn ends_within(&self, patience: Duration) -> bool {
        let ended = async {
            while self.flights.count() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(patience, ended).await.is_ok()
    }
}
