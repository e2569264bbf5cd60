//! How a credential has been doing: requests under way, and moving averages of what became of the last ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the newest attempt weighs in an average: about the last twenty count.
const NEWEST: f64 = 0.1;

/// How one credential has been doing. Survives a reload that does not change it.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    in_flight: AtomicUsize,
    averages: Mutex<Averages>,
}

/// Moving averages over a credential's attempts.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Averages {
    /// Until the first content of an answered attempt, in milliseconds; `None` before any.
    pub first_content_ms: Option<f64>,
    /// The share of attempts that failed by the credential's or the host's fault, from 0 to 1; `None` before any.
    pub error_rate: Option<f64>,
}

/// An attempt under way, until dropped.
#[derive(Debug)]
pub struct Busy(Arc<Pace>);

impl Pace {
    pub(crate) fn enter(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn averages(&self) -> Averages {
        *self.averages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn succeeded(&self, took: Duration) {
        let mut averages = self.averages.lock().unwrap_or_else(PoisonError::into_inner);
        moved(&mut averages.first_content_ms, took.as_secs_f64() * 1_000.0);
        moved(&mut averages.error_rate, 0.0);
    }

    /// An attempt was given up before its first content: that would have taken at least so long.
    pub(crate) fn outlasted(&self, took: Duration) {
        let mut averages = self.averages.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = took.as_secs_f64() * 1_000.0;
        if averages.first_content_ms.is_none_or(|average| average < ms) {
            moved(&mut averages.first_content_ms, ms);
        }
    }

    pub(crate) fn failed(&self) {
        moved(&mut self.averages.lock().unwrap_or_else(PoisonError::into_inner).error_rate, 1.0);
    }
}

fn moved(average: &mut Option<f64>, newest: f64) {
    *average = Some(average.map_or(newest, |former| former + NEWEST * (newest - former)));
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_follow_the_last_attempts() {
        let pace = Arc::new(Pace::default());
        assert_eq!(pace.averages(), Averages::default());
        (0..100).for_each(|_| pace.succeeded(Duration::from_millis(200)));
        pace.failed();
        let Averages { first_content_ms, error_rate } = pace.averages();
        assert!((first_content_ms.unwrap() - 200.0).abs() < 1e-6 && (error_rate.unwrap() - NEWEST).abs() < 1e-6);
    }

    #[test]
    fn one_that_was_given_up_moves_an_average_upwards_alone() {
        let pace = Arc::new(Pace::default());
        pace.outlasted(Duration::from_millis(100));
        pace.outlasted(Duration::from_millis(50));
        assert_eq!(pace.averages(), Averages { first_content_ms: Some(100.0), error_rate: None });
        pace.outlasted(Duration::from_millis(200));
        assert!(pace.averages().first_content_ms.is_some_and(|ms| (ms - 110.0).abs() < 1e-6));
    }

    #[test]
    fn what_is_under_way_is_counted_until_dropped() {
        let pace = Arc::new(Pace::default());
        let both = (pace.enter(), pace.enter());
        assert_eq!(pace.in_flight(), 2);
        drop(both);
        assert_eq!(pace.in_flight(), 0);
    }
}
