//! A budget of repeats: of what a provider is asked, only such a share may be asked again. Without it every retry of ours multiplies
//! the load of a provider that is failing under it, just when the clients' own retries do.
//!
//! A repeat is another attempt at the same host. Going elsewhere (another candidate, a key at another host) is none: there it is the
//! first attempt. A fixed number of repeats is always free, so that a calm system retries its rare faults. Time comes in as an argument.
//!
//! Hedges are counted likewise, on an account of their own: there the share is what they may cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::BudgetRules;

/// Counted within this time and the same before it.
const WINDOW: Duration = Duration::from_secs(10);

/// What is paid from a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extra {
    /// An attempt at a host that has failed.
    Repeat,
    /// An attempt beside one that is silent.
    Hedge,
}

/// The budget of one provider. A request costs it one addition; only extras look at the clock and take a lock.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// First attempts, ever.
    requests: AtomicU64,
    repeats: Mutex<Spent>,
    hedges: Mutex<Spent>,
}

/// Extras of this window and the one before, with the count of requests when each began.
#[derive(Debug, Default)]
struct Spent {
    began: Option<Instant>,
    since: u64,
    since_before: u64,
    now: u64,
    before: u64,
}

impl Budget {
    /// Counts a first attempt.
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one extra attempt, if there is one left.
    pub(crate) fn take(&self, extra: Extra, rules: BudgetRules, now: Instant) -> bool {
        if !rules.enabled {
            return true;
        }
        let seen = self.requests.load(Ordering::Relaxed);
        // No step under the lock can panic half-way, so a poisoned lock still guards a whole state.
        let account = if extra == Extra::Hedge { &self.hedges } else { &self.repeats };
        let mut spent = account.lock().unwrap_or_else(PoisonError::into_inner);
        spent.turn(seen, now);
        #[allow(clippy::cast_precision_loss, reason = "requests of twenty seconds")]
        let share = seen.saturating_sub(spent.since_before) as f64 * rules.share;
        #[allow(clippy::cast_precision_loss, reason = "as above")]
        let left = ((spent.now + spent.before) as f64) < f64::from(rules.reserve) + share;
        spent.now += u64::from(left);
        left
    }
}

impl Spent {
    fn turn(&mut self, seen: u64, now: Instant) {
        let age = self.began.map(|began| now.saturating_duration_since(began));
        match age {
            Some(age) if age < WINDOW => {}
            Some(age) if age < WINDOW * 2 => {
                *self = Self { began: Some(now), since: seen, since_before: self.since, now: 0, before: self.now };
            }
            _ => *self = Self { began: Some(now), since: seen, since_before: seen, now: 0, before: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Hedge;

    const RULES: BudgetRules = BudgetRules { enabled: true, share: 0.5, reserve: 4 };

    fn takes(budget: &Budget, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| budget.take(Extra::Repeat, RULES, now)).count()
    }

    #[test]
    fn a_few_are_free_and_the_rest_are_a_share_of_the_requests() {
        let (budget, now) = (Budget::default(), Instant::now());
        assert_eq!(takes(&budget, 10, now), 4);
        (0..20).for_each(|_| budget.request());
        assert_eq!(takes(&budget, 100, now), 10);
    }

    #[test]
    fn what_is_older_than_two_windows_gives_and_costs_nothing() {
        let (budget, began) = (Budget::default(), Instant::now());
        (0..1_000).for_each(|_| budget.request());
        assert_eq!(takes(&budget, 100, began), 4, "requests before the first repeat are not counted");
        assert_eq!(takes(&budget, 100, began + WINDOW), 0, "the window before counts");
        assert_eq!(takes(&budget, 100, began + WINDOW * 3), 4);
    }

    #[test]
    fn hedges_are_a_share_of_the_requests_on_an_account_of_their_own() {
        let (budget, now) = (Budget::default(), Instant::now());
        let rules = Hedge { budget_percent: 5, ..Hedge::default() }.budget();
        let hedges = |tries| (0..tries).filter(|_| budget.take(Extra::Hedge, rules, now)).count();
        assert_eq!(hedges(10), 2, "a small burst");
        (0..100).for_each(|_| budget.request());
        assert_eq!((hedges(100), takes(&budget, 4, now)), (5, 4));
    }

    #[test]
    fn switched_off_it_refuses_nothing() {
        let (budget, now) = (Budget::default(), Instant::now());
        let off = BudgetRules { enabled: false, ..RULES };
        assert!((0..100).all(|_| budget.take(Extra::Repeat, off, now)));
    }
}
