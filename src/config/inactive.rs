//! A section that is accepted, checked and kept, and does nothing yet.

use super::field::{Field, Section};

const GOVERNANCE: &[&str] = &["virtual_keys"];
const VIRTUAL_KEY: &[&str] = &["id", "budget_usd_monthly"];

const MAX_USD: f64 = 1e9;

/// `governance`: who may spend how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Governance {
    /// One for each team.
    pub virtual_keys: Vec<VirtualKey>,
}

/// A key of ours that stands for credentials of providers.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualKey {
    /// Its name.
    pub id: String,
    /// What it may spend in a calendar month.
    pub budget_usd_monthly: Option<f64>,
}

/// Reads `governance`.
pub(super) fn governance(root: &Section<'_>) -> Option<Governance> {
    let section = root.get("governance")?.section(GOVERNANCE)?;
    say_inactive(&section.field);
    let keys = section.get("virtual_keys").and_then(|field| field.items()).unwrap_or_default();
    let mut virtual_keys: Vec<VirtualKey> = Vec::new();
    for field in &keys {
        let Some(key) = virtual_key(field) else { continue };
        if virtual_keys.iter().any(|earlier| earlier.id == key.id) {
            let _: Option<()> = field.fail(format!("a second virtual key with the id {}", key.id));
        }
        virtual_keys.push(key);
    }
    Some(Governance { virtual_keys })
}

fn virtual_key(field: &Field<'_>) -> Option<VirtualKey> {
    let section = field.section(VIRTUAL_KEY)?;
    let budget_usd_monthly = section.get("budget_usd_monthly").and_then(|field| field.number(0.0..=MAX_USD));
    Some(VirtualKey { id: super::provider::label(&section.require("id")?)?, budget_usd_monthly })
}

fn say_inactive(field: &Field<'_>) {
    field.notice("accepted and not yet active");
}
