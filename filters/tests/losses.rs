//! Writes `LOSSES.md` from what the translations do, and finds losses that nobody is told of.
//!
//! `losses/<client>.json` holds features of a client dialect's requests, `losses/replies.json` features of each upstream dialect's
//! replies: a base body, and members that add one feature to it. Each feature is translated for every dialect of the other side and
//! compared with the translated base. What changes nothing and is not told either was lost in silence: a failure. A feature that a
//! dialect learns is a new line there; a dialect without lines is a failure too. `HELIOSTAT_WRITE_LOSSES=1` writes the document.

#![allow(clippy::disallowed_types, clippy::expect_used, clippy::panic, reason = "a test says what is wrong by failing")]

mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use heliostat_filters::chat::ReplyContext;
use heliostat_filters::dialect::{Address, CLIENTS, Client, DIALECTS, Dialect, Names, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};
use heliostat_filters::loss::Loss;
use heliostat_filters::refusal::{Refusal, RefusalScope};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Upstreams of the table: a title, a dialect, and a model whose row of capabilities is typical.
const UPSTREAMS: &[(&str, &str, &str)] = &[
    ("OpenAI", "openai", "gpt-5.2"),
    ("OpenAI Responses", "responses", "gpt-5.2"),
    ("Anthropic", "anthropic", "claude-sonnet-4-5"),
    ("Anthropic, newest models", "anthropic", "claude-opus-4-8"),
    ("Gemini", "gemini", "gemini-3-pro"),
    ("Mistral", "mistral", "mistral-small-latest"),
];

/// Members that OpenAI knows and its imitators need not know, as `conf/providers.yaml` has them.
const OPENAI_TAKES: &[&str] = &["metadata", "prompt_cache_key", "prompt_cache_retention", "store", "verbosity"];

/// Dialects of [`DIALECTS`] that have no chat.
const WITHOUT_CHAT: &[&str] = &["cohere"];

#[test]
fn the_document_tells_what_the_translations_do() {
    let mut silent = Vec::new();
    let mut text = INTRODUCTION.to_owned();
    for client in CLIENTS {
        requests(*client, &mut text, &mut silent);
    }
    replies(&mut text, &mut silent);
    assert!(silent.is_empty(), "lost, and not told:\n{}", silent.join("\n"));

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("LOSSES.md");
    if std::env::var_os("HELIOSTAT_WRITE_LOSSES").is_some() {
        fs::write(&path, &text).expect("written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "LOSSES.md is stale: run this test with HELIOSTAT_WRITE_LOSSES=1 and look at what changed");
}

#[test]
fn every_dialect_has_a_column() {
    for dialect in DIALECTS.iter().map(|dialect| dialect.name()).filter(|name| !WITHOUT_CHAT.contains(name)) {
        assert!(UPSTREAMS.iter().any(|(_, name, _)| *name == dialect), "{dialect} has no row in UPSTREAMS");
    }
}

const INTRODUCTION: &str = "# What translation carries, and what it loses

Generated from the translations themselves by `tests/losses.rs`, which fails where something is lost and not told.

- **=** carried byte for byte: client and provider speak the same dialect.
- **→ `path`** carried, to where the provider has it.
- **dropped**, **clamped**, **approximated**: named in the header `x-heliostat-loss`, in log and metric; a 400 in strict mode.
- **refused**: a 400 that names the field, unless another candidate can carry it.
";

/// Features of a client's requests.
#[derive(Deserialize)]
struct Requests {
    base: Map<String, Value>,
    /// What the path says, in dialects that say it there.
    #[serde(default)]
    model_in_path: bool,
    groups: Vec<Group>,
}

/// Features that stand in one table.
#[derive(Deserialize)]
struct Group {
    name: String,
    features: Vec<Feature>,
}

/// Features of an upstream's replies.
#[derive(Deserialize)]
struct Replies {
    base: Map<String, Value>,
    features: Vec<Feature>,
}

/// One feature: members put in place of those of the base; `null` takes one away.
#[derive(Deserialize)]
struct Feature {
    what: String,
    /// Members of the base that it needs.
    #[serde(default)]
    beside: Map<String, Value>,
    with: Map<String, Value>,
    /// Why leaving it out is not told with each reply: it comes without being asked for. The document tells it.
    #[serde(default)]
    unasked: Option<String>,
    /// Why a request loses nothing, though it is translated into the same: what it asks for is so anyway.
    #[serde(default)]
    anyway: Option<String>,
}

/// What became of a body.
enum Outcome {
    Carried { body: Value, losses: Vec<Loss> },
    Refused { path: String, message: String },
}

fn requests(client: &'static dyn Client, text: &mut String, silent: &mut Vec<String>) {
    let file: Requests = read(&format!("{}.json", client.name()));
    let _ = writeln!(text, "\n## Requests of {} clients", client.name());
    for Group { name, features } in file.groups {
        let _ = write!(text, "\n### {name}\n\n| |");
        UPSTREAMS.iter().for_each(|(title, ..)| text.push_str(&format!(" {title} |")));
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(UPSTREAMS.len()));
        for feature in features {
            let base = merged(&file.base, &feature.beside);
            let _ = write!(text, "| {} |", feature.what);
            for (title, dialect, model) in UPSTREAMS {
                let upstream = by_name(dialect);
                let body = |members: &Map<String, Value>| request(client, upstream, model, members, file.model_in_path);
                let cell = cell(client.name() == *dialect, &body(&base), &body(&merged(&base, &feature.with)));
                let cell = cell.or_else(|| feature.anyway.as_ref().map(|why| format!("held: {why}")));
                let cell = cell.unwrap_or_else(|| {
                    silent.push(format!("{} → {title}: {}", client.name(), feature.what));
                    "LOST IN SILENCE".to_owned()
                });
                let _ = write!(text, " {cell} |");
            }
            text.push('\n');
        }
    }
}

fn replies(text: &mut String, silent: &mut Vec<String>) {
    let mut file: BTreeMap<String, Replies> = read("replies.json");
    for dialect in DIALECTS.iter().filter(|dialect| !WITHOUT_CHAT.contains(&dialect.name())) {
        let name = dialect.name();
        let Replies { base, features } = file.remove(name).unwrap_or_else(|| panic!("replies.json knows no {name}"));
        let _ = write!(text, "\n## Replies of {name} providers\n\n| |");
        CLIENTS.iter().for_each(|client| text.push_str(&format!(" {} clients |", client.name())));
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(CLIENTS.len()));
        for feature in features {
            let base = merged(&base, &feature.beside);
            let _ = write!(text, "| {} |", feature.what);
            for client in CLIENTS {
                let body = |members: &Map<String, Value>| reply(*dialect, *client, members);
                let cell = cell(client.name() == name, &body(&base), &body(&merged(&base, &feature.with)));
                let cell = cell.or_else(|| feature.unasked.as_ref().map(|why| format!("left out: {why}")));
                let cell = cell.unwrap_or_else(|| {
                    silent.push(format!("{} ← {name}: {}", client.name(), feature.what));
                    "LOST IN SILENCE".to_owned()
                });
                let _ = write!(text, " {cell} |");
            }
            text.push('\n');
        }
    }
}

/// What a reader is told of a feature; `None` if it left no trace.
fn cell(same_dialect: bool, base: &Outcome, with: &Outcome) -> Option<String> {
    if same_dialect {
        return Some("=".to_owned());
    }
    let Outcome::Carried { body: plain, losses: known } = base else { panic!("the base is refused") };
    match with {
        Outcome::Refused { path, message } => {
            assert!(!path.is_empty() && !message.is_empty());
            Some(format!("refused (`{path}`)"))
        }
        Outcome::Carried { body, losses } => {
            let mut told: Vec<String> = losses.iter().filter(|loss| !known.contains(loss)).map(told).collect();
            let mut places = Vec::new();
            added(plain, body, &mut String::new(), &mut places);
            if !places.is_empty() {
                told.insert(0, format!("→ {}", places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ")));
            }
            (!told.is_empty()).then(|| told.join("; "))
        }
    }
}

fn told(loss: &Loss) -> String {
    format!("**{}** `{}`", loss.kind.as_str(), loss.path)
}

/// At most so many places of one feature are listed.
const PLACES: usize = 3;

/// Where `body` has what `plain` has not, or has otherwise.
fn added(plain: &Value, body: &Value, path: &mut String, places: &mut Vec<String>) {
    if plain == body || places.len() == PLACES {
        return;
    }
    let length = path.len();
    match (plain, body) {
        (Value::Object(plain), Value::Object(body)) => {
            for (key, value) in body {
                let separator = if path.is_empty() { "" } else { "." };
                let _ = write!(path, "{separator}{key}");
                added(plain.get(key).unwrap_or(&Value::Null), value, path, places);
                path.truncate(length);
            }
            if body.keys().count() < plain.keys().count() && places.is_empty() {
                places.push(format!(
                    "{path} without {}",
                    plain.keys().filter(|key| !body.contains_key(*key)).cloned().collect::<Vec<_>>().join(", ")
                ));
            }
        }
        (Value::Array(plain), Value::Array(body)) => {
            for (index, value) in body.iter().enumerate() {
                let _ = write!(path, "[{index}]");
                added(plain.get(index).unwrap_or(&Value::Null), value, path, places);
                path.truncate(length);
            }
        }
        (_, Value::Object(members)) if members.len() == 1 => added(&Value::Object(Map::new()), body, path, places),
        (_, Value::Array(elements)) if !elements.is_empty() && elements.len() < PLACES => {
            added(&Value::Array(Vec::new()), body, path, places);
        }
        (_, Value::Object(members)) => {
            let kind = members.get("type").and_then(Value::as_str).map(|kind| format!(": {kind}")).unwrap_or_default();
            places.push(format!("{path}{kind}"));
        }
        _ => places.push(path.clone()),
    }
}

fn request(client: &'static dyn Client, upstream: &dyn Dialect, model: &str, body: &Map<String, Value>, model_in_path: bool) -> Outcome {
    let bytes = Bytes::from(serde_json::to_vec(body).expect("JSON"));
    let document = Document::scan(bytes, client.shape(), ScanLimits::default()).expect("the features are JSON");
    let address = Address { model: model_in_path.then(|| model.to_owned()), stream: model_in_path.then_some(false), array: false };
    let request = match client.read(&document, &address) {
        Ok(request) => request,
        // What only providers of the same dialect can do.
        Err(Refusal { path, message, scope: RefusalScope::Candidate, .. }) => {
            return Outcome::Refused { path, message: message.into_owned() };
        }
        Err(refusal) => panic!("{}: {refusal}: {body:?}", client.name()),
    };
    let takes = if upstream.name() == "openai" { OPENAI_TAKES } else { &[] };
    let surface = Surface { takes: takes.iter().map(ToString::to_string).collect(), ..table::surface() };
    match upstream.chat_request(&request, &Target { model, surface: &surface, fetched: Fetched::NONE }) {
        Err(refusal) => Outcome::Refused { path: refusal.path, message: refusal.message.into_owned() },
        Ok(translated) => {
            let body = serde_json::from_slice(&translated.body.join()).expect("JSON");
            Outcome::Carried { body, losses: translated.losses }
        }
    }
}

fn reply(upstream: &dyn Dialect, client: &dyn Client, body: &Map<String, Value>) -> Outcome {
    let bytes = Bytes::from(serde_json::to_vec(body).expect("JSON"));
    match upstream.chat_reply(&bytes, &Names::default()) {
        Err(fault) => Outcome::Refused { path: "error".to_owned(), message: fault.message },
        Ok(reply) => {
            let context = ReplyContext { id: format!("{}1", client.id_prefix()), model: "m".to_owned(), ..ReplyContext::default() };
            let written = client.write_reply(&reply, &context);
            let losses = reply.losses.iter().chain(&written.losses).cloned().collect();
            Outcome::Carried { body: serde_json::from_slice(&written.body.join()).expect("JSON"), losses }
        }
    }
}

fn by_name(name: &str) -> &'static dyn Dialect {
    *DIALECTS.iter().find(|dialect| dialect.name() == name).expect("a dialect")
}

fn merged(base: &Map<String, Value>, with: &Map<String, Value>) -> Map<String, Value> {
    let mut body = base.clone();
    for (key, value) in with {
        if value.is_null() {
            body.remove(key);
        } else {
            body.insert(key.clone(), value.clone());
        }
    }
    body
}

fn read<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "losses", file].iter().collect();
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
