//! What to do about a token at a moment. Time and chance come in as arguments.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Denied, Granted};
use crate::config::Secret;

/// When a token is renewed: at this part of its lifetime, and up to so much later, by chance, so that gateways do not ask in step.
const RENEW_AT: f64 = 0.75;
const RENEW_SPREAD: f64 = 0.05;
/// A token is not used in the last of its time, which the way to the provider takes.
const LAST_MOMENTS: Duration = Duration::from_secs(30);
/// After a refusal nobody asks for a second; after each further one twice as long, up to a minute.
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(60);

/// What an asker does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Uses this.
    Use(Secret),
    /// Waits: it is being asked for.
    Wait,
    /// Does without: asking came to nothing a moment ago.
    Denied(Denied),
}

/// One credential's token.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    /// Somebody is asking.
    asking: bool,
    /// Refusals in a row.
    refusals: u32,
    /// The last refusal, and until when nobody asks.
    rest: Option<(Instant, Denied)>,
}

#[derive(Debug)]
struct Token {
    value: Secret,
    renew_at: Instant,
    ends_at: Instant,
}

impl Cache {
    /// What to do now, and whether the asker must see to it that a new token is asked for. One at a time is told so; whoever it is
    /// reports to [`Cache::answered`].
    pub(super) fn next(&self, now: Instant) -> (Step, bool) {
        self.with(|state| {
            let resting = state.rest.as_ref().filter(|(until, _)| now < *until);
            let step = match (state.token.as_ref().filter(|token| now < token.ends_at), resting) {
                (Some(token), _) => Step::Use(token.value.clone()),
                (None, Some((_, denied))) if !state.asking => Step::Denied(denied.clone()),
                (None, _) => Step::Wait,
            };
            let due = state.token.as_ref().is_none_or(|token| now >= token.renew_at);
            let must_ask = due && !state.asking && resting.is_none();
            state.asking |= must_ask;
            (step, must_ask)
        })
    }

    /// The token that is in use, if it is good now.
    pub(super) fn current(&self, now: Instant) -> Option<Secret> {
        self.with(|state| Some(state.token.as_ref().filter(|token| now < token.ends_at)?.value.clone()))
    }

    /// Takes the answer. A refusal leaves the old token in use. `chance` is from 0 to 1.
    pub(super) fn answered(&self, answer: Result<Granted, Denied>, now: Instant, chance: f64) {
        self.with(|state| {
            state.asking = false;
            match answer {
                Ok(granted) => {
                    let ends_at = now + granted.lifetime.saturating_sub(LAST_MOMENTS.min(granted.lifetime / 10));
                    let renew_at = now + granted.lifetime.mul_f64(RENEW_AT + RENEW_SPREAD * chance.clamp(0.0, 1.0));
                    *state = State { token: Some(Token { value: granted.token, renew_at, ends_at }), ..State::default() };
                }
                Err(denied) => {
                    let rest = REST_FIRST.saturating_mul(1 << state.refusals.min(16)).min(REST_MAX);
                    state.refusals = state.refusals.saturating_add(1);
                    state.rest = Some((now + rest.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0)), denied));
                }
            }
        });
    }

    /// Forgets this token, unless there is another already.
    pub(super) fn forget(&self, token: &Secret) {
        self.with(|state| state.token = state.token.take().filter(|current| current.value != *token));
    }

    /// No step under the lock can panic half-way, so a poisoned lock still guards a whole state.
    fn with<T>(&self, step: impl FnOnce(&mut State) -> T) -> T {
        step(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn granted(token: &str) -> Result<Granted, Denied> {
        Ok(Granted { token: Secret::new(token), lifetime: seconds(3_600) })
    }

    fn token(value: &str) -> Step {
        Step::Use(Secret::new(value))
    }

    fn denied() -> Denied {
        Denied::new("refused")
    }

    #[test]
    fn to_look_asks_for_nothing() {
        let (cache, now) = (Cache::default(), Instant::now());
        assert_eq!(cache.current(now), None);
        assert_eq!(cache.next(now), (Step::Wait, true), "nobody asks yet");
        cache.answered(granted("a"), now, 0.0);
        assert_eq!((cache.current(now), cache.current(now + seconds(3_600))), (Some(Secret::new("a")), None));
    }

    #[test]
    fn the_first_asks_and_the_others_wait() {
        let (cache, now) = (Cache::default(), Instant::now());
        assert_eq!(cache.next(now), (Step::Wait, true));
        assert_eq!(cache.next(now), (Step::Wait, false));
        cache.answered(granted("a"), now, 0.0);
        assert_eq!(cache.next(now), (token("a"), false));
    }

    #[test]
    fn it_is_renewed_early_and_used_until_the_new_one_is_there() {
        for (chance, at) in [(0.0, 2_700), (1.0, 2_880)] {
            let (cache, began) = (Cache::default(), Instant::now());
            let _ = cache.next(began);
            cache.answered(granted("a"), began, chance);
            assert_eq!(cache.next(began + seconds(at - 1)), (token("a"), false));
            assert_eq!(cache.next(began + seconds(at)), (token("a"), true));
            assert_eq!(cache.next(began + seconds(at + 5)), (token("a"), false), "one asks");
            cache.answered(granted("b"), began + seconds(at + 6), 0.0);
            assert_eq!(cache.next(began + seconds(at + 6)), (token("b"), false));
        }
    }

    #[test]
    fn a_refusal_leaves_the_old_one_and_is_not_repeated_at_once() {
        let (cache, began) = (Cache::default(), Instant::now());
        let _ = cache.next(began);
        cache.answered(granted("a"), began, 0.0);
        let mut now = began + seconds(2_700);
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(cache.next(now), (token("a"), true));
            cache.answered(Err(denied()), now, 1.0);
            assert_eq!(cache.next(now + seconds(rest) - Duration::from_millis(1)), (token("a"), false));
            now += seconds(rest);
        }
        assert_eq!(cache.next(began + seconds(3_569)), (token("a"), true));
        assert_eq!(cache.next(began + seconds(3_570)), (Step::Wait, false), "its last moments are not used");
    }

    #[test]
    fn without_a_token_a_refusal_is_told_until_the_rest_is_over() {
        let (cache, now) = (Cache::default(), Instant::now());
        let _ = cache.next(now);
        cache.answered(Err(denied()), now, 1.0);
        assert_eq!(cache.next(now + Duration::from_millis(999)), (Step::Denied(denied()), false));
        assert_eq!(cache.next(now + seconds(1)), (Step::Wait, true));
        cache.answered(granted("a"), now + seconds(1), 0.0);
        assert_eq!(cache.next(now + seconds(1)), (token("a"), false));
    }

    #[test]
    fn a_refused_token_is_forgotten_but_not_its_successor() {
        let (cache, now) = (Cache::default(), Instant::now());
        let _ = cache.next(now);
        cache.answered(granted("a"), now, 0.0);
        cache.forget(&Secret::new("a"));
        assert_eq!(cache.next(now), (Step::Wait, true));
        cache.answered(granted("b"), now, 0.0);
        cache.forget(&Secret::new("a"));
        assert_eq!(cache.next(now), (token("b"), false));
    }
}
