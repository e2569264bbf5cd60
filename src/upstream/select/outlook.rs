//! How credentials stand, for those who ask without sending anything.

use std::time::Instant;

use super::lane::{Key, Lane};
use super::{Lanes, serves};
use crate::config::Provider;
use crate::upstream::breaker::BreakerState;
use crate::upstream::health::Standing;
use crate::upstream::intervention::{DrillFault, Interventions};
use crate::upstream::pace::Averages;

/// How a credential stands for one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It would be used, as often as its weight says among those that are ready.
    Ready {
        /// In integers.
        weight: i64,
    },
    /// It rests after a rate limit: used last.
    Cooling {
        /// Until when.
        until: Instant,
        /// The provider said so.
        stated: bool,
    },
    /// The model is overloaded at the provider: used last.
    Overloaded {
        /// Until when.
        until: Instant,
    },
    /// The breaker at its host is open: used last.
    Broken,
    /// The provider refused it: not used.
    Off,
    /// An operator has taken it out: not used.
    Cordoned,
    /// It has no weight, or its list of models does not name this one: not used.
    NotForModel,
}

/// The live state of one credential.
#[derive(Debug, Clone)]
pub struct KeyState<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// The credential's name.
    pub credential: &'a str,
    /// Its weight in integers, relative to the provider's others.
    pub weight: i64,
    /// Its share of first attempts while all of them are healthy, from 0 to 1.
    pub share: f64,
    /// Healthy, cooling down (until when, and whether the provider said so), or off.
    pub standing: Standing,
    /// Models whose breaker at its host is not closed.
    pub breakers: Vec<(String, BreakerState)>,
    /// Attempts under way.
    pub in_flight: usize,
    /// Moving averages.
    pub averages: Averages,
    /// An operator has taken it out.
    pub cordoned: bool,
    /// An operator makes it fail: how, and until when.
    pub drill: Option<(DrillFault, Instant)>,
}

impl Lanes {
    /// Everything that is known of every credential, in the snapshot's order. Takes each lock for a moment.
    #[must_use]
    pub fn states(&self, now: Instant) -> Vec<KeyState<'_>> {
        self.settle(now);
        self.lanes.iter().flat_map(|lane| states_of(lane, &self.interventions, now)).collect()
    }

    /// How every credential of a provider stands for a model, in the snapshot's order, for those who ask without sending anything.
    #[must_use]
    pub fn outlooks(&self, provider: &Provider, model: &str, now: Instant) -> Vec<Outlook> {
        self.settle(now);
        let Some(lane) = self.lanes.get(provider.index) else { return Vec::new() };
        let of_model = lane.models.standing(model, now);
        let keys = provider.credentials.iter().zip(&lane.keys);
        keys.map(|(credential, key)| self.outlook(lane, key, serves(credential, model), of_model, model, now)).collect()
    }

    fn outlook(&self, lane: &Lane, key: &Key, serves: bool, of_model: Standing, model: &str, now: Instant) -> Outlook {
        if !serves {
            return Outlook::NotForModel;
        }
        if self.interventions.cordoned(&lane.name, &key.name) {
            return Outlook::Cordoned;
        }
        match (of_model, key.standing(model, now)) {
            (_, Standing::Off) => Outlook::Off,
            (Standing::Cooling { until, .. }, _) => Outlook::Overloaded { until },
            (_, Standing::Cooling { until, stated }) => Outlook::Cooling { until, stated },
            _ if !key.breakers.state(model, now).admits() => Outlook::Broken,
            _ => Outlook::Ready { weight: key.weight },
        }
    }
}

fn states_of<'a>(lane: &'a Lane, interventions: &'a Interventions, now: Instant) -> impl Iterator<Item = KeyState<'a>> {
    let sum: i64 = lane.keys.iter().map(|key| key.weight).sum();
    #[allow(clippy::cast_precision_loss, reason = "weights have nine digits")]
    let share = move |weight: i64| if sum > 0 { weight as f64 / sum as f64 } else { 0.0 };
    lane.keys.iter().map(move |key| KeyState {
        provider: &lane.name,
        credential: &key.name,
        weight: key.weight,
        share: share(key.weight),
        standing: key.cell.standing(now),
        breakers: key.breakers.open(now),
        in_flight: key.pace.in_flight(),
        averages: key.pace.averages(),
        cordoned: interventions.cordoned(&lane.name, &key.name),
        drill: interventions.drilled(&lane.name, &key.name),
    })
}
