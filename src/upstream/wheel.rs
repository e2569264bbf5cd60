//! Smooth weighted round robin: of any run as long as the sum of the weights, each credential gets exactly its weight.
//!
//! A turn adds to each present credential its weight, picks the fullest, and takes the sum of the present weights from it. A
//! credential that is absent (cooling down) keeps what it had, so on return it goes on where it stopped and catches up nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Wheels of one provider. Model names come from clients, so there is a bound; models beyond it share one wheel.
const MODELS_MAX: usize = 1_024;
/// Weights become integers with this many digits: exact for every weight a person writes.
const DIGITS: i32 = 9;

/// Position of one (provider, model): what each credential, by index, has gathered.
#[derive(Debug, Default)]
pub(crate) struct Wheel(Mutex<Vec<i64>>);

/// The wheels of one provider.
#[derive(Debug, Default)]
pub(crate) struct Wheels {
    by_model: RwLock<HashMap<Box<str>, Arc<Wheel>>>,
    overflow: Arc<Wheel>,
}

/// A credential that may be picked: its index and its weight in integers.
pub(crate) type Share = (usize, i64);

impl Wheel {
    /// Picks one of `present`. `turn` moves the wheel; without it, the pick is what the next turn would give.
    pub(crate) fn pick(&self, present: &[Share], turn: bool) -> Option<usize> {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = present.iter().map(|(index, _)| *index).max()?;
        if gathered.len() <= highest {
            gathered.resize(highest + 1, 0);
        }
        let fullness = |(index, weight): &Share| gathered.get(*index).copied().unwrap_or_default() + weight;
        // Of equals the first: `max_by_key` would take the last.
        let (chosen, _) = *present.iter().rev().max_by_key(|share| fullness(share))?;
        if turn {
            for (index, weight) in present {
                gathered.get_mut(*index).into_iter().for_each(|held| *held += weight);
            }
            let sum: i64 = present.iter().map(|(_, weight)| weight).sum();
            gathered.get_mut(chosen).into_iter().for_each(|held| *held -= sum);
        }
        Some(chosen)
    }
}

impl Wheels {
    /// The wheel of a model.
    pub(crate) fn of(&self, model: &str) -> Arc<Wheel> {
        if let Some(wheel) = self.by_model.read().unwrap_or_else(PoisonError::into_inner).get(model) {
            return Arc::clone(wheel);
        }
        let mut by_model = self.by_model.write().unwrap_or_else(PoisonError::into_inner);
        if by_model.len() >= MODELS_MAX && !by_model.contains_key(model) {
            return Arc::clone(&self.overflow);
        }
        Arc::clone(by_model.entry(model.into()).or_default())
    }
}

/// Weights as integers without a common divisor: 0.7 and 0.3 become 7 and 3, so that no sum ever drifts. A weight that is not
/// positive becomes 0 (never), any other at least 1.
#[allow(clippy::cast_possible_truncation)] // Bounded by 10^DIGITS.
pub(crate) fn integers(weights: &[f64]) -> Vec<i64> {
    let positive = |weight: &f64| weight.is_finite() && *weight > 0.0;
    let largest = weights.iter().copied().filter(positive).fold(0.0, f64::max);
    let exponent = DIGITS - 1 - if largest > 0.0 { largest.log10().floor() as i32 } else { 0 };
    let scaled = |weight: &f64| if positive(weight) { (weight * 10f64.powi(exponent)).round().clamp(1.0, 1e9) as i64 } else { 0 };
    let whole: Vec<i64> = weights.iter().map(scaled).collect();
    let divisor = whole.iter().copied().fold(0, common_divisor).max(1);
    whole.into_iter().map(|weight| weight / divisor).collect()
}

fn common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_become_the_integers_a_person_means() {
        assert_eq!(integers(&[0.7, 0.3]), [7, 3]);
        assert_eq!(integers(&[1.0, 1.0, 2.0]), [1, 1, 2]);
        assert_eq!(integers(&[70.0, 30.0, 0.0]), [7, 3, 0]);
        assert_eq!(integers(&[1e-9, 3e-9]), [1, 3]);
        assert_eq!(integers(&[0.999, 0.001]), [999, 1]);
        assert_eq!(integers(&[f64::NAN, -1.0, 5.0]), [0, 0, 1]);
        assert!(integers(&[1e300, 1.0]).iter().all(|weight| (1..=1_000_000_000).contains(weight)));
    }

    #[test]
    fn any_ten_in_a_row_are_seven_and_three() {
        let wheel = Wheel::default();
        let picks: Vec<_> = (0..1_000).filter_map(|_| wheel.pick(&[(0, 7), (1, 3)], true)).collect();
        for run in picks.windows(10) {
            assert_eq!(run.iter().filter(|pick| **pick == 0).count(), 7);
        }
    }

    #[test]
    fn one_that_returns_catches_up_nothing() {
        let wheel = Wheel::default();
        (0..13).for_each(|_| assert!(wheel.pick(&[(0, 7), (1, 3)], true).is_some()));
        (0..500).for_each(|_| assert_eq!(wheel.pick(&[(0, 7)], true), Some(0)));
        let back: Vec<_> = (0..10).filter_map(|_| wheel.pick(&[(0, 7), (1, 3)], true)).collect();
        assert_eq!(back.iter().filter(|pick| **pick == 1).count(), 3);
        assert!(!back.windows(2).any(|pair| pair == [1, 1]));
    }

    #[test]
    fn looking_does_not_move_it() {
        let wheel = Wheel::default();
        for _ in 0..5 {
            assert_eq!(wheel.pick(&[(0, 7), (1, 3)], false), Some(0));
        }
        assert_eq!(wheel.pick(&[], true), None);
    }

    #[test]
    fn models_beyond_the_bound_share_a_wheel() {
        let wheels = Wheels::default();
        (0..MODELS_MAX).for_each(|n| drop(wheels.of(&n.to_string())));
        assert!(Arc::ptr_eq(&wheels.of("one more"), &wheels.of("and another")));
        assert!(!Arc::ptr_eq(&wheels.of("1"), &wheels.of("2")));
    }
}
