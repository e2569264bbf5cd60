//! The choice among the credentials that are left at a candidate.

use std::sync::Arc;
use std::time::Instant;

use super::lane::{Key, Lane};
use super::{Ask, KeysLeft, Pick, serves};
use crate::config::Provider;
use crate::upstream::breaker::BreakerState;
use crate::upstream::health::{Probe, Standing};
use crate::upstream::intervention::Interventions;

/// The untried credentials of a candidate, by standing.
#[derive(Debug, Default)]
struct Survey {
    /// Index and weight.
    healthy: Vec<(usize, i64)>,
    /// Healthy, but its host's breaker is open: index and weight.
    broken: Vec<(usize, i64)>,
    /// End of a guessed cool-down, and index.
    guessed: Vec<(Instant, usize)>,
    /// The first end of a stated cool-down.
    stated: Option<Instant>,
    /// Some are switched off.
    off: bool,
}

pub(super) fn pick(lane: &Lane, ask: &Ask<'_>, interventions: &Interventions) -> Pick {
    let survey = Survey::take(lane, ask, interventions);
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

/// Which credentials could still be picked.
pub(super) fn left(lane: &Lane, ask: &Ask<'_>, interventions: &Interventions) -> KeysLeft {
    let survey = Survey::take(lane, ask, interventions);
    let last = survey.guessed.iter().map(|(_, index)| *index).chain(survey.broken.iter().map(|(index, _)| *index));
    let last = last.filter(|_| ask.last_resort);
    let mut left = KeysLeft::default();
    for index in survey.healthy.iter().map(|(index, _)| *index).chain(last) {
        let failed = on_failed_host(ask, index);
        left.same_host |= failed;
        left.elsewhere |= !failed;
    }
    left
}

/// A credential that nothing speaks against.
pub(super) fn spare(lane: &Lane, ask: &Ask<'_>, interventions: &Interventions) -> Option<usize> {
    if lane.models.standing(ask.model, ask.now) != Standing::Healthy {
        return None;
    }
    let is_sound = |(index, key): &(usize, &Key)| {
        !ask.tried.contains(index)
            && !on_failed_host(ask, *index)
            && !interventions.cordoned(&lane.name, &key.name)
            && interventions.drilled(&lane.name, &key.name).is_none()
            && key.standing(ask.model, ask.now) == Standing::Healthy
            && key.breakers.state(ask.model, ask.now) == BreakerState::Closed
    };
    let sound: Vec<_> = eligible(lane, ask.provider, ask.model).filter(is_sound).map(|(index, key)| (index, key.weight)).collect();
    turn(lane, ask, &sound)
}

impl Survey {
    fn take(lane: &Lane, ask: &Ask<'_>, interventions: &Interventions) -> Self {
        let mut survey = Self::default();
        for (index, key) in eligible(lane, ask.provider, ask.model).filter(|(index, _)| !ask.tried.contains(index)) {
            if interventions.cordoned(&lane.name, &key.name) {
                survey.off = true;
                continue;
            }
            match key.standing(ask.model, ask.now) {
                Standing::Healthy if !key.breakers.state(ask.model, ask.now).admits() => survey.broken.push((index, key.weight)),
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
        self.healthy.is_empty() && self.broken.is_empty() && self.guessed.is_empty() && self.stated.is_none()
    }

    /// Picks among what is there. `held` is the probe of an overloaded model.
    fn pick(mut self, lane: &Lane, ask: &Ask<'_>, held: Option<Probe>) -> Pick {
        if self.healthy.iter().any(|(index, _)| !on_failed_host(ask, *index)) {
            self.healthy.retain(|(index, _)| !on_failed_host(ask, *index));
        }
        while let Some(credential) = turn(lane, ask, &self.healthy) {
            let Some(key) = lane.keys.get(credential) else { break };
            match key.breakers.admit(ask.model, ask.now) {
                Ok(trial) => return Pick::Use { credential, probe: held, trial },
                // Another request was quicker to take the trial.
                Err(_) => {
                    self.healthy.retain(|(index, _)| *index != credential);
                    self.broken.push((credential, key.weight));
                }
            }
        }
        match turn(lane, ask, &self.broken).filter(|_| ask.last_resort) {
            Some(credential) => Pick::Use { credential, probe: held, trial: None },
            None if !self.broken.is_empty() => Pick::Broken,
            None => self.last_resort(lane, ask),
        }
    }

    fn last_resort(&self, lane: &Lane, ask: &Ask<'_>) -> Pick {
        if ask.last_resort {
            for (_, credential) in &self.guessed {
                if let Some(probe) = lane.keys.get(*credential).and_then(|key| key.cell.probe()) {
                    return Pick::Use { credential: *credential, probe: Some(probe), trial: None };
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

pub(super) fn eligible<'a>(lane: &'a Lane, provider: &'a Provider, model: &'a str) -> impl Iterator<Item = (usize, &'a Key)> {
    let keys = provider.credentials.iter().zip(&lane.keys).enumerate();
    keys.filter(move |(_, (credential, _))| serves(credential, model)).map(|(index, (_, key))| (index, key))
}

/// The wheel's pick among `shares`. A lone credential does not move it.
fn turn(lane: &Lane, ask: &Ask<'_>, shares: &[(usize, i64)]) -> Option<usize> {
    match shares {
        [] => None,
        [(index, _)] => Some(*index),
        several => lane.wheels.of(ask.model).pick(several, ask.first),
    }
}

fn on_failed_host(ask: &Ask<'_>, index: usize) -> bool {
    let endpoint = |index: usize| ask.provider.credentials.get(index).map(|credential| &credential.endpoint);
    let mine = endpoint(index);
    ask.failed_hosts.iter().any(|failed| match (endpoint(*failed), mine) {
        (Some(theirs), Some(mine)) => Arc::ptr_eq(theirs, mine) || theirs == mine,
        _ => false,
    })
}
