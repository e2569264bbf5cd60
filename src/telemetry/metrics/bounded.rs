//! Values that others choose, as labels: so many of each, and the rest is [`OTHER`].

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// The label of what has none of its own.
pub(super) const OTHER: &str = "other";
/// So many values of one label.
const VALUES_MAX: usize = 100;
/// So many combinations of the configured labels' values.
const SETS_MAX: usize = 1_000;

/// The values of one label: the first ones that came.
#[derive(Debug, Default)]
pub(super) struct Bounded(RwLock<HashSet<Box<str>>>);

/// The values of all labels that the operator named.
#[derive(Debug)]
pub(super) struct LabelSets {
    names: Arc<[Box<str>]>,
    values: Vec<Bounded>,
    sets: RwLock<HashSet<Box<[Box<str>]>>>,
}

impl Bounded {
    /// The value, or [`OTHER`].
    pub(super) fn of<'v>(&self, value: &'v str) -> &'v str {
        let known = |values: &HashSet<Box<str>>| value.is_empty() || values.contains(value);
        if known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return value;
        }
        let mut values = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if values.len() < VALUES_MAX {
            values.insert(value.into());
        }
        if known(&values) { value } else { OTHER }
    }
}

impl LabelSets {
    /// Of headers with these names.
    pub(super) fn new(names: Arc<[Box<str>]>) -> Self {
        let values = names.iter().map(|_| Bounded::default()).collect();
        Self { names, values, sets: RwLock::default() }
    }

    /// The headers' names.
    pub(super) fn names(&self) -> &Arc<[Box<str>]> {
        &self.names
    }

    /// The values as labels. Where too many combinations are in use, each that is new is [`OTHER`] altogether.
    pub(super) fn of(&self, said: &[&str]) -> Box<[Box<str>]> {
        let at = |position: usize| said.get(position).copied().unwrap_or_default();
        let set: Box<[Box<str>]> = self.values.iter().enumerate().map(|(position, values)| values.of(at(position)).into()).collect();
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        if sets.len() < SETS_MAX {
            sets.insert(set.clone());
        }
        if sets.contains(&set) { set } else { self.names.iter().map(|_| OTHER.into()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_values_have_a_label() {
        let values = Bounded::default();
        (0..VALUES_MAX).for_each(|n| assert_eq!(values.of(&n.to_string()), n.to_string()));
        assert_eq!((values.of("one more"), values.of("0"), values.of("")), (OTHER, "0", ""));
    }

    #[test]
    fn so_many_combinations_have_labels() {
        let sets = LabelSets::new(["x-team".into(), "x-stage".into()].into());
        assert_eq!(*sets.of(&["0"]), ["0".into(), "".into()], "one that was not sent");
        for n in 0..10_000 {
            sets.of(&[&(n / 100).to_string(), &(n % 100).to_string()]);
        }
        assert_eq!(sets.sets.read().unwrap().len(), SETS_MAX);
        assert_eq!(*sets.of(&["0", "0"]), ["0".into(), "0".into()]);
        assert_eq!(*sets.of(&["99", "99"]), [OTHER.into(), OTHER.into()]);
    }
}
