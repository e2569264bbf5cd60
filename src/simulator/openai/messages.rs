//! OpenAI's validation of messages: roles, content parts, images, and tool calls with their answers.

use serde_json::Value;

use super::super::asked::Asked;
use super::super::exchange::Refusal;
use super::super::image::{Image, decode, sniff};
use super::check::{invalid_type, invalid_value, missing, tool_name};

const ROLES: &[&str] = &["system", "assistant", "user", "function", "tool", "developer"];

/// Types of content parts that each role may send.
const PARTS: &[(&str, &[&str])] = &[
    ("user", &["text", "image_url", "input_audio", "file"]),
    ("assistant", &["text", "refusal"]),
    ("system", &["text"]),
    ("developer", &["text"]),
    ("tool", &["text"]),
    ("function", &["text"]),
];

const IMAGE_TYPES: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp"];

/// Checks all messages and notes what they hold.
pub(super) fn read(messages: Option<&Value>, asked: &mut Asked) -> Result<(), Refusal> {
    let messages = messages.ok_or_else(|| missing("messages"))?;
    let list = messages.as_array().ok_or_else(|| invalid_type("messages", "an array of objects", messages))?;
    if list.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(Refusal::bad(message).param("messages").code("empty_array"));
    }
    // Ids of the calls that wait for an answer.
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in list.iter().enumerate() {
        let at = format!("messages[{index}]");
        let role = role(&at, message)?;
        match role {
            "tool" => answer(index, message, &mut open)?,
            _ if !open.is_empty() => return Err(unanswered(&open)),
            _ => asked.results.clear(),
        }
        let text = content(&at, role, message, asked)?;
        asked.read(&text);
        note(role, text, asked);
        if role == "assistant" {
            open = calls(&at, message)?;
        }
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&open)) }
}

fn role<'a>(at: &str, message: &'a Value) -> Result<&'a str, Refusal> {
    if !message.is_object() {
        return Err(invalid_type(at, "an object", message));
    }
    let at = format!("{at}.role");
    let role = message.get("role").and_then(Value::as_str).ok_or_else(|| missing(&at))?;
    if ROLES.contains(&role) { Ok(role) } else { Err(invalid_value(&at, role, ROLES)) }
}

fn note(role: &str, text: String, asked: &mut Asked) {
    match role {
        "system" | "developer" => asked.systems += 1,
        _ => asked.turns += 1,
    }
    match role {
        "tool" => asked.results.push(text),
        "user" => asked.said = text,
        _ => {}
    }
}

fn answer(index: usize, message: &Value, open: &mut Vec<&str>) -> Result<(), Refusal> {
    let id = message.get("tool_call_id").and_then(Value::as_str).ok_or_else(|| missing(&format!("messages[{index}].tool_call_id")))?;
    let Some(position) = open.iter().position(|waiting| *waiting == id) else {
        let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
        return Err(Refusal::bad(message).param(format!("messages.[{index}].role")));
    };
    open.remove(position);
    Ok(())
}

fn unanswered(open: &[&str]) -> Refusal {
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Refusal::bad(message).param("messages")
}

/// The ids of an assistant's calls.
fn calls<'a>(at: &str, message: &'a Value) -> Result<Vec<&'a str>, Refusal> {
    let calls = match message.get("tool_calls") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(calls)) => calls,
        Some(other) => return Err(invalid_type(&format!("{at}.tool_calls"), "an array of objects", other)),
    };
    let mut ids = Vec::with_capacity(calls.len());
    for (index, call) in calls.iter().enumerate() {
        let at = format!("{at}.tool_calls[{index}]");
        let id = call.get("id").and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.id")))?;
        let name = call.pointer("/function/name").and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.function.name")))?;
        tool_name(&format!("{at}.function.name"), name)?;
        match call.pointer("/function/arguments") {
            Some(Value::String(_)) => ids.push(id),
            Some(other) => return Err(invalid_type(&format!("{at}.function.arguments"), "a string", other)),
            None => return Err(missing(&format!("{at}.function.arguments"))),
        }
    }
    Ok(ids)
}

/// All text of a message; images and files are noted.
fn content(at: &str, role: &str, message: &Value, asked: &mut Asked) -> Result<String, Refusal> {
    let at = format!("{at}.content");
    match message.get("content") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let mut texts = Vec::new();
            for (index, part) in parts.iter().enumerate() {
                texts.extend(self::part(&format!("{at}[{index}]"), role, part, asked)?);
            }
            Ok(texts.join(" "))
        }
        None | Some(Value::Null) if role == "assistant" => Ok(String::new()),
        None => Err(missing(&at)),
        Some(other) => Err(invalid_type(&at, "one of a string or array of objects", other)),
    }
}

fn part(at: &str, role: &str, part: &Value, asked: &mut Asked) -> Result<Option<String>, Refusal> {
    let kind = part.get("type").and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.type")))?;
    let allowed = PARTS.iter().find(|(known, _)| *known == role).map_or(&[][..], |(_, kinds)| kinds);
    if !allowed.contains(&kind) {
        return Err(invalid_value(&format!("{at}.type"), kind, allowed));
    }
    match kind {
        "image_url" => asked.images.push(image(&format!("{at}.image_url"), part.get("image_url"))?),
        "input_audio" => asked.files.push(audio(&format!("{at}.input_audio"), part)?),
        "file" => asked.files.push(file(part)),
        _ => {
            let at = format!("{at}.{kind}");
            return match part.get(kind) {
                Some(Value::String(text)) => Ok(Some(text.clone())),
                Some(other) => Err(invalid_type(&at, "a string", other)),
                None => Err(missing(&at)),
            };
        }
    }
    Ok(None)
}

fn image(at: &str, image: Option<&Value>) -> Result<Image, Refusal> {
    let image = image.ok_or_else(|| missing(at))?;
    if !image.is_object() {
        return Err(invalid_type(at, "an object", image));
    }
    let at = format!("{at}.url");
    let url = image.get("url").and_then(Value::as_str).ok_or_else(|| missing(&at))?;
    let detail = image.get("detail").and_then(Value::as_str).unwrap_or("auto");
    if !["auto", "low", "high", "original"].contains(&detail) {
        return Err(invalid_value(&at.replace(".url", ".detail"), detail, &["low", "high", "auto", "original"]));
    }
    address(&at, url)
}

/// An image by its URL, or within it.
pub(super) fn address(at: &str, url: &str) -> Result<Image, Refusal> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Image::reference(url));
    }
    let Some((media_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) else {
        let message = format!(
            "Invalid '{at}'. Expected a base64-encoded data URL with an image MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), or an http or https URL."
        );
        return Err(Refusal::bad(message).param(at).code("invalid_value"));
    };
    if !IMAGE_TYPES.contains(&media_type) {
        let message = format!(
            "Invalid '{at}'. Expected a base64-encoded data URL with an image MIME type \
             (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got unsupported MIME type '{media_type}'."
        );
        return Err(Refusal::bad(message).param(at).code("invalid_value"));
    }
    let bytes = decode(data).ok_or_else(|| Refusal::bad("Invalid base64 image_url.").param(at).code("invalid_base64"))?;
    if sniff(&bytes).is_none_or(|found| !IMAGE_TYPES.contains(&found)) {
        let message = "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].";
        return Err(Refusal::bad(message).param(at).code("invalid_image_format"));
    }
    Ok(Image::new(media_type, &bytes))
}

fn audio(at: &str, part: &Value) -> Result<Image, Refusal> {
    let field =
        |name: &str| part.pointer(&format!("/input_audio/{name}")).and_then(Value::as_str).ok_or_else(|| missing(&format!("{at}.{name}")));
    let format = field("format")?;
    if !["wav", "mp3"].contains(&format) {
        return Err(invalid_value(&format!("{at}.format"), format, &["wav", "mp3"]));
    }
    let data = decode(field("data")?).ok_or_else(|| Refusal::bad("Invalid base64 audio data.").param(format!("{at}.data")))?;
    Ok(Image::new(&format!("audio/{format}"), &data))
}

fn file(part: &Value) -> Image {
    let data = part.pointer("/file/file_data").and_then(Value::as_str).and_then(|url| url.strip_prefix("data:")?.split_once(";base64,"));
    let read = data.and_then(|(media_type, data)| Some(Image::new(media_type, &decode(data)?)));
    read.unwrap_or_else(|| Image::reference(part.pointer("/file/file_id").and_then(Value::as_str).unwrap_or("file")))
}
