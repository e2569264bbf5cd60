//! How many requests may be under way at one provider, and how many may wait for a place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::{Concurrency, Snapshot};

/// The gates of a snapshot's providers, in its order; providers without a bound have none.
#[derive(Debug, Default)]
pub struct Gates(Vec<(String, Option<Arc<Gate>>)>);

/// The bound of one provider. First come, first served.
#[derive(Debug)]
pub struct Gate {
    bound: Concurrency,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place at a provider, given back when dropped.
#[derive(Debug)]
pub struct Permit(#[allow(dead_code)] OwnedSemaphorePermit); // Held for its drop.

/// There was no place. Not the client's fault; another candidate, or the same a moment later, may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// As many as may wait are waiting already.
    #[error("the provider's queue is full")]
    Queue,
    /// None became free within the queue's time or the deadline.
    #[error("no place at the provider became free in time")]
    Waited,
}

impl Gates {
    /// The gates for a snapshot. A provider whose bound did not change keeps its gate, with all that holds or waits for a place.
    /// One whose bound changed gets a new gate, so that until the requests under way have ended both bounds may be used up.
    #[must_use]
    pub fn build(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let bounds = snapshot.providers.iter().map(|provider| (provider.name.as_str(), provider.concurrency));
        Self::build_from(bounds, previous)
    }

    fn build_from<'a>(bounds: impl Iterator<Item = (&'a str, Option<Concurrency>)>, previous: Option<&Self>) -> Self {
        let kept = |name: &str, bound| {
            let (_, gate) = previous?.0.iter().find(|(former, _)| former == name)?;
            gate.clone().filter(|gate| gate.bound == bound)
        };
        let gate = |name: &str, bound| kept(name, bound).unwrap_or_else(|| Arc::new(Gate::new(bound)));
        Self(bounds.map(|(name, bound)| (name.to_owned(), bound.map(|bound| gate(name, bound)))).collect())
    }

    /// How every gate stands: provider, places taken, requests waiting.
    pub fn standings(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.0.iter().filter_map(|(name, gate)| gate.as_deref().map(|gate| (name.as_str(), gate.taken(), gate.waiting())))
    }

    /// The gate of the provider with this index, if it is bounded.
    #[must_use]
    pub fn of(&self, provider: usize) -> Option<&Gate> {
        self.0.get(provider)?.1.as_deref()
    }
}

impl Gate {
    /// A gate with nobody inside.
    #[must_use]
    pub fn new(bound: Concurrency) -> Self {
        let places = bound.limit.min(Semaphore::MAX_PERMITS);
        Self { bound, places: Arc::new(Semaphore::new(places)), waiting: AtomicUsize::new(0) }
    }

    /// Takes a place, waiting at most the queue's time and not past the deadline. May be cancelled: that gives the turn up.
    ///
    /// # Errors
    /// [`Full`], at once if the queue is full too.
    pub async fn enter(&self, deadline: Instant) -> Result<Permit, Full> {
        if let Some(permit) = self.try_enter() {
            return Ok(permit);
        }
        let _waiting = Waiting::join(self)?;
        let until = (Instant::now() + Duration::from_millis(self.bound.queue_ms)).min(deadline);
        match tokio::time::timeout_at(until.into(), Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => Ok(Permit(place)),
            _ => Err(Full::Waited),
        }
    }

    /// Takes a place if one is free now.
    #[must_use]
    pub fn try_enter(&self) -> Option<Permit> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(Permit)
    }

    /// How many are inside.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.bound.limit.min(Semaphore::MAX_PERMITS).saturating_sub(self.places.available_permits())
    }

    /// How many wait now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// One of those who wait, until dropped.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn join(gate: &'a Gate) -> Result<Self, Full> {
        let joined = |waiting: usize| (waiting < gate.bound.queue).then_some(waiting + 1);
        gate.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, joined).map_err(|_| Full::Queue)?;
        Ok(Self(gate))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(limit: usize, queue: usize, queue_ms: u64) -> Arc<Gate> {
        Arc::new(Gate::new(Concurrency { limit, queue, queue_ms }))
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    async fn until_waiting(gate: &Gate, count: usize) {
        while gate.waiting() != count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn those_who_wait_enter_in_order_and_one_too_many_is_turned_away() {
        let gate = gate(1, 2, 10_000);
        let inside = gate.enter(later()).await.unwrap();
        let (entered, mut order) = tokio::sync::mpsc::unbounded_channel();
        for name in [1, 2] {
            let (gate, entered) = (Arc::clone(&gate), entered.clone());
            let known = gate.waiting() + 1;
            let waiter = Arc::clone(&gate);
            tokio::spawn(async move {
                let _place = waiter.enter(later()).await.unwrap();
                entered.send(name).unwrap();
            });
            until_waiting(&gate, known).await;
        }
        assert_eq!(gate.enter(later()).await.unwrap_err(), Full::Queue);
        drop(inside);
        assert_eq!([order.recv().await, order.recv().await], [Some(1), Some(2)]);
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_queues_time_or_the_deadline() {
        let gate = gate(1, 1, 20);
        let _inside = gate.enter(later()).await.unwrap();
        assert_eq!(gate.enter(later()).await.unwrap_err(), Full::Waited);
        assert_eq!(gate.enter(Instant::now()).await.unwrap_err(), Full::Waited);
        assert_eq!(gate.waiting(), 0);
    }

    #[tokio::test]
    async fn one_who_gives_up_frees_its_turn() {
        let gate = gate(1, 1, 10_000);
        let inside = gate.enter(later()).await.unwrap();
        let waiter = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(later()).await.map(drop) }
        });
        until_waiting(&gate, 1).await;
        waiter.abort();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert_eq!(gate.waiting(), 0);
        drop(inside);
        assert!(gate.enter(Instant::now()).await.is_ok());
    }

    #[test]
    fn an_unchanged_bound_keeps_its_gate_over_a_reload() {
        let bound = Concurrency { limit: 1, queue: 1, queue_ms: 1 };
        let named = |name: &str, bound| Gates::build_from([(name, Some(bound)), ("free", None)].into_iter(), None);
        let first = named("p", bound);
        let again = Gates::build_from([("p", Some(bound))].into_iter(), Some(&first));
        assert!(std::ptr::eq(first.of(0).unwrap(), again.of(0).unwrap()));
        assert!(first.of(1).is_none() && first.of(2).is_none());
        let wider = Gates::build_from([("p", Some(Concurrency { limit: 2, ..bound }))].into_iter(), Some(&first));
        assert!(!std::ptr::eq(first.of(0).unwrap(), wider.of(0).unwrap()));
    }
}
