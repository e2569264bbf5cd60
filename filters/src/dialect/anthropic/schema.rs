//! JSON Schemas in the subset that `output_config.format` compiles.
//!
//! Source: `sanitize-json-schema.ts` of Vercel's AI SDK and Anthropic's page on structured outputs. What the subset lacks moves into
//! the schema's `description`, so that the model still reads it; what cannot be compiled at all is told apart ([`sanitise`] is `None`)
//! and asked for through a tool.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The most properties that may be left out of an object, in the whole schema. (The API's limit is 24; grammars fail from 11.)
const MAX_OPTIONAL: usize = 10;

/// A schema in the subset.
#[derive(Debug)]
pub(super) struct Sanitised {
    /// Its JSON, keys in the client's order.
    pub(super) json: String,
    /// Paths of keywords that became words, from the schema's root: `.properties.age.minimum`.
    pub(super) moved: Vec<String>,
    /// Whether anything at all is different.
    pub(super) changed: bool,
}

/// Brings a schema into the subset. `None`: it is recursive, open to any property, or has too many optional ones.
pub(super) fn sanitise(schema: &str) -> Option<Sanitised> {
    let mut walk = Walk::default();
    walk.schema(schema);
    let optional_ok = walk.optional <= MAX_OPTIONAL;
    let fits = !walk.unfit && optional_ok && !walk.is_recursive();
    fits.then_some(Sanitised { json: walk.out, moved: walk.moved, changed: walk.changed })
}

/// How a keyword is treated.
enum Keyword {
    /// Copied.
    Plain,
    /// An object of schemas.
    Map,
    /// An array of schemas.
    List,
    /// One schema.
    One,
    /// Looked at: `additionalProperties`, `description`.
    Looked,
    /// Not in the subset: told in words.
    Words,
}

static KEYWORDS: &[(&str, Keyword)] = &[
    ("$schema", Keyword::Plain),
    ("$id", Keyword::Plain),
    ("title", Keyword::Plain),
    ("default", Keyword::Plain),
    ("const", Keyword::Plain),
    ("enum", Keyword::Plain),
    ("type", Keyword::Plain),
    ("required", Keyword::Plain),
    ("$ref", Keyword::Plain),
    ("properties", Keyword::Map),
    ("$defs", Keyword::Map),
    ("definitions", Keyword::Map),
    ("anyOf", Keyword::List),
    ("oneOf", Keyword::List),
    ("allOf", Keyword::List),
    ("items", Keyword::One),
    ("additionalProperties", Keyword::Looked),
    ("description", Keyword::Looked),
];

static FORMATS: &[&str] = &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

#[derive(Default)]
struct Walk {
    out: String,
    moved: Vec<String>,
    changed: bool,
    unfit: bool,
    optional: usize,
    /// Where the walk is, as a loss names it: `.properties.age`.
    path: String,
    /// The same as a JSON pointer: `#/properties/age`, without `#`.
    pointer: String,
    /// (where it stands, what it points to)
    references: Vec<(String, String)>,
}

impl Walk {
    fn schema(&mut self, raw: &str) {
        let Ok(Members(members)) = serde_json::from_str::<Members<'_>>(raw) else {
            // `true` allows anything, and what is neither object nor boolean is no schema.
            self.unfit = true;
            return;
        };
        let find = |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, value)| value.get());
        self.unfit |= find("oneOf").is_some() && find("anyOf").is_some();
        if let Some(target) = find("$ref").and_then(string) {
            self.references.push((self.pointer.clone(), target.trim_start_matches('#').to_owned()));
        }
        let words = self.words(&members);
        self.out.push('{');
        for (key, value) in &members {
            match keyword(key, value.get()) {
                Keyword::Looked if key == "description" => self.description(string(value.get()), &words),
                Keyword::Looked if value.get() == "false" => self.plain(key, "false"),
                Keyword::Looked => self.unfit = true,
                Keyword::Words => {}
                Keyword::Plain => self.plain(key, value.get()),
                Keyword::Map => self.map(key, value.get()),
                Keyword::List => self.list(key, value.get()),
                Keyword::One => {
                    self.key(key);
                    self.below(&format!(".{key}"), &format!("/{key}"), |walk| walk.schema(value.get()));
                }
            }
        }
        if find("description").is_none() {
            self.description(None, &words);
        }
        if is_object(&members) {
            self.close(find("properties"), find("required"), find("additionalProperties").is_some());
        }
        self.out.push('}');
    }

    /// What the subset lacks, in words.
    fn words(&mut self, members: &[(Cow<'_, str>, &RawValue)]) -> Vec<String> {
        let lacking = members.iter().filter(|(key, value)| matches!(keyword(key, value.get()), Keyword::Words));
        let mut words = Vec::new();
        for (key, value) in lacking {
            self.moved.push(format!("{}.{key}", self.path));
            self.changed = true;
            words.push(format!("{key}: {}", value.get()));
        }
        words
    }

    fn plain(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.push_str(value);
    }

    fn map(&mut self, key: &str, value: &str) {
        let Ok(Members(members)) = serde_json::from_str::<Members<'_>>(value) else { return self.unfit = true };
        self.key(key);
        self.out.push('{');
        for (name, schema) in &members {
            self.key(name);
            let pointer = format!("/{key}/{}", name.replace('~', "~0").replace('/', "~1"));
            self.below(&format!(".{key}.{name}"), &pointer, |walk| walk.schema(schema.get()));
        }
        self.out.push('}');
    }

    fn list(&mut self, key: &str, value: &str) {
        let Ok(schemas) = serde_json::from_str::<Vec<&RawValue>>(value) else { return self.unfit = true };
        if key == "oneOf" {
            self.moved.push(format!("{}.{key}", self.path));
            self.changed = true;
        }
        self.key(if key == "oneOf" { "anyOf" } else { key });
        self.out.push('[');
        for (index, schema) in schemas.iter().enumerate() {
            self.comma();
            self.below(&format!(".{key}[{index}]"), &format!("/{key}/{index}"), |walk| walk.schema(schema.get()));
        }
        self.out.push(']');
    }

    /// The client's description, and in words what the subset lacks.
    fn description(&mut self, own: Option<String>, words: &[String]) {
        if own.is_none() && words.is_empty() {
            return;
        }
        let words = (!words.is_empty()).then(|| format!("Must hold: {}.", words.join(", ")));
        let text: Vec<_> = own.into_iter().chain(words).collect();
        self.plain("description", &quoted(&text.join(" ")));
    }

    /// An object that takes the properties it names and no other. Says so where the client did not.
    fn close(&mut self, properties: Option<&str>, required: Option<&str>, said: bool) {
        let named = properties.and_then(|text| serde_json::from_str::<Members<'_>>(text).ok()).map_or(Vec::new(), |named| named.0);
        let required: Vec<String> = required.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        self.optional += named.iter().filter(|(name, _)| !required.iter().any(|must| must == name)).count();
        if !said {
            self.unfit |= named.is_empty();
            self.changed = true;
            self.plain("additionalProperties", "false");
        }
    }

    fn below(&mut self, path: &str, pointer: &str, walk: impl FnOnce(&mut Self)) {
        let lengths = (self.path.len(), self.pointer.len());
        self.path.push_str(path);
        self.pointer.push_str(pointer);
        walk(self);
        self.path.truncate(lengths.0);
        self.pointer.truncate(lengths.1);
    }

    fn key(&mut self, key: &str) {
        self.comma();
        self.out.push_str(&quoted(key));
        self.out.push(':');
    }

    fn comma(&mut self) {
        if !self.out.ends_with(['{', '[', ':']) {
            self.out.push(',');
        }
    }

    /// Whether some reference leads back to where it stands.
    fn is_recursive(&self) -> bool {
        self.references.iter().any(|(_, target)| self.leads_back(target))
    }

    fn leads_back(&self, start: &str) -> bool {
        let (mut seen, mut next) = (Vec::new(), vec![start]);
        while let Some(at) = next.pop() {
            let inside = |place: &str| place.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            for (_, target) in self.references.iter().filter(|(place, _)| inside(place)) {
                if target == start {
                    return true;
                }
                if !seen.contains(target) {
                    seen.push(target.clone());
                    next.push(target);
                }
            }
        }
        false
    }
}

fn keyword(key: &str, value: &str) -> &'static Keyword {
    if key == "format" {
        let known = string(value).is_some_and(|format| FORMATS.contains(&format.as_str()));
        return if known { &Keyword::Plain } else { &Keyword::Words };
    }
    // The old form of a tuple: an array of schemas.
    if key == "items" && !value.starts_with('{') {
        return &Keyword::Words;
    }
    KEYWORDS.iter().find(|(name, _)| *name == key).map_or(&Keyword::Words, |(_, keyword)| keyword)
}

fn is_object(members: &[(Cow<'_, str>, &RawValue)]) -> bool {
    members.iter().any(|(key, value)| key == "properties" || (key == "type" && value.get().contains("\"object\"")))
}

fn string(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// An object's members in their order, values as they stand.
pub(super) struct Members<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.push((Cow::Owned(key), value));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::sanitise;

    #[test]
    fn what_the_subset_lacks_becomes_words_in_place() {
        let schema = r#"{"type":"object","description":"A person.","properties":{"b":{"type":"integer","minimum":0},"a":{"type":"string","format":"phone"}},"required":["b","a"]}"#;
        let sanitised = sanitise(schema).expect("it fits");
        let expected = r#"{"type":"object","description":"A person.","properties":{"b":{"type":"integer","description":"Must hold: minimum: 0."},"a":{"type":"string","description":"Must hold: format: \"phone\"."}},"required":["b","a"],"additionalProperties":false}"#;
        assert_eq!(sanitised.json, expected);
        assert_eq!(sanitised.moved, [".properties.b.minimum", ".properties.a.format"]);
    }

    #[test]
    fn a_schema_in_the_subset_stays_as_it_is() {
        let schema = r##"{"type":"object","properties":{"z":{"$ref":"#/$defs/Z"}},"required":["z"],"additionalProperties":false,"$defs":{"Z":{"enum":["{",1.0]}}}"##;
        let sanitised = sanitise(schema).expect("it fits");
        assert_eq!(sanitised.json, schema);
        assert!(!sanitised.changed && sanitised.moved.is_empty());
    }

    #[test]
    fn what_cannot_be_compiled_is_told_apart() {
        let optional: Vec<_> = (0..11).map(|index| format!(r#""p{index}":{{"type":"string"}}"#)).collect();
        let cases = [
            r#"{"type":"object"}"#.to_owned(),
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#.to_owned(),
            r##"{"type":"object","properties":{"child":{"$ref":"#"}},"required":["child"]}"##.to_owned(),
            r##"{"$ref":"#/$defs/A","$defs":{"A":{"anyOf":[{"$ref":"#/$defs/B"}]},"B":{"allOf":[{"$ref":"#/$defs/A"}]}}}"##.to_owned(),
            format!(r#"{{"type":"object","properties":{{{}}}}}"#, optional.join(",")),
            "true".to_owned(),
        ];
        for schema in cases {
            assert!(sanitise(&schema).is_none(), "{schema}");
        }
    }
}
