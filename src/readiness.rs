//! Whether this process wants traffic. Answered on both listeners.

use std::sync::atomic::{AtomicBool, Ordering};

/// Paths that ask whether the process lives. Beside ours, the names that other gateways' probes use.
const LIVE: &[&str] = &["/healthz", "/livez", "/health", "/health/liveness", "/health/liveliness"];
/// Paths that ask whether it wants traffic.
const READY: &[&str] = &["/readyz", "/health/readiness"];

/// Ready or draining. A fresh one is ready; [`drain`](Self::drain) is final.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: AtomicBool,
}

/// An answer to a health check: status and a JSON body.
pub type Answer = (u16, &'static str);

impl Readiness {
    /// A stop was asked for: from now on `/readyz` says 503, so that a balancer moves away.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The answer to a health check's path; `None` if the path is another.
    #[must_use]
    pub fn answer(&self, path: &str) -> Option<Answer> {
        if LIVE.contains(&path) {
            return Some((200, "{\"status\":\"ok\"}\n"));
        }
        let draining = READY.contains(&path).then(|| self.is_draining())?;
        Some(if draining { (503, "{\"status\":\"draining\"}\n") } else { (200, "{\"status\":\"ready\"}\n") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_ends_readiness_but_not_life() {
        let readiness = Readiness::default();
        let status = |path| readiness.answer(path).map(|(status, _)| status);
        assert_eq!([status("/healthz"), status("/readyz"), status("/v1/models")], [Some(200), Some(200), None]);
        readiness.drain();
        assert!(LIVE.iter().all(|path| status(path) == Some(200)) && READY.iter().all(|path| status(path) == Some(503)));
    }
}
