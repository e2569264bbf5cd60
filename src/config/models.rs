//! What models take: `conf/models.yaml`, embedded and parsed once, and a provider's own `capabilities`.

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use heliostat_filters::dialect::Models;

use super::field::Field;
use super::problem::{Problem, Sink};
use super::tree::{self, Node, Value};

/// The table as text.
pub(super) const TEXT: &str = include_str!("../../conf/models.yaml");

/// What a row of the table says beside what the model takes: for its readers.
const PROVENANCE: &[&str] = &["sources", "checked", "unverified"];

static TABLE: LazyLock<Arc<Models>> = LazyLock::new(|| Arc::new(parse(TEXT).0));

/// The models that are known.
pub(super) fn known() -> Arc<Models> {
    TABLE.clone()
}

/// Parses the table. Families with a problem are left out; a test sees to it that there is none.
pub(super) fn parse(text: &str) -> (Models, Vec<Problem>) {
    let sink = Sink::new("models.yaml");
    let tree = tree::read(text, &sink);
    let mut models = Models::default();
    for (family, field) in tree.iter().flat_map(|node| Field::new(node, "", &sink).entries()) {
        for row in field.items().unwrap_or_default() {
            check_provenance(&row);
        }
        models = with(&models, &family.text, &field).unwrap_or(models);
    }
    (models, sink.into_problems())
}

/// Where a row was read, and when; a configuration's rows need not say it.
fn check_provenance(row: &Field<'_>) {
    let entries = row.entries();
    let has = |name: &str| entries.iter().find(|(key, _)| key.text == name).map(|(_, field)| field);
    let sources = has("sources").and_then(Field::texts).unwrap_or_default();
    if sources.is_empty() || sources.iter().any(|url| !url.starts_with("https://")) {
        let _: Option<()> = row.fail("needs `sources`, https addresses");
    }
    if has("checked").and_then(Field::text).is_none_or(|day| day.len() != "2026-01-31".len()) {
        let _: Option<()> = row.fail("needs `checked`, a day");
    }
    if has("unverified").is_some_and(|field| field.boolean() != Some(true)) {
        let _: Option<()> = row.fail("`unverified` is true, or not there");
    }
}

/// A provider's own rows, before those that are known.
pub(super) fn capabilities(field: &Field<'_>, dialect: &str) -> Option<Arc<Models>> {
    let Some(family) = Models::family(dialect) else {
        return field.fail(format!("nothing is told of models in the dialect {dialect}"));
    };
    with(&TABLE, family, field).map(Arc::new)
}

fn with(models: &Models, family: &str, field: &Field<'_>) -> Option<Models> {
    field.items()?;
    let mut rows = String::new();
    write(field.node(), &mut rows);
    models.with(family, &rows).map_or_else(|what| field.fail(what), Some)
}

/// Writes a part of the file as JSON. Numbers and truth values are those that stand there without quotes.
fn write(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Plain(text) if matches!(text.as_str(), "true" | "false") || text.parse::<u64>().is_ok() => out.push_str(text),
        Value::Plain(text) | Value::Quoted(text) => quote(text, out),
        Value::List(items) => list(items.iter(), out, ('[', ']'), write),
        Value::Map(entries) => {
            let entries = entries.iter().filter(|(key, _)| !PROVENANCE.contains(&key.text.as_str()));
            list(entries, out, ('{', '}'), |(key, value), out| {
                quote(&key.text, out);
                out.push(':');
                write(value, out);
            });
        }
    }
}

fn list<T>(items: impl Iterator<Item = T>, out: &mut String, (open, close): (char, char), each: impl Fn(T, &mut String)) {
    out.push(open);
    for (position, item) in items.enumerate() {
        if position > 0 {
            out.push(',');
        }
        each(item, out);
    }
    out.push(close);
}

fn quote(text: &str, out: &mut String) {
    // Text can always be quoted, and writing to memory cannot fail.
    let _ = write!(out, "{}", serde_json::to_string(text).unwrap_or_default());
}
