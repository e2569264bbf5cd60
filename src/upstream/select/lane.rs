//! Live state of one provider.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::config::{Credential, Endpoint, Provider};
use crate::upstream::breaker::Breakers;
use crate::upstream::budget::Budget;
use crate::upstream::health::{Cell, Probe, Standing};
use crate::upstream::pace::Pace;
use crate::upstream::wheel::{Wheels, integers};

/// Model names come from clients: so many are remembered as overloaded, or as forbidden to one credential.
const MODELS_MAX: usize = 1_024;

/// Live state of one provider.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) keys: Vec<Key>,
    pub(super) wheels: Arc<Wheels>,
    pub(super) models: Arc<Models>,
    pub(super) budget: Arc<Budget>,
}

/// Live state of one credential.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) weight: i64,
    pub(super) cell: Arc<Cell>,
    pub(super) pace: Arc<Pace>,
    /// Of its host; shared with the other keys there.
    pub(super) breakers: Arc<Breakers>,
    identity: Identity,
    /// Models that it may not use, by the upstream's word; until reload.
    forbidden: RwLock<HashSet<Box<str>>>,
}

/// Overloaded models of one provider.
#[derive(Debug, Default)]
pub(super) struct Models(RwLock<HashMap<Box<str>, Arc<Cell>>>);

/// What makes a credential the same across reloads. The secret is here as a hash only.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    name: String,
    secret: [u8; 32],
    endpoint: Arc<Endpoint>,
}

impl Lane {
    pub(super) fn build(provider: &Provider, former: Option<&Self>) -> Self {
        let weights: Vec<f64> = provider.credentials.iter().map(|credential| credential.weight).collect();
        let shares = provider.credentials.iter().zip(integers(&weights));
        let mut keys: Vec<Key> = Vec::with_capacity(provider.credentials.len());
        for (credential, weight) in shares {
            let at_host = |key: &&Key| key.identity.endpoint == credential.endpoint;
            let neighbour = keys.iter().find(at_host).or_else(|| former?.keys.iter().find(at_host));
            let breakers = neighbour.map(|key| Arc::clone(&key.breakers)).unwrap_or_default();
            keys.push(Key::build(credential, weight, breakers, former));
        }
        let wheels = former.filter(|former| former.has_same_shares(&keys)).map(|former| Arc::clone(&former.wheels));
        let models = former.filter(|former| former.shares_endpoint(&keys)).map(|former| Arc::clone(&former.models));
        let budget = former.map(|former| Arc::clone(&former.budget)).unwrap_or_default();
        let (wheels, models) = (wheels.unwrap_or_default(), models.unwrap_or_default());
        Self { name: provider.name.clone(), keys, wheels, models, budget }
    }

    /// Ends what drills have brought about: rests of a credential, or of all, and of the provider's models; with them the breakers of the
    /// host, which cannot tell. What the provider itself said stands.
    pub(super) fn forget(&self, credential: Option<&str>) {
        for key in self.keys.iter().filter(|key| credential.is_none_or(|name| key.name == name)) {
            key.cell.rested();
            key.breakers.forget();
        }
        self.models.0.read().unwrap_or_else(PoisonError::into_inner).values().for_each(|cell| cell.rested());
    }

    fn has_same_shares(&self, keys: &[Key]) -> bool {
        let share = |key: &Key| (key.identity.clone(), key.weight);
        self.keys.iter().map(share).eq(keys.iter().map(share))
    }

    fn shares_endpoint(&self, keys: &[Key]) -> bool {
        self.keys.iter().any(|mine| keys.iter().any(|key| key.identity.endpoint == mine.identity.endpoint))
    }
}

impl Key {
    fn build(credential: &Credential, weight: i64, breakers: Arc<Breakers>, former: Option<&Lane>) -> Self {
        let identity = Identity {
            name: credential.name.clone(),
            secret: Sha256::digest(credential.written().expose()).into(),
            endpoint: Arc::clone(&credential.endpoint),
        };
        let known = former.and_then(|lane| lane.keys.iter().find(|key| key.identity == identity));
        let cell = known.map(|key| Arc::clone(&key.cell)).unwrap_or_default();
        cell.reloaded();
        let pace = known.map(|key| Arc::clone(&key.pace)).unwrap_or_default();
        Self { name: credential.name.clone(), weight, cell, pace, breakers, identity, forbidden: RwLock::default() }
    }

    pub(super) fn standing(&self, model: &str, now: Instant) -> Standing {
        let forbidden = self.forbidden.read().unwrap_or_else(PoisonError::into_inner).contains(model);
        if forbidden { Standing::Off } else { self.cell.standing(now) }
    }

    pub(super) fn forbid(&self, model: &str) {
        let mut forbidden = self.forbidden.write().unwrap_or_else(PoisonError::into_inner);
        if forbidden.len() < MODELS_MAX {
            forbidden.insert(model.into());
        }
    }
}

impl Models {
    pub(super) fn standing(&self, model: &str, now: Instant) -> Standing {
        self.get(model).map_or(Standing::Healthy, |cell| cell.standing(now))
    }

    pub(super) fn probe(&self, model: &str) -> Option<Probe> {
        self.get(model)?.probe()
    }

    pub(super) fn cool(&self, model: &str, stated: Option<Duration>, chance: f64, now: Instant) {
        self.with(model, now, |cell| cell.cool(stated, chance, now));
    }

    pub(super) fn drill(&self, model: &str, wait: Duration, now: Instant) {
        self.with(model, now, |cell| cell.drill(wait, now));
    }

    /// Remembers something of a model, if there is room.
    fn with(&self, model: &str, now: Instant, step: impl FnOnce(&Cell)) {
        let mut cells = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= MODELS_MAX && !cells.contains_key(model) {
            cells.retain(|_, cell| cell.standing(now) != Standing::Healthy);
        }
        if cells.len() < MODELS_MAX || cells.contains_key(model) {
            step(cells.entry(model.into()).or_default());
        }
    }

    pub(super) fn success(&self, model: &str, began: Instant) {
        if let Some(cell) = self.get(model) {
            cell.success(began);
        }
    }

    fn get(&self, model: &str) -> Option<Arc<Cell>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(model).cloned()
    }
}
