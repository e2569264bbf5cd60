//! The items of a request: their members, their order, and calls with their outputs.

use serde_json::Value;

use super::super::super::asked::Asked;
use super::super::super::exchange::Refusal;
use super::super::super::image::{Image, decode};
use super::super::check::{invalid_type, invalid_value, missing, tool_name};
use super::super::messages;
use super::{only, present};

/// Reasoning that the simulator made: other reasoning cannot be decrypted.
pub(super) const SEAL: &str = "gAAAAA";

/// The members of each type of item.
const MEMBERS: &[(&str, &[&str])] = &[
    ("message", &["type", "id", "status", "role", "content", "phase"]),
    ("function_call", &["type", "id", "status", "call_id", "name", "arguments"]),
    ("function_call_output", &["type", "id", "status", "call_id", "output"]),
    ("reasoning", &["type", "id", "status", "summary", "content", "encrypted_content"]),
];

const ROLES: &[&str] = &["assistant", "system", "developer", "user"];

/// The members of each type of content, and who may send it.
const PARTS: &[(&str, &[&str], bool)] = &[
    ("input_text", &["type", "text"], false),
    ("input_image", &["type", "image_url", "file_id", "detail"], false),
    ("input_file", &["type", "file_data", "file_id", "file_url", "filename"], false),
    ("output_text", &["type", "text", "annotations", "logprobs"], true),
    ("refusal", &["type", "refusal"], true),
];

/// Checks all items and notes what they hold.
pub(super) fn read(input: Option<&Value>, asked: &mut Asked) -> Result<(), Refusal> {
    let items = match input {
        Some(Value::String(text)) => {
            asked.turns += 1;
            asked.read(text);
            asked.said.clone_from(text);
            return Ok(());
        }
        Some(Value::Array(items)) if !items.is_empty() => items,
        Some(Value::Array(_)) | None => {
            let message = "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.";
            return Err(Refusal::bad(message).param("input").code("missing_required_parameter"));
        }
        Some(other) => return Err(invalid_type("input", "one of a string or array of objects", other)),
    };
    // Ids of the calls that wait for an output.
    let mut open: Vec<&str> = Vec::new();
    let mut before = "";
    for (index, item) in items.iter().enumerate() {
        let at = format!("input[{index}]");
        let kind = kind(&at, item)?;
        let speaker = item.get("role").and_then(Value::as_str).unwrap_or_default();
        if before == "reasoning" && !matches!((kind, speaker), ("reasoning" | "function_call", _) | ("message", "assistant")) {
            return Err(alone());
        }
        match kind {
            "function_call" => open.push(call(&at, item, asked)?),
            "function_call_output" => output(&at, item, &mut open, asked)?,
            "reasoning" => reasoning(&at, item)?,
            _ => message(&at, item, asked)?,
        }
        before = kind;
    }
    match open.first() {
        Some(id) => Err(Refusal::bad(format!("No tool output found for function call {id}.")).param("input")),
        None if before == "reasoning" => Err(alone()),
        None => Ok(()),
    }
}

fn alone() -> Refusal {
    Refusal::bad("Item of type 'reasoning' was provided without its required following item.").param("input")
}

fn kind<'a>(at: &str, item: &'a Value) -> Result<&'a str, Refusal> {
    let kind = item.get("type").map_or(Some("message"), Value::as_str).unwrap_or_default();
    let Some((_, members)) = MEMBERS.iter().find(|(known, _)| *known == kind) else {
        let known: Vec<&str> = MEMBERS.iter().map(|(known, _)| *known).collect();
        return Err(invalid_value(&format!("{at}.type"), kind, &known));
    };
    only(at, item, members)?;
    Ok(kind)
}

fn text<'a>(at: &str, object: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    let at = format!("{at}.{name}");
    let value = object.get(name).ok_or_else(|| missing(&at))?;
    value.as_str().ok_or_else(|| invalid_type(&at, "a string", value))
}

fn call_id<'a>(at: &str, item: &'a Value) -> Result<&'a str, Refusal> {
    let id = text(at, item, "call_id")?;
    if id.is_empty() || id.len() > 64 {
        let message = format!("Invalid '{at}.call_id': expected a string of 1 to 64 characters, but got one of {}.", id.len());
        return Err(Refusal::bad(message).param(format!("{at}.call_id")).code("string_above_max_length"));
    }
    Ok(id)
}

fn call<'a>(at: &str, item: &'a Value, asked: &mut Asked) -> Result<&'a str, Refusal> {
    tool_name(&format!("{at}.name"), text(at, item, "name")?)?;
    let arguments = text(at, item, "arguments")?;
    if serde_json::from_str::<Value>(arguments).is_err() {
        return Err(Refusal::bad("Function call arguments must be JSON.").param(format!("{at}.arguments")).code("invalid_value"));
    }
    asked.results.clear();
    asked.turns += 1;
    call_id(at, item)
}

fn output(at: &str, item: &Value, open: &mut Vec<&str>, asked: &mut Asked) -> Result<(), Refusal> {
    let id = call_id(at, item)?;
    let Some(position) = open.iter().position(|waiting| *waiting == id) else {
        return Err(Refusal::bad(format!("No tool call found for function call output with call_id {id}.")).param("input"));
    };
    open.remove(position);
    let said = content(&format!("{at}.output"), item.get("output"), false, asked)?;
    asked.read(&said);
    asked.turns += 1;
    asked.results.push(said);
    Ok(())
}

/// Without a store, what was thought must come along, sealed by the one that thought it.
fn reasoning(at: &str, item: &Value) -> Result<(), Refusal> {
    let summary = item.get("summary").ok_or_else(|| missing(&format!("{at}.summary")))?;
    if !summary.is_array() {
        return Err(invalid_type(&format!("{at}.summary"), "an array of objects", summary));
    }
    match present(item, "encrypted_content").and_then(Value::as_str) {
        Some(sealed) if sealed.starts_with(SEAL) => Ok(()),
        Some(_) => {
            let message = "The encrypted content could not be verified. Reason: Encrypted content could not be decrypted or parsed.";
            Err(Refusal::bad(message).code("invalid_encrypted_content"))
        }
        None => {
            let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
            let message = format!("Item with id '{id}' not found. Items are not persisted when `store` is set to false.");
            Err(Refusal::new(404, message).param("input").code("none"))
        }
    }
}

fn message(at: &str, item: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let role = text(at, item, "role")?;
    if !ROLES.contains(&role) {
        return Err(invalid_value(&format!("{at}.role"), role, ROLES));
    }
    let said = content(&format!("{at}.content"), item.get("content"), role == "assistant", asked)?;
    asked.read(&said);
    asked.results.clear();
    match role {
        "system" | "developer" => asked.systems += 1,
        _ => asked.turns += 1,
    }
    if role == "user" {
        asked.said = said;
    }
    Ok(())
}

/// All text of a content; images and files are noted.
fn content(at: &str, content: Option<&Value>, of_assistant: bool, asked: &mut Asked) -> Result<String, Refusal> {
    match content {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let mut texts = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                texts.extend(self::part(&format!("{at}[{index}]"), part, of_assistant, asked)?);
            }
            Ok(texts.join(" "))
        }
        None => Err(missing(at)),
        Some(other) => Err(invalid_type(at, "one of a string or array of objects", other)),
    }
}

fn part(at: &str, part: &Value, of_assistant: bool, asked: &mut Asked) -> Result<Option<String>, Refusal> {
    let kind = text(at, part, "type")?;
    let allowed = PARTS.iter().filter(|(.., by_assistant)| *by_assistant == of_assistant);
    let Some((_, members, _)) = allowed.clone().find(|(known, ..)| *known == kind) else {
        let known: Vec<&str> = allowed.map(|(known, ..)| *known).collect();
        return Err(invalid_value(&format!("{at}.type"), kind, &known));
    };
    only(at, part, members)?;
    match kind {
        "input_image" => {
            if let Some(detail) =
                present(part, "detail").and_then(Value::as_str).filter(|word| !["auto", "low", "high", "original"].contains(word))
            {
                return Err(invalid_value(&format!("{at}.detail"), detail, &["low", "high", "auto", "original"]));
            }
            asked.images.push(messages::address(&format!("{at}.image_url"), text(at, part, "image_url")?)?);
            Ok(None)
        }
        "input_file" => {
            asked.files.push(file(at, part)?);
            Ok(None)
        }
        "refusal" => text(at, part, "refusal").map(|said| Some(said.to_owned())),
        _ => text(at, part, "text").map(|said| Some(said.to_owned())),
    }
}

fn file(at: &str, part: &Value) -> Result<Image, Refusal> {
    if let Some(url) = present(part, "file_url").and_then(Value::as_str) {
        return Ok(Image::reference(url));
    }
    let data = text(at, part, "file_data")?;
    text(at, part, "filename")?;
    let read = data.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let read = read.and_then(|(media_type, data)| Some(Image::new(media_type, &decode(data)?)));
    read.ok_or_else(|| {
        let message = format!("Invalid '{at}.file_data'. Expected a base64-encoded data URL with a MIME type.");
        Refusal::bad(message).param(format!("{at}.file_data")).code("invalid_value")
    })
}
