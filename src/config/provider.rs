//! `providers`: each entry joined with its catalogue row.

use std::sync::Arc;

use heliostat_filters::dialect::{self, DIALECTS, Dialect, Surface};

use super::account;
use super::api_version::ApiVersion;
use super::base::{Access, Base};
use super::base_url;
use super::catalogue::{self, Row};
use super::field::{Field, Section, nearest, suggestion};
use super::models;
use super::network::{self, Network};
use super::snapshot::{Auth, Credential, Endpoint, ModelPattern, Provider, Speech};
use super::transport::Transport;
use super::tree::Node;
use super::value::{Found, Vault, is_sendable, shown};
use super::{Secret, problem::Sink, tree};

const PROVIDER: &[&str] = &[
    "keys",
    "base_url",
    "dialect",
    "also",
    "project",
    "location",
    "region",
    "concurrency_and_buffer_size",
    "network",
    "queue_ms",
    "tls",
    "http2",
    "image_urls",
    "refuses",
    "renames",
    "takes",
    "deployments",
    "capabilities",
    "api_version",
];
const KEY: &[&str] = &["value", "weight", "models", "name", "base_url", "project", "api_version"];
const MAX_WEIGHT: f64 = 1e6;

/// What every provider is read with.
pub(super) struct Scope<'e> {
    pub(super) vault: Vault<'e>,
    /// The top level's clocks and retries.
    pub(super) network: Network,
}

/// The providers of a file.
#[derive(Debug, Default)]
pub(super) struct Providers {
    /// Those that serve.
    pub(super) ready: Vec<Arc<Provider>>,
    /// Known ones whose dialect is not implemented.
    pub(super) inactive: Vec<String>,
    /// Those with problems, so that what names them is not reported as well.
    pub(super) broken: Vec<String>,
    /// Nothing was written: they are the ones whose variables are set.
    pub(super) implied: bool,
}

/// What an entry turned out to be.
enum Entry {
    Ready(Box<Provider>),
    Inactive,
    Broken,
}

impl Providers {
    /// Reads the section.
    pub(super) fn read(field: &Field<'_>, scope: &Scope<'_>) -> Self {
        let mut providers = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (key, field) in field.entries() {
            let name = catalogue::canonical(&key.text);
            if seen.contains(&name) {
                let _: Option<()> = field.fail(format!("{name} is written above already, by this name or an alias"));
                continue;
            }
            seen.push(name);
            providers.add(name, &field, scope);
        }
        providers
    }

    /// Those of the catalogue whose usual variables are set; where secrets may be missing, those in `named`.
    pub(super) fn implied(scope: &Scope<'_>, sink: &Sink, named: &[String]) -> Self {
        let mut providers = Self { implied: true, ..Self::default() };
        for row in catalogue::rows().iter().filter(|row| row.base_url.is_some() && row.dialect().is_some()) {
            let skipped = scope.vault.skips_missing() && named.contains(&row.name);
            let set = row.env.iter().find(|name| scope.vault.variable(name).is_some());
            let Some(variable) = set.or(row.env.first().filter(|_| skipped)) else { continue };
            if let Some(node) = entry(variable, sink) {
                providers.add(&row.name, &Field::new(&node, format!("providers.{}", row.name), sink), scope);
            }
        }
        providers
    }

    fn add(&mut self, name: &str, field: &Field<'_>, scope: &Scope<'_>) {
        match read(name, field, scope).unwrap_or(Entry::Broken) {
            Entry::Ready(provider) => self.ready.push(Arc::new(Provider { index: self.ready.len(), ..*provider })),
            Entry::Inactive => self.inactive.push(name.to_owned()),
            Entry::Broken => self.broken.push(name.to_owned()),
        }
    }
}

/// The entry that a variable stands for, as if it had been written.
fn entry(variable: &str, sink: &Sink) -> Option<Node> {
    tree::read(&format!("keys: [{{value: env.{variable}}}]"), sink)
}

fn read(name: &str, field: &Field<'_>, scope: &Scope<'_>) -> Option<Entry> {
    if name.contains('/') || name.trim() != name || name.is_empty() {
        return field.fail("a provider's name must have no slash and no space around it");
    }
    let section = field.section(PROVIDER)?;
    let known = catalogue::find(name);
    let (written, url) = (section.get("dialect"), section.get("base_url"));
    let Some((row, dialect)) = dialect_of(name, field, written.as_ref(), known, url.is_some())? else {
        return Some(Entry::Inactive);
    };
    let default_url = default_endpoint(known.filter(|known| known.name == row.name));
    let version_path = default_url.clone().or_else(|| default_endpoint(Some(row))).map(|endpoint| endpoint.path);
    let version_path = version_path.or_else(|| example_path(row)).unwrap_or_default();
    let transport = Transport::read(&section, &scope.vault)?;
    let over = |endpoint| Arc::new(Endpoint { transport: transport.clone(), ..endpoint });
    let read_url = |field: &Field<'_>| base_url::read(field, &version_path, dialect.name()).map(over);
    let endpoint = match &url {
        Some(field) => Some(read_url(field)?),
        None => default_url.map(over),
    };
    if let Some(tls) = section.get("tls").filter(|_| endpoint.as_ref().is_some_and(|endpoint| !endpoint.tls)) {
        tls.notice("has no effect on a base_url of http://");
    }
    let base =
        Base { row, url: url.clone(), project: section.get("project"), location: section.get("location"), transport: transport.clone() };
    let api_version = ApiVersion { row, of_provider: section.get("api_version") };
    let keys = Keys { provider: name, vault: &scope.vault, endpoint, base, api_version, read_url: &read_url };
    let surface = surface(row, dialect, &section);
    // One that is told its dialect speaks no other, unless it says so.
    let also = match section.get("also") {
        Some(field) => catalogue::dialects(&field)?,
        None if written.is_some() => Vec::new(),
        None => row.also.clone(),
    };
    let also = also.into_iter().map(|dialect| Speech { dialect, surface: surface.clone(), call: None }).collect();
    let network = scope.network.read(section.get("network"));
    let concurrency = network::concurrency(&section);
    let optional = row.auth() == Auth::None || url.is_some();
    let credentials = keys.read(field, section.get("keys"), optional)?;
    let anonymous = credentials.iter().all(|credential| credential.secret.expose().is_empty()) && section.get("keys").is_none();
    let region = section.get("region").and_then(|field| label(&field));
    Some(Entry::Ready(Box::new(Provider {
        name: name.to_owned(),
        region,
        index: 0,
        speech: Speech { dialect, surface, call: row.call.clone().filter(|_| row.dialect == dialect.name()) },
        also,
        exceptions: row.exceptions(),
        auth: if anonymous { Auth::None } else { keyed(row.auth()) },
        headers: row.headers(),
        credentials,
        timeouts: network.timeouts,
        retry: network.retry,
        budget: network.budget,
        breaker: network.breaker,
        concurrency,
    })))
}

/// What its surface takes: as the catalogue says, but for what is written.
fn surface(row: &Row, dialect: &dyn Dialect, section: &Section<'_>) -> Surface {
    let usual = &row.surface;
    let own = section.get("capabilities").and_then(|field| models::capabilities(&field, dialect.name()));
    Surface {
        image_urls: section.get("image_urls").and_then(|field| field.boolean()).unwrap_or(usual.image_urls),
        refuses: catalogue::refuses(section).unwrap_or_else(|| usual.refuses.clone()),
        renames: catalogue::renames(section).unwrap_or_else(|| usual.renames.clone()),
        takes: catalogue::takes(section).unwrap_or_else(|| usual.takes.clone()),
        deployments: section.get("deployments").and_then(|field| deployments(&field)).unwrap_or_default(),
        models: own.unwrap_or_else(|| usual.models.clone()),
        ..usual.clone()
    }
}

/// A provider that needs no key and was given one takes it as a bearer.
fn keyed(auth: Auth) -> Auth {
    if auth == Auth::None { Auth::Bearer } else { auth }
}

/// The row to take auth, headers and surface from, with its dialect; `Some(None)` where that is known and not implemented.
#[expect(clippy::option_option, reason = "outer: reported; inner: known and inactive")]
fn dialect_of(
    name: &str,
    field: &Field<'_>,
    written: Option<&Field<'_>>,
    known: Option<&'static Row>,
    has_url: bool,
) -> Option<Option<(&'static Row, &'static dyn Dialect)>> {
    let Some(written) = written else {
        let Some(row) = known else { return unknown(name, field, has_url) };
        if row.dialect().is_none() {
            field.notice(format!("accepted and not yet active: the dialect of {name} is not implemented"));
        }
        return Some(row.dialect().map(|dialect| (row, dialect)));
    };
    let asked = written.text()?;
    let Some(dialect) = dialect::by_name(asked) else {
        let names: Vec<_> = DIALECTS.iter().map(|dialect| dialect.name()).collect();
        return written.fail(format!("no dialect \"{}\"; {}", shown(asked), suggestion(asked, &names)));
    };
    if known.is_none() && !has_url {
        return unknown(name, field, has_url);
    }
    let speaks = |row: &&Row| row.dialect == asked || row.also.iter().any(|dialect| dialect.name() == asked);
    let row = known.filter(speaks).or_else(|| catalogue::speaking(asked));
    Some(row.map(|row| (row, dialect)))
}

fn unknown<T>(name: &str, field: &Field<'_>, has_url: bool) -> Option<T> {
    let lacks = if has_url { "`dialect`" } else { "`base_url` and `dialect`" };
    let names: Vec<&str> = catalogue::rows().iter().flat_map(|row| row.aliases.iter().chain([&row.name])).map(String::as_str).collect();
    match nearest(name, &names) {
        Some(near) => field.fail(format!("unknown provider; did you mean \"{near}\"? One of your own needs {lacks}")),
        None => field.fail(format!("unknown provider \"{}\"; one of your own needs {lacks}", shown(name))),
    }
}

fn default_endpoint(row: Option<&Row>) -> Option<Endpoint> {
    base_url::parse(row?.base_url.as_deref()?).ok()
}

/// The path of addresses of which every customer has one: `/openai/v1`. Not where a customer's name stands in it, in capitals.
fn example_path(row: &Row) -> Option<String> {
    let path = base_url::parse(row.base_url_example.as_deref()?).ok()?.path;
    path.bytes().all(|byte| !byte.is_ascii_uppercase()).then_some(path)
}

/// Models and what they are called there.
fn deployments(field: &Field<'_>) -> Option<Vec<(String, String)>> {
    field.entries().iter().map(|(model, name)| Some((model.text.clone(), name.text()?.to_owned()))).collect()
}

/// Reads the `keys` of one provider.
struct Keys<'k, 'e> {
    provider: &'k str,
    vault: &'k Vault<'e>,
    /// The provider's endpoint; `None` if it has none of its own.
    endpoint: Option<Arc<Endpoint>>,
    base: Base<'k>,
    api_version: ApiVersion<'k>,
    read_url: &'k dyn Fn(&Field<'_>) -> Option<Arc<Endpoint>>,
}

impl Keys<'_, '_> {
    fn read(&self, provider: &Field<'_>, keys: Option<Field<'_>>, optional: bool) -> Option<Vec<Credential>> {
        let Some(keys) = keys else {
            return if optional { Some(vec![self.anonymous(provider)?]) } else { provider.fail("`keys` is missing") };
        };
        let items = keys.items()?;
        let credentials: Vec<_> = items.iter().enumerate().map(|(index, field)| self.credential(index, field)).collect();
        let credentials: Option<Vec<_>> = credentials.into_iter().collect();
        let credentials = credentials?;
        if credentials.is_empty() {
            return keys.fail("holds no key");
        }
        if credentials.iter().all(|credential| credential.weight == 0.0) {
            return keys.fail("every weight is 0, which means never");
        }
        for (credential, field) in credentials.iter().zip(&items) {
            if credentials.iter().take(credential.index).any(|earlier| earlier.name == credential.name) {
                return field.fail(format!("a second key named {}; give each a `name` of its own", credential.name));
            }
        }
        self.base.check(&credentials, self.vault.skips_missing());
        Some(credentials)
    }

    fn anonymous(&self, provider: &Field<'_>) -> Option<Credential> {
        Some(Credential {
            name: format!("{}-1", self.provider),
            index: 0,
            secret: Secret::new(""),
            account: None,
            weight: 1.0,
            models: None,
            endpoint: self.endpoint_for(provider, None)?,
            api_version: self.api_version.of(None)?,
            detours: self.base.row.detours(None),
        })
    }

    /// Reads all its parts before it gives up, so that one run reports them all.
    fn credential(&self, index: usize, field: &Field<'_>) -> Option<Credential> {
        let section = field.section(KEY)?;
        let value = section.require("value");
        let found = value.as_ref().and_then(|value| self.vault.find(value));
        let weight = section.get("weight").map_or(Some(1.0), |weight| weight.number(0.0..=MAX_WEIGHT));
        let models = section.get("models").map(|models| patterns(&models));
        let api_version = self.api_version.of(Some(&section));
        let name = section.get("name").map(|name| label(&name));
        let (Found { secret, variable }, value) = (found?, value?);
        let access = match account::is_document(&secret) {
            true => self.base.account(&value, &section, &secret),
            false => self.key(&value, &section, secret),
        };
        let name = match name {
            Some(name) => name?,
            None => variable.unwrap_or_else(|| format!("{}-{}", self.provider, index + 1)),
        };
        let models = match models {
            Some(models) => Some(models?),
            None => None,
        };
        let Access { secret, account, endpoint, detours } = access?;
        Some(Credential { name, index, secret, account, weight: weight?, models, endpoint, api_version: api_version?, detours })
    }

    /// A key that is sent as it is.
    fn key(&self, value: &Field<'_>, section: &Section<'_>, secret: Secret) -> Option<Access> {
        if let Some(project) = section.get("project") {
            project.warn("has no effect: the key is no service account's");
        }
        let endpoint = self.endpoint_for(&section.field, section.get("base_url").as_ref());
        let sendable = is_sendable(value, &secret);
        Some(Access { secret, account: None, endpoint: endpoint.filter(|_| sendable)?, detours: self.base.row.detours(None) })
    }

    fn endpoint_for(&self, field: &Field<'_>, written: Option<&Field<'_>>) -> Option<Arc<Endpoint>> {
        match (written, &self.endpoint) {
            (Some(written), Some(own)) => (self.read_url)(written).map(|endpoint| if endpoint == *own { own.clone() } else { endpoint }),
            (Some(written), None) => (self.read_url)(written),
            (None, Some(own)) => Some(own.clone()),
            (None, None) => {
                let example = self.base.row.base_url_example.as_deref().map(|example| format!(", such as {example}")).unwrap_or_default();
                field.fail(format!("{} has no address that all share: `base_url` is missing{example}", self.provider))
            }
        }
    }
}

/// A name that stands in headers, logs and metrics.
pub(super) fn label(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    if text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:@".contains(c)) {
        return Some(text.to_owned());
    }
    field.fail("a name is at most 64 letters, digits and - _ . : @")
}

pub(super) fn patterns(field: &Field<'_>) -> Option<Vec<ModelPattern>> {
    let items = field.items()?;
    if items.is_empty() {
        return field.fail("is empty, so that no model could use the key; leave it out for all models");
    }
    items.iter().map(pattern).collect()
}

fn pattern(field: &Field<'_>) -> Option<ModelPattern> {
    let text = field.text()?;
    let (stem, prefix) = text.strip_suffix('*').map_or((text, false), |stem| (stem, true));
    if stem.contains('*') {
        return field.fail("a * may stand at the end alone");
    }
    Some(if prefix { ModelPattern::Prefix(stem.to_owned()) } else { ModelPattern::Exact(stem.to_owned()) })
}
