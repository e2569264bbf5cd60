//! SIGHUP: a good configuration takes effect for new requests, a bad one is refused with its reasons and the old one stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Snapshot;
use crate::listen::tls::Certificates;
use crate::live::Live;
use crate::notify;
use crate::source::Source;
use crate::telemetry::Telemetry;
use crate::upstream::pool::Pool;

/// How often idle connections and kept answers are looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// Reloads on SIGHUP, opens the access log's file anew on SIGUSR1, and sweeps idle connections and old answers in between.
pub struct Reload {
    /// Where the configuration comes from.
    pub source: Source,
    /// The configuration in force.
    pub live: Arc<ArcSwap<Live>>,
    /// Told of each reload.
    pub telemetry: Arc<Telemetry>,
    /// Swept now and then.
    pub pool: Arc<Pool>,
    /// Renewed by each reload.
    pub certificates: Certificates,
    /// A SIGHUP came before this service listened.
    pub pending: Arc<AtomicBool>,
}

impl Reload {
    fn reload(&self) {
        notify::reloading();
        match self.source.load() {
            Ok(snapshot) => {
                let current = self.live.load();
                for key in unchangeable(&current.snapshot, &snapshot) {
                    log::warn!("reload: `{key}` changed, which takes a restart; the old value stays in force");
                }
                snapshot.notices.iter().for_each(|notice| log::warn!("{notice}"));
                self.pool.prepare(&snapshot);
                self.telemetry.follow(&snapshot);
                self.certificates.renew(&snapshot);
                if let Err(error) = self.telemetry.trace(snapshot.observability.traces.clone()) {
                    log::error!("reload: spans go nowhere: {error}");
                }
                self.live.store(Arc::new(Live::new(snapshot, Some(&current))));
                self.telemetry.reload(true);
                log::info!("reload: {} is in force", self.source.name());
                notify::ready("serving; the configuration was read again");
            }
            Err(problems) => {
                problems.iter().for_each(|problem| log::error!("{problem}"));
                self.telemetry.reload(false);
                log::error!("reload: {} was refused; the old configuration stays in force", self.source.name());
                notify::ready("serving by the old configuration; the new one was refused");
            }
        }
    }
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let Ok(mut hangups) = signal(SignalKind::hangup()) else {
            return log::error!("cannot listen for SIGHUP: the configuration cannot be reloaded");
        };
        if self.pending.swap(false, Ordering::AcqRel) {
            self.reload();
        }
        let Ok(mut reopens) = signal(SignalKind::user_defined1()) else { return log::error!("cannot listen for SIGUSR1") };
        let mut sweeps = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                _ = hangups.recv() => self.reload(),
                _ = reopens.recv() => self.telemetry.reopen(),
                _ = sweeps.tick() => {
                    self.pool.sweep();
                    self.live.load().sweep_cache(Instant::now());
                }
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// What a reload cannot change.
fn unchangeable(old: &Snapshot, new: &Snapshot) -> Vec<&'static str> {
    let keys = [
        ("listen", listeners_differ(old, new)),
        ("admin.listen", old.admin_listen != new.admin_listen),
        ("threads", old.threads != new.threads),
    ];
    keys.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}

fn listeners_differ(old: &Snapshot, new: &Snapshot) -> bool {
    old.listen.len() != new.listen.len() || old.listen.iter().zip(&new.listen).any(|(old, new)| old.is_another(new))
}
