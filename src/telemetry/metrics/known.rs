//! Which models have a label of their own. Names come from clients, so their number is bounded.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::bounded::OTHER;

/// So many models of one provider have a label; the others share [`OTHER`].
const MODELS_MAX: usize = 200;

/// Models by provider: those of the configuration, and those that have answered.
#[derive(Debug, Default)]
pub(super) struct KnownModels {
    models: RwLock<HashMap<Box<str>, HashSet<Arc<str>>>>,
    generation: AtomicU64,
}

impl KnownModels {
    /// The label of a model: its name if it is known.
    pub(super) fn label<'a>(&self, provider: &str, model: &'a str) -> &'a str {
        let known = self.models.read().unwrap_or_else(PoisonError::into_inner);
        if known.get(provider).is_some_and(|models| models.contains(model)) { model } else { OTHER }
    }

    /// Makes a model known, while there is room. Runs for the configuration's models, and for a model that answered: a name that
    /// no upstream knows never becomes a label. True if it is new.
    pub(super) fn learn(&self, provider: &str, model: &str) -> bool {
        if self.label(provider, model) == model {
            return false;
        }
        let mut known = self.models.write().unwrap_or_else(PoisonError::into_inner);
        let models = known.entry(provider.into()).or_default();
        let new = models.len() < MODELS_MAX && models.insert(model.into());
        self.generation.fetch_add(u64::from(new), Ordering::Relaxed);
        new
    }

    /// Changes when a model became known.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_models_and_those_beyond_the_bound_are_other() {
        let known = KnownModels::default();
        assert_eq!(known.label("p", "m"), OTHER);
        (0..=MODELS_MAX).for_each(|n| assert_eq!(known.learn("p", &n.to_string()), n < MODELS_MAX));
        assert_eq!(known.label("p", "0"), "0");
        assert_eq!(known.label("p", &MODELS_MAX.to_string()), OTHER);
        assert_eq!(known.label("q", "0"), OTHER);
    }
}
