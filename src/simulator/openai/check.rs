//! OpenAI's validation of a chat request. Texts, `param` and `code` follow the real ones.

use serde_json::Value;

use super::super::answer::prompt_tokens;
use super::super::asked::{Asked, Choice, Shape, Tool};
use super::super::exchange::Refusal;
use super::messages;

/// Every argument of a chat completion. Others are refused, except those that begin with `x_`: tests send them to see them pass.
const ARGUMENTS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "moderation",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// Shown in the answer, so that a translation of them can be seen.
const SHOWN: &[&str] = &[
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "seed",
    "reasoning_effort",
    "presence_penalty",
    "frequency_penalty",
];

/// Numbers with bounds.
const DECIMALS: &[(&str, f64, f64)] =
    &[("temperature", 0.0, 2.0), ("top_p", 0.0, 1.0), ("presence_penalty", -2.0, 2.0), ("frequency_penalty", -2.0, 2.0)];

/// Whole numbers with bounds.
const INTEGERS: &[(&str, i64, i64)] = &[
    ("n", 1, 128),
    ("max_tokens", 1, i64::MAX),
    ("max_completion_tokens", 1, i64::MAX),
    ("top_logprobs", 0, 20),
    ("seed", i64::MIN, i64::MAX),
];

const BOOLEANS: &[&str] = &["stream", "parallel_tool_calls", "logprobs", "store"];

/// Tokens of a prompt.
const CONTEXT: u64 = 128_000;

/// Checks a whole request.
pub(super) fn chat(body: &Value) -> Result<Asked, Refusal> {
    let arguments = body.as_object().ok_or_else(|| Refusal::bad("Invalid body: expected a JSON object."))?;
    if let Some(unknown) = arguments.keys().find(|name| !ARGUMENTS.contains(&name.as_str()) && !name.starts_with("x_")) {
        return Err(Refusal::bad(format!("Unrecognized request argument supplied: {unknown}")));
    }
    let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
    let mut asked = Asked {
        wire: "openai",
        model: model.ok_or_else(|| Refusal::bad("you must provide a model parameter"))?.to_owned(),
        stream: body.get("stream") == Some(&Value::Bool(true)),
        ..Asked::default()
    };
    settings(body)?;
    stream_options(body, &mut asked)?;
    messages::read(body.get("messages"), &mut asked)?;
    tools(body, &mut asked)?;
    response_format(body, &mut asked)?;
    let number = |name: &str| body.get(name).and_then(Value::as_u64);
    asked.n = number("n").unwrap_or(1);
    asked.max_tokens = number("max_completion_tokens").or_else(|| number("max_tokens"));
    asked.thinking = body.get("reasoning_effort").and_then(Value::as_str).is_some_and(|effort| effort != "none");
    asked.note_settings(body, SHOWN);
    let tokens = prompt_tokens(&asked);
    if tokens > CONTEXT {
        let message = format!(
            "This model's maximum context length is {CONTEXT} tokens. However, your messages resulted in {tokens} tokens. \
             Please reduce the length of the messages."
        );
        return Err(Refusal::bad(message).param("messages").code("context_length_exceeded"));
    }
    Ok(asked)
}

/// A value of the wrong type.
pub(super) fn invalid_type(at: &str, expected: &str, value: &Value) -> Refusal {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Refusal::bad(format!("Invalid type for '{at}': expected {expected}, but got {got} instead.")).param(at).code("invalid_type")
}

/// A parameter that is not there.
pub(super) fn missing(at: &str) -> Refusal {
    Refusal::bad(format!("Missing required parameter: '{at}'.")).param(at).code("missing_required_parameter")
}

/// A value that is none of the allowed ones.
pub(super) fn invalid_value(at: &str, value: &str, supported: &[&str]) -> Refusal {
    let listed: Vec<String> = supported.iter().map(|name| format!("'{name}'")).collect();
    let message = format!("Invalid value: '{value}'. Supported values are: {}.", listed.join(", "));
    Refusal::bad(message).param(at).code("invalid_value")
}

fn settings(body: &Value) -> Result<(), Refusal> {
    let present = |name: &str| body.get(name).filter(|value| !value.is_null());
    for (name, least, most) in DECIMALS {
        let Some(value) = present(name) else { continue };
        let number = value.as_f64().ok_or_else(|| invalid_type(name, "a decimal", value))?;
        bounds(name, &DECIMAL, number, (*least, *most))?;
    }
    for (name, least, most) in INTEGERS {
        let Some(value) = present(name) else { continue };
        let number = value.as_i64().ok_or_else(|| invalid_type(name, "an integer", value))?;
        bounds(name, &INTEGER, number as f64, (*least as f64, *most as f64))?;
    }
    for name in BOOLEANS {
        if let Some(value) = present(name).filter(|value| !value.is_boolean()) {
            return Err(invalid_type(name, "a boolean", value));
        }
    }
    if present("max_tokens").is_some() && present("max_completion_tokens").is_some() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported. Please use 'max_completion_tokens' instead.";
        return Err(Refusal::bad(message).code("invalid_parameter_combination"));
    }
    stop(present("stop"))
}

/// A kind of number, with the codes of what lies outside its bounds.
pub(super) struct Kind {
    name: &'static str,
    below: &'static str,
    above: &'static str,
}

pub(super) const DECIMAL: Kind = Kind { name: "decimal", below: "decimal_below_min_value", above: "decimal_above_max_value" };
pub(super) const INTEGER: Kind = Kind { name: "integer", below: "integer_below_min_value", above: "integer_above_max_value" };

pub(super) fn bounds(name: &str, kind: &Kind, number: f64, (least, most): (f64, f64)) -> Result<(), Refusal> {
    let (side, sign, bound, code) = match () {
        () if number < least => ("below minimum", ">=", least, kind.below),
        () if number > most => ("above maximum", "<=", most, kind.above),
        () => return Ok(()),
    };
    let message = format!("Invalid '{name}': {} {side} value. Expected a value {sign} {bound}, but got {number} instead.", kind.name);
    Err(Refusal::bad(message).param(name).code(code))
}

fn stop(stop: Option<&Value>) -> Result<(), Refusal> {
    match stop {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(stops)) if stops.len() > 4 => {
            let message = format!(
                "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {} instead.",
                stops.len()
            );
            Err(Refusal::bad(message).param("stop").code("array_above_max_length"))
        }
        Some(Value::Array(stops)) if stops.iter().all(Value::is_string) => Ok(()),
        Some(other) => Err(invalid_type("stop", "one of a string or array of strings", other)),
    }
}

fn stream_options(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(options) = body.get("stream_options").filter(|options| !options.is_null()) else { return Ok(()) };
    if !asked.stream {
        return Err(Refusal::bad("The 'stream_options' parameter is only allowed when 'stream' is enabled.").param("stream_options"));
    }
    asked.include_usage = options.get("include_usage") == Some(&Value::Bool(true));
    Ok(())
}

fn tools(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let none = Vec::new();
    let tools = match body.get("tools") {
        None | Some(Value::Null) => &none,
        Some(Value::Array(tools)) if tools.is_empty() => {
            let message = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.";
            return Err(Refusal::bad(message).param("tools").code("empty_array"));
        }
        Some(Value::Array(tools)) => tools,
        Some(other) => return Err(invalid_type("tools", "an array of objects", other)),
    };
    for (index, tool) in tools.iter().enumerate() {
        asked.tools.push(self::tool(&format!("tools[{index}]"), tool)?);
    }
    asked.one_call = body.get("parallel_tool_calls") == Some(&Value::Bool(false));
    match body.get("tool_choice") {
        None | Some(Value::Null) => Ok(()),
        Some(_) if tools.is_empty() => Err(Refusal::bad("'tool_choice' is only allowed when 'tools' are specified.").param("tool_choice")),
        Some(choice) => tool_choice(choice, asked),
    }
}

fn tool(at: &str, tool: &Value) -> Result<Tool, Refusal> {
    match tool.get("type") {
        Some(Value::String(kind)) if kind == "function" => {}
        Some(Value::String(kind)) => return Err(invalid_value(&format!("{at}.type"), kind, &["function", "custom"])),
        _ => return Err(missing(&format!("{at}.type"))),
    }
    let at = format!("{at}.function");
    let function = tool.get("function").ok_or_else(|| missing(&at))?;
    let name = function.get("name").and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.name")))?;
    tool_name(&format!("{at}.name"), name)?;
    let schema = function.get("parameters").cloned().unwrap_or_else(|| serde_json::json!({"type": "object", "properties": {}}));
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        let message = format!("Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'.");
        return Err(Refusal::bad(message).param(format!("{at}.parameters")).code("invalid_function_parameters"));
    }
    Ok(Tool { name: name.to_owned(), schema })
}

/// Letters, digits, `_` and `-`, at most 64.
pub(super) fn tool_name(at: &str, name: &str) -> Result<(), Refusal> {
    if name.len() > 64 {
        let message = format!(
            "Invalid '{at}': string too long. Expected a string with maximum length 64, but got a string with length {} instead.",
            name.len()
        );
        return Err(Refusal::bad(message).param(at).code("string_above_max_length"));
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        let message =
            format!("Invalid '{at}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.");
        return Err(Refusal::bad(message).param(at).code("invalid_value"));
    }
    Ok(())
}

fn tool_choice(choice: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    asked.choice = match choice {
        Value::String(word) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::Never,
            "required" => Choice::Any,
            other => return Err(invalid_value("tool_choice", other, &["none", "auto", "required"])),
        },
        _ => match choice.pointer("/function/name").and_then(Value::as_str) {
            Some(name) if asked.tools.iter().any(|tool| tool.name == name) => Choice::Named(name.to_owned()),
            Some(name) => {
                let message = format!("Invalid value for 'tool_choice': '{name}' is not the name of a tool in 'tools'.");
                return Err(Refusal::bad(message).param("tool_choice"));
            }
            None if choice.get("type") == Some(&"allowed_tools".into()) => Choice::Auto,
            None => return Err(missing("tool_choice.function")),
        },
    };
    Ok(())
}

fn response_format(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(format) = body.get("response_format").filter(|format| !format.is_null()) else { return Ok(()) };
    asked.shape = match format.get("type").and_then(Value::as_str) {
        Some("text") => Shape::Text,
        Some("json_object") => Shape::Object,
        Some("json_schema") => {
            let at = "response_format.json_schema";
            let schema = format.get("json_schema").ok_or_else(|| missing(at))?;
            let name = schema.get("name").and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.name")))?;
            tool_name(&format!("{at}.name"), name)?;
            Shape::Schema(schema.get("schema").cloned().ok_or_else(|| missing(&format!("{at}.schema")))?)
        }
        Some(other) => return Err(invalid_value("response_format.type", other, &["json_object", "json_schema", "text"])),
        None => return Err(missing("response_format.type")),
    };
    Ok(())
}
