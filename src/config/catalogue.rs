//! The providers Heliostat knows by name: `conf/providers.yaml`, embedded and parsed once.

use std::sync::LazyLock;

use heliostat_filters::dialect::{self, Dialect, Surface};

use super::field::{Field, Section};
use super::problem::{Problem, Sink};
use super::snapshot::Auth;
use super::tree;

/// The catalogue as text.
pub(super) const TEXT: &str = include_str!("../../conf/providers.yaml");

const ROW: &[&str] =
    &["aliases", "dialect", "base_url", "base_url_example", "auth", "env", "models", "headers", "image_types", "image_urls", "tool_ids"];

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| parse(TEXT).0);

/// What is known of a provider.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// Other names for it in a configuration.
    pub(super) aliases: Vec<String>,
    /// The wire format's name; perhaps of one that is not implemented.
    pub(super) dialect: String,
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
}

/// Every row.
pub(super) fn rows() -> &'static [Row] {
    &ROWS
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
        base_url,
        base_url_example: text(&section, "base_url_example"),
        auth: text(&section, "auth").unwrap_or_else(|| "bearer".to_owned()),
        env: texts(&section, "env"),
        models: texts(&section, "models"),
        headers: headers(&section),
        surface: surface(&section),
    })
}

fn surface(section: &Section<'_>) -> Surface {
    let types = section.get("image_types").and_then(|field| field.texts());
    Surface {
        image_types: types.unwrap_or_else(|| ["png", "jpeg", "gif", "webp"].map(|kind| format!("image/{kind}")).to_vec()),
        image_urls: section.get("image_urls").and_then(|field| field.boolean()).unwrap_or(true),
        tool_ids: section.get("tool_ids").and_then(|field| field.boolean()).unwrap_or(true),
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
