//! OpenAI's Responses API: its validation. Texts, `param` and `code` follow the real ones. Nothing is stored.

mod input;
mod write;

use serde_json::Value;

use super::super::asked::{Asked, Choice, Shape, Tool};
use super::super::exchange::Refusal;
use super::check::{DECIMAL, INTEGER, bounds, invalid_type, invalid_value, missing, tool_name};

pub(super) use write::reply;

/// Every argument of a response. Others are refused, except those that begin with `x_`: tests send them to see them pass.
const ARGUMENTS: &[&str] = &[
    "background",
    "client_metadata",
    "context_management",
    "conversation",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Tools that OpenAI runs itself, or that hold functions. Source: the API specification's `Tool`.
const NO_FUNCTIONS: &[&str] = &[
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "custom",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "namespace",
    "shell",
    "tool_search",
    "web_search",
    "web_search_preview",
];

/// Shown in the answer, so that a translation of them can be seen.
const SHOWN: &[&str] = &["max_output_tokens", "temperature", "top_p", "reasoning"];

const DECIMALS: &[(&str, f64, f64)] = &[("temperature", 0.0, 2.0), ("top_p", 0.0, 1.0)];
const INTEGERS: &[(&str, f64, f64)] = &[("max_output_tokens", 16.0, f64::MAX), ("top_logprobs", 0.0, 20.0)];
const BOOLEANS: &[&str] = &["background", "parallel_tool_calls", "store", "stream"];

const INCLUDED: &[&str] = &[
    "file_search_call.results",
    "web_search_call.results",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
];

const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// Checks a whole request.
pub(super) fn check(body: &Value) -> Result<Asked, Refusal> {
    let arguments = body.as_object().ok_or_else(|| Refusal::bad("Invalid body: expected a JSON object."))?;
    if let Some(unknown) = arguments.keys().find(|name| !ARGUMENTS.contains(&name.as_str()) && !name.starts_with("x_")) {
        return Err(unknown_parameter(unknown));
    }
    let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty()).ok_or_else(|| missing("model"))?;
    let stream = body.get("stream") == Some(&Value::Bool(true));
    let mut asked = Asked { wire: "openai responses", model: model.to_owned(), stream, n: 1, include_usage: true, ..Asked::default() };
    settings(body)?;
    stored(body)?;
    include(body, model)?;
    if let Some(instructions) = present(body, "instructions") {
        let text = instructions.as_str().ok_or_else(|| invalid_type("instructions", "a string", instructions))?;
        asked.systems += 1;
        asked.read(text);
    }
    input::read(body.get("input"), &mut asked)?;
    tools(body, &mut asked)?;
    format(body, &mut asked)?;
    reasoning(body, &mut asked)?;
    asked.max_tokens = body.get("max_output_tokens").and_then(Value::as_u64);
    asked.note_settings(body, SHOWN);
    Ok(asked)
}

/// A member that is there and not `null`.
fn present<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn unknown_parameter(at: &str) -> Refusal {
    Refusal::bad(format!("Unknown parameter: '{at}'.")).param(at).code("unknown_parameter")
}

/// Members of an object that are none of its own.
fn only(at: &str, object: &Value, known: &[&str]) -> Result<(), Refusal> {
    let members = object.as_object().ok_or_else(|| invalid_type(at, "an object", object))?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(unknown_parameter(&format!("{at}.{unknown}"))),
        None => Ok(()),
    }
}

fn settings(body: &Value) -> Result<(), Refusal> {
    for (name, least, most) in DECIMALS {
        let Some(value) = present(body, name) else { continue };
        let number = value.as_f64().ok_or_else(|| invalid_type(name, "a decimal", value))?;
        bounds(name, &DECIMAL, number, (*least, *most))?;
    }
    for (name, least, most) in INTEGERS {
        let Some(value) = present(body, name) else { continue };
        let number = value.as_i64().ok_or_else(|| invalid_type(name, "an integer", value))?;
        bounds(name, &INTEGER, number as f64, (*least, *most))?;
    }
    match BOOLEANS.iter().find_map(|name| Some((name, present(body, name).filter(|value| !value.is_boolean())?))) {
        Some((name, value)) => Err(invalid_type(name, "a boolean", value)),
        None => Ok(()),
    }
}

/// What takes a store, which is empty here.
fn stored(body: &Value) -> Result<(), Refusal> {
    if let Some(id) = present(body, "previous_response_id") {
        let message = format!("Previous response with id '{}' not found.", id.as_str().unwrap_or_default());
        return Err(Refusal::bad(message).param("previous_response_id").code("previous_response_not_found"));
    }
    if present(body, "conversation").is_some() {
        return Err(Refusal::new(404, "Conversation not found.").param("conversation").code("none"));
    }
    Ok(())
}

fn include(body: &Value, model: &str) -> Result<(), Refusal> {
    let Some(list) = present(body, "include") else { return Ok(()) };
    let list = list.as_array().ok_or_else(|| invalid_type("include", "an array of strings", list))?;
    for (index, asked) in list.iter().enumerate() {
        let word = asked.as_str().unwrap_or_default();
        if !INCLUDED.contains(&word) {
            return Err(invalid_value(&format!("include[{index}]"), word, INCLUDED));
        }
        if word == "reasoning.encrypted_content" && model.starts_with("gpt-4") {
            return Err(Refusal::bad("Encrypted content is not supported with this model.").param("include"));
        }
    }
    Ok(())
}

fn tools(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let none = Vec::new();
    let tools = match present(body, "tools") {
        None => &none,
        Some(Value::Array(tools)) => tools,
        Some(other) => return Err(invalid_type("tools", "an array of objects", other)),
    };
    for (index, tool) in tools.iter().enumerate() {
        asked.tools.extend(self::tool(&format!("tools[{index}]"), tool)?);
    }
    asked.one_call = body.get("parallel_tool_calls") == Some(&Value::Bool(false));
    let Some(choice) = present(body, "tool_choice") else { return Ok(()) };
    asked.choice = match choice {
        Value::String(word) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::Never,
            "required" if tools.is_empty() => {
                let message = "Tool choice 'required' must be specified with 'tools' parameter.";
                return Err(Refusal::bad(message).param("tool_choice"));
            }
            "required" => Choice::Any,
            other => return Err(invalid_value("tool_choice", other, &["none", "auto", "required"])),
        },
        _ if choice.get("type") == Some(&"allowed_tools".into()) => Choice::Auto,
        _ => {
            only("tool_choice", choice, &["type", "name"])?;
            let name = choice.get("name").and_then(Value::as_str).ok_or_else(|| missing("tool_choice.name"))?;
            if !asked.tools.iter().any(|tool| tool.name == name) {
                return Err(Refusal::bad(format!("Tool choice '{name}' not found in 'tools' parameter.")).param("tool_choice"));
            }
            Choice::Named(name.to_owned())
        }
    };
    Ok(())
}

/// A function; `None` for a tool that is none, which is taken and never called.
fn tool(at: &str, tool: &Value) -> Result<Option<Tool>, Refusal> {
    let kind = tool.get("type").and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.type")))?;
    if NO_FUNCTIONS.contains(&kind) {
        return Ok(None);
    }
    if kind != "function" {
        return Err(invalid_value(&format!("{at}.type"), kind, &[&["function"], NO_FUNCTIONS].concat()));
    }
    only(at, tool, &["type", "name", "description", "parameters", "strict"])?;
    let name = tool.get("name").and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.name")))?;
    tool_name(&format!("{at}.name"), name)?;
    let schema = tool.get("parameters").ok_or_else(|| missing(&format!("{at}.parameters")))?;
    let invalid = |why: &str| {
        let message = format!("Invalid schema for function '{name}': {why}");
        Refusal::bad(message).param(format!("{at}.parameters")).code("invalid_function_parameters")
    };
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(invalid("schema must be a JSON Schema of 'type: \"object\"'."));
    }
    // Strict is what a tool is here unless it says otherwise.
    let strict = present(tool, "strict").is_none_or(|strict| strict == &Value::Bool(true));
    if strict && schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return Err(invalid("In context=(), 'additionalProperties' is required to be supplied and to be false."));
    }
    Ok(Some(Tool { name: name.to_owned(), schema: schema.clone() }))
}

fn format(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(text) = present(body, "text") else { return Ok(()) };
    only("text", text, &["format", "verbosity"])?;
    let Some(format) = present(text, "format") else { return Ok(()) };
    asked.shape = match format.get("type").and_then(Value::as_str) {
        Some("text") => Shape::Text,
        Some("json_object") => Shape::Object,
        Some("json_schema") => {
            only("text.format", format, &["type", "name", "description", "schema", "strict"])?;
            let name = format.get("name").and_then(Value::as_str).ok_or_else(|| missing("text.format.name"))?;
            tool_name("text.format.name", name)?;
            Shape::Schema(format.get("schema").cloned().ok_or_else(|| missing("text.format.schema"))?)
        }
        Some(other) => return Err(invalid_value("text.format.type", other, &["json_object", "json_schema", "text"])),
        None => return Err(missing("text.format.type")),
    };
    Ok(())
}

fn reasoning(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(reasoning) = present(body, "reasoning") else { return Ok(()) };
    only("reasoning", reasoning, &["effort", "summary", "generate_summary", "mode", "context"])?;
    let effort = present(reasoning, "effort").and_then(Value::as_str).unwrap_or("medium");
    if !EFFORTS.contains(&effort) {
        return Err(invalid_value("reasoning.effort", effort, EFFORTS));
    }
    asked.thinking = effort != "none";
    Ok(())
}
