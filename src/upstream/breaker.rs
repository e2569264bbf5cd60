//! A breaker: who has stopped answering is asked last, so that its time-outs are paid once and not by every request.
//!
//! One stands for a model at a host. Closed, it counts; a time-out, several faults in a row, or too large a share of them within a
//! window open it. After a rest, which doubles with every failed trial, a single request tries; its answer closes the breaker.
//! It orders and does not forbid: with nothing else left, an open breaker lets everything through. Time comes in as an argument.
//!
//! It costs a request four looks: together with the budget's addition 0.2 µs where the model never failed at the host, 0.6 µs where it
//! did (x86-64, 2 busy cores).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::config::BreakerRules;

/// Model names come from clients: so many are remembered for a host.
const MODELS_MAX: usize = 1_024;

/// How a breaker stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// To be used.
    Closed,
    /// To be used last, until a trial may be made.
    Open {
        /// When.
        until: Instant,
    },
    /// The rest is over: one request may try, or is trying.
    HalfOpen {
        /// One is trying.
        trying: bool,
    },
}

impl BreakerState {
    /// Its word in logs and metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half_open",
        }
    }

    /// Whether the next request may be sent: closed, or half-open with nobody trying.
    #[must_use]
    pub const fn admits(self) -> bool {
        matches!(self, Self::Closed | Self::HalfOpen { trying: false })
    }
}

/// What a failed attempt says of its host, for [`super::select::Lanes::blame`]. [`super::verdict::blame`] derives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It failed.
    Fault,
    /// It did not answer within a fair time: nobody should wait for it again.
    Timeout,
    /// It answered, and the failure is the credential's or the request's.
    None,
}

/// The breakers of one host, by model.
#[derive(Debug, Default)]
pub(crate) struct Breakers(RwLock<HashMap<Box<str>, Arc<Breaker>>>);

/// The breaker of a model at a host.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Faults in a row.
    faults: u32,
    window: Window,
    open: Option<Opened>,
    /// How often it opened without an answer since.
    strikes: u32,
    /// The trial under way, by its number.
    trying: Option<u64>,
    trials: u64,
}

#[derive(Debug, Clone, Copy)]
struct Opened {
    at: Instant,
    until: Instant,
}

/// Answers and faults of this window and the one before.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    now: Count,
    before: Count,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    all: u32,
    faults: u32,
}

/// The right to try a host that rests. One at a time; given back when dropped.
#[derive(Debug)]
pub struct Trial {
    breaker: Arc<Breaker>,
    number: u64,
}

impl Breakers {
    /// How a model's breaker stands.
    pub(crate) fn state(&self, model: &str, now: Instant) -> BreakerState {
        self.get(model).map_or(BreakerState::Closed, |breaker| breaker.state(now))
    }

    /// Takes the right to try, where the breaker is half-open. `Err` where it does not admit the request.
    pub(crate) fn admit(&self, model: &str, now: Instant) -> Result<Option<Trial>, BreakerState> {
        self.get(model).map_or(Ok(None), |breaker| breaker.admit(now))
    }

    /// Counts a fault.
    pub(crate) fn fault(&self, model: &str, timeout: bool, rules: BreakerRules, now: Instant) {
        if let Some(breaker) = self.of(model, now) {
            breaker.fault(timeout, rules, now);
        }
    }

    /// An attempt that began at `began` was answered: well, if `well`; else the failure was not the host's.
    pub(crate) fn answered(&self, model: &str, well: bool, rules: BreakerRules, began: Instant, now: Instant) {
        // Nothing is remembered of a model that has never failed.
        if let Some(breaker) = self.get(model) {
            breaker.answered(well, rules, began, now);
        }
    }

    /// Closes every breaker.
    pub(crate) fn forget(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Every breaker that is not closed, with its model.
    pub(crate) fn open(&self, now: Instant) -> Vec<(String, BreakerState)> {
        let breakers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let states = breakers.iter().map(|(model, breaker)| (model.to_string(), breaker.state(now)));
        let mut open: Vec<_> = states.filter(|(_, state)| *state != BreakerState::Closed).collect();
        open.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        open
    }

    fn get(&self, model: &str) -> Option<Arc<Breaker>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(model).cloned()
    }

    fn of(&self, model: &str, now: Instant) -> Option<Arc<Breaker>> {
        if let Some(breaker) = self.get(model) {
            return Some(breaker);
        }
        let mut breakers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if breakers.len() >= MODELS_MAX {
            breakers.retain(|_, breaker| breaker.state(now) != BreakerState::Closed);
        }
        (breakers.len() < MODELS_MAX).then(|| Arc::clone(breakers.entry(model.into()).or_default()))
    }
}

impl Breaker {
    fn state(&self, now: Instant) -> BreakerState {
        self.with(|state| state.read(now))
    }

    fn admit(self: &Arc<Self>, now: Instant) -> Result<Option<Trial>, BreakerState> {
        self.with(|state| match state.read(now) {
            BreakerState::Closed => Ok(None),
            BreakerState::HalfOpen { trying: false } => {
                state.trials += 1;
                state.trying = Some(state.trials);
                Ok(Some(Trial { breaker: Arc::clone(self), number: state.trials }))
            }
            other => Err(other),
        })
    }

    fn fault(&self, timeout: bool, rules: BreakerRules, now: Instant) {
        if !rules.enabled {
            return;
        }
        self.with(|state| {
            state.faults = state.faults.saturating_add(1);
            state.window.count(true, rules, now);
            let opens = match state.read(now) {
                // Faults of requests that were under way when it opened are of the same failure.
                BreakerState::Open { .. } => false,
                BreakerState::HalfOpen { .. } => true,
                BreakerState::Closed => timeout || state.faults >= rules.consecutive || state.window.is_bad(rules),
            };
            if opens {
                let rest = rules.open_ms.saturating_mul(1 << state.strikes.min(16)).min(rules.open_max_ms.max(rules.open_ms));
                state.strikes = state.strikes.saturating_add(1);
                state.open = Some(Opened { at: now, until: now + Duration::from_millis(rest) });
            }
        });
    }

    fn answered(&self, well: bool, rules: BreakerRules, began: Instant, now: Instant) {
        self.with(|state| match state.open {
            // It began before: it says nothing of what failed since.
            Some(opened) if began <= opened.at => {}
            // The trial is over, even if its answer goes on for long.
            Some(_) => *state = State { trials: state.trials, ..State::default() },
            None if well => {
                state.faults = 0;
                state.strikes = 0;
                state.window.count(false, rules, now);
            }
            None => {}
        });
    }

    /// No step under the lock can panic half-way, so a poisoned lock still guards a whole state.
    fn with<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        step(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn read(&self, now: Instant) -> BreakerState {
        match self.open {
            None => BreakerState::Closed,
            Some(opened) if now < opened.until => BreakerState::Open { until: opened.until },
            Some(_) => BreakerState::HalfOpen { trying: self.trying.is_some() },
        }
    }
}

impl Window {
    fn count(&mut self, fault: bool, rules: BreakerRules, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let (age, length) = (now.saturating_duration_since(began), Duration::from_millis(rules.window_ms));
        if age >= length {
            self.before = if age < length * 2 { self.now } else { Count::default() };
            self.now = Count::default();
            self.began = Some(now);
        }
        self.now.all = self.now.all.saturating_add(1);
        self.now.faults = self.now.faults.saturating_add(u32::from(fault));
    }

    fn is_bad(&self, rules: BreakerRules) -> bool {
        let all = self.now.all.saturating_add(self.before.all);
        let faults = self.now.faults.saturating_add(self.before.faults);
        all >= rules.min_requests && f64::from(faults) >= f64::from(all) * rules.error_rate
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.breaker.with(|state| state.trying = state.trying.filter(|number| *number != self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BreakerRules = BreakerRules::DEFAULT;

    fn rest(breaker: &Breaker, now: Instant) -> Option<u128> {
        match breaker.state(now) {
            BreakerState::Open { until } => Some((until - now).as_millis()),
            _ => None,
        }
    }

    #[test]
    fn a_timeout_opens_it_at_once() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        breaker.fault(true, RULES, now);
        assert_eq!(rest(&breaker, now), Some(2_000));
    }

    #[test]
    fn faults_in_a_row_open_it_and_an_answer_between_them_starts_again() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        (0..4).for_each(|_| breaker.fault(false, RULES, now));
        breaker.answered(true, RULES, now, now);
        (0..4).for_each(|_| breaker.fault(false, RULES, now));
        assert_eq!(breaker.state(now), BreakerState::Closed);
        breaker.fault(false, RULES, now);
        assert!(rest(&breaker, now).is_some());
    }

    #[test]
    fn half_of_a_windows_requests_open_it_and_forty_percent_do_not() {
        for (faults_in_ten, opens) in [(4, false), (5, true)] {
            let (breaker, now) = (Breaker::default(), Instant::now());
            for turn in 0..40 {
                if turn * 7 % 10 < faults_in_ten {
                    breaker.fault(false, RULES, now);
                } else {
                    breaker.answered(true, RULES, now, now);
                }
            }
            assert_eq!(rest(&breaker, now).is_some(), opens, "{faults_in_ten} of ten");
        }
    }

    #[test]
    fn what_is_older_than_two_windows_is_forgotten() {
        let (mut window, began) = (Window::default(), Instant::now());
        (0..30).for_each(|_| window.count(true, RULES, began));
        assert!(window.is_bad(RULES));
        window.count(false, RULES, began + Duration::from_secs(25));
        assert!(!window.is_bad(RULES));
    }

    #[test]
    fn one_request_tries_and_its_answer_closes() {
        let (breaker, now) = (Arc::new(Breaker::default()), Instant::now());
        breaker.fault(true, RULES, now);
        assert!(breaker.admit(now).is_err());
        let due = now + Duration::from_secs(2);
        let trial = breaker.admit(due).unwrap();
        assert!(trial.is_some());
        assert_eq!(breaker.admit(due).unwrap_err(), BreakerState::HalfOpen { trying: true });
        breaker.answered(true, RULES, due, due);
        drop(trial);
        assert_eq!(breaker.state(due), BreakerState::Closed);
    }

    #[test]
    fn a_failed_trial_doubles_the_rest_and_one_given_up_leaves_it_to_the_next() {
        let (breaker, mut now) = (Arc::new(Breaker::default()), Instant::now());
        for expected in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            let trial = breaker.admit(now);
            breaker.fault(true, RULES, now);
            drop(trial);
            assert_eq!(rest(&breaker, now), Some(expected));
            now += Duration::from_millis(u64::try_from(expected).unwrap());
        }
        drop(breaker.admit(now));
        assert!(breaker.admit(now).unwrap().is_some());
    }

    #[test]
    fn an_answer_to_what_began_before_says_nothing() {
        let (breaker, began) = (Breaker::default(), Instant::now());
        let now = began + Duration::from_secs(5);
        breaker.fault(true, RULES, now);
        breaker.answered(true, RULES, began, now);
        assert!(rest(&breaker, now).is_some());
    }

    #[test]
    fn switched_off_it_stays_closed() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        (0..50).for_each(|_| breaker.fault(true, BreakerRules { enabled: false, ..RULES }, now));
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }
}
