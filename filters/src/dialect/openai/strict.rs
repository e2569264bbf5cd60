//! Which JSON Schemas OpenAI compiles: in `strict` mode each object must forbid other members and require all of its own.
//!
//! Source: OpenAI's guide to structured outputs, "Supported schemas".

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Keywords that the strict mode refuses.
static REFUSED: &[&str] = &[
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "minProperties",
    "maxProperties",
    "default",
    "$schema",
    "contains",
    "prefixItems",
    "uniqueItems",
];

/// An object's members, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Whether the schema may be held to strictly as it stands.
pub(in crate::dialect) fn compiles(schema: &str) -> bool {
    serde_json::from_str::<Members<'_>>(schema).is_ok_and(|root| root.is("type", "\"object\"") && root.compiles())
}

impl<'a> Members<'a> {
    fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    fn is(&self, key: &str, value: &str) -> bool {
        self.get(key).is_some_and(|found| found.get() == value)
    }

    fn compiles(&self) -> bool {
        if self.0.iter().any(|(key, _)| REFUSED.contains(&key.as_ref())) {
            return false;
        }
        let is_object = self.is("type", "\"object\"") || self.get("properties").is_some();
        let inside = |key: &str| match self.get(key) {
            Some(members) => {
                serde_json::from_str::<Members<'_>>(members.get()).is_ok_and(|members| members.0.iter().all(|(_, schema)| of(schema)))
            }
            None => true,
        };
        let one = |key: &str| self.get(key).is_none_or(of);
        let each = |key: &str| match self.get(key) {
            Some(list) => serde_json::from_str::<Vec<&RawValue>>(list.get()).is_ok_and(|list| list.into_iter().all(of)),
            None => true,
        };
        (!is_object || self.is_closed())
            && inside("properties")
            && inside("$defs")
            && inside("definitions")
            && one("items")
            && each("anyOf")
    }

    /// No other members, and all of its own required.
    fn is_closed(&self) -> bool {
        let own = self.get("properties").and_then(|own| serde_json::from_str::<Members<'_>>(own.get()).ok());
        let required: Vec<Cow<'_, str>> = self.get("required").and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default();
        self.is("additionalProperties", "false")
            && own.is_some_and(|own| own.0.iter().all(|(name, _)| required.iter().any(|required| required == name)))
    }
}

fn of(schema: &RawValue) -> bool {
    serde_json::from_str::<Members<'_>>(schema.get()).is_ok_and(|members| members.compiles())
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::compiles;

    #[test]
    fn only_closed_objects_compile() {
        let inner = r#"{"type":"object","properties":{"b":{"type":"string"}},"required":["b"],"additionalProperties":false}"#;
        let outer =
            |inner: &str| format!(r#"{{"type":"object","properties":{{"a":{inner}}},"required":["a"],"additionalProperties":false}}"#);
        assert!(compiles(inner));
        assert!(compiles(&outer(inner)));
        assert!(compiles(&outer(&format!(r#"{{"type":"array","items":{inner}}}"#))));
        assert!(compiles(&outer(&format!(r#"{{"anyOf":[{inner},{{"type":"null"}}]}}"#))));
        for (wrong, right) in
            [("\"required\":[\"b\"],", ""), (",\"additionalProperties\":false", ""), ("{\"type\":\"string\"}", "{\"oneOf\":[]}")]
        {
            let open = inner.replace(wrong, right);
            assert!(!compiles(&open) && !compiles(&outer(&open)), "{open}");
            assert!(!compiles(&outer(&format!(r#"{{"type":"array","items":{open}}}"#))), "{open}");
        }
        assert!(!compiles("[]") && !compiles("not JSON") && !compiles(r#"{"type":"string"}"#));
    }
}
