//! Typed reading of a [`Node`]: whatever does not fit is reported with its place and key path, and reading goes on.

use std::ops::RangeInclusive;

use super::problem::{Position, Severity, Sink};
use super::tree::{Key, Node, Value};
use super::value::shown;

/// A value in the file, with the path that leads to it.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    node: &'n Node,
    /// Where to point: at the value, or at the key of one that takes several lines.
    at: Position,
    path: String,
    sink: &'n Sink,
}

/// A map with a fixed set of keys.
#[derive(Debug)]
pub(super) struct Section<'n> {
    /// The map itself, to report on it.
    pub(super) field: Field<'n>,
    entries: &'n [(Key, Node)],
}

impl<'n> Field<'n> {
    pub(super) fn new(node: &'n Node, path: impl Into<String>, sink: &'n Sink) -> Self {
        Self { node, at: node.at, path: path.into(), sink }
    }

    /// The value itself.
    pub(super) fn node(&self) -> &'n Node {
        self.node
    }

    fn below(key: &Key, node: &'n Node, parent: &str, sink: &'n Sink) -> Self {
        let at = match node.value {
            Value::Plain(_) | Value::Quoted(_) => node.at,
            Value::Null | Value::List(_) | Value::Map(_) => key.at,
        };
        Self { node, at, path: join(parent, &key.text), sink }
    }

    /// Reports, and is `None` of any type: `return field.fail("…")`.
    pub(super) fn fail<T>(&self, what: impl Into<String>) -> Option<T> {
        self.sink.report(Severity::Error, Some(self.at), &self.path, what);
        None
    }

    pub(super) fn warn(&self, what: impl Into<String>) {
        self.sink.report(Severity::Warning, Some(self.at), &self.path, what);
    }

    pub(super) fn notice(&self, what: impl Into<String>) {
        self.sink.report(Severity::Notice, Some(self.at), &self.path, what);
    }

    /// Opens a map whose keys are `known`; others are reported. Nothing at all is an empty map.
    pub(super) fn section(&self, known: &[&str]) -> Option<Section<'n>> {
        let entries = self.map()?;
        for (key, _) in entries {
            if !known.contains(&key.text.as_str()) {
                let path = join(&self.path, &key.text);
                self.sink.report(Severity::Error, Some(key.at), &path, format!("unknown key; {}", suggestion(&key.text, known)));
            }
        }
        Some(Section { field: self.clone(), entries })
    }

    /// The entries of a map with keys of the operator's choice.
    pub(super) fn entries(&self) -> Vec<(&'n Key, Field<'n>)> {
        let entries = self.map().unwrap_or_default();
        entries.iter().map(|(key, node)| (key, Field::below(key, node, &self.path, self.sink))).collect()
    }

    pub(super) fn items(&self) -> Option<Vec<Field<'n>>> {
        match &self.node.value {
            Value::Null => Some(Vec::new()),
            Value::List(items) => {
                Some(items.iter().enumerate().map(|(i, node)| Field::new(node, format!("{}[{i}]", self.path), self.sink)).collect())
            }
            _ => self.mismatch("a list"),
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub(super) fn text(&self) -> Option<&'n str> {
        match &self.node.value {
            Value::Plain(text) | Value::Quoted(text) if text.trim().is_empty() => self.fail("is empty"),
            Value::Plain(text) | Value::Quoted(text) => Some(text),
            _ => self.mismatch("text"),
        }
    }

    pub(super) fn texts(&self) -> Option<Vec<String>> {
        let items = self.items()?;
        Some(items.iter().filter_map(Field::text).map(str::to_owned).collect())
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Plain(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Plain(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => self.mismatch("true or false"),
        }
    }

    pub(super) fn number(&self, range: RangeInclusive<f64>) -> Option<f64> {
        let Value::Plain(text) = &self.node.value else { return self.mismatch("a number") };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(_) => self.fail(format!("must be from {} to {}", range.start(), range.end())),
            Err(_) => self.fail("is not a number"),
        }
    }

    /// A whole number; `1e6` and `10.0` are whole too.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let Value::Plain(text) = &self.node.value else { return self.mismatch("a whole number") };
        match whole(text) {
            Some(number) if range.contains(&number) => Some(number),
            Some(_) => self.fail(format!("must be from {} to {}", range.start(), range.end())),
            None if text.parse::<f64>().is_ok() => self.fail(format!("must be a whole number from {} to {}", range.start(), range.end())),
            None => self.fail("is not a whole number"),
        }
    }

    /// [`Field::integer`] for a size in memory.
    pub(super) fn size(&self, range: RangeInclusive<u64>) -> Option<usize> {
        self.integer(range).and_then(|number| usize::try_from(number).ok())
    }

    fn map(&self) -> Option<&'n [(Key, Node)]> {
        match &self.node.value {
            Value::Null => Some(&[]),
            Value::Map(entries) => Some(entries),
            _ => self.mismatch("a map"),
        }
    }

    /// What was found is named by its kind alone: it might be a secret in the wrong place.
    fn mismatch<T>(&self, expected: &str) -> Option<T> {
        let found = match self.node.value {
            Value::Null => "nothing",
            Value::Plain(_) => "text",
            Value::Quoted(_) => "text in quotes",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        self.fail(format!("expected {expected}, found {found}"))
    }
}

impl<'n> Section<'n> {
    /// The value of a key; `None` where it is left out.
    pub(super) fn get(&self, key: &str) -> Option<Field<'n>> {
        let (key, node) = self.entries.iter().find(|(known, _)| known.text == key)?;
        Some(Field::below(key, node, &self.field.path, self.field.sink))
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &str) -> Option<Field<'n>> {
        self.get(key).or_else(|| self.field.fail(format!("`{key}` is missing")))
    }

    /// Writes a number of milliseconds to `target`, if the key is there.
    pub(super) fn milliseconds(&self, key: &str, least: u64, target: &mut u64) {
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        if let Some(ms) = self.get(key).and_then(|field| field.integer(least..=DAY)) {
            *target = ms;
        }
    }

    /// Writes a size to `target`, if the key is there.
    pub(super) fn size(&self, key: &str, range: RangeInclusive<u64>, target: &mut usize) {
        if let Some(size) = self.get(key).and_then(|field| field.size(range)) {
            *target = size;
        }
    }
}

/// The nearest of `known`, or what there is.
pub(super) fn suggestion(text: &str, known: &[&str]) -> String {
    match nearest(text, known) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// The name that `text` is probably a misspelling of.
pub(super) fn nearest<'k>(text: &str, known: &[&'k str]) -> Option<&'k str> {
    let folded = text.to_lowercase();
    let length = text.chars().count();
    let distance = |name: &&&'k str| strsim::damerau_levenshtein(&folded, name);
    let near = known.iter().min_by_key(distance).filter(|name| distance(name) <= length.div_ceil(3));
    let whole_of = || known.iter().find(|name| length >= 4 && name.contains(&folded));
    near.or_else(whole_of).copied()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, not negative and below 2^53")]
fn whole(text: &str) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.fract() == 0.0 && (0.0..EXACT).contains(&number)).then_some(number as u64)
    })
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { shown(key) } else { format!("{path}.{}", shown(key)) }
}
