//! From text to [`Snapshot`].

use std::path::Path;

use super::candidates;
use super::catalogue;
use super::environment::{Environment, MAX_FILE_BYTES, read_bounded};
use super::field::{Field, Section};
use super::image_fetch::image_fetch;
use super::inactive;
use super::listener;
use super::network::Network;
use super::observability::Observability;
use super::problem::{Problem, Severity, Sink};
use super::provider::{Providers, Scope, label};
use super::semantic_cache::semantic_cache;
use super::snapshot::{ClientKey, Limits, Snapshot};
use super::tree::{self, Node};
use super::value::Vault;

/// The keys of the whole file.
const ROOT: &[&str] = &[
    "listen",
    "admin",
    "threads",
    "providers",
    "network",
    "fallbacks",
    "context_fallbacks",
    "mcp",
    "limits",
    "image_fetch",
    "drain",
    "env_file",
    "allow_anonymous",
    "client_keys",
    "semantic_cache",
    "governance",
    "observability",
];
const LIMITS: &[&str] = &[
    "body_bytes",
    "upload_bytes",
    "body_timeout_ms",
    "memory_bytes",
    "header_bytes",
    "header_fields",
    "images",
    "image_bytes",
    "depth",
    "connections",
    "connections_per_address",
    "header_timeout_ms",
];
const DRAIN: &[&str] = &["notice_ms", "deadline_ms"];
const CLIENT_KEY: &[&str] = &["name", "value"];

const DEFAULT_DRAIN_NOTICE_MS: u64 = 5_000;
const DEFAULT_DRAIN_DEADLINE_MS: u64 = 60_000;
const MAX_THREADS: u64 = 1_024;
/// Of a machine's memory: 64 TiB.
const MAX_MEMORY: u64 = 64 << 40;
const EXAMPLE: &str = "write `providers`, such as `providers: {openai: {keys: [{value: env.OPENAI_API_KEY}]}}`";
const VARIABLES: &str = "set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or another provider's usual variable";

/// Where a configuration's text comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Somebody wrote it.
    File,
    /// There is no file.
    Nothing,
}

/// Reads a configuration, YAML or JSON. `file_name` is what problems call it.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file; warnings and notices among it.
pub fn load(text: &str, file_name: &str, environment: &dyn Environment) -> Result<Snapshot, Vec<Problem>> {
    load_as(Origin::File, text, file_name, environment)
}

fn load_as(origin: Origin, text: &str, file_name: &str, environment: &dyn Environment) -> Result<Snapshot, Vec<Problem>> {
    let sink = Sink::new(file_name);
    let snapshot = if text.len() as u64 > MAX_FILE_BYTES {
        sink.report(Severity::Error, None, "", format!("larger than {MAX_FILE_BYTES} bytes"));
        None
    } else {
        tree::read(text, &sink).and_then(|tree| read(origin, &tree, &sink, environment))
    };
    let problems = sink.into_problems();
    match snapshot {
        Some(snapshot) if problems.iter().all(|problem| problem.severity != Severity::Error) => {
            Ok(Snapshot { notices: problems.iter().map(Problem::to_string).collect(), ..snapshot })
        }
        _ => Err(problems),
    }
}

/// [`load`] of a file, of which no more than 4 MiB is read.
///
/// # Errors
/// As [`load`], and that the file cannot be read.
pub fn load_file(path: &Path, environment: &dyn Environment) -> Result<Snapshot, Vec<Problem>> {
    let name = path.display().to_string();
    match read_bounded(path) {
        Ok(text) => load(&text, &name, environment),
        Err(error) => {
            let what = format!("cannot read it: {error}");
            Err(vec![Problem { severity: Severity::Error, file: name, at: None, key: String::new(), what }])
        }
    }
}

/// The configuration without a file: the providers whose usual variables (`OPENAI_API_KEY` …) are set.
///
/// # Errors
/// That none is set, and what to set.
pub fn from_environment(environment: &dyn Environment) -> Result<Snapshot, Vec<Problem>> {
    load_as(Origin::Nothing, "", "environment", environment)
}

/// `None` where the tree is no configuration at all; lesser problems are only reported.
fn read(origin: Origin, tree: &Node, sink: &Sink, environment: &dyn Environment) -> Option<Snapshot> {
    let root = Field::new(tree, "", sink).section(ROOT)?;
    let vault = Vault::open(environment, root.get("env_file").as_ref());
    let scope = Scope { vault, network: Network::default().read(root.get("network")) };
    let providers = providers(origin, tree, &root, &scope, sink);
    let fallbacks = candidates::fallbacks(&root, &providers);
    let routes = candidates::routes(&root, &providers);
    let (drain_notice_ms, drain_deadline_ms) = drain(&root);
    let limits = limits(&root);
    let snapshot = Snapshot {
        listen: listener::listeners(&root, environment),
        admin_listen: listener::admin(&root),
        threads: threads(&root),
        routes,
        global_fallbacks: fallbacks.global,
        primary_fallbacks: fallbacks.primary,
        context_fallbacks: candidates::context_fallbacks(&root, &providers),
        providers: providers.ready,
        image_fetch: image_fetch(&root, limits.image_bytes),
        limits,
        drain_notice_ms,
        drain_deadline_ms,
        client_keys: client_keys(&root, &scope.vault),
        allow_anonymous: root.get("allow_anonymous").and_then(|field| field.boolean()).unwrap_or(false),
        semantic_cache: semantic_cache(&root),
        governance: inactive::governance(&root),
        observability: Observability::read(&root, &scope.vault),
        notices: Vec::new(),
    };
    listener::check_reach(&snapshot, &root);
    Some(snapshot)
}

/// Without a section `providers`: those whose usual variables are set, where there is no file, or where the file names models to serve
/// all the same. A file that does neither is no configuration: it may be the wrong one, or half written.
fn providers(origin: Origin, tree: &Node, root: &Section<'_>, scope: &Scope<'_>, sink: &Sink) -> Providers {
    let named = named(tree);
    let providers = match root.get("providers") {
        Some(field) => Providers::read(&field, scope),
        None if origin == Origin::File && named.is_empty() => Providers::default(),
        None => Providers::implied(scope, sink, &named),
    };
    if providers.ready.is_empty() && providers.broken.is_empty() {
        let remedy = if origin == Origin::File { EXAMPLE } else { VARIABLES };
        sink.report(Severity::Error, None, "", format!("no provider: {remedy}"));
    }
    providers
}

/// The known providers that any `provider/model` of the file names.
fn named(tree: &Node) -> Vec<String> {
    let names = tree.texts().into_iter().filter_map(|text| text.split_once('/'));
    names.filter_map(|(provider, _)| catalogue::find(provider)).map(|row| row.name.clone()).collect()
}

fn threads(root: &Section<'_>) -> usize {
    let written = root.get("threads").and_then(|field| field.size(1..=MAX_THREADS));
    written.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

fn limits(root: &Section<'_>) -> Limits {
    let mut limits = Limits::default();
    if let Some(section) = root.get("limits").and_then(|field| field.section(LIMITS)) {
        section.size("body_bytes", 1..=4 << 30, &mut limits.body_bytes);
        section.size("upload_bytes", 1..=1 << 40, &mut limits.upload_bytes);
        section.milliseconds("body_timeout_ms", 1, &mut limits.body_timeout_ms);
        if let Some(bytes) = section.get("memory_bytes").and_then(|field| field.integer(1..=MAX_MEMORY)) {
            limits.memory_bytes = bytes;
        }
        if limits.memory_bytes < limits.body_bytes as u64 {
            section.field.warn("a body of `body_bytes` does not fit into `memory_bytes`, and will be refused with 503");
        }
        section.size("header_bytes", 1_024..=1 << 20, &mut limits.header_bytes);
        section.size("header_fields", 8..=256, &mut limits.header_fields);
        section.size("images", 0..=10_000, &mut limits.images);
        section.size("image_bytes", 1..=4 << 30, &mut limits.image_bytes);
        section.size("depth", 8..=512, &mut limits.depth);
        section.size("connections", 1..=10_000_000, &mut limits.connections);
        limits.connections_per_address = section.get("connections_per_address").and_then(|field| field.size(1..=10_000_000));
        section.milliseconds("header_timeout_ms", 1, &mut limits.header_timeout_ms);
    }
    limits
}

fn drain(root: &Section<'_>) -> (u64, u64) {
    let (mut notice, mut deadline) = (DEFAULT_DRAIN_NOTICE_MS, DEFAULT_DRAIN_DEADLINE_MS);
    if let Some(section) = root.get("drain").and_then(|field| field.section(DRAIN)) {
        section.milliseconds("notice_ms", 0, &mut notice);
        section.milliseconds("deadline_ms", 0, &mut deadline);
    }
    (notice, deadline)
}

fn client_keys(root: &Section<'_>, vault: &Vault<'_>) -> Vec<ClientKey> {
    let mut keys: Vec<ClientKey> = Vec::new();
    let items = root.get("client_keys").and_then(|field| field.items()).unwrap_or_default();
    for (index, field) in items.iter().enumerate() {
        let Some(section) = field.section(CLIENT_KEY) else { continue };
        let name = section.get("name").map_or_else(|| Some(format!("client-{}", index + 1)), |name| label(&name));
        let found = section.require("value").and_then(|value| vault.secret(&value));
        let (Some(name), Some(found)) = (name, found) else { continue };
        let same = |key: &ClientKey| key.secret == found.secret && !found.secret.expose().is_empty();
        if let Some(twin) = keys.iter().find(|key| key.name == name || same(key)) {
            let _: Option<()> = field.fail(format!("has the name or the value of {}, written above", twin.name));
        }
        keys.push(ClientKey { name, secret: found.secret });
    }
    keys
}
