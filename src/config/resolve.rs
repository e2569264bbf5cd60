//! Which model a name means. The order is the contract's, "Which model".

use super::catalogue;
use super::secret::Secret;
use super::snapshot::{Candidate, Credential, ModelPattern, Provider, Route, Snapshot};

/// What an asked `model` means.
#[derive(Debug)]
pub enum Resolution<'s> {
    /// A named route.
    Route(&'s Route),
    /// A model at a provider that has a key for it.
    Candidate(Candidate),
    /// Nothing here.
    Unknown {
        /// What there is instead: names to ask for; `provider/*` and `provider/prefix*` where a provider takes more than can be listed.
        known: Vec<String>,
    },
}

impl Snapshot {
    /// Every secret of the configuration that could be said as a text: those of providers and those of clients.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let of_providers = self.providers.iter().flat_map(|provider| &provider.credentials).map(|credential| &credential.secret);
        of_providers.chain(self.client_keys.iter().map(|key| &key.secret))
    }

    /// Every model that the configuration names, by provider.
    pub fn named_models(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_keys = self.providers.iter().flat_map(|provider| {
            let patterns = provider.credentials.iter().flat_map(|credential| credential.models.iter().flatten());
            patterns.filter_map(|pattern| match pattern {
                ModelPattern::Exact(model) => Some((provider.name.as_str(), model.as_str())),
                ModelPattern::Prefix(_) => None,
            })
        });
        let of_routes = self.routes.values().flat_map(|route| std::iter::once(&route.primary).chain(&route.fallbacks));
        let of_primaries = self.primary_fallbacks.iter().flat_map(|(primary, fallbacks)| std::iter::once(primary).chain(fallbacks));
        let candidates = of_routes.chain(of_primaries).chain(&self.global_fallbacks);
        of_keys.chain(candidates.map(|candidate| (candidate.provider.name.as_str(), candidate.model.as_str())))
    }

    /// Finds what `asked` means: a route's id; `provider/model`, split at the first slash, where that is a configured provider or an
    /// alias; a model that a key's `models` names, exactly before by prefix; a model whose prefix the catalogue knows as a configured
    /// provider's own; whatever it is, where there is only one provider.
    ///
    /// A model that no key of its provider may be used for is unknown.
    #[must_use]
    pub fn resolve(&self, asked: &str) -> Resolution<'_> {
        if let Some(route) = self.routes.get(asked) {
            return Resolution::Route(route);
        }
        let found = match self.split(asked) {
            Some((provider, model)) => provider.serves(model).then_some((provider, model)),
            None => self.owner(asked).map(|provider| (provider, asked)),
        };
        match found {
            Some((provider, model)) => Resolution::Candidate(Candidate::new(provider, model)),
            None => Resolution::Unknown { known: self.known() },
        }
    }

    /// What `GET /v1/models` lists: (id, owner). Routes first, then `provider/model` for every model that a key's `models` names in
    /// full, then those that fallbacks and routes name. Each can be sent back as `model`. A provider whose keys name no model
    /// contributes none, for nothing here knows what its account may use; its models are reached as `provider/model` all the same.
    #[must_use]
    pub fn model_ids(&self) -> Vec<(String, String)> {
        let mut ids: Vec<(String, String)> = self.route_ids().into_iter().map(|id| (id.to_owned(), "heliostat".to_owned())).collect();
        let listed = self.providers.iter().flat_map(|provider| provider.exact_models().map(move |model| (provider, model)));
        let named = self.named().map(|candidate| (&candidate.provider, candidate.model.as_str()));
        for (provider, model) in listed.chain(named) {
            let id = (format!("{}/{model}", provider.name), provider.name.clone());
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// What the file says to try after `primary`: its own list, else the global one; never itself, and not what follows those in turn.
    #[must_use]
    pub fn fallbacks_for(&self, primary: &Candidate) -> Vec<Candidate> {
        let own = self.primary_fallbacks.iter().find(|(asked, _)| asked == primary).map(|(_, list)| list);
        own.unwrap_or(&self.global_fallbacks).iter().filter(|candidate| *candidate != primary).cloned().collect()
    }

    /// What the file says to try when `candidate` finds the conversation too long.
    #[must_use]
    pub fn larger_than(&self, candidate: &Candidate) -> &[Candidate] {
        self.context_fallbacks.iter().find(|(small, _)| small == candidate).map_or(&[], |(_, larger)| larger)
    }

    /// A provider by its name or an alias.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&std::sync::Arc<Provider>> {
        let name = catalogue::canonical(name);
        self.providers.iter().find(|provider| provider.name == name)
    }

    /// Routes' ids in alphabetical order.
    pub(super) fn route_ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.routes.keys().map(String::as_str).collect();
        ids.sort_unstable();
        ids
    }

    fn split<'m>(&self, asked: &'m str) -> Option<(&std::sync::Arc<Provider>, &'m str)> {
        let (name, model) = asked.split_once('/')?;
        Some((self.provider(name)?, model))
    }

    fn owner(&self, model: &str) -> Option<&std::sync::Arc<Provider>> {
        let by_list = self.providers.iter().filter_map(|provider| Some((provider.listed(model)?, provider)));
        // The first of the longest: an exact name is longer than any prefix of it.
        let by_list = by_list.rev().max_by_key(|(length, _)| *length).map(|(_, provider)| provider);
        let by_prefix = || self.providers.iter().find(|provider| provider.owns(model) && provider.serves(model));
        let only = || match self.providers.as_slice() {
            [only] => Some(only).filter(|only| only.serves(model)),
            _ => None,
        };
        by_list.or_else(by_prefix).or_else(only)
    }

    fn named(&self) -> impl Iterator<Item = &Candidate> {
        let lists = self.primary_fallbacks.iter().chain(&self.context_fallbacks);
        let primaries = lists.flat_map(|(primary, list)| std::iter::once(primary).chain(list));
        let routes = self.route_ids().into_iter().filter_map(|id| self.routes.get(id));
        let routes = routes.flat_map(|route| std::iter::once(&route.primary).chain(&route.fallbacks));
        self.global_fallbacks.iter().chain(primaries).chain(routes)
    }

    fn known(&self) -> Vec<String> {
        let mut known: Vec<String> = self.model_ids().into_iter().map(|(id, _)| id).collect();
        for provider in &self.providers {
            let prefixes = provider.credentials.iter().filter(|key| key.weight > 0.0).flat_map(Credential::prefixes);
            for prefix in prefixes {
                let name = format!("{}/{prefix}*", provider.name);
                if !known.contains(&name) {
                    known.push(name);
                }
            }
        }
        known
    }
}

impl Provider {
    /// The credentials that may be used for `model`, in the order of the file; those of weight 0 never.
    pub fn eligible(&self, model: &str) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter(move |credential| credential.weight > 0.0 && credential.takes(model))
    }

    /// Whether any credential may be used for `model`.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        !model.is_empty() && self.eligible(model).next().is_some()
    }

    /// How well a key's written list fits `model`: the length of what matched, 1 more for a whole name.
    fn listed(&self, model: &str) -> Option<usize> {
        let patterns = self.credentials.iter().filter(|key| key.weight > 0.0).flat_map(|key| key.models.iter().flatten());
        patterns.filter(|pattern| pattern.matches(model)).map(ModelPattern::rank).max()
    }

    /// Whether the catalogue knows `model` as one of its own.
    fn owns(&self, model: &str) -> bool {
        catalogue::find(&self.name).is_some_and(|row| row.models.iter().any(|prefix| model.starts_with(prefix)))
    }

    fn exact_models(&self) -> impl Iterator<Item = &str> {
        let keys = self.credentials.iter().filter(|key| key.weight > 0.0);
        keys.flat_map(|key| key.models.iter().flatten()).filter_map(|pattern| match pattern {
            ModelPattern::Exact(name) => Some(name.as_str()),
            ModelPattern::Prefix(_) => None,
        })
    }
}

impl Credential {
    /// Whether it may be used for `model`.
    #[must_use]
    pub fn takes(&self, model: &str) -> bool {
        self.reaches(model) && self.models.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(model)))
    }

    /// What the models it takes begin with; the empty text where it takes all.
    fn prefixes(&self) -> Vec<&str> {
        let Some(patterns) = &self.models else { return vec![""] };
        let stems = patterns.iter().filter_map(|pattern| match pattern {
            ModelPattern::Prefix(stem) => Some(stem.as_str()),
            ModelPattern::Exact(_) => None,
        });
        stems.collect()
    }
}

impl ModelPattern {
    /// Whether it stands for `model`.
    #[must_use]
    pub fn matches(&self, model: &str) -> bool {
        match self {
            Self::Exact(name) => name == model,
            Self::Prefix(stem) => model.starts_with(stem.as_str()),
        }
    }

    fn rank(&self) -> usize {
        match self {
            Self::Exact(name) => name.len() + 1,
            Self::Prefix(stem) => stem.len(),
        }
    }
}
