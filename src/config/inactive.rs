//! Sections that are accepted, checked and kept, and do nothing yet.

use super::field::{Field, Section};

const SEMANTIC_CACHE: &[&str] = &["enabled", "similarity_threshold", "ttl_seconds"];
const GOVERNANCE: &[&str] = &["virtual_keys"];
const VIRTUAL_KEY: &[&str] = &["id", "budget_usd_monthly"];

const YEAR_SECONDS: u64 = 366 * 24 * 60 * 60;
const MAX_USD: f64 = 1e9;

/// `semantic_cache`: answers to questions that mean the same.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticCache {
    /// Whether it is to be used.
    pub enabled: bool,
    /// Least cosine similarity of a hit, 0 to 1.
    pub similarity_threshold: Option<f64>,
    /// How long an answer is kept.
    pub ttl_seconds: Option<u64>,
}

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

/// Reads `semantic_cache`.
pub(super) fn semantic_cache(root: &Section<'_>) -> Option<SemanticCache> {
    let section = root.get("semantic_cache")?.section(SEMANTIC_CACHE)?;
    let enabled = section.get("enabled").and_then(|field| field.boolean()).unwrap_or(true);
    if enabled {
        say_inactive(&section.field);
    }
    Some(SemanticCache {
        enabled,
        similarity_threshold: section.get("similarity_threshold").and_then(|field| field.number(0.0..=1.0)),
        ttl_seconds: section.get("ttl_seconds").and_then(|field| field.integer(1..=YEAR_SECONDS)),
    })
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
