//! `observability`: what is told of requests, and to whom.

use std::collections::HashSet;
use std::sync::Arc;

use super::access_log::AccessLog;
use super::field::{Field, Section};
use super::traces::{self, Attribute, Traces};
use super::value::Vault;

const OBSERVABILITY: &[&str] = &["prometheus_labels", "metric_aliases", "access_log"];

/// Each label multiplies the number of series.
const LABELS_MAX: usize = 8;
/// Names that the metrics' own labels have.
pub const OWN_LABELS: &[&str] = &[
    "client",
    "credential",
    "direction",
    "endpoint",
    "error_type",
    "fault",
    "field",
    "for",
    "from_model",
    "from_provider",
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_token_type",
    "kind",
    "le",
    "model",
    "outcome",
    "provider",
    "quantile",
    "reason",
    "result",
    "sink",
    "stage",
    "status",
    "stream",
    "to_model",
    "to_provider",
    "version",
    "while",
    // In aliases.
    "api_key_alias",
    "api_provider",
    "exception_class",
    "fallback_model",
    "litellm_model_name",
    "method",
    "requested_model",
    "selected_key_name",
    "status_code",
    "virtual_key_name",
];
/// Headers that hold secrets: never a label.
const SECRETS: &[&str] = &["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key"];

/// What is told of requests.
#[derive(Debug, Clone, Default)]
pub struct Observability {
    /// Request headers, in lower case, that become labels of every request-level series, and attributes of spans and log lines.
    pub prometheus_labels: Arc<[Box<str>]>,
    /// Which requests leave a line, and where.
    pub access_log: AccessLog,
    /// Whose names the metrics have too.
    pub metric_aliases: Vec<MetricAliases>,
    /// What else of a request becomes an attribute of its spans.
    pub attributes: Arc<[Attribute]>,
    /// So many bytes of a prompt, and of a reply, are captured in spans; `None` is nothing.
    pub content_bytes: Option<usize>,
    /// Where spans go; `None` is nowhere.
    pub traces: Option<Arc<Traces>>,
}

/// A gateway whose names for metrics are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricAliases {
    /// `litellm`
    LiteLlm,
    /// `bifrost`
    Bifrost,
}

impl Observability {
    /// Reads the section, and the variables that stand for what it leaves out.
    pub(super) fn read(root: &Section<'_>, vault: &Vault<'_>) -> Self {
        let known = [OBSERVABILITY, traces::KEYS].concat();
        let section = root.get("observability").and_then(|field| field.section(&known));
        let traces = traces::traces(section.as_ref(), vault, root).map(Arc::new);
        let Some(section) = section else { return Self { traces, ..Self::default() } };
        let aliases = section.get("metric_aliases").and_then(|field| field.items()).unwrap_or_default();
        let (attributes, content_bytes) = (traces::attributes(&section), traces::content(&section));
        for key in ["attributes", "content"] {
            if let (None, Some(field)) = (&traces, section.get(key)) {
                field.notice("without otel_endpoint there are no spans for it");
            }
        }
        // What nobody is told is not looked for.
        let is_told = traces.is_some();
        Self {
            access_log: AccessLog::read(section.get("access_log")),
            metric_aliases: aliases.iter().filter_map(alias_set).collect(),
            prometheus_labels: section.get("prometheus_labels").map(|field| labels(&field)).unwrap_or_default().into(),
            attributes: if is_told { attributes.into() } else { Arc::default() },
            content_bytes: content_bytes.filter(|_| is_told),
            traces,
        }
    }
}

fn alias_set(field: &Field<'_>) -> Option<MetricAliases> {
    match field.text()? {
        "litellm" => Some(MetricAliases::LiteLlm),
        "bifrost" => Some(MetricAliases::Bifrost),
        _ => field.fail("is no set of names: litellm, bifrost"),
    }
}

fn labels(field: &Field<'_>) -> Vec<Box<str>> {
    let items = field.items().unwrap_or_default();
    if items.len() > LABELS_MAX {
        let _: Option<()> = field.fail(format!("has more than {LABELS_MAX} headers; each multiplies the number of series"));
    }
    let mut seen = HashSet::new();
    let mut read = |item: &Field<'_>| {
        let name = header(item)?;
        // Two headers that make one label would be told apart nowhere.
        if seen.insert(name.replace('-', "_")) { Some(name) } else { item.fail("makes a label that stands above already") }
    };
    items.iter().filter_map(&mut read).collect()
}

/// The name of a header that may be a label.
fn header(field: &Field<'_>) -> Option<Box<str>> {
    let name = field.text()?.to_ascii_lowercase();
    if SECRETS.contains(&name.as_str()) {
        return field.fail("holds a secret, and cannot be a label");
    }
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    if OWN_LABELS.contains(&name.replace('-', "_").as_str()) {
        return field.fail("is a name that the metrics' own labels have");
    }
    if !is_name || name.len() > 64 {
        return field.fail("is no header that can be a label: at most 64 letters, digits and - _, a letter first");
    }
    Some(name.into())
}
