//! `fallbacks` and `mcp`: what is tried, and in which order.

use std::collections::HashMap;

use super::catalogue;
use super::field::{Field, Section, suggestion};
use super::policy::Policy;
use super::provider::{Providers, label};
use super::snapshot::{Candidate, Route};
use super::timeouts::Overrides;
use super::value::shown;

const FALLBACK: &[&str] = &["primary", "fallback"];
const ROUTE: &[&str] = &["id", "primary", "fallbacks", "timeouts", "hedge", "policy"];

/// `fallbacks`, taken apart.
#[derive(Debug, Default)]
pub(super) struct Fallbacks {
    /// The plain entries.
    pub(super) global: Vec<Candidate>,
    /// The `{primary, fallback}` entries.
    pub(super) primary: Vec<(Candidate, Vec<Candidate>)>,
}

/// Reads `fallbacks`: strings, `{primary, fallback}`, or both.
pub(super) fn fallbacks(root: &Section<'_>, providers: &Providers) -> Fallbacks {
    let mut fallbacks = Fallbacks::default();
    let items = root.get("fallbacks").and_then(|field| field.items()).unwrap_or_default();
    for field in items {
        if field.is_map() {
            fallbacks.add_primary(&field, providers);
        } else if let Some(candidate) = providers.candidate(&field) {
            if fallbacks.global.contains(&candidate) {
                let _: Option<()> = field.fail("written twice");
            }
            fallbacks.global.push(candidate);
        }
    }
    fallbacks
}

/// Reads `context_fallbacks`: `{primary, fallback}`.
pub(super) fn context_fallbacks(root: &Section<'_>, providers: &Providers) -> Vec<(Candidate, Vec<Candidate>)> {
    let mut fallbacks = Fallbacks::default();
    for field in root.get("context_fallbacks").and_then(|field| field.items()).unwrap_or_default() {
        fallbacks.add_primary(&field, providers);
    }
    fallbacks.primary
}

/// Reads `mcp`: named routes, in whatever order.
pub(super) fn routes(root: &Section<'_>, providers: &Providers) -> HashMap<String, Route> {
    let mut routes = HashMap::new();
    for field in root.get("mcp").and_then(|field| field.items()).unwrap_or_default() {
        let Some(section) = field.section(ROUTE) else { continue };
        let id = section.require("id").and_then(|id| label(&id));
        let mut candidates: Vec<Candidate> = section.require("primary").and_then(|field| providers.candidate(&field)).into_iter().collect();
        candidates.extend(section.get("fallbacks").map(|field| providers.candidates(&field)).unwrap_or_default());
        let timeouts = Overrides::of(&section);
        for candidate in &mut candidates {
            candidate.timeouts = timeouts.over(candidate.timeouts);
        }
        let written = section.get("primary").and_then(|field| field.text());
        let policy = Policy::read(section.get("policy"), written, providers);
        let Some(id) = id else { continue };
        if !candidates.is_empty() && !keep(&mut candidates, &policy, &field) {
            let _: Option<()> = field.fail("its policy lets nothing in it be tried");
            continue;
        }
        if candidates.is_empty() {
            field.notice(format!("the route {id} is left out: nothing in it can serve"));
            continue;
        }
        let primary = candidates.remove(0);
        if routes.insert(id.clone(), Route { primary, fallbacks: candidates, timeouts, policy }).is_some() {
            let _: Option<()> = field.fail(format!("a second route with the id {id}"));
        }
    }
    routes
}

/// Takes out what the route's own policy would never let be tried. False if nothing is left.
fn keep(candidates: &mut Vec<Candidate>, policy: &Policy, route: &Field<'_>) -> bool {
    candidates.retain(|candidate| {
        let barred = policy.bars(candidate);
        barred.iter().for_each(|why| route.warn(format!("left out: {}/{}: {why}", candidate.provider.name, candidate.model)));
        barred.is_none()
    });
    !candidates.is_empty()
}

impl Fallbacks {
    fn add_primary(&mut self, field: &Field<'_>, providers: &Providers) {
        let Some(section) = field.section(FALLBACK) else { return };
        let primary = section.require("primary").and_then(|field| providers.candidate(&field));
        let list = section.require("fallback").map(|field| providers.candidates(&field));
        let (Some(primary), Some(list)) = (primary, list) else { return };
        if self.primary.iter().any(|(earlier, _)| *earlier == primary) {
            let _: Option<()> = field.fail("a second list for the same primary");
        }
        self.primary.push((primary, list));
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.provider.index == other.provider.index && self.model == other.model
    }
}

impl Providers {
    /// The name of a provider of this file, by itself or an alias.
    pub(super) fn name(&self, field: &Field<'_>) -> Option<String> {
        let name = catalogue::canonical(field.text()?);
        let ready = self.ready.iter().map(|provider| provider.name.as_str());
        let names: Vec<&str> = ready.chain(self.broken.iter().chain(&self.inactive).map(String::as_str)).collect();
        if names.contains(&name) {
            return Some(name.to_owned());
        }
        field.fail(format!("no provider \"{}\" here; {}", shown(name), suggestion(name, &names)))
    }

    /// A list of `provider/model`, or a single one.
    fn candidates(&self, field: &Field<'_>) -> Vec<Candidate> {
        if !field.is_list() {
            return self.candidate(field).into_iter().collect();
        }
        field.items().unwrap_or_default().iter().filter_map(|item| self.candidate(item)).collect()
    }

    /// Reads `provider/model`. `None` is reported: an error, or a notice that it is left out.
    fn candidate(&self, field: &Field<'_>) -> Option<Candidate> {
        let text = field.text()?;
        let Some((provider, model)) = text.split_once('/').filter(|(provider, model)| !provider.is_empty() && !model.is_empty()) else {
            return field.fail("must be provider/model");
        };
        let name = catalogue::canonical(provider);
        if let Some(provider) = self.ready.iter().find(|provider| provider.name == name) {
            return if provider.serves(model) {
                Some(Candidate::new(provider, model))
            } else {
                field.warn(format!("left out: no key of {name} may be used for {model}"));
                None
            };
        }
        self.missing(name, field);
        None
    }

    fn missing(&self, name: &str, field: &Field<'_>) {
        let variables = catalogue::find(name).map(|row| row.env.join(" or ")).unwrap_or_default();
        if self.broken.iter().any(|broken| broken == name) {
            // Its own problem is reported already.
        } else if self.inactive.iter().any(|inactive| inactive == name) {
            field.notice(format!("left out: {name} is accepted and not yet active"));
        } else if self.implied && !variables.is_empty() {
            field.warn(format!("left out: {name} needs {variables} in the environment, or an entry in `providers`"));
        } else {
            let ready = self.ready.iter().map(|provider| provider.name.as_str());
            let names: Vec<&str> = ready.chain(self.broken.iter().chain(&self.inactive).map(String::as_str)).collect();
            let _: Option<()> = field.fail(format!("no provider \"{}\" here; {}", shown(name), suggestion(name, &names)));
        }
    }
}
