//! Gemini's validation of what surrounds the contents. Texts follow the real ones.

use serde_json::{Value, json};

use super::super::answer::prompt_tokens;
use super::super::asked::{Asked, Choice, Shape, Tool};
use super::super::exchange::Refusal;
use super::contents;
use super::proto::{self, Kind};

/// Shown in the answer, so that a translation of them can be seen.
const SHOWN: &[&str] = &[
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "stopSequences",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "thinkingConfig",
];

/// Numbers of the generation config with bounds, and their names in messages.
const RANGES: &[(&str, f64, f64)] = &[
    ("temperature", 0.0, 2.0),
    ("topP", 0.0, 1.0),
    ("maxOutputTokens", 1.0, f64::MAX),
    ("candidateCount", 1.0, 8.0),
    ("logprobs", 0.0, 20.0),
];

/// Tokens of a prompt.
const CONTEXT: u64 = 1_048_576;

/// Checks a request to generate.
pub(super) fn generate(body: &Value, model: &str) -> Result<Asked, Refusal> {
    if !body.is_object() {
        return Err(Refusal::bad("Invalid JSON payload received. Root element must be a message."));
    }
    let request = proto::read(body, Kind::Message(proto::REQUEST), "")?;
    let mut asked = Asked { wire: "gemini", model: model.to_owned(), n: 1, ..Asked::default() };
    if let Some(system) = request.get("systemInstruction") {
        system_instruction(system, &mut asked)?;
    }
    contents::read(request.get("contents"), &mut asked)?;
    tools(&request, &mut asked)?;
    tool_config(&request, &mut asked)?;
    if let Some(config) = request.get("generationConfig") {
        generation_config(config, &mut asked)?;
    }
    let tokens = prompt_tokens(&asked);
    if tokens > CONTEXT {
        return Err(Refusal::bad(format!("The input token count ({tokens}) exceeds the maximum number of tokens allowed ({CONTEXT}).")));
    }
    Ok(asked)
}

/// A violated rule of a field.
pub(super) fn violation(at: &str, rule: &str) -> Refusal {
    Refusal::bad(format!("* GenerateContentRequest.{at}: {rule}\n"))
}

/// Begins with a letter or an underscore, goes on with letters, digits, `_`, `.` or `-`, at most 64.
pub(super) fn is_function_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn system_instruction(system: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let parts = system.get("parts").and_then(Value::as_array).filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(|| violation("system_instruction.parts", "contents.parts must not be empty."))?;
    for (index, part) in parts.iter().enumerate() {
        let text = part.get("text").and_then(Value::as_str);
        let at = format!("system_instruction.parts[{index}].data");
        asked.read(text.ok_or_else(|| violation(&at, "required oneof field 'data' must have one initialized field"))?);
        asked.systems += 1;
    }
    Ok(())
}

fn tools(request: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    for (place, tool) in request.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let declarations = tool.get("functionDeclarations").and_then(Value::as_array).into_iter().flatten();
        for (index, declaration) in declarations.enumerate() {
            let at = format!("tools[{place}].function_declarations[{index}]");
            let tool = function(&at, declaration)?;
            if asked.tools.iter().any(|other| other.name == tool.name) {
                return Err(Refusal::bad(format!("Duplicate function declaration found: {}", tool.name)));
            }
            asked.tools.push(tool);
        }
    }
    Ok(())
}

fn function(at: &str, declaration: &Value) -> Result<Tool, Refusal> {
    let name = declaration.get("name").and_then(Value::as_str).unwrap_or_default();
    if !is_function_name(name) {
        let rule = "Invalid function name. Must start with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), \
                    underscores (_), dots (.) or dashes (-), with a maximum length of 64.";
        return Err(violation(&format!("{at}.name"), rule));
    }
    if let Some(schema) = declaration.get("parameters") {
        if declaration.get("parametersJsonSchema").is_some() {
            return Err(violation(at, "only one of 'parameters' and 'parameters_json_schema' may be set"));
        }
        parameters(&format!("{at}.parameters"), schema)?;
    }
    let schema = declaration.get("parameters").or_else(|| declaration.get("parametersJsonSchema"));
    Ok(Tool { name: name.to_owned(), schema: schema.cloned().unwrap_or_else(|| json!({"type": "object"})) })
}

/// A function may have no parameters; within them and elsewhere an object must have properties.
fn parameters(at: &str, schema: &Value) -> Result<(), Refusal> {
    let is_empty = schema.get("properties").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
    if is_empty { Ok(()) } else { self::schema(at, schema) }
}

/// What the OpenAPI subset asks of a schema beyond its names.
fn schema(at: &str, schema: &Value) -> Result<(), Refusal> {
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default().to_uppercase();
    if !["", "TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"].contains(&kind.as_str()) {
        return Err(Refusal::bad(format!(
            "Invalid value at '{at}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), \"{kind}\""
        )));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if kind == "OBJECT" && properties.is_none_or(serde_json::Map::is_empty) {
        return Err(violation(&format!("{at}.properties"), "should be non-empty for OBJECT type"));
    }
    if kind == "ARRAY" && schema.get("items").is_none() {
        return Err(violation(&format!("{at}.items"), "missing field."));
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if properties.is_none_or(|properties| !properties.contains_key(name)) {
            return Err(violation(&format!("{at}.required[0]"), "property is not defined"));
        }
    }
    for (name, property) in properties.into_iter().flatten() {
        self::schema(&format!("{at}.properties[{name}]"), property)?;
    }
    schema.get("items").map_or(Ok(()), |items| self::schema(&format!("{at}.items"), items))
}

fn tool_config(request: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(config) = request.pointer("/toolConfig/functionCallingConfig") else { return Ok(()) };
    if asked.tools.is_empty() {
        return Err(Refusal::bad("Function calling config is set without function_declarations."));
    }
    let names: Vec<&str> =
        config.get("allowedFunctionNames").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(unknown) = names.iter().find(|name| asked.tools.iter().all(|tool| tool.name != **name)) {
        return Err(Refusal::bad(format!("Allowed function name {unknown} is not a declared function.")));
    }
    let mode = config.get("mode").and_then(Value::as_str).unwrap_or("AUTO").to_uppercase();
    if !names.is_empty() && !["ANY", "VALIDATED"].contains(&mode.as_str()) {
        return Err(Refusal::bad("Please set allowed_function_names only when function calling mode is ANY."));
    }
    asked.choice = match (mode.as_str(), names.as_slice()) {
        ("ANY", [name]) => Choice::Named((*name).to_owned()),
        ("ANY", _) => Choice::Any,
        ("NONE", _) => Choice::Never,
        ("AUTO" | "VALIDATED" | "MODE_UNSPECIFIED", _) => Choice::Auto,
        _ => {
            return Err(Refusal::bad(format!(
                "Invalid value at 'tool_config.function_calling_config.mode' (type.googleapis.com/google.ai.generativelanguage.v1beta.FunctionCallingConfig.Mode), \"{mode}\""
            )));
        }
    };
    Ok(())
}

fn generation_config(config: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let number = |name: &str| config.get(name).and_then(Value::as_f64);
    for (name, least, most) in RANGES {
        if number(name).is_some_and(|value| !(*least..=*most).contains(&value)) {
            return Err(violation(
                &format!("generation_config.{}", proto::snake(name)),
                &format!("must be in the range [{least}, {most}]"),
            ));
        }
    }
    let stops = config.get("stopSequences").and_then(Value::as_array).map_or(0, Vec::len);
    if stops > 5 {
        return Err(violation("generation_config.stop_sequences", "at most 5 stop sequences may be set"));
    }
    asked.max_tokens = config.get("maxOutputTokens").and_then(Value::as_u64);
    asked.n = config.get("candidateCount").and_then(Value::as_u64).unwrap_or(1);
    asked.note_settings(config, SHOWN);
    thinking(config, asked)?;
    response(config, asked)
}

fn thinking(config: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(thinking) = config.get("thinkingConfig") else { return Ok(()) };
    if thinking.get("thinkingBudget").is_some() && thinking.get("thinkingLevel").is_some() {
        return Err(Refusal::bad("You can only set only one of thinking budget and thinking level."));
    }
    asked.thinking = thinking.get("includeThoughts") == Some(&Value::Bool(true));
    Ok(())
}

fn response(config: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let in_json = match config.get("responseMimeType").and_then(Value::as_str) {
        None | Some("" | "text/plain") => false,
        Some("application/json") => true,
        Some(other) => {
            let rule = format!(
                "allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and `text/x.enum`, got {other}."
            );
            return Err(violation("generation_config.response_mime_type", &rule));
        }
    };
    let (subset, full) = (config.get("responseSchema"), config.get("responseJsonSchema"));
    if subset.is_some() && full.is_some() {
        return Err(violation("generation_config", "only one of 'response_schema' and 'response_json_schema' may be set"));
    }
    if let Some(subset) = subset {
        schema("generation_config.response_schema", subset)?;
    }
    asked.shape = match subset.or(full) {
        Some(_) if !in_json => {
            return Err(violation("generation_config.response_schema", "only allowed when response_mime_type is `application/json`"));
        }
        Some(schema) => Shape::Schema(schema.clone()),
        None if in_json => Shape::Object,
        None => Shape::Text,
    };
    Ok(())
}
