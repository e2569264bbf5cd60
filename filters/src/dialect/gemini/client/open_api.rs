//! Google's schemas, a subset of OpenAPI 3.0, as the JSON Schemas that other vendors take: kinds in small letters, `nullable` as a kind of
//! its own, limits that proto JSON writes as strings as the numbers that they are.

use serde_json::value::RawValue;

use crate::chat::Schema;
use crate::dialect::gemini::schema::Members;
use crate::json::{Literal, Splice, View};

/// Deepest nesting that is followed; what is deeper stands as it is.
const DEPTH: usize = 64;

/// Limits that proto JSON may write as strings: they have 64 bits.
const LONG: &[&str] = &["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];

/// Names in the other spelling of proto JSON.
const SPELLINGS: &[(&str, &str)] = &[
    ("any_of", "anyOf"),
    ("min_items", "minItems"),
    ("max_items", "maxItems"),
    ("min_length", "minLength"),
    ("max_length", "maxLength"),
    ("min_properties", "minProperties"),
    ("max_properties", "maxProperties"),
    ("additional_properties", "additionalProperties"),
    ("property_ordering", "propertyOrdering"),
    ("ref", "$ref"),
    ("defs", "$defs"),
];

/// What an object's schema says of properties that it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// Nothing: a function takes what it takes.
    Open,
    /// There are none: Google's answers hold no others.
    Closed,
}

/// The schema of a function's arguments at `view`, as a JSON Schema.
pub(super) fn arguments(view: View<'_>) -> Schema<'_> {
    schema(view, Others::Open)
}

/// The schema of an answer.
pub(super) fn answer(view: View<'_>) -> Schema<'_> {
    schema(view, Others::Closed)
}

fn schema(view: View<'_>, others: Others) -> Schema<'_> {
    let mut out = Splice::new();
    node(view.raw(), others, &mut out, 0);
    let rewritten = String::from_utf8(out.finish().join().to_vec()).ok();
    Schema { view, rewritten }
}

fn node(text: &str, others: Others, out: &mut Splice, depth: usize) {
    let Some(members) = Members::read(text).filter(|_| depth < DEPTH) else {
        out.raw(text);
        return;
    };
    let nullable = members.get("nullable").is_some_and(|nullable| nullable.get() == "true");
    out.object();
    for (key, value) in members.iter() {
        let key = SPELLINGS.iter().find(|(snake, _)| *snake == key).map_or(key, |(_, camel)| camel);
        keyword(key, value, nullable, others, out, depth);
    }
    let named = members.get("properties").is_some();
    let said = members.get("additionalProperties").or(members.get("additional_properties")).is_some();
    if others == Others::Closed && named && !said {
        out.key("additionalProperties").raw("false");
    }
    out.end_object();
}

fn keyword(key: &str, value: &RawValue, nullable: bool, others: Others, out: &mut Splice, depth: usize) {
    match key {
        "type" => kind(value.get(), nullable, out),
        "enum" => choices(value.get(), nullable, out),
        "properties" | "$defs" => named(key, value.get(), others, out, depth),
        "items" | "additionalProperties" if value.get().starts_with('{') => node(value.get(), others, name(key, out), depth + 1),
        "anyOf" => any_of(value.get(), nullable, others, out, depth),
        // Said by the kind; of no meaning to others.
        "nullable" | "propertyOrdering" => {}
        "format" if value.get() == "\"enum\"" => {}
        _ if LONG.contains(&key) => {
            name(key, out).raw(value.get().trim_matches('"'));
        }
        _ => {
            name(key, out).raw(value.get());
        }
    }
}

fn name<'s>(key: &str, out: &'s mut Splice) -> &'s mut Splice {
    out.key_literal(&Literal::quote(key))
}

fn kind(value: &str, nullable: bool, out: &mut Splice) {
    let lower = value.to_ascii_lowercase();
    // Says nothing.
    if lower == "\"type_unspecified\"" {
        return;
    }
    out.key("type");
    if nullable && lower.starts_with('"') {
        out.raw("[").raw(&lower).raw(",\"null\"]");
    } else {
        out.raw(&lower);
    }
}

fn choices(value: &str, nullable: bool, out: &mut Splice) {
    out.key("enum");
    match value.strip_suffix(']').filter(|_| nullable && value.len() > 2) {
        Some(open) => out.raw(open).raw(",null]"),
        None => out.raw(value),
    };
}

fn named(key: &str, value: &str, others: Others, out: &mut Splice, depth: usize) {
    name(key, out);
    let Some(properties) = Members::read(value) else {
        out.raw(value);
        return;
    };
    out.object();
    for (property, schema) in properties.iter() {
        node(schema.get(), others, name(property, out), depth + 1);
    }
    out.end_object();
}

fn any_of(value: &str, nullable: bool, others: Others, out: &mut Splice, depth: usize) {
    out.key("anyOf");
    let Ok(options) = serde_json::from_str::<Vec<&RawValue>>(value) else {
        out.raw(value);
        return;
    };
    out.array();
    for option in options {
        node(option.get(), others, out.element(), depth + 1);
    }
    if nullable {
        out.element().raw("{\"type\":\"null\"}");
    }
    out.end_array();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(schema: &str) -> String {
        by(schema, Others::Open)
    }

    fn by(schema: &str, others: Others) -> String {
        let mut out = Splice::new();
        node(schema, others, &mut out, 0);
        String::from_utf8(out.finish().join().to_vec()).unwrap()
    }

    #[test]
    fn a_schema_keeps_its_order_and_says_the_same() {
        let google = r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"n":{"type":"ARRAY","items":{"type":"INTEGER"},"minItems":"2"},"e":{"type":"STRING","format":"enum","enum":["a","b"],"nullable":true},"o":{"anyOf":[{"type":"NUMBER"},{"type":"BOOLEAN"}],"nullable":true}},"required":["type"],"propertyOrdering":["type","n"],"title":"X"}"#;
        let json = r#"{"type":"object","properties":{"type":{"type":["string","null"]},"n":{"type":"array","items":{"type":"integer"},"minItems":2},"e":{"type":["string","null"],"enum":["a","b",null]},"o":{"anyOf":[{"type":"number"},{"type":"boolean"},{"type":"null"}]}},"required":["type"],"title":"X"}"#;
        assert_eq!(written(google), json);
        assert_eq!(written(json), json, "a JSON Schema is one already");
    }

    #[test]
    fn an_answer_holds_no_property_that_is_not_named() {
        let google = r#"{"type":"OBJECT","properties":{"a":{"type":"OBJECT","properties":{}}}}"#;
        let json = r#"{"type":"object","properties":{"a":{"type":"object","properties":{},"additionalProperties":false}},"additionalProperties":false}"#;
        assert_eq!(by(google, Others::Closed), json);
        assert_eq!(by(json, Others::Closed), json);
    }

    #[test]
    fn what_is_no_schema_or_too_deep_stands_as_it_is() {
        assert_eq!(written("true"), "true");
        let deep = format!("{}{}{}", r#"{"type":"ARRAY","items":"#.repeat(100), r#"{"type":"STRING"}"#, "}".repeat(100));
        let kept = written(&deep);
        assert!(kept.starts_with(r#"{"type":"array""#) && kept.ends_with(&format!(r#"{{"type":"STRING"}}{}"#, "}".repeat(100))));
    }
}
