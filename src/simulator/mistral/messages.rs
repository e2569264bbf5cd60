//! Mistral's validation of messages: their members, their order, their parts, and the ids of calls.

use serde_json::Value;

use super::super::asked::Asked;
use super::super::exchange::Refusal;
use super::super::image::{Image, decode, sniff};
use super::{invalid, only, string};

/// Members that messages of each role may have.
const MEMBERS: &[(&str, &[&str])] = &[
    ("system", &["role", "content"]),
    ("user", &["role", "content"]),
    ("assistant", &["role", "content", "tool_calls", "prefix"]),
    ("tool", &["role", "content", "tool_call_id", "name"]),
];

/// Members that parts of each type must have, and those that they may have.
const PARTS: &[(&str, &str, &[&str])] = &[
    ("text", "text", &[]),
    ("image_url", "image_url", &[]),
    ("document_url", "document_url", &["document_name"]),
    ("input_audio", "input_audio", &[]),
    ("thinking", "thinking", &["closed"]),
    ("reference", "reference_ids", &[]),
];

/// Which role may stand behind which.
const ORDER: &[(&str, &[&str])] = &[
    ("", &["system", "user", "assistant"]),
    ("system", &["system", "user", "assistant"]),
    ("user", &["system", "user", "assistant"]),
    ("assistant", &["system", "user", "assistant", "tool"]),
    ("tool", &["assistant", "tool"]),
];

/// Checks all messages and notes what they hold.
pub(super) fn read(messages: Option<&Value>, asked: &mut Asked) -> Result<(), Refusal> {
    let list = messages.and_then(Value::as_array).ok_or_else(|| invalid("missing", "messages", "Field required"))?;
    let mut before = "";
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in list.iter().enumerate() {
        let at = format!("messages.{index}");
        let role = string(message, "role", &at)?;
        let Some((_, members)) = MEMBERS.iter().find(|(known, _)| *known == role) else {
            return Err(invalid("literal_error", &format!("{at}.role"), "Input should be 'system', 'user', 'assistant' or 'tool'"));
        };
        only(message, &at, members)?;
        if !ORDER.iter().any(|(first, next)| *first == before && next.contains(&role)) {
            return Err(order(&format!("Unexpected role '{role}' after role '{before}'")));
        }
        if role == "tool" {
            answer(message, &at, &mut open)?;
        } else if !open.is_empty() {
            return Err(order("Not the same number of function calls and responses"));
        } else {
            asked.results.clear();
        }
        let text = content(message, &at, asked)?;
        asked.read(&text);
        match role {
            "system" => asked.systems += 1,
            _ => asked.turns += 1,
        }
        match role {
            "user" => asked.said = text,
            "tool" => asked.results.push(text),
            "assistant" => open = calls(message, &at)?,
            _ => {}
        }
        before = role;
    }
    let prefixed = list.last().is_some_and(|last| last.get("prefix") == Some(&Value::Bool(true)));
    match before {
        "user" | "tool" => Ok(()),
        "assistant" if prefixed => Ok(()),
        role => Err(order(&format!("Expected last role User or Tool (or Assistant with prefix True) for serving but got {role}"))),
    }
}

fn order(message: &str) -> Refusal {
    Refusal::bad(message).code("invalid_request_message_order")
}

fn answer<'m>(message: &'m Value, at: &str, open: &mut Vec<&'m str>) -> Result<(), Refusal> {
    let id = string(message, "tool_call_id", at)?;
    let Some(position) = open.iter().position(|waiting| *waiting == id) else {
        return Err(Refusal::bad(format!("Unexpected tool call id {id} in tool results")));
    };
    open.remove(position);
    Ok(())
}

fn calls<'m>(message: &'m Value, at: &str) -> Result<Vec<&'m str>, Refusal> {
    let mut ids = Vec::new();
    for (index, call) in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let at = format!("{at}.tool_calls.{index}");
        only(call, &at, &["id", "type", "function", "index"])?;
        let id = string(call, "id", &at)?;
        if id.len() != 9 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(
                Refusal::bad(format!("Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9.")).code("invalid_function_call")
            );
        }
        let function = call.get("function").unwrap_or(&Value::Null);
        only(function, &at, &["name", "arguments"])?;
        string(function, "name", &at)?;
        string(function, "arguments", &at)?;
        ids.push(id);
    }
    Ok(ids)
}

fn content(message: &Value, at: &str, asked: &mut Asked) -> Result<String, Refusal> {
    match message.get("content") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let mut texts = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                texts.extend(self::part(part, &format!("{at}.content.{index}"), asked)?);
            }
            Ok(texts.join(" "))
        }
        None | Some(Value::Null) => Ok(String::new()),
        Some(_) => Err(invalid("string_type", &format!("{at}.content"), "Input should be a valid string")),
    }
}

fn part(part: &Value, at: &str, asked: &mut Asked) -> Result<Option<String>, Refusal> {
    let kind = string(part, "type", at)?;
    let Some((_, held, others)) = PARTS.iter().find(|(known, ..)| *known == kind) else {
        return Err(invalid("union_tag_invalid", at, "Input tag does not match any of the expected tags"));
    };
    only(part, at, &[&["type", held], *others].concat())?;
    match kind {
        "text" => return string(part, "text", at).map(|text| Some(text.to_owned())),
        "image_url" => {
            let image = part.get("image_url").unwrap_or(&Value::Null);
            let url = match image {
                Value::String(url) => url,
                image => {
                    only(image, at, &["url", "detail"])?;
                    string(image, "url", at)?
                }
            };
            asked.images.push(address(url, at)?);
        }
        "document_url" => asked.files.push(address(string(part, "document_url", at)?, at)?),
        "input_audio" => {
            let data = decode(string(part, "input_audio", at)?).ok_or_else(|| Refusal::bad("Audio could not be decoded"))?;
            asked.files.push(Image::new("audio", &data));
        }
        "thinking" => {
            let thoughts = part.get("thinking").and_then(Value::as_array);
            let thoughts = thoughts.ok_or_else(|| invalid("list_type", at, "Input should be a valid list"))?;
            for thought in thoughts {
                only(thought, at, &["type", "text"])?;
                string(thought, "text", at)?;
            }
        }
        _ => {}
    }
    Ok(None)
}

/// A data URI, decoded, or a URL.
fn address(url: &str, at: &str) -> Result<Image, Refusal> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Image::reference(url));
    }
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let read = data.and_then(|(media_type, data)| Some((media_type, decode(data)?)));
    match read {
        Some((media_type, data)) if !media_type.starts_with("image/") || sniff(&data).is_some() => Ok(Image::new(media_type, &data)),
        _ => Err(Refusal::bad(format!("Image or document at {at} could not be loaded")).code("invalid_request_file")),
    }
}
