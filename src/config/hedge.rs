//! `hedge`: when a second attempt is made beside one that is silent. A provider's is read over the top level's, a route's over its
//! candidates'.

use super::field::{Field, Section};
use super::snapshot::BudgetRules;

const HEDGE: &[&str] = &["enabled", "after_ms", "budget_percent"];
/// So many hedges in ten to twenty seconds are made whatever the budget: it would else let through none where there is little traffic.
const RESERVE: u32 = 2;

/// When an attempt that has brought nothing yet is joined by a second one. Each costs a second call, so that there is none by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hedge {
    /// From the beginning of the attempt.
    pub after_ms: u64,
    /// Of a hundred first attempts at a provider so many may be hedged.
    pub budget_percent: u32,
}

impl Default for Hedge {
    fn default() -> Self {
        Self { after_ms: 5_000, budget_percent: 5 }
    }
}

impl Hedge {
    /// What the budget is counted by.
    #[must_use]
    pub fn budget(self) -> BudgetRules {
        BudgetRules { enabled: true, share: f64::from(self.budget_percent) / 100.0, reserve: RESERVE }
    }
}

/// What a section sets of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HedgeOverrides {
    enabled: bool,
    after_ms: Option<u64>,
    budget_percent: Option<u32>,
}

impl HedgeOverrides {
    /// Reads a section, if there is one.
    pub(super) fn read(field: Option<Field<'_>>) -> Option<Self> {
        let section: Section<'_> = field?.section(HEDGE)?;
        let percent = section.get("budget_percent").and_then(|field| field.integer(1..=100));
        let mut after_ms = 0;
        section.milliseconds("after_ms", 1, &mut after_ms);
        Some(Self {
            enabled: section.get("enabled").is_none_or(|field| field.boolean() != Some(false)),
            after_ms: (after_ms > 0).then_some(after_ms),
            budget_percent: percent.and_then(|percent| u32::try_from(percent).ok()),
        })
    }

    /// To write the section is to ask for it.
    pub(super) fn over(self, rules: Option<Hedge>) -> Option<Hedge> {
        let rules = rules.unwrap_or_default();
        let after_ms = self.after_ms.unwrap_or(rules.after_ms);
        let budget_percent = self.budget_percent.unwrap_or(rules.budget_percent);
        self.enabled.then_some(Hedge { after_ms, budget_percent })
    }
}
