//! Which credential serves an attempt: weighted among the healthy, the cooling last, the switched-off never.
//!
//! [`Lanes`] is the live state behind a [`Snapshot`]. A reload builds another from the former, so that what was learnt of a
//! credential stays known as long as its name, secret and endpoint stay the same.

mod lane;

use std::sync::Arc;
use std::time::Instant;

use self::lane::{Key, Lane};
use super::health::{Cooldown, Probe, Standing};
use crate::config::{Credential, Provider, Snapshot};

/// Live state of every credential of a snapshot, in the snapshot's order.
#[derive(Debug, Default)]
pub struct Lanes(Vec<Lane>);

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
    },
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
        let former = |name: &str| previous.and_then(|lanes| lanes.0.iter().find(|lane| lane.name == name));
        Self(snapshot.providers.iter().map(|provider| Lane::build(provider, former(&provider.name))).collect())
    }

    /// Chooses the credential of an attempt.
    #[must_use]
    pub fn select(&self, ask: &Ask<'_>) -> Pick {
        let Some(lane) = self.0.get(ask.provider.index) else { return Pick::None };
        let survey = Survey::take(lane, ask);
        if survey.is_empty() {
            return if survey.off { Pick::Off } else { Pick::None };
        }
        match lane.models.standing(ask.model, ask.now) {
            Standing::Cooling { until, stated } if ask.first => {
                let probe = if ask.last_resort && !stated { lane.models.probe(ask.model) } else { None };
                match probe {
                    Some(probe) => survey.pick(lane, ask, Some(probe)),
                    None => Pick::Cooling { until, stated, overloaded: true, in_time: until < ask.deadline },
                }
            }
            _ => survey.pick(lane, ask, None),
        }
    }

    /// Which credentials [`select`](Self::select) could still pick; [`super::verdict::next`] wants to know.
    #[must_use]
    pub fn left(&self, ask: &Ask<'_>) -> KeysLeft {
        let Some(lane) = self.0.get(ask.provider.index) else { return KeysLeft::default() };
        let survey = Survey::take(lane, ask);
        let guessed = survey.guessed.iter().filter(|_| ask.last_resort).map(|(_, index)| *index);
        let mut left = KeysLeft::default();
        for index in survey.healthy.iter().map(|(index, _)| *index).chain(guessed) {
            let failed = on_failed_host(ask, index);
            left.same_host |= failed;
            left.elsewhere |= !failed;
        }
        left
    }

    /// Whether a candidate should be tried after others: its model is overloaded, or no credential for it is healthy.
    #[must_use]
    pub fn is_cool(&self, provider: &Provider, model: &str, now: Instant) -> bool {
        let Some(lane) = self.0.get(provider.index) else { return false };
        lane.models.standing(model, now) != Standing::Healthy
            || !eligible(lane, provider, model).any(|(_, key)| key.standing(model, now) == Standing::Healthy)
    }

    /// Remembers a fault. Runs once for each failed attempt whose outcome asks for it, before its probe is dropped.
    pub fn cool(&self, used: &Used<'_>, cooldown: Cooldown, now: Instant) {
        let Some(lane) = self.0.get(used.provider.index) else { return };
        let Some(key) = lane.keys.get(used.credential) else { return };
        match cooldown {
            Cooldown::RateLimited(stated) => key.cell.cool(stated, now),
            Cooldown::Overloaded(stated) => lane.models.cool(used.model, stated, now),
            Cooldown::Refused => key.cell.refuse(now),
            Cooldown::Forbidden => key.forbid(used.model),
            Cooldown::Unpaid => key.cell.unpaid(now),
        }
    }

    /// An attempt that began at `began` succeeded: what was remembered against its credential and model is forgotten.
    pub fn success(&self, used: &Used<'_>, began: Instant) {
        let Some(lane) = self.0.get(used.provider.index) else { return };
        if let Some(key) = lane.keys.get(used.credential) {
            key.cell.success(began);
        }
        lane.models.success(used.model, began);
    }

    /// How every credential stands, as (provider, credential, standing): for metrics and the operator's page.
    #[must_use]
    pub fn standings(&self, now: Instant) -> Vec<(&str, &str, Standing)> {
        let of = |lane| standings_of(lane, now);
        self.0.iter().flat_map(of).collect()
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

/// Whether a credential is meant for a model: it has a weight, and its list, if any, names the model.
#[must_use]
pub fn serves(credential: &Credential, model: &str) -> bool {
    credential.weight > 0.0 && credential.takes(model)
}

/// The untried credentials of a candidate, by standing.
#[derive(Debug, Default)]
struct Survey {
    /// Index and weight.
    healthy: Vec<(usize, i64)>,
    /// End of a guessed cool-down, and index.
    guessed: Vec<(Instant, usize)>,
    /// The first end of a stated cool-down.
    stated: Option<Instant>,
    /// Some are switched off.
    off: bool,
}

impl Survey {
    fn take(lane: &Lane, ask: &Ask<'_>) -> Self {
        let mut survey = Self::default();
        for (index, key) in eligible(lane, ask.provider, ask.model).filter(|(index, _)| !ask.tried.contains(index)) {
            match key.standing(ask.model, ask.now) {
                Standing::Healthy => survey.healthy.push((index, key.weight)),
                Standing::Cooling { until, stated: false } => survey.guessed.push((until, index)),
                Standing::Cooling { until, stated: true } => {
                    survey.stated = Some(survey.stated.map_or(until, |earliest| earliest.min(until)));
                }
                Standing::Off => survey.off = true,
            }
        }
        survey.guessed.sort_unstable();
        survey
    }

    /// Nothing that is healthy now or will be by itself.
    fn is_empty(&self) -> bool {
        self.healthy.is_empty() && self.guessed.is_empty() && self.stated.is_none()
    }

    /// Picks among what is there. `held` is the probe of an overloaded model.
    fn pick(mut self, lane: &Lane, ask: &Ask<'_>, held: Option<Probe>) -> Pick {
        if self.healthy.iter().any(|(index, _)| !on_failed_host(ask, *index)) {
            self.healthy.retain(|(index, _)| !on_failed_host(ask, *index));
        }
        let healthy = match self.healthy.as_slice() {
            // A lone credential does not move a wheel.
            [(index, _)] => Some(*index),
            several => lane.wheels.of(ask.model).pick(several, ask.first),
        };
        match healthy {
            Some(credential) => Pick::Use { credential, probe: held },
            None => self.last_resort(lane, ask),
        }
    }

    fn last_resort(&self, lane: &Lane, ask: &Ask<'_>) -> Pick {
        if ask.last_resort {
            for (_, credential) in &self.guessed {
                if let Some(probe) = lane.keys.get(*credential).and_then(|key| key.cell.probe()) {
                    return Pick::Use { credential: *credential, probe: Some(probe) };
                }
            }
        }
        let cooling = |until: Instant, stated| Pick::Cooling { until, stated, overloaded: false, in_time: until < ask.deadline };
        match (self.guessed.first(), self.stated) {
            (Some((until, _)), _) => cooling(*until, false),
            (None, Some(until)) => cooling(until, true),
            (None, None) => Pick::None,
        }
    }
}

fn eligible<'a>(lane: &'a Lane, provider: &'a Provider, model: &'a str) -> impl Iterator<Item = (usize, &'a Key)> {
    let keys = provider.credentials.iter().zip(&lane.keys).enumerate();
    keys.filter(move |(_, (credential, _))| serves(credential, model)).map(|(index, (_, key))| (index, key))
}

fn standings_of(lane: &Lane, now: Instant) -> impl Iterator<Item = (&str, &str, Standing)> {
    lane.keys.iter().map(move |key| (&*lane.name, &*key.name, key.cell.standing(now)))
}

fn on_failed_host(ask: &Ask<'_>, index: usize) -> bool {
    let endpoint = |index: usize| ask.provider.credentials.get(index).map(|credential| &credential.endpoint);
    let mine = endpoint(index);
    ask.failed_hosts.iter().any(|failed| match (endpoint(*failed), mine) {
        (Some(theirs), Some(mine)) => Arc::ptr_eq(theirs, mine) || theirs == mine,
        _ => false,
    })
}

#[cfg(test)]
mod tests;
