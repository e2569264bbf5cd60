//! What a provider's faults left behind: a cool-down, a switch-off, a probe under way.
//!
//! A `Cell` holds it for one credential, or for one model of a provider (overload). Time comes in as an argument.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first guessed cool-down; each further one in a row is twice as long.
const GUESS_FIRST: Duration = Duration::from_secs(2);
/// The longest guessed cool-down.
const GUESS_MAX: Duration = Duration::from_secs(60);
/// So much of a guess is left to chance.
const JITTER: f64 = 0.25;
/// The longest cool-down that an upstream's word alone brings about: a wrong header must not cost a credential for days.
const STATED_MAX: Duration = Duration::from_secs(3_600);
/// How long a credential rests whose account has nothing left to spend.
const UNPAID: Duration = Duration::from_secs(600);

/// What a fault asks to be remembered. [`super::verdict::cooldown`] derives it from an attempt's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cooldown {
    /// 429: the credential, for as long as the upstream said, else a guess of 2 s that doubles to 60 s.
    RateLimited(Option<Duration>),
    /// 529: the model at this provider, whatever the credential; as long as a 429.
    Overloaded(Option<Duration>),
    /// 401: the credential, until the next reload.
    Refused,
    /// 403: the credential for this model, until the next reload. Not for all its models: which model is asked is the client's
    /// choice, and one client asking for a model the account lacks must not switch the credential off for everyone. A raw
    /// request that names no model (`GET /openai/v1/models`) has none to remember it for: the next key is tried, and it is forgotten.
    Forbidden,
    /// 402, or a 429 that waiting does not cure (`insufficient_quota`): the credential, for 10 minutes.
    Unpaid,
}

/// How a credential, or a model of a provider, stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// To be used.
    Healthy,
    /// To be used last.
    Cooling {
        /// Until when.
        until: Instant,
        /// The upstream said so (`Retry-After`); else it is our guess.
        stated: bool,
    },
    /// Not to be used.
    Off,
}

/// Live state of one credential or one model. Shared by every configuration that names it.
#[derive(Debug, Default)]
pub(crate) struct Cell(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    off: Option<Off>,
    cool: Option<(Instant, bool)>,
    /// The cool-down is a drill's.
    by_drill: bool,
    /// Guessed cool-downs in a row.
    strikes: u32,
    failed_at: Option<Instant>,
    probing: bool,
}

#[derive(Debug, Clone, Copy)]
enum Off {
    UntilReload,
    Until(Instant),
}

/// The right to try something that is cooling down. One at a time; given back when dropped.
#[derive(Debug)]
pub struct Probe(Arc<Cell>);

impl Cell {
    /// How it stands now.
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        self.with(|state| match (state.off, state.cool) {
            (Some(Off::UntilReload), _) => Standing::Off,
            (Some(Off::Until(until)), _) if now < until => Standing::Off,
            (_, Some((until, stated))) if now < until => Standing::Cooling { until, stated },
            _ => Standing::Healthy,
        })
    }

    /// Starts or prolongs a cool-down. Faults of attempts that ran side by side are one strike; that of a probe is another. `chance`,
    /// from 0 to 1, takes up to a quarter from a guess, so that gateways and keys that failed together do not come back together.
    pub(crate) fn cool(&self, stated: Option<Duration>, chance: f64, now: Instant) {
        self.with(|state| {
            state.failed_at = Some(now);
            let current = state.cool.filter(|(until, _)| now < *until && !state.by_drill);
            state.by_drill = false;
            match stated {
                Some(wait) => {
                    let until = now + wait.min(STATED_MAX);
                    let longer = current.filter(|(other, stated)| *stated && *other > until);
                    state.cool = longer.or(Some((until, true)));
                }
                None if current.is_some() && !state.probing => {}
                None => {
                    let doubled = GUESS_FIRST.saturating_mul(1 << state.strikes.min(16));
                    state.strikes = state.strikes.saturating_add(1);
                    let guess = doubled.min(GUESS_MAX).mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0));
                    state.cool = Some((now + guess, false));
                }
            }
        });
    }

    /// Rests as long as a drill says, which [`Cell::rested`] ends; a rest that the upstream brought about is left as it is.
    pub(crate) fn drill(&self, wait: Duration, now: Instant) {
        self.with(|state| {
            if state.by_drill || state.cool.is_none_or(|(until, _)| until <= now) {
                state.failed_at = Some(now);
                state.cool = Some((now + wait, true));
                state.by_drill = true;
            }
        });
    }

    /// Switches off until the next reload.
    pub(crate) fn refuse(&self, now: Instant) {
        self.with(|state| {
            state.failed_at = Some(now);
            state.off = Some(Off::UntilReload);
        });
    }

    /// Switches off until the account may have been paid.
    pub(crate) fn unpaid(&self, now: Instant) {
        self.with(|state| {
            state.failed_at = Some(now);
            if !matches!(state.off, Some(Off::UntilReload)) {
                state.off = Some(Off::Until(now + UNPAID));
            }
        });
    }

    /// An attempt succeeded: forgets every fault, unless it is younger than the attempt, which then says nothing of it.
    pub(crate) fn success(&self, began: Instant) {
        self.with(|state| {
            if state.failed_at.is_some_and(|failed| began >= failed) {
                *state = State { probing: state.probing, ..State::default() };
            }
        });
    }

    /// Ends a cool-down that a drill brought about. What the upstream said stands.
    pub(crate) fn rested(&self) {
        self.with(|state| {
            if std::mem::take(&mut state.by_drill) {
                state.cool = None;
            }
        });
    }

    /// A reload lifts what holds until a reload.
    pub(crate) fn reloaded(&self) {
        self.with(|state| {
            if matches!(state.off, Some(Off::UntilReload)) {
                state.off = None;
            }
        });
    }

    /// Takes the right to probe, unless another attempt holds it.
    pub(crate) fn probe(self: &Arc<Self>) -> Option<Probe> {
        self.with(|state| !std::mem::replace(&mut state.probing, true)).then(|| Probe(Arc::clone(self)))
    }

    /// No step under the lock can panic half-way, so a poisoned lock still guards a whole state.
    fn with<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        step(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.with(|state| state.probing = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn until(cell: &Cell, now: Instant) -> Option<(Duration, bool)> {
        match cell.standing(now) {
            Standing::Cooling { until, stated } => Some((until - now, stated)),
            _ => None,
        }
    }

    #[test]
    fn a_guess_doubles_to_a_minute_and_a_success_resets_it() {
        let (cell, mut now) = (Cell::default(), Instant::now());
        for expected in [2, 4, 8, 16, 32, 60, 60] {
            cell.cool(None, 0.0, now);
            assert_eq!(until(&cell, now), Some((seconds(expected), false)));
            now += seconds(expected);
            assert_eq!(cell.standing(now), Standing::Healthy);
        }
        cell.success(now);
        cell.cool(None, 0.0, now);
        assert_eq!(until(&cell, now), Some((seconds(2), false)));
    }

    #[test]
    fn faults_side_by_side_are_one_strike_and_a_probes_is_another() {
        let (cell, now) = (Arc::new(Cell::default()), Instant::now());
        (0..20).for_each(|_| cell.cool(None, 0.0, now));
        assert_eq!(until(&cell, now), Some((seconds(2), false)));
        let probe = cell.probe();
        cell.cool(None, 0.0, now + seconds(1));
        drop(probe);
        assert_eq!(until(&cell, now + seconds(1)), Some((seconds(4), false)));
    }

    #[test]
    fn what_was_stated_wins_over_a_guess_and_the_longer_over_the_shorter() {
        let (cell, now) = (Cell::default(), Instant::now());
        cell.cool(None, 0.0, now);
        cell.cool(Some(seconds(30)), 0.0, now);
        cell.cool(Some(seconds(5)), 0.0, now);
        cell.cool(None, 0.0, now);
        assert_eq!(until(&cell, now), Some((seconds(30), true)));
        cell.cool(Some(seconds(1_000_000)), 0.0, now);
        assert_eq!(until(&cell, now), Some((STATED_MAX, true)));
    }

    #[test]
    fn a_success_that_began_before_the_fault_says_nothing_of_it() {
        let (cell, began) = (Cell::default(), Instant::now());
        let now = began + seconds(5);
        cell.cool(None, 0.0, now);
        cell.success(began);
        assert!(until(&cell, now).is_some());
        cell.success(now);
        assert_eq!(cell.standing(now), Standing::Healthy);
    }

    #[test]
    fn one_probe_at_a_time() {
        let cell = Arc::new(Cell::default());
        let first = cell.probe();
        assert!(first.is_some() && cell.probe().is_none());
        drop(first);
        assert!(cell.probe().is_some());
    }

    #[test]
    fn off_until_reload_or_ten_minutes() {
        let (cell, now) = (Cell::default(), Instant::now());
        cell.unpaid(now);
        cell.reloaded();
        assert_eq!(cell.standing(now + seconds(599)), Standing::Off);
        assert_eq!(cell.standing(now + seconds(600)), Standing::Healthy);
        cell.refuse(now);
        assert_eq!(cell.standing(now + seconds(100_000)), Standing::Off);
        cell.reloaded();
        assert_eq!(cell.standing(now), Standing::Healthy);
    }

    #[test]
    fn chance_takes_up_to_a_quarter_from_a_guess_and_nothing_from_a_word() {
        for (stated, chance, expected_ms) in
            [(None, 0.0, 2_000), (None, 0.5, 1_750), (None, 1.0, 1_500), (None, 7.0, 1_500), (Some(seconds(9)), 1.0, 9_000)]
        {
            let (cell, now) = (Cell::default(), Instant::now());
            cell.cool(stated, chance, now);
            let Standing::Cooling { until, .. } = cell.standing(now) else { panic!("it cools down") };
            assert_eq!((until - now).as_millis(), expected_ms, "{stated:?} {chance}");
        }
    }

    #[test]
    fn a_drills_rest_ends_with_it_and_a_real_one_does_not() {
        let (cell, now) = (Cell::default(), Instant::now());
        cell.drill(seconds(60), now);
        assert_eq!(until(&cell, now), Some((seconds(60), true)));
        cell.rested();
        assert_eq!(cell.standing(now), Standing::Healthy);
        cell.drill(seconds(60), now);
        cell.cool(Some(seconds(30)), 0.0, now);
        cell.drill(seconds(90), now);
        cell.rested();
        assert_eq!(until(&cell, now), Some((seconds(30), true)));
    }
}
