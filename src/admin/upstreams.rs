//! `GET /upstreams`: how every key stands now. Never its secret.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::live::Live;
use crate::upstream::breaker::BreakerState;
use crate::upstream::health::Standing;
use crate::upstream::intervention::{Deed, Intervention};
use crate::upstream::select::KeyState;

/// Everything that is known of the keys.
#[derive(Debug, Serialize)]
pub struct Upstreams {
    keys: Vec<Key>,
    /// Cordons and drills.
    interventions: Vec<InForce>,
}

#[derive(Debug, Serialize)]
struct Key {
    provider: String,
    key: String,
    weight: i64,
    /// Of first attempts now, among the provider's keys that are ready: 0 to 1.
    share: f64,
    /// Of first attempts while all are ready.
    share_configured: f64,
    /// `healthy`, `cooling`, `off`, `cordoned`.
    standing: &'static str,
    /// When the cool-down ends.
    cooling_ms: Option<u64>,
    /// Whether the provider said how long; else it is a guess.
    cooling_stated: Option<bool>,
    /// Models whose breaker at the key's host is not closed.
    breakers: Vec<Breaker>,
    in_flight: usize,
    /// Moving average of the time to the first content.
    first_content_ms: Option<f64>,
    /// Moving average of the share of attempts that failed: 0 to 1.
    error_rate: Option<f64>,
    /// How a drill makes it fail.
    drill: Option<&'static str>,
    drill_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Breaker {
    model: String,
    /// `open`, `half_open`.
    state: &'static str,
    /// When it may be tried again.
    open_ms: Option<u64>,
}

/// A cordon or a drill, as operators read it.
#[derive(Debug, Serialize)]
pub struct InForce {
    /// A provider, or `provider/key`.
    pub target: String,
    /// `cordon`, or `drill`.
    pub what: &'static str,
    /// How a drilled key fails.
    pub fault: Option<&'static str>,
    /// How long it still lasts; `None` until it is lifted.
    pub left_ms: Option<u64>,
}

impl Upstreams {
    /// How they stand at `now`.
    #[must_use]
    pub fn at(live: &Live, now: Instant) -> Self {
        let states = live.lanes.states(now);
        let ready =
            |provider: &str| -> i64 { states.iter().filter(|key| key.provider == provider && is_ready(key)).map(|key| key.weight).sum() };
        let keys = states.iter().map(|key| Key::of(key, ready(key.provider), now)).collect();
        Self { keys, interventions: live.lanes.interventions(now).iter().map(|each| InForce::of(each, now)).collect() }
    }
}

impl Key {
    fn of(key: &KeyState<'_>, ready: i64, now: Instant) -> Self {
        let (standing, cooling, stated) = match key.standing {
            _ if key.cordoned => ("cordoned", None, None),
            Standing::Healthy => ("healthy", None, None),
            Standing::Cooling { until, stated } => ("cooling", Some(ms(until, now)), Some(stated)),
            Standing::Off => ("off", None, None),
        };
        #[allow(clippy::cast_precision_loss, reason = "weights have nine digits")]
        let share = if is_ready(key) && ready > 0 { key.weight as f64 / ready as f64 } else { 0.0 };
        Self {
            provider: key.provider.to_owned(),
            key: key.credential.to_owned(),
            weight: key.weight,
            share,
            share_configured: key.share,
            standing,
            cooling_ms: cooling,
            cooling_stated: stated,
            breakers: key.breakers.iter().map(|(model, state)| Breaker::of(model, *state, now)).collect(),
            in_flight: key.in_flight,
            first_content_ms: key.averages.first_content_ms,
            error_rate: key.averages.error_rate,
            drill: key.drill.map(|(fault, _)| fault.name()),
            drill_ms: key.drill.map(|(_, until)| ms(until, now)),
        }
    }
}

impl Breaker {
    fn of(model: &str, state: BreakerState, now: Instant) -> Self {
        let open_ms = if let BreakerState::Open { until } = state { Some(ms(until, now)) } else { None };
        Self { model: model.to_owned(), state: state.label(), open_ms }
    }
}

impl InForce {
    /// As it stands at `now`.
    #[must_use]
    pub fn of(each: &Intervention, now: Instant) -> Self {
        let (what, fault) = match each.deed {
            Deed::Cordon => ("cordon", None),
            Deed::Drill(fault) => ("drill", Some(fault.name())),
        };
        Self { target: each.target.to_string(), what, fault, left_ms: each.left(now).map(whole_ms) }
    }
}

fn is_ready(key: &KeyState<'_>) -> bool {
    key.standing == Standing::Healthy && !key.cordoned
}

fn ms(until: Instant, now: Instant) -> u64 {
    whole_ms(until.saturating_duration_since(now))
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
