//! The way out: say so, let requests finish, go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{SignalKind, signal};

use crate::drain::Flights;
use crate::live::Live;
use crate::readiness::Readiness;
use crate::telemetry::Telemetry;

/// How often the requests in flight are counted.
const LOOK: Duration = Duration::from_millis(20);
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
            _ = interrupt.recv() => {}
        }
        self.telemetry.flush(FLUSH);
        ShutdownSignal::FastShutdown
    }
}

impl Stop {
    /// Readiness says no and every answer closes its connection, so that balancers and clients move on; then the requests in flight
    /// are waited for.
    async fn drain(&self) {
        let (notice, deadline) = {
            let live = self.live.load();
            (Duration::from_millis(live.snapshot.drain_notice_ms), Duration::from_millis(live.snapshot.drain_deadline_ms))
        };
        let began = Instant::now();
        self.readiness.drain();
        log::info!("draining: {} requests in flight", self.flights.count());
        tokio::time::sleep(notice.min(deadline)).await;
        while self.flights.count() > 0 && began.elapsed() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        match self.flights.count() {
            0 => log::info!("drained"),
            left => log::warn!("{left} requests still in flight after {} ms: cutting them", deadline.as_millis()),
        }
    }
}
