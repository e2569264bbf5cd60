//! Where a credential leads: the host and base path of its calls, and what authenticates them.

use std::sync::Arc;

use super::Secret;
use super::account::{self, DEFAULT_LOCATION, ServiceAccount};
use super::base_url;
use super::catalogue::Row;
use super::field::{Field, Section};
use super::snapshot::{Account, Credential, Detour, Endpoint};

/// The part of a credential that depends on its kind.
pub(super) struct Access {
    pub(super) secret: Secret,
    pub(super) account: Option<Account>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) detours: Vec<Detour>,
}

/// What a provider's entry says of where its credentials lead.
pub(super) struct Base<'n> {
    pub(super) row: &'static Row,
    /// The provider's `base_url`.
    pub(super) url: Option<Field<'n>>,
    pub(super) project: Option<Field<'n>>,
    pub(super) location: Option<Field<'n>>,
}

impl Base<'_> {
    /// Reads a key whose value is a JSON document.
    pub(super) fn account(&self, value: &Field<'_>, section: &Section<'_>, document: &Secret) -> Option<Access> {
        let Some(template) = &self.row.account_path else {
            return value.fail("is a JSON document, and this provider takes a key");
        };
        let service = match ServiceAccount::read(document) {
            Ok(service) => service,
            Err(what) => return value.fail(what),
        };
        let location = named(self.location.as_ref(), account::is_location).unwrap_or_else(|| Some(DEFAULT_LOCATION.to_owned()));
        let written = section.get("project").or_else(|| self.project.clone());
        let project = match named(written.as_ref(), account::is_project) {
            Some(project) => project,
            None => {
                service.project.clone().filter(|own| account::is_project(own)).or_else(|| value.fail("names no project: write `project`"))
            }
        };
        let root = self.root(section.get("base_url").as_ref());
        let (location, project, root) = (location?, project?, root?);
        let prefix = root.as_ref().map(|root| root.path.as_str()).filter(|path| !path.is_empty());
        let fill = |template: &str| account::path(template, &project, &location, prefix);
        let detours = self.row.detours(Some(&fill));
        let endpoint = Arc::new(Endpoint { path: fill(template), ..root.clone().unwrap_or_else(|| host_of(&location)) });
        let account = Some(Account { service: Arc::new(service), project, location });
        Some(Access { secret: Secret::new(""), account, endpoint, detours })
    }

    /// Says what was written to no effect.
    pub(super) fn check(&self, credentials: &[Credential], secrets_may_be_missing: bool) {
        if secrets_may_be_missing || credentials.iter().any(|credential| credential.account.is_some()) {
            return;
        }
        for field in self.project.iter().chain(&self.location) {
            field.warn("has no effect: no key is a service account's");
        }
    }

    /// The written base URL, if there is one: its host stands for the location's, its path for the version's.
    #[expect(clippy::option_option, reason = "outer: reported; inner: none written")]
    fn root(&self, of_key: Option<&Field<'_>>) -> Option<Option<Endpoint>> {
        let Some(field) = of_key.or(self.url.as_ref()) else { return Some(None) };
        match base_url::parse(field.text()?) {
            Ok(endpoint) => Some(Some(endpoint)),
            Err(what) => field.fail(what),
        }
    }
}

/// A name that is written; `Some(None)` if it is none, which is reported.
#[expect(clippy::option_option, reason = "outer: not written; inner: reported")]
fn named(field: Option<&Field<'_>>, fits: fn(&str) -> bool) -> Option<Option<String>> {
    let field = field?;
    let text = field.text().filter(|text| fits(text) || field.fail::<()>("must be lower-case letters, digits and -").is_some());
    Some(text.map(str::to_owned))
}

fn host_of(location: &str) -> Endpoint {
    let host = account::host(location);
    Endpoint { tls: true, authority: host.clone(), host, port: 443, path: String::new() }
}
