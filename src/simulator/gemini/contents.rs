//! Gemini's validation of contents: roles, parts, data, and function calls with their responses.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::Value;

use super::super::asked::Asked;
use super::super::exchange::Refusal;
use super::super::image::{Image, decode, sniff};
use super::check::{is_function_name, violation};
use super::proto::snake;

/// The fields of a part of which exactly one is set.
const DATA: &[&str] = &["text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"];

const IMAGE_TYPES: &[&str] = &["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];

const FILE_TYPES: &[&str] = &[
    "application/pdf",
    "text/plain",
    "audio/wav",
    "audio/mp3",
    "audio/mpeg",
    "audio/aiff",
    "audio/aac",
    "audio/ogg",
    "audio/flac",
    "video/mp4",
    "video/mpeg",
    "video/webm",
    "video/quicktime",
];

/// What one content holds.
#[derive(Default)]
struct Turn {
    calls: usize,
    responses: usize,
}

/// Checks all contents and notes what they hold.
pub(super) fn read(contents: Option<&Value>, asked: &mut Asked) -> Result<(), Refusal> {
    let contents = contents.and_then(Value::as_array).filter(|contents| !contents.is_empty());
    let contents = contents.ok_or_else(|| violation("contents", "contents is not specified"))?;
    asked.turns = contents.len();
    let (mut before, mut said_by) = (Turn::default(), "");
    for (index, content) in contents.iter().enumerate() {
        let role = role(content)?;
        if index == 0 && role == "model" {
            return Err(Refusal::bad("Please ensure that the first content has the role user."));
        }
        asked.results.clear();
        let turn = parts(&format!("contents[{index}]"), role, content, asked)?;
        if role == "model" && said_by == role {
            // The model's turn goes on: a streamed one is replayed in its pieces.
            before.calls += turn.calls;
        } else {
            follow(&before, &turn)?;
            before = turn;
        }
        said_by = role;
    }
    if before.calls > 0 { Err(uneven()) } else { Ok(()) }
}

/// Without a role a content is the user's; `function` is an older name for who answers calls.
fn role(content: &Value) -> Result<&str, Refusal> {
    match content.get("role").and_then(Value::as_str) {
        None | Some("user" | "function") => Ok("user"),
        Some("model") => Ok("model"),
        Some(_) => Err(Refusal::bad("Please use a valid role: user, model.")),
    }
}

/// Calls are answered by the next content, all of them.
fn follow(before: &Turn, turn: &Turn) -> Result<(), Refusal> {
    if turn.responses > 0 && before.calls == 0 {
        return Err(Refusal::bad("Please ensure that function response turn comes immediately after a function call turn."));
    }
    if before.calls == turn.responses { Ok(()) } else { Err(uneven()) }
}

fn uneven() -> Refusal {
    Refusal::bad(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
    )
}

fn parts(at: &str, role: &str, content: &Value, asked: &mut Asked) -> Result<Turn, Refusal> {
    let parts = content.get("parts").and_then(Value::as_array).filter(|parts| !parts.is_empty());
    let parts = parts.ok_or_else(|| violation(&format!("{at}.parts"), "contents.parts must not be empty."))?;
    let mut turn = Turn::default();
    let mut texts = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let at = format!("{at}.parts[{index}]");
        match only(&at, part)? {
            ("text", text) => texts.push(text.as_str().unwrap_or_default()),
            ("inlineData", data) => inline(&format!("{at}.inline_data"), data, asked)?,
            ("fileData", file) => asked.images.push(referred(&format!("{at}.file_data"), file)?),
            ("functionCall", call) => {
                turn.calls += 1;
                name(&format!("{at}.function_call"), call)?;
            }
            ("functionResponse", response) => {
                turn.responses += 1;
                asked.results.push(answered(&format!("{at}.function_response"), response)?);
            }
            _ => {}
        }
    }
    let text = texts.join(" ");
    asked.read(&text);
    if role == "user" && !text.trim().is_empty() {
        asked.said = text;
    }
    Ok(turn)
}

/// The one field of a part that holds its data.
fn only<'a>(at: &str, part: &'a Value) -> Result<(&'static str, &'a Value), Refusal> {
    let mut set = DATA.iter().filter_map(|name| Some((*name, part.get(*name)?)));
    match (set.next(), set.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some((second, _))) => {
            let message = format!("Invalid value at '{at}' (oneof), oneof field 'data' is already set. Cannot set '{}'", snake(second));
            Err(Refusal::bad(message))
        }
        // A signature may come with an empty text, which is then left out.
        (None, _) if part.get("thoughtSignature").is_some() => Ok(("text", &Value::Null)),
        (None, _) => Err(violation(&format!("{at}.data"), "required oneof field 'data' must have one initialized field")),
    }
}

fn inline(at: &str, blob: &Value, asked: &mut Asked) -> Result<(), Refusal> {
    let field = |name: &str| blob.get(name).and_then(Value::as_str).unwrap_or_default();
    let (media_type, text) = (field("mimeType"), field("data"));
    if media_type.is_empty() {
        return Err(violation(&format!("{at}.mime_type"), "mime_type must not be empty."));
    }
    let is_image = IMAGE_TYPES.contains(&media_type);
    if !is_image && !FILE_TYPES.contains(&media_type) {
        return Err(Refusal::bad(format!("Unsupported MIME type: {media_type}")));
    }
    // proto3 reads the URL-safe alphabet too.
    let bytes = decode(text).or_else(|| URL_SAFE.decode(text).ok());
    let shown: String = text.chars().take(40).collect();
    let bytes =
        bytes.ok_or_else(|| Refusal::bad(format!("Invalid value at '{at}.data' (TYPE_BYTES), Base64 decoding failed for \"{shown}\"")))?;
    if bytes.is_empty() {
        return Err(violation(&format!("{at}.data"), "data must not be empty."));
    }
    if is_image && sniff(&bytes).is_none_or(|found| found == "image/gif") {
        return Err(Refusal::bad(
            "Unable to process input image. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
        ));
    }
    let list = if is_image { &mut asked.images } else { &mut asked.files };
    list.push(Image::new(media_type, &bytes));
    Ok(())
}

fn referred(at: &str, file: &Value) -> Result<Image, Refusal> {
    let uri = file.get("fileUri").and_then(Value::as_str).filter(|uri| !uri.is_empty());
    uri.map(Image::reference).ok_or_else(|| violation(&format!("{at}.file_uri"), "file_uri must not be empty."))
}

fn name<'a>(at: &str, holder: &'a Value) -> Result<&'a str, Refusal> {
    let name = holder.get("name").and_then(Value::as_str).unwrap_or_default();
    match name {
        "" => Err(violation(&format!("{at}.name"), "Name cannot be empty.")),
        _ if is_function_name(name) => Ok(name),
        _ => Err(violation(&format!("{at}.name"), "Invalid function name.")),
    }
}

fn answered(at: &str, response: &Value) -> Result<String, Refusal> {
    let name = name(at, response)?;
    let value = response.get("response").ok_or_else(|| violation(&format!("{at}.response"), "response must be set."))?;
    Ok(format!("{name} {value}"))
}
