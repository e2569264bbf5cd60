//! Schemas for models that do not take JSON Schema as it is: Google's subset of OpenAPI 3.0.

use std::borrow::Cow;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::{Literal, Splice, View};
use crate::loss::{LossKind, Losses};

/// Keywords carried as they are, where they are.
const KEPT: &[&str] = &[
    "title",
    "description",
    "format",
    "nullable",
    "minItems",
    "maxItems",
    "required",
    "propertyOrdering",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "default",
    "minProperties",
    "maxProperties",
];

/// An object's members in order, each value as it was written.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Why a schema has no form in the subset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoSuchForm;

/// How well the subset says what the schema says.
#[derive(Debug, Default)]
pub(super) struct Subset {
    approximated: bool,
}

impl Subset {
    /// Notes the loss, if there is one, for the schema at `view`.
    pub(super) fn note(&self, losses: &mut Losses, view: View<'_>) {
        if self.approximated {
            losses.note(LossKind::Approximated, view);
        }
    }
}

impl<'a> Members<'a> {
    /// Reads an object; `None` for other values.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// A member by name.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// Its members, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }

    /// Whether it has none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((Cow::Owned(key), value));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Object).map(Self)
    }
}

/// Whether a function's schema asks for nothing: Google refuses an object without properties.
pub(super) fn asks_for_nothing(schema: &str) -> bool {
    let Some(schema) = Members::read(schema) else { return false };
    let no_properties = schema.get("properties").is_none_or(|p| Members::read(p.get()).is_some_and(|p| p.is_empty()));
    let composed = ["$ref", "anyOf", "oneOf", "allOf", "patternProperties"].iter().any(|key| schema.get(key).is_some());
    let open = schema.get("additionalProperties").is_some_and(|open| open.get() != "false");
    no_properties && !composed && !open
}

/// Writes a JSON Schema in the subset: references inlined, `const` as an enum of one, `["T","null"]` as `nullable`, `oneOf` as
/// `anyOf`.
///
/// # Errors
/// [`NoSuchForm`] for recursion, a reference that leads nowhere, and what is not a schema object.
pub(super) fn subset(schema: &str, out: &mut Splice) -> Result<Subset, NoSuchForm> {
    let root = Members::read(schema).ok_or(NoSuchForm)?;
    let mut writer = Writer { root: &root, out, found: Subset::default() };
    writer.node(schema, 0)?;
    Ok(writer.found)
}

/// Deepest nesting of references and schemas; deeper is taken for recursion.
const DEPTH: usize = 24;

struct Writer<'a, 'w> {
    root: &'w Members<'a>,
    out: &'w mut Splice,
    found: Subset,
}

impl<'a> Writer<'a, '_> {
    fn node(&mut self, text: &'a str, depth: usize) -> Result<(), NoSuchForm> {
        let node = Members::read(text).filter(|_| depth < DEPTH).ok_or(NoSuchForm)?;
        if let Some(reference) = node.get("$ref") {
            let target = self.resolve(reference)?;
            return self.node(target, depth + 1);
        }
        if let Some(only) = sole(&node) {
            self.found.approximated = true;
            return self.node(only, depth + 1);
        }
        self.out.object();
        for (key, value) in &node.0 {
            self.keyword(key, value, &node, depth)?;
        }
        self.out.end_object();
        Ok(())
    }

    fn keyword(&mut self, key: &str, value: &'a RawValue, node: &Members<'a>, depth: usize) -> Result<(), NoSuchForm> {
        match key {
            "type" => self.kind(value.get()),
            "enum" => self.strings(value.get(), node),
            "const" => self.strings(&format!("[{}]", value.get()), node),
            "properties" => self.properties(value.get(), depth)?,
            "items" => {
                self.out.key("items");
                self.node(value.get(), depth + 1)?;
            }
            "anyOf" | "oneOf" => self.any_of(value.get(), depth)?,
            "$defs" | "definitions" | "$schema" | "$id" => {}
            _ if KEPT.contains(&key) => {
                self.out.key(key).raw(value.get());
            }
            "additionalProperties" if value.get() == "false" => {}
            _ => self.found.approximated = true,
        }
        Ok(())
    }

    /// Google's kinds are written in capitals.
    fn kind(&mut self, value: &str) {
        if let Ok(kinds) = serde_json::from_str::<Vec<String>>(value) {
            let mut named = kinds.iter().filter(|kind| *kind != "null");
            if let Some(kind) = named.next() {
                self.out.key("type").string(&kind.to_ascii_uppercase());
            }
            self.found.approximated |= named.next().is_some();
            if kinds.iter().any(|kind| kind == "null") {
                self.out.key("nullable").raw("true");
            }
        } else {
            self.out.key("type").raw(&value.to_ascii_uppercase());
        }
    }

    /// Google's enums are strings; a number becomes its text.
    fn strings(&mut self, values: &str, node: &Members<'a>) {
        let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(values) else { return };
        if node.get("format").is_none() {
            self.out.key("format").raw("\"enum\"");
        }
        self.out.key("enum").array();
        for value in values {
            let text = value.get();
            self.out.element();
            match Literal::raw(text) {
                Some(literal) => self.out.literal(&literal),
                None => {
                    self.found.approximated = true;
                    self.out.string(text)
                }
            };
        }
        self.out.end_array();
    }

    fn properties(&mut self, value: &'a str, depth: usize) -> Result<(), NoSuchForm> {
        let properties = Members::read(value).ok_or(NoSuchForm)?;
        self.out.key("properties").object();
        for (name, schema) in &properties.0 {
            self.out.element().string(name).raw(":");
            self.node(schema.get(), depth + 1)?;
        }
        self.out.end_object();
        Ok(())
    }

    fn any_of(&mut self, value: &'a str, depth: usize) -> Result<(), NoSuchForm> {
        let options: Vec<&'a RawValue> = serde_json::from_str(value).map_err(|_| NoSuchForm)?;
        self.out.key("anyOf").array();
        for option in &options {
            self.out.element();
            self.node(option.get(), depth + 1)?;
        }
        self.out.end_array();
        Ok(())
    }

    /// Follows `#/$defs/Name` and `#/definitions/Name`.
    fn resolve(&self, reference: &RawValue) -> Result<&'a str, NoSuchForm> {
        let path: String = serde_json::from_str(reference.get()).map_err(|_| NoSuchForm)?;
        let mut steps = path.strip_prefix("#/").ok_or(NoSuchForm)?.split('/');
        let first = steps.next().and_then(|step| self.root.get(step)).ok_or(NoSuchForm)?;
        let unescape = |step: &str| step.replace("~1", "/").replace("~0", "~");
        steps.try_fold(first, |at, step| Members::read(at.get())?.get(&unescape(step))).map(RawValue::get).ok_or(NoSuchForm)
    }
}

/// The single member of an `allOf` of one, which says the same without it.
fn sole<'a>(node: &Members<'a>) -> Option<&'a str> {
    let all: Vec<&'a RawValue> = serde_json::from_str(node.get("allOf")?.get()).ok()?;
    match all.as_slice() {
        [one] => Some(one.get()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(schema: &str) -> Result<String, NoSuchForm> {
        let mut out = Splice::new();
        subset(schema, &mut out)?;
        Ok(String::from_utf8(out.finish().join().to_vec()).unwrap())
    }

    #[test]
    fn the_subset_keeps_order_and_inlines_references() {
        let schema = r##"{"$schema":"x","type":"object","properties":{"b":{"$ref":"#/$defs/B"},"a":{"type":["string","null"]}},"additionalProperties":false,"$defs":{"B":{"const":"x"}}}"##;
        let expected = r#"{"type":"OBJECT","properties":{"b":{"format":"enum","enum":["x"]},"a":{"type":"STRING","nullable":true}}}"#;
        assert_eq!(written(schema).as_deref(), Ok(expected));
    }

    #[test]
    fn recursion_has_no_form() {
        let schema =
            r##"{"type":"object","properties":{"next":{"$ref":"#"}},"$defs":{"A":{"$ref":"#/$defs/A"}},"items":{"$ref":"#/$defs/A"}}"##;
        assert_eq!(written(schema), Err(NoSuchForm));
    }

    #[test]
    fn an_empty_object_asks_for_nothing() {
        assert!(asks_for_nothing("{}"));
        assert!(asks_for_nothing(r#"{"type":"object","properties":{},"required":[],"additionalProperties":false,"strict":true}"#));
        assert!(!asks_for_nothing(r#"{"type":"object","properties":{"a":{}}}"#));
        assert!(!asks_for_nothing(r#"{"type":"object","additionalProperties":{"type":"string"}}"#));
    }
}
