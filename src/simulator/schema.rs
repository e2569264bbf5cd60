//! The smallest value that fits a JSON Schema.

use serde_json::{Map, Value, json};

/// How deep references are followed; a schema may refer to itself.
const DEPTH: usize = 16;

/// Placeholders for the formats of strings.
const FORMATS: &[(&str, &str)] = &[
    ("date", "2026-01-01"),
    ("date-time", "2026-01-01T00:00:00Z"),
    ("time", "00:00:00Z"),
    ("email", "someone@example.com"),
    ("uuid", "00000000-0000-4000-8000-000000000000"),
    ("uri", "https://example.com/"),
    ("hostname", "example.com"),
    ("ipv4", "192.0.2.1"),
];

/// A value that fits: the first of an enum, required properties only, the least number of items.
pub(super) fn example(schema: &Value) -> Value {
    fit(schema, schema, DEPTH)
}

fn fit(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer(path.strip_prefix('#')?)) {
        return fit(target, root, depth - 1);
    }
    if let Some(value) = schema.get("const").or_else(|| schema.get("enum")?.get(0)) {
        return value.clone();
    }
    let branch = ["anyOf", "oneOf", "allOf"].iter().find_map(|name| schema.get(name)?.get(0));
    if let Some(branch) = branch {
        return fit(branch, root, depth - 1);
    }
    match kind(schema).as_str() {
        "object" => object(schema, root, depth),
        "array" => array(schema, root, depth),
        "string" => string(schema),
        "integer" => json!(lowest(schema, 1.0).ceil() as i64),
        "number" => json!(lowest(schema, 1.0)),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}

/// The type in lower case (Gemini writes it in capitals), the first that is not `null` of several.
fn kind(schema: &Value) -> String {
    let kinds = schema.get("type");
    let first = match kinds {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        other => other.and_then(Value::as_str),
    };
    let untyped = if schema.get("properties").is_some() { "object" } else { "" };
    first.unwrap_or(untyped).to_lowercase()
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut object = Map::new();
    for name in required {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        object.insert(name.to_owned(), property.map_or(Value::Null, |property| fit(property, root, depth - 1)));
    }
    Value::Object(object)
}

fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(64);
    let item = schema.get("items").map_or(Value::Null, |item| fit(item, root, depth - 1));
    (0..least).map(|_| item.clone()).collect()
}

fn string(schema: &Value) -> Value {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let mut text = FORMATS.iter().find(|(name, _)| *name == format).map_or("example", |(_, text)| text).to_owned();
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok());
    text.truncate(bound("maxLength").unwrap_or(text.len()));
    let missing = bound("minLength").unwrap_or(0).min(1 << 16).saturating_sub(text.len());
    text.push_str(&"x".repeat(missing));
    text.into()
}

fn lowest(schema: &Value, otherwise: f64) -> f64 {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|bound| bound + 1.0));
    least.unwrap_or_else(|| bound("maximum").map_or(otherwise, |most| otherwise.min(most)))
}
