//! Which credential serves an attempt: weighted among the healthy, the cooling last, the switched-off never.
//!
//! [`Lanes`] is the live state behind a [`Snapshot`]. A reload builds another from the former, so that what was learnt of a
//! credential stays known as long as its name, secret and endpoint stay the same.

mod lane;

use std::sync::Arc;
use std::time::Instant;

use self::lane::{Key, Lane};
use super::breaker::{Blame, BreakerState, Trial};
use super::health::{Cooldown, Probe, Standing};
use super::intervention::{Deed, DrillFault, Intervention, Interventions, Target};
use super::pace::{Averages, Busy};
use crate::config::{Credential, Provider, Snapshot};

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
        let pick = pick(lane, ask, &self.interventions);
        if ask.first && matches!(pick, Pick::Use { .. }) {
            lane.budget.request();
        }
        pick
    }

    /// Whether the same host may be asked once more for a request that it failed; if so, that is counted.
    #[must_use]
    pub fn may_repeat(&self, provider: &Provider, now: Instant) -> bool {
        self.lanes.get(provider.index).is_none_or(|lane| lane.budget.take(provider.budget, now))
    }

    /// Which credentials [`select`](Self::select) could still pick; [`super::verdict::next`] wants to know.
    #[must_use]
    pub fn left(&self, ask: &Ask<'_>) -> KeysLeft {
        let Some(lane) = self.lanes.get(ask.provider.index) else { return KeysLeft::default() };
        let survey = Survey::take(lane, ask, &self.interventions);
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

    /// Whether a candidate should be tried after others: its model is overloaded, or no credential for it is healthy.
    #[must_use]
    pub fn is_cool(&self, provider: &Provider, model: &str, now: Instant) -> bool {
        self.settle(now);
        let Some(lane) = self.lanes.get(provider.index) else { return false };
        lane.models.standing(model, now) != Standing::Healthy
            || !eligible(lane, provider, model)
                .filter(|(_, key)| !self.interventions.cordoned(&lane.name, &key.name))
                .any(|(_, key)| key.standing(model, now) == Standing::Healthy && key.breakers.state(model, now).admits())
    }

    /// Counts an attempt as under way until the answer is dropped.
    #[must_use]
    pub fn enter(&self, used: &Used<'_>) -> Option<Busy> {
        Some(self.key(used)?.pace.enter())
    }

    /// Remembers what a failed attempt, which began at `began`, says of its host. Runs once for each, before its trial is dropped.
    pub fn blame(&self, used: &Used<'_>, blame: Blame, began: Instant, now: Instant) {
        let Some(key) = self.key(used) else { return };
        let rules = used.provider.breaker;
        match blame {
            Blame::Fault | Blame::Timeout => {
                key.pace.failed();
                key.breakers.fault(used.model, blame == Blame::Timeout, rules, now);
            }
            Blame::None => key.breakers.answered(used.model, false, rules, began, now),
        }
    }

    /// Remembers a fault. Runs once for each failed attempt whose outcome asks for it, before its probe is dropped. `chance`, from 0
    /// to 1, varies a guess.
    pub fn cool(&self, used: &Used<'_>, cooldown: Cooldown, chance: f64, now: Instant) {
        let Some(lane) = self.lanes.get(used.provider.index) else { return };
        let Some(key) = lane.keys.get(used.credential) else { return };
        match cooldown {
            Cooldown::RateLimited(stated) => key.cell.cool(stated, chance, now),
            Cooldown::Overloaded(stated) => lane.models.cool(used.model, stated, chance, now),
            Cooldown::Refused => key.cell.refuse(now),
            Cooldown::Forbidden => key.forbid(used.model),
            Cooldown::Unpaid => key.cell.unpaid(now),
        }
    }

    /// An attempt that began at `began` has its first content now: what was remembered against its credential and model is forgotten.
    pub fn success(&self, used: &Used<'_>, began: Instant, now: Instant) {
        let Some(lane) = self.lanes.get(used.provider.index) else { return };
        if let Some(key) = lane.keys.get(used.credential) {
            key.cell.success(began);
            key.pace.succeeded(now.saturating_duration_since(began));
            key.breakers.answered(used.model, true, used.provider.breaker, began, now);
        }
        lane.models.success(used.model, began);
    }

    /// How the credential is to fail, and until when, where a drill says so.
    #[must_use]
    pub fn drilled(&self, used: &Used<'_>) -> Option<(DrillFault, Instant)> {
        let credential = used.provider.credentials.get(used.credential)?;
        self.drill_of(&used.provider.name, &credential.name)
    }

    /// The same by names.
    #[must_use]
    pub fn drill_of(&self, provider: &str, credential: &str) -> Option<(DrillFault, Instant)> {
        self.interventions.drilled(provider, credential)
    }

    /// Puts a cordon or a drill in force. False if there are too many.
    #[must_use]
    pub fn intervene(&self, intervention: Intervention) -> bool {
        let name = format!("{}: {}", intervention.target, intervention.deed);
        let begun = self.interventions.begin(intervention);
        if begun {
            log::warn!("{name} begins, by the operator");
        }
        begun
    }

    /// Ends the cordon, or the drill, of a target. False if there was none.
    pub fn relent(&self, target: &Target, is_cordon: bool) -> bool {
        let ended = self.interventions.end(target, is_cordon);
        ended.iter().for_each(|each| self.ended(each));
        !ended.is_empty()
    }

    /// Cordons and drills in force.
    #[must_use]
    pub fn interventions(&self, now: Instant) -> Vec<Intervention> {
        self.settle(now);
        self.interventions.all()
    }

    /// Whether a target is there.
    #[must_use]
    pub fn knows(&self, target: &Target) -> bool {
        let Some(lane) = self.lanes.iter().find(|lane| lane.name == target.provider) else { return false };
        target.credential.as_ref().is_none_or(|name| lane.keys.iter().any(|key| key.name == *name))
    }

    /// Ends what has had its time.
    fn settle(&self, now: Instant) {
        self.interventions.over(now).iter().for_each(|each| self.ended(each));
    }

    /// What a drill taught is forgotten with it: the key is usable at once.
    fn ended(&self, intervention: &Intervention) {
        let Intervention { target, deed, .. } = intervention;
        log::warn!("{target}: {deed} has ended");
        let Some(lane) = self.lanes.iter().find(|lane| lane.name == target.provider) else { return };
        if matches!(deed, Deed::Drill(_)) {
            lane.forget(target.credential.as_deref());
        }
    }

    /// How every credential stands, as (provider, credential, standing): for metrics and the operator's page.
    #[must_use]
    pub fn standings(&self, now: Instant) -> Vec<(&str, &str, Standing)> {
        let of = |lane| standings_of(lane, now);
        self.lanes.iter().flat_map(of).collect()
    }

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

    fn key(&self, used: &Used<'_>) -> Option<&Key> {
        self.lanes.get(used.provider.index)?.keys.get(used.credential)
    }
}

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

fn pick(lane: &Lane, ask: &Ask<'_>, interventions: &Interventions) -> Pick {
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

fn eligible<'a>(lane: &'a Lane, provider: &'a Provider, model: &'a str) -> impl Iterator<Item = (usize, &'a Key)> {
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
