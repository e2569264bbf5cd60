//! `policy` of a route: where a failover may never go, whoever asks for it.

use std::fmt;

use super::catalogue;
use super::field::Field;
use super::provider::{Providers, patterns};
use super::snapshot::{Candidate, Credential, ModelPattern, Provider};

const POLICY: &[&str] = &["same_family", "regions", "providers"];

/// What every candidate of a route must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Its model is of this family: that of the route's primary.
    family: Option<String>,
    /// Every key that may be used for it is in one of these regions.
    regions: Option<Vec<ModelPattern>>,
    /// It is at one of these providers.
    providers: Option<Vec<String>>,
}

/// Why a policy does not let a candidate be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barred {
    /// It is of another family of models.
    Family,
    /// A key for it is in another region, or nobody wrote where.
    Region,
    /// It is at another provider.
    Provider,
}

impl Policy {
    /// Reads the section; `primary` is the model that the route was written for, also where it cannot serve now.
    pub(super) fn read(field: Option<Field<'_>>, primary: Option<&str>, providers: &Providers) -> Self {
        let Some(section) = field.and_then(|field| field.section(POLICY)) else { return Self::default() };
        let same_family = section.get("same_family").and_then(|field| field.boolean()).unwrap_or(false);
        let names = section.get("providers").map(|field| field.items().unwrap_or_default());
        Self {
            family: primary.filter(|_| same_family).map(family),
            regions: section.get("regions").map(|field| patterns(&field).unwrap_or_default()),
            providers: names.map(|names| names.iter().filter_map(|name| providers.name(name)).collect()),
        }
    }

    /// Whether it keeps anything out.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }

    /// Why `candidate` may not be tried; `None` if it may.
    #[must_use]
    pub fn bars(&self, candidate: &Candidate) -> Option<Barred> {
        let Candidate { provider, model, .. } = candidate;
        let elsewhere = |regions: &Vec<ModelPattern>| provider.eligible(model).any(|key| !is_in(regions, region(provider, key)));
        if self.family.as_ref().is_some_and(|kin| *kin != family(model)) {
            Some(Barred::Family)
        } else if self.regions.as_ref().is_some_and(elsewhere) {
            Some(Barred::Region)
        } else if self.providers.as_ref().is_some_and(|names| !names.contains(&provider.name)) {
            Some(Barred::Provider)
        } else {
            None
        }
    }
}

impl Barred {
    /// The word in logs and in `x-heliostat-attempts`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Family => "policy_family",
            Self::Region => "policy_region",
            Self::Provider => "policy_provider",
        }
    }
}

impl fmt::Display for Policy {
    /// `the family anthropic, the regions eu or europe-*, the providers anthropic or vertex`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.family.as_ref().map(|family| format!("the family {family}"));
        let regions = self.regions.as_ref().map(|regions| format!("the regions {}", any(regions)));
        let providers = self.providers.as_ref().map(|names| format!("the providers {}", any(names)));
        let parts: Vec<String> = [family, regions, providers].into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

fn any(names: &[impl ToString]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Family => "the route's policy keeps to another family of models",
            Self::Region => "the route's policy keeps to other regions than all of its keys are in (`region` of the provider)",
            Self::Provider => "the route's policy keeps to other providers",
        })
    }
}

/// Where a key's requests are served: a service account's location, else what is written of the provider.
fn region<'p>(provider: &'p Provider, key: &'p Credential) -> Option<&'p str> {
    key.account.as_ref().map(|account| account.location.as_str()).or(provider.region.as_deref())
}

/// What nobody wrote is in no region: a promise cannot be kept on a guess.
fn is_in(regions: &[ModelPattern], region: Option<&str>) -> bool {
    region.is_some_and(|region| regions.iter().any(|pattern| pattern.matches(region)))
}

/// Whose kind a model is: the first provider of the catalogue whose own models begin like it, wherever it is served, else the letters
/// that its name begins with (`llama`, `qwen`).
fn family(model: &str) -> String {
    let bare = bare(model).to_lowercase();
    let owner = catalogue::rows().iter().find(|row| row.models.iter().any(|prefix| bare.starts_with(prefix.as_str())));
    owner.map_or_else(|| bare.chars().take_while(char::is_ascii_alphabetic).collect(), |row| row.name.clone())
}

/// `claude-haiku-4-5` of `publishers/anthropic/models/claude-haiku-4-5`, `us.anthropic.claude-haiku-4-5` and the like.
fn bare(model: &str) -> &str {
    let last = model.rsplit('/').next().unwrap_or(model);
    let mut bare = last.strip_prefix("ft:").unwrap_or(last);
    let is_maker = |word: &str| word.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
    while let Some((_, rest)) = bare.split_once('.').filter(|(maker, _)| is_maker(maker)) {
        bare = rest;
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::family;

    #[test]
    fn a_family_is_known_wherever_it_is_served() {
        for (model, kin, same) in [
            ("claude-haiku-4-5", "us.anthropic.claude-sonnet-4-5-v1:0", true),
            ("claude-haiku-4-5", "anthropic/claude-3.5-haiku", true),
            ("claude-haiku-4-5", "gpt-4o-mini", false),
            ("gpt-4.1", "ft:gpt-4o:acme", true),
            ("gpt-4o", "o3", true),
            ("gemini-2.5-flash", "google/gemini-2.5-pro", true),
            ("llama-3.3-70b", "meta.llama3-1-8b", true),
            ("llama-3.3-70b", "Qwen2.5-72B", false),
        ] {
            assert_eq!(family(model) == family(kin), same, "{model} and {kin}: {} and {}", family(model), family(kin));
        }
    }
}
