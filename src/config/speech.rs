//! How a model is spoken to: by its provider's dialect, or by an exception from it.

use heliostat_filters::dialect;

use super::Secret;
use super::snapshot::{Candidate, Credential, Detour, Provider, Speech};

impl Provider {
    /// How it is spoken to about `model`.
    #[must_use]
    pub fn speaks(&self, model: &str) -> &Speech {
        let exception = self.exceptions.iter().find(|exception| model.starts_with(exception.models));
        exception.map_or(&self.speech, |exception| &exception.speech)
    }
}

impl Candidate {
    /// How it is spoken to.
    #[must_use]
    pub fn speech(&self) -> &Speech {
        let also = self.also.and_then(|also| self.provider.also.get(also));
        also.unwrap_or_else(|| self.provider.speaks(&self.model))
    }

    /// The same, spoken to in the dialect of a client where the provider speaks that too, so that nothing need be translated.
    #[must_use]
    pub fn in_dialect(self, name: &str) -> Self {
        let usual = self.provider.speaks(&self.model);
        if usual.dialect.name() == name || self.provider.exceptions.iter().any(|other| self.model.starts_with(other.models)) {
            return self;
        }
        let also = self.provider.also.iter().position(|speech| speech.dialect.name() == name);
        Self { also, ..self }
    }
}

impl Speech {
    /// The path and query of a chat call, below [`Credential::base_path`].
    #[must_use]
    pub fn chat_path(&self, model: &str, stream: bool) -> String {
        match &self.call {
            None => self.dialect.chat_path(model, stream),
            Some(call) => filled(if stream { &call.stream } else { &call.whole }, model),
        }
    }

    /// The same of an embeddings call, where it does not go where the dialect says.
    #[must_use]
    pub fn embeddings_path(&self, model: &str) -> Option<String> {
        self.call.as_ref()?.embeddings.as_deref().map(|template| filled(template, model))
    }
}

fn filled(template: &str, model: &str) -> String {
    template.replace("{model}", &dialect::encode_segment(model))
}

impl Credential {
    /// The secret as it was written: what tells a changed credential from the same one.
    #[must_use]
    pub fn written(&self) -> &Secret {
        self.account.as_ref().map_or(&self.secret, |account| account.service.document())
    }

    /// The base path of calls to `model`: the endpoint's, but for an exception.
    #[must_use]
    pub fn base_path(&self, model: &str) -> &str {
        self.detour(model).and_then(|detour| detour.path.as_deref()).unwrap_or(&self.endpoint.path)
    }

    /// Whether it can reach `model` at all, whatever its list says.
    pub(super) fn reaches(&self, model: &str) -> bool {
        self.detour(model).is_none_or(|detour| detour.path.is_some())
    }

    fn detour(&self, model: &str) -> Option<&Detour> {
        self.detours.iter().find(|detour| model.starts_with(detour.models))
    }
}
