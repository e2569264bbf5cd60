//! What operators do: cordons and drills, and their ends.

use std::time::Instant;

use super::{Lanes, Used};
use crate::upstream::intervention::{Deed, DrillFault, Intervention, Target};

impl Lanes {
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
    pub(super) fn settle(&self, now: Instant) {
        self.interventions.over(now).iter().for_each(|each| self.ended(each));
    }

    /// What a drill taught is forgotten with it: the key is usable at once, unless it rests by its provider's word.
    pub(super) fn ended(&self, intervention: &Intervention) {
        let Intervention { target, deed, .. } = intervention;
        log::warn!("{target}: {deed} has ended");
        let Some(lane) = self.lanes.iter().find(|lane| lane.name == target.provider) else { return };
        if matches!(deed, Deed::Drill(_)) {
            lane.forget(target.credential.as_deref());
        }
    }
}
