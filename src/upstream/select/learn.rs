//! What attempts say of their credentials, hosts and models, remembered for the next choice.

use std::time::{Duration, Instant};

use super::{Lanes, Used};
use crate::upstream::breaker::Blame;
use crate::upstream::health::Cooldown;

impl Lanes {
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

    /// Remembers the fault of a drilled attempt, apart from what is real: it is forgotten with the drill.
    pub fn practise(&self, used: &Used<'_>, cooldown: Cooldown, now: Instant) {
        let Some(lane) = self.lanes.get(used.provider.index) else { return };
        match (cooldown, lane.keys.get(used.credential)) {
            (Cooldown::RateLimited(Some(wait)), Some(key)) => key.cell.drill(wait, now),
            (Cooldown::Overloaded(Some(wait)), _) => lane.models.drill(used.model, wait, now),
            // A drill says how long it lasts, and refuses no key.
            _ => {}
        }
    }

    /// An attempt was given up after so long because another was quicker: no fault of anybody's.
    pub fn outpaced(&self, used: &Used<'_>, took: Duration) {
        if let Some(key) = self.key(used) {
            key.pace.outlasted(took);
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
}
