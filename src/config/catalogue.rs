//! The providers Heliostat knows by name: `conf/providers.yaml`, embedded and parsed once.

use std::sync::LazyLock;

use heliostat_filters::dialect::{self, Dialect, Surface};

use super::field::{Field, Section, suggestion};
use super::problem::{Problem, Sink};
use super::snapshot::{Auth, CallPath, Detour, Exception, Speech};
use super::tree;

/// The catalogue as text.
pub(super) const TEXT: &str = include_str!("../../conf/providers.yaml");

const ROW: &[&str] = &[
    "aliases",
    "dialect",
    "also",
    "base_url",
    "base_url_example",
    "auth",
    "env",
    "models",
    "headers",
    "image_types",
    "image_urls",
    "tool_ids",
    "refuses",
    "renames",
    "takes",
    "call",
    "api_version",
    "account_path",
    "exceptions",
    "sources",
    "verified",
    "unverified",
];
const EXCEPTION: &[&str] = &["dialect", "account_path", "call", "image_types", "image_urls", "tool_ids", "native_schema", "body_version"];
/// Members of OpenAI's chat requests that a provider may refuse or call otherwise. Not among them: what makes the conversation.
/// Source: OpenAI's API specification, `CreateChatCompletionRequest`.
const OPTIONAL: &[&str] = &[
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "metadata",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream_options",
    "temperature",
    "tool_choice",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
];
const CALL: &[&str] = &["whole", "stream", "embeddings"];

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| parse(TEXT).0);

/// What is known of a provider.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// Other names for it in a configuration.
    pub(super) aliases: Vec<String>,
    /// The wire format's name; perhaps of one that is not implemented.
    pub(super) dialect: String,
    /// Other wire formats that it speaks at the same address, to clients of which it is passed what they wrote.
    pub(super) also: Vec<&'static dyn Dialect>,
    /// Where it is; `None` where every customer has an address of their own.
    pub(super) base_url: Option<String>,
    /// What such an address looks like.
    pub(super) base_url_example: Option<String>,
    /// `bearer`, `none`, or a header's name.
    auth: String,
    /// Variables its credential usually stands in.
    pub(super) env: Vec<String>,
    /// How the names of its own models begin.
    pub(super) models: Vec<String>,
    headers: Vec<(String, String)>,
    pub(super) surface: Surface,
    /// Where calls go, if not where the dialect says.
    pub(super) call: Option<CallPath>,
    /// The version of the API that calls ask for, where there is such a thing; `none` where none is asked for by default.
    pub(super) api_version: Option<String>,
    /// Where the row was read.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the table; a test holds every row to it"))]
    pub(super) sources: Vec<String>,
    /// The day on which two independent sources said the same; `None` where only one is known.
    #[cfg_attr(not(test), expect(dead_code, reason = "as above"))]
    pub(super) verified: Option<String>,
    /// The base path where the key is a Google service account; `None` where it cannot be one.
    pub(super) account_path: Option<String>,
    /// Models that are spoken to otherwise, which takes a service account.
    pub(super) exceptions: Vec<ExceptionRow>,
}

/// How models are spoken to that are not spoken to as the others.
#[derive(Debug)]
pub(super) struct ExceptionRow {
    /// How their names begin.
    models: String,
    speech: Speech,
    /// The base path.
    account_path: String,
}

/// Every row.
pub(super) fn rows() -> &'static [Row] {
    &ROWS
}

/// The row that stands for providers of a dialect which the catalogue does not know: the first of those that speak it.
pub(super) fn speaking(dialect: &str) -> Option<&'static Row> {
    let also = |row: &&Row| row.also.iter().any(|other| other.name() == dialect);
    rows().iter().find(|row| row.dialect == dialect).or_else(|| rows().iter().find(also))
}

/// Finds a row by name or alias.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    rows().iter().find(|row| row.name == name || row.aliases.iter().any(|alias| alias == name))
}

/// The name that stands for `name` in a snapshot: `vertex` for `google_vertex`.
pub(super) fn canonical(name: &str) -> &str {
    find(name).map_or(name, |row| &row.name)
}

impl Row {
    /// The dialect, if it is implemented.
    pub(super) fn dialect(&self) -> Option<&'static dyn Dialect> {
        dialect::by_name(&self.dialect)
    }

    /// How a credential is put on a request.
    pub(super) fn auth(&'static self) -> Auth {
        match self.auth.as_str() {
            "bearer" => Auth::Bearer,
            "none" => Auth::None,
            header => Auth::Header(header),
        }
    }

    /// The exceptions among its models.
    pub(super) fn exceptions(&'static self) -> Vec<Exception> {
        self.exceptions.iter().map(|row| Exception { models: &row.models, speech: row.speech.clone() }).collect()
    }

    /// The base paths of its exceptions: as `fill` writes those of a service account, and out of reach without.
    pub(super) fn detours(&'static self, fill: Option<&dyn Fn(&str) -> String>) -> Vec<Detour> {
        self.exceptions.iter().map(|row| Detour { models: &row.models, path: fill.map(|fill| fill(&row.account_path)) }).collect()
    }

    /// Headers every request carries.
    pub(super) fn headers(&'static self) -> Vec<(&'static str, &'static str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Parses the catalogue. Rows with a problem are left out; a test sees to it that there is none.
pub(super) fn parse(text: &str) -> (Vec<Row>, Vec<Problem>) {
    let sink = Sink::new("providers.yaml");
    let tree = tree::read(text, &sink);
    let rows = tree.iter().flat_map(|node| Field::new(node, "", &sink).entries());
    let rows = rows.filter_map(|(key, field)| row(&key.text, &field)).collect();
    (rows, sink.into_problems())
}

fn row(name: &str, field: &Field<'_>) -> Option<Row> {
    let section = field.section(ROW)?;
    let base_url = text(&section, "base_url");
    if let Some(Err(what)) = base_url.as_deref().map(super::base_url::parse) {
        return field.fail(what);
    }
    Some(Row {
        name: name.to_owned(),
        aliases: texts(&section, "aliases"),
        dialect: section.require("dialect")?.text()?.to_owned(),
        also: section.get("also").map_or(Some(Vec::new()), |field| dialects(&field))?,
        base_url,
        base_url_example: text(&section, "base_url_example"),
        auth: text(&section, "auth").unwrap_or_else(|| "bearer".to_owned()),
        env: texts(&section, "env"),
        models: texts(&section, "models"),
        headers: headers(&section),
        surface: surface(&section),
        call: call(&section),
        api_version: text(&section, "api_version"),
        sources: texts(&section, "sources"),
        verified: verified(&section)?,
        account_path: text(&section, "account_path"),
        exceptions: section.get("exceptions").map(|field| exceptions(&field)).unwrap_or_default(),
    })
}

/// A list of dialects by their names.
pub(super) fn dialects(field: &Field<'_>) -> Option<Vec<&'static dyn Dialect>> {
    let items = field.items()?;
    let found = items.iter().map(|item| {
        let name = item.text()?;
        dialect::by_name(name).or_else(|| item.fail(format!("no dialect \"{}\"", super::value::shown(name))))
    });
    found.collect()
}

fn exceptions(field: &Field<'_>) -> Vec<ExceptionRow> {
    field.entries().iter().filter_map(|(key, field)| exception(&key.text, field)).collect()
}

fn exception(models: &str, field: &Field<'_>) -> Option<ExceptionRow> {
    let section = field.section(EXCEPTION)?;
    let name = section.require("dialect")?;
    let Some(dialect) = dialect::by_name(name.text()?) else { return name.fail("no such dialect") };
    let account_path = section.require("account_path")?.text()?.to_owned();
    Some(ExceptionRow {
        models: models.to_owned(),
        speech: Speech { dialect, surface: surface(&section), call: call(&section) },
        account_path,
    })
}

fn call(section: &Section<'_>) -> Option<CallPath> {
    let call = section.get("call").and_then(|field| field.section(CALL))?;
    Some(CallPath { whole: text(&call, "whole")?, stream: text(&call, "stream")?, embeddings: text(&call, "embeddings") })
}

/// `verified`, a day, or `unverified: true`: one of them, so that nobody takes silence for either.
fn verified(section: &Section<'_>) -> Option<Option<String>> {
    let unverified = section.get("unverified").and_then(|field| field.boolean());
    match (section.get("verified"), unverified) {
        (Some(day), None) => day.text().map(|day| Some(day.to_owned())),
        (None, Some(true)) => Some(None),
        _ => section.field.fail("needs `verified`, with a day, or `unverified: true`"),
    }
}

/// Members of chat requests that a surface refuses.
pub(super) fn refuses(section: &Section<'_>) -> Option<Vec<String>> {
    section.get("refuses").and_then(|field| field.items()).map(|items| items.iter().filter_map(optional).collect())
}

/// Members of chat requests that it calls otherwise, with its names.
pub(super) fn renames(section: &Section<'_>) -> Option<Vec<(String, String)>> {
    let entries = section.get("renames").map(|field| field.entries())?;
    let renames = entries.iter().filter_map(|(ours, theirs)| {
        if !OPTIONAL.contains(&ours.text.as_str()) {
            return theirs.fail(no_member(&ours.text));
        }
        Some((ours.text.clone(), theirs.text()?.to_owned()))
    });
    Some(renames.collect())
}

/// Members of chat requests that it knows beyond what all of its dialect do. Any name: they are carried as clients write them.
pub(super) fn takes(section: &Section<'_>) -> Option<Vec<String>> {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let member = |item: &Field<'_>| match item.text()? {
        name if plain(name) => Some(name.to_owned()),
        _ => item.fail("a member's name is letters, digits and _"),
    };
    section.get("takes").and_then(|field| field.items()).map(|items| items.iter().filter_map(member).collect())
}

fn optional(member: &Field<'_>) -> Option<String> {
    let name = member.text()?;
    if OPTIONAL.contains(&name) { Some(name.to_owned()) } else { member.fail(no_member(name)) }
}

fn no_member(name: &str) -> String {
    format!("no member of a chat request that can do without: \"{}\"; {}", super::value::shown(name), suggestion(name, OPTIONAL))
}

fn surface(section: &Section<'_>) -> Surface {
    let usual = Surface::default();
    let flag = |key| section.get(key).and_then(|field| field.boolean()).unwrap_or(true);
    Surface {
        image_types: section.get("image_types").and_then(|field| field.texts()).unwrap_or(usual.image_types),
        image_urls: flag("image_urls"),
        tool_ids: flag("tool_ids"),
        native_schema: flag("native_schema"),
        body_version: text(section, "body_version"),
        refuses: refuses(section).unwrap_or_default(),
        renames: renames(section).unwrap_or_default(),
        takes: takes(section).unwrap_or_default(),
        deployments: Vec::new(),
        models: super::models::known(),
    }
}

fn headers(section: &Section<'_>) -> Vec<(String, String)> {
    let entries = section.get("headers").map(|field| field.entries()).unwrap_or_default();
    entries.iter().filter_map(|(key, field)| Some((key.text.clone(), field.text()?.to_owned()))).collect()
}

fn text(section: &Section<'_>, key: &str) -> Option<String> {
    section.get(key).and_then(|field| field.text().map(str::to_owned))
}

fn texts(section: &Section<'_>, key: &str) -> Vec<String> {
    section.get(key).and_then(|field| field.texts()).unwrap_or_default()
}
