//! Which credential serves an attempt: weighted among the healthy, the cooling last, the switched-off never.
//!
//! [`Lanes`] is the live state behind a [`Snapshot`]. A reload builds another from the former, so that what was learnt of a
//! credential stays known as long as its name, secret and endpoint stay the same.

mod lane;
mod learn;
mod operate;
mod outlook;
mod survey;

use std::sync::Arc;
use std::time::Instant;

use self::lane::{Key, Lane};
pub use self::outlook::{KeyState, Outlook};
use super::breaker::Trial;
use super::budget::Extra;
use super::health::{Probe, Standing};
use super::intervention::Interventions;
use super::pace::Busy;
use crate::config::{Credential, Hedge, Provider, Snapshot};

/// Live state of every credential of a snapshot, in the snapshot's order.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: Vec<Lane>,
    interventions: Arc<Interventions>,
}

/// What an attempt needs.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Of the snapshot that these lanes were built from.
    pub provider: &'a Provider,
    /// Its name at the provider.
    pub model: &'a str,
    /// Indices of the credentials already tried at this candidate; never picked again.
    pub tried: &'a [usize],
    /// Indices of those among them whose host failed: another at the same endpoint is picked only if there is none elsewhere.
    pub failed_hosts: &'a [usize],
    /// The first attempt at this candidate: moves the wheel, and heeds an overload of the model.
    pub first: bool,
    /// Nothing else is left to try: what cools down on a guess may be probed.
    pub last_resort: bool,
    /// The time.
    pub now: Instant,
    /// When the client's patience ends.
    pub deadline: Instant,
}

/// What to do about an [`Ask`].
#[derive(Debug)]
pub enum Pick {
    /// Use this credential.
    Use {
        /// Its index.
        credential: usize,
        /// Set if it is cooling down: hold it until the outcome was reported, then drop it.
        probe: Option<Probe>,
        /// Set if its host's breaker is half-open: hold it likewise.
        trial: Option<Trial>,
    },
    /// The breakers of all that is left are open. Try another candidate first; as a last resort it is used all the same.
    Broken,
    /// All that is left cools down. Try another candidate first; with none, wait until then or say so to the client.
    Cooling {
        /// Until when, at the earliest.
        until: Instant,
        /// The upstream said so; else it is a guess, which is probed as a last resort unless another probe is under way.
        stated: bool,
        /// The model is overloaded (a 503 if nothing is left), not the credentials rate-limited (a 429).
        overloaded: bool,
        /// A wait would end before the deadline.
        in_time: bool,
    },
    /// Every credential that is left is switched off.
    Off,
    /// No credential is meant for the model, or all were tried.
    None,
}

/// Which untried credentials are left at a candidate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeysLeft {
    /// At an endpoint that has not failed.
    pub elsewhere: bool,
    /// At an endpoint that has.
    pub same_host: bool,
}

impl Lanes {
    /// The state for a snapshot. Runs at start and at every reload; a reload lifts what holds "until reload".
    #[must_use]
    pub fn build(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let former = |name: &str| previous.and_then(|lanes| lanes.lanes.iter().find(|lane| lane.name == name));
        let lanes = snapshot.providers.iter().map(|provider| Lane::build(provider, former(&provider.name))).collect();
        Self { lanes, interventions: previous.map(|lanes| Arc::clone(&lanes.interventions)).unwrap_or_default() }
    }

    /// Chooses the credential of an attempt. A first one is counted for the budget of repeats.
    #[must_use]
    pub fn select(&self, ask: &Ask<'_>) -> Pick {
        self.settle(ask.now);
        let Some(lane) = self.lanes.get(ask.provider.index) else { return Pick::None };
        let pick = survey::pick(lane, ask, &self.interventions);
        if ask.first && matches!(pick, Pick::Use { .. }) {
            lane.budget.request();
        }
        pick
    }

    /// Whether the same host may be asked once more for a request that it failed; if so, that is counted.
    #[must_use]
    pub fn may_repeat(&self, provider: &Provider, now: Instant) -> bool {
        self.lanes.get(provider.index).is_none_or(|lane| lane.budget.take(Extra::Repeat, provider.budget, now))
    }

    /// Whether a request may be hedged that was sent to this provider first; if so, that is counted.
    #[must_use]
    pub fn may_hedge(&self, provider: &Provider, hedge: Hedge, now: Instant) -> bool {
        self.lanes.get(provider.index).is_some_and(|lane| lane.budget.take(Extra::Hedge, hedge.budget(), now))
    }

    /// A credential for a hedge: one that can be counted on. Neither one that rests, is tried out again or fails by a drill, nor one at
    /// a host that has failed. Looks, and moves nothing.
    #[must_use]
    pub fn spare(&self, ask: &Ask<'_>) -> Option<usize> {
        self.settle(ask.now);
        survey::spare(self.lanes.get(ask.provider.index)?, ask, &self.interventions)
    }

    /// Which credentials [`select`](Self::select) could still pick; [`super::verdict::next`] wants to know.
    #[must_use]
    pub fn left(&self, ask: &Ask<'_>) -> KeysLeft {
        let Some(lane) = self.lanes.get(ask.provider.index) else { return KeysLeft::default() };
        survey::left(lane, ask, &self.interventions)
    }

    /// Whether a candidate should be tried after others: its model is overloaded, or no credential for it is healthy.
    #[must_use]
    pub fn is_cool(&self, provider: &Provider, model: &str, now: Instant) -> bool {
        self.settle(now);
        let Some(lane) = self.lanes.get(provider.index) else { return false };
        lane.models.standing(model, now) != Standing::Healthy
            || !survey::eligible(lane, provider, model)
                .filter(|(_, key)| !self.interventions.cordoned(&lane.name, &key.name))
                .any(|(_, key)| key.standing(model, now) == Standing::Healthy && key.breakers.state(model, now).admits())
    }

    /// Counts an attempt as under way until the answer is dropped.
    #[must_use]
    pub fn enter(&self, used: &Used<'_>) -> Option<Busy> {
        Some(self.key(used)?.pace.enter())
    }

    fn key(&self, used: &Used<'_>) -> Option<&Key> {
        self.lanes.get(used.provider.index)?.keys.get(used.credential)
    }
}

/// Who served an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Used<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// The credential's index.
    pub credential: usize,
    /// The model's name at the provider.
    pub model: &'a str,
}

/// Whether a credential is meant for a model: it has a weight, and its list, if any, names the model. An empty model is one that
/// nobody could see, in a raw request: any credential will do.
#[must_use]
pub fn serves(credential: &Credential, model: &str) -> bool {
    credential.weight > 0.0 && (model.is_empty() || credential.takes(model))
}

#[cfg(test)]
mod tests;
