//! Mistral's validation of a chat request.

use serde_json::Value;

use super::super::asked::{Asked, Choice, Shape, Tool};
use super::super::exchange::Refusal;
use super::{invalid, messages, only, string};

/// Every member of a request.
const MEMBERS: &[&str] = &[
    "frequency_penalty",
    "guardrails",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_mode",
    "random_seed",
    "reasoning_effort",
    "response_format",
    "safe_prompt",
    "stop",
    "stream",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
];

/// Shown in the answer, so that a translation of them can be seen.
const SHOWN: &[&str] = &[
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "random_seed",
    "reasoning_effort",
    "presence_penalty",
    "frequency_penalty",
    "prompt_cache_key",
];

/// Numbers with bounds.
const NUMBERS: &[(&str, f64, f64)] =
    &[("temperature", 0.0, 1.5), ("top_p", 0.0, 1.0), ("presence_penalty", -2.0, 2.0), ("frequency_penalty", -2.0, 2.0)];

/// Checks a whole request.
pub(super) fn chat(body: &Value) -> Result<Asked, Refusal> {
    only(body, "", MEMBERS)?;
    let mut asked = Asked {
        wire: "mistral",
        model: string(body, "model", "")?.to_owned(),
        stream: body.get("stream") == Some(&Value::Bool(true)),
        ..Asked::default()
    };
    for (name, least, most) in NUMBERS {
        let Some(value) = body.get(name).filter(|value| !value.is_null()) else { continue };
        if value.as_f64().is_none_or(|number| number < *least || number > *most) {
            return Err(invalid("less_than_equal", name, &format!("Input should be a number from {least} to {most}")));
        }
    }
    messages::read(body.get("messages"), &mut asked)?;
    tools(body, &mut asked)?;
    response_format(body, &mut asked)?;
    asked.n = body.get("n").and_then(Value::as_u64).unwrap_or(1);
    asked.max_tokens = body.get("max_tokens").and_then(Value::as_u64);
    asked.thinking = match body.get("reasoning_effort").map(Value::as_str) {
        None => false,
        Some(Some("none")) => false,
        Some(Some("high")) => true,
        Some(_) => return Err(invalid("enum", "reasoning_effort", "Input should be 'high' or 'none'")),
    };
    asked.include_usage = true;
    asked.note_settings(body, SHOWN);
    Ok(asked)
}

fn tools(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    for (index, tool) in body.get("tools").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = format!("tools.{index}");
        only(tool, &at, &["type", "function"])?;
        let function = tool.get("function").unwrap_or(&Value::Null);
        let at = format!("{at}.function");
        only(function, &at, &["name", "description", "strict", "parameters"])?;
        let name = string(function, "name", &at)?;
        let plain = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !plain {
            let message = format!(
                "Function name was {name} but must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64."
            );
            return Err(Refusal::bad(message).code("invalid_function_definition"));
        }
        let Some(schema) = function.get("parameters").filter(|schema| schema.is_object()) else {
            return Err(invalid("missing", &format!("{at}.parameters"), "Field required"));
        };
        asked.tools.push(Tool { name: name.to_owned(), schema: schema.clone() });
    }
    asked.one_call = body.get("parallel_tool_calls") == Some(&Value::Bool(false));
    asked.choice = match body.get("tool_choice") {
        None => Choice::Auto,
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::Never,
            "any" | "required" => Choice::Any,
            _ => return Err(invalid("enum", "tool_choice", "Input should be 'auto', 'none', 'any' or 'required'")),
        },
        Some(choice) => {
            only(choice, "tool_choice", &["type", "function"])?;
            Choice::Named(string(choice.get("function").unwrap_or(&Value::Null), "name", "tool_choice.function")?.to_owned())
        }
    };
    Ok(())
}

fn response_format(body: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let Some(format) = body.get("response_format") else { return Ok(()) };
    only(format, "response_format", &["type", "json_schema"])?;
    asked.shape = match string(format, "type", "response_format")? {
        "text" => Shape::Text,
        "json_object" => Shape::Object,
        "json_schema" => {
            let schema = format.get("json_schema").unwrap_or(&Value::Null);
            only(schema, "response_format.json_schema", &["name", "description", "schema", "strict"])?;
            string(schema, "name", "response_format.json_schema")?;
            Shape::Schema(schema.get("schema").cloned().unwrap_or_default())
        }
        _ => return Err(invalid("enum", "response_format.type", "Input should be 'text', 'json_object' or 'json_schema'")),
    };
    Ok(())
}
