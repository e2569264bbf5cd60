//! Which fields a request has, as its protocol buffers define them: unknown names are refused, both spellings of a name are read.

use serde_json::{Map, Value};

use super::super::exchange::Refusal;

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// A name from a list, or its number.
    Enum,
    Number,
    Flag,
    /// Free JSON: its names are the user's.
    Free,
    /// Free JSON that must be an object (`google.protobuf.Struct`).
    Struct,
    Message(&'static [Field]),
    List(&'static Kind),
    /// A message of [`SCHEMA`], which holds itself.
    Schema,
    /// Names of the user's, each with a schema.
    Schemas,
}

/// A field's name in camel case, and what it holds.
pub(super) type Field = (&'static str, Kind);

const TEXTS: Kind = Kind::List(&Kind::Text);

/// The whole request.
pub(super) static REQUEST: &[Field] = &[
    ("model", Kind::Text),
    ("contents", Kind::List(&Kind::Message(CONTENT))),
    ("systemInstruction", Kind::Message(CONTENT)),
    ("tools", Kind::List(&Kind::Message(TOOL))),
    ("toolConfig", Kind::Message(TOOL_CONFIG)),
    ("safetySettings", Kind::List(&Kind::Message(&[("category", Kind::Enum), ("threshold", Kind::Enum), ("method", Kind::Enum)]))),
    ("generationConfig", Kind::Message(GENERATION_CONFIG)),
    ("cachedContent", Kind::Text),
    ("serviceTier", Kind::Text),
    ("labels", Kind::Struct),
];

static CONTENT: &[Field] = &[("role", Kind::Text), ("parts", Kind::List(&Kind::Message(PART)))];

static BLOB: &[Field] = &[("mimeType", Kind::Text), ("data", Kind::Text), ("displayName", Kind::Text)];

static PART: &[Field] = &[
    ("text", Kind::Text),
    ("inlineData", Kind::Message(BLOB)),
    ("fileData", Kind::Message(&[("mimeType", Kind::Text), ("fileUri", Kind::Text), ("displayName", Kind::Text)])),
    ("functionCall", Kind::Message(&[("id", Kind::Text), ("name", Kind::Text), ("args", Kind::Struct)])),
    ("functionResponse", Kind::Message(FUNCTION_RESPONSE)),
    ("executableCode", Kind::Struct),
    ("codeExecutionResult", Kind::Struct),
    ("thought", Kind::Flag),
    ("thoughtSignature", Kind::Text),
    ("videoMetadata", Kind::Struct),
    ("mediaResolution", Kind::Free),
];

static FUNCTION_RESPONSE: &[Field] = &[
    ("id", Kind::Text),
    ("name", Kind::Text),
    ("response", Kind::Struct),
    ("willContinue", Kind::Flag),
    ("scheduling", Kind::Text),
    ("parts", Kind::List(&Kind::Message(&[("inlineData", Kind::Message(BLOB)), ("fileData", Kind::Struct)]))),
];

static TOOL: &[Field] = &[
    ("functionDeclarations", Kind::List(&Kind::Message(FUNCTION))),
    ("googleSearch", Kind::Struct),
    ("googleSearchRetrieval", Kind::Struct),
    ("codeExecution", Kind::Struct),
    ("urlContext", Kind::Struct),
    ("googleMaps", Kind::Struct),
    ("computerUse", Kind::Struct),
];

static FUNCTION: &[Field] = &[
    ("name", Kind::Text),
    ("description", Kind::Text),
    ("behavior", Kind::Enum),
    ("parameters", Kind::Schema),
    ("parametersJsonSchema", Kind::Free),
    ("response", Kind::Schema),
    ("responseJsonSchema", Kind::Free),
];

static TOOL_CONFIG: &[Field] = &[
    (
        "functionCallingConfig",
        Kind::Message(&[("mode", Kind::Enum), ("allowedFunctionNames", TEXTS), ("streamFunctionCallArguments", Kind::Flag)]),
    ),
    ("retrievalConfig", Kind::Struct),
];

static GENERATION_CONFIG: &[Field] = &[
    ("temperature", Kind::Number),
    ("topP", Kind::Number),
    ("topK", Kind::Number),
    ("candidateCount", Kind::Number),
    ("maxOutputTokens", Kind::Number),
    ("stopSequences", TEXTS),
    ("seed", Kind::Number),
    ("presencePenalty", Kind::Number),
    ("frequencyPenalty", Kind::Number),
    ("responseLogprobs", Kind::Flag),
    ("logprobs", Kind::Number),
    ("responseMimeType", Kind::Text),
    ("responseSchema", Kind::Schema),
    ("responseJsonSchema", Kind::Free),
    ("responseModalities", TEXTS),
    ("mediaResolution", Kind::Text),
    ("speechConfig", Kind::Struct),
    ("imageConfig", Kind::Struct),
    ("enableEnhancedCivicAnswers", Kind::Flag),
    ("thinkingConfig", Kind::Message(&[("includeThoughts", Kind::Flag), ("thinkingBudget", Kind::Number), ("thinkingLevel", Kind::Enum)])),
];

/// The subset of OpenAPI that `parameters` and `responseSchema` take.
static SCHEMA: &[Field] = &[
    ("type", Kind::Enum),
    ("format", Kind::Text),
    ("title", Kind::Text),
    ("description", Kind::Text),
    ("nullable", Kind::Flag),
    ("enum", TEXTS),
    ("items", Kind::Schema),
    ("minItems", Kind::Free),
    ("maxItems", Kind::Free),
    ("minLength", Kind::Free),
    ("maxLength", Kind::Free),
    ("minProperties", Kind::Free),
    ("maxProperties", Kind::Free),
    ("properties", Kind::Schemas),
    ("required", TEXTS),
    ("propertyOrdering", TEXTS),
    ("minimum", Kind::Number),
    ("maximum", Kind::Number),
    ("pattern", Kind::Text),
    ("anyOf", Kind::List(&Kind::Schema)),
    ("example", Kind::Free),
    ("default", Kind::Free),
];

/// Reads a value: checks it and writes all names in camel case. `at` is its path as error messages write it, in snake case.
pub(super) fn read(value: &Value, kind: Kind, at: &str) -> Result<Value, Refusal> {
    match (kind, value) {
        // proto3 reads null as absent.
        (_, Value::Null)
        | (Kind::Free, _)
        | (Kind::Text, Value::String(_))
        | (Kind::Flag, Value::Bool(_))
        | (Kind::Struct, Value::Object(_)) => Ok(value.clone()),
        (Kind::Number | Kind::Enum, Value::Number(_)) | (Kind::Enum, Value::String(_)) => Ok(value.clone()),
        (Kind::Number, Value::String(text)) if text.parse::<f64>().is_ok() => Ok(value.clone()),
        (Kind::Message(fields), Value::Object(object)) => message(object, fields, at),
        (Kind::Schema, Value::Object(object)) => message(object, SCHEMA, at),
        (Kind::List(kind), Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(index, item)| read(item, *kind, &format!("{at}[{index}]")))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        // A message where a list of them is expected is taken as a list of one.
        (Kind::List(kind @ (Kind::Message(_) | Kind::Schema)), Value::Object(_)) => {
            Ok(Value::Array(vec![read(value, *kind, &format!("{at}[0]"))?]))
        }
        (Kind::Schemas, Value::Object(object)) => {
            let entry = |(name, value): (&String, &Value)| Ok((name.clone(), read(value, Kind::Schema, &format!("{at}[{name}]"))?));
            object.iter().map(entry).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        _ => Err(Refusal::bad(format!("Invalid value at '{at}' ({}), {value}", type_name(kind)))),
    }
}

fn message(object: &Map<String, Value>, fields: &'static [Field], at: &str) -> Result<Value, Refusal> {
    let mut read_fields = Map::new();
    for (name, value) in object {
        let Some((camel, kind)) = fields.iter().find(|(camel, _)| camel == name || snake(camel) == *name) else {
            let place = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
            return Err(Refusal::bad(format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field.")));
        };
        let at = if at.is_empty() { snake(camel) } else { format!("{at}.{}", snake(camel)) };
        let value = read(value, *kind, &at)?;
        if !value.is_null() {
            read_fields.insert((*camel).to_owned(), value);
        }
    }
    Ok(Value::Object(read_fields))
}

/// `inlineData` → `inline_data`.
pub(super) fn snake(camel: &str) -> String {
    camel.chars().fold(String::new(), |mut name, letter| {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
        name
    })
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "TYPE_STRING",
        Kind::Enum => "TYPE_ENUM",
        Kind::Number => "TYPE_DOUBLE",
        Kind::Flag => "TYPE_BOOL",
        Kind::Struct | Kind::Free => "type.googleapis.com/google.protobuf.Struct",
        Kind::Message(_) | Kind::Schema | Kind::Schemas => "TYPE_MESSAGE",
        Kind::List(_) => "TYPE_LIST",
    }
}
