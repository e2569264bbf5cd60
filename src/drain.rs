//! Who is still in flight: a stop waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts requests in flight. One for the process.
#[derive(Debug, Default)]
pub struct Flights(AtomicUsize);

/// A request in flight; ends when dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Flights>);

impl Flights {
    /// A request begins.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.0.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Requests in flight.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
