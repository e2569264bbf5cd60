//! Anthropic's validation of messages: turns, blocks, images, and tool uses with their results.

use serde_json::Value;

use super::super::asked::Asked;
use super::super::exchange::Refusal;
use super::super::image::{Image, decode, sniff};
use super::check::{Rules, is_name, solid_text};

/// Images in one request.
const MOST_IMAGES: usize = 100;

/// Decoded bytes of one image.
const IMAGE_LIMIT: usize = 10 << 20;

const IMAGE_TYPES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Types of blocks that each role may send.
const BLOCKS: &[(&str, &[&str])] = &[
    ("user", &["text", "image", "document", "tool_result", "search_result", "container_upload"]),
    ("assistant", &["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result"]),
    ("system", &["text"]),
];

/// One turn: neighbouring messages of one role, merged.
struct Turn<'a> {
    role: &'a str,
    /// Where its first message stands.
    index: usize,
    uses: Vec<&'a str>,
    results: Vec<(String, &'a str)>,
    /// Something else came before a tool result.
    late_result: bool,
    blocks: usize,
}

/// Checks all messages and notes what they hold.
pub(super) fn read(messages: Option<&Value>, rules: &Rules, asked: &mut Asked) -> Result<(), Refusal> {
    let messages = messages.ok_or_else(|| Refusal::bad("messages: Field required"))?;
    let list = messages.as_array().ok_or_else(|| Refusal::bad("messages: Input should be a valid list"))?;
    if list.is_empty() {
        return Err(Refusal::bad("messages: at least one message is required"));
    }
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for (index, message) in list.iter().enumerate() {
        let role = role(index, message, rules)?;
        if turns.last().is_none_or(|turn| turn.role != role) {
            turns.push(Turn { role, index, uses: Vec::new(), results: Vec::new(), late_result: false, blocks: 0 });
            asked.results.clear();
        }
        if let Some(turn) = turns.last_mut() {
            content(index, message, turn, asked)?;
        }
    }
    asked.turns = list.len();
    if turns.first().is_some_and(|turn| turn.role == "assistant") {
        return Err(Refusal::bad("messages: first message must use the \"user\" role"));
    }
    pair(&turns)?;
    if asked.images.len() > MOST_IMAGES {
        return Err(Refusal::bad(format!("messages: too many images and documents: {} > {MOST_IMAGES}", asked.images.len())));
    }
    ending(list.last())
}

fn role<'a>(index: usize, message: &'a Value, rules: &Rules) -> Result<&'a str, Refusal> {
    let fields = message.as_object().ok_or_else(|| Refusal::bad(format!("messages.{index}: Input should be a valid dictionary")))?;
    if let Some(unknown) = fields.keys().find(|name| !["role", "content"].contains(&name.as_str())) {
        return Err(Refusal::bad(format!("messages.{index}.{unknown}: Extra inputs are not permitted")));
    }
    match message.get("role").and_then(Value::as_str) {
        Some(role @ ("user" | "assistant")) => Ok(role),
        Some("system") if rules.system_messages => Ok("system"),
        Some("system") => Err(Refusal::bad(
            "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \"system\" as an input message role.",
        )),
        Some(other) => Err(Refusal::bad(format!("messages: Unexpected role \"{other}\". Allowed roles are \"user\" or \"assistant\"."))),
        None => Err(Refusal::bad(format!("messages.{index}.role: Field required"))),
    }
}

fn content<'a>(index: usize, message: &'a Value, turn: &mut Turn<'a>, asked: &mut Asked) -> Result<(), Refusal> {
    let empty = || {
        Refusal::bad(format!("messages.{index}: all messages must have non-empty content except for the optional final assistant message"))
    };
    match message.get("content") {
        Some(Value::String(text)) if text.is_empty() => Err(empty()),
        Some(Value::String(text)) => {
            solid_text(text, "messages")?;
            turn.blocks += 1;
            note_text(text, turn.role, asked);
            Ok(())
        }
        Some(Value::Array(blocks)) if blocks.is_empty() => Err(empty()),
        Some(Value::Array(blocks)) => {
            let at = |place: usize| format!("messages.{index}.content.{place}");
            let before = asked.said.clone();
            let mut texts = Vec::new();
            for (place, value) in blocks.iter().enumerate() {
                texts.extend(block(&at(place), value, turn, asked)?);
            }
            asked.said = if turn.role == "user" && !texts.is_empty() { texts.join(" ") } else { before };
            Ok(())
        }
        Some(_) => Err(Refusal::bad(format!("messages.{index}.content: Input should be a valid string or list"))),
        None => Err(Refusal::bad(format!("messages.{index}.content: Field required"))),
    }
}

fn note_text(text: &str, role: &str, asked: &mut Asked) {
    asked.read(text);
    if role == "user" {
        text.clone_into(&mut asked.said);
    }
}

/// One block; returns its text, if it is one.
fn block<'a>(at: &str, block: &'a Value, turn: &mut Turn<'a>, asked: &mut Asked) -> Result<Option<&'a str>, Refusal> {
    let field = |name: &str| block.get(name).and_then(Value::as_str);
    let kind = field("type").ok_or_else(|| Refusal::bad(format!("{at}.type: Field required")))?;
    let allowed = BLOCKS.iter().find(|(role, _)| *role == turn.role).map_or(&[][..], |(_, kinds)| kinds);
    if !allowed.contains(&kind) {
        let listed: Vec<String> = allowed.iter().map(|name| format!("'{name}'")).collect();
        let message = format!("{at}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {}", listed.join(", "));
        return Err(Refusal::bad(message));
    }
    turn.blocks += 1;
    match kind {
        "text" => {
            let text = field("text").ok_or_else(|| Refusal::bad(format!("{at}.text.text: Field required")))?;
            solid_text(text, "messages")?;
            asked.read(text);
            return Ok(Some(text));
        }
        "image" => asked.images.push(image(&format!("{at}.image"), block)?),
        "document" => asked.files.push(document(at, block)?),
        "tool_use" => turn.uses.push(tool_use(&format!("{at}.tool_use"), block)?),
        "tool_result" => {
            turn.late_result |= turn.blocks > turn.results.len() + 1;
            let id = field("tool_use_id").ok_or_else(|| Refusal::bad(format!("{at}.tool_result.tool_use_id: Field required")))?;
            turn.results.push((at.to_owned(), id));
            let text = result(&format!("{at}.tool_result"), block, asked)?;
            asked.results.push(text);
        }
        "thinking" => {
            field("thinking").ok_or_else(|| Refusal::bad(format!("{at}.thinking.thinking: Field required")))?;
            let signature = field("signature").ok_or_else(|| Refusal::bad(format!("{at}.thinking.signature: Field required")))?;
            if signature.is_empty() {
                return Err(Refusal::bad(format!("{at}: Invalid `signature` in `thinking` block")));
            }
        }
        _ => {}
    }
    Ok(None)
}

fn tool_use<'a>(at: &str, block: &'a Value) -> Result<&'a str, Refusal> {
    let field = |name: &str| block.get(name).and_then(Value::as_str).ok_or_else(|| Refusal::bad(format!("{at}.{name}: Field required")));
    let id = field("id")?;
    if !is_name(id, usize::MAX) {
        return Err(Refusal::bad(format!("{at}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")));
    }
    if !is_name(field("name")?, 200) {
        return Err(Refusal::bad(format!("{at}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,200}}$'")));
    }
    match block.get("input") {
        Some(Value::Object(_)) => Ok(id),
        Some(_) => Err(Refusal::bad(format!("{at}.input: Input should be a valid dictionary"))),
        None => Err(Refusal::bad(format!("{at}.input: Field required"))),
    }
}

/// The text of a tool result; its images are noted.
fn result(at: &str, block: &Value, asked: &mut Asked) -> Result<String, Refusal> {
    match block.get("content") {
        None => Ok(String::new()),
        Some(Value::String(text)) => {
            asked.read(text);
            Ok(text.clone())
        }
        Some(Value::Array(parts)) => {
            let mut texts = Vec::new();
            for (place, part) in parts.iter().enumerate() {
                let at = format!("{at}.content.{place}");
                match part.get("type").and_then(Value::as_str) {
                    Some("text") => {
                        let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
                        solid_text(text, "messages")?;
                        asked.read(text);
                        texts.push(text);
                    }
                    Some("image") => asked.images.push(image(&format!("{at}.image"), part)?),
                    Some("document" | "search_result") => {}
                    _ => {
                        return Err(Refusal::bad(format!(
                            "{at}: Input tag does not match any of the expected tags: 'text', 'image', 'document', 'search_result'"
                        )));
                    }
                }
            }
            Ok(texts.join(" "))
        }
        Some(_) => Err(Refusal::bad(format!("{at}.content: Input should be a valid string or list"))),
    }
}

fn image(at: &str, block: &Value) -> Result<Image, Refusal> {
    let source = block.get("source").ok_or_else(|| Refusal::bad(format!("{at}.source: Field required")))?;
    let field = |name: &str| source.get(name).and_then(Value::as_str);
    match field("type") {
        Some("base64") => {}
        Some("url") => return referred(at, field("url").unwrap_or_default()),
        Some("file") => return Ok(Image::reference(field("file_id").unwrap_or_default())),
        _ => return Err(Refusal::bad(format!("{at}.source: Input tag does not match any of the expected tags: 'base64', 'url', 'file'"))),
    }
    let at = format!("{at}.source.base64");
    let media_type = field("media_type").ok_or_else(|| Refusal::bad(format!("{at}.media_type: Field required")))?;
    if !IMAGE_TYPES.contains(&media_type) {
        return Err(Refusal::bad(format!("{at}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'")));
    }
    let data = field("data").ok_or_else(|| Refusal::bad(format!("{at}.data: Field required")))?;
    if data.is_empty() {
        return Err(Refusal::bad(format!("{at}: image cannot be empty")));
    }
    let bytes = decode(data).ok_or_else(|| Refusal::bad(format!("{at}: invalid base64 data")))?;
    if bytes.len() > IMAGE_LIMIT {
        return Err(Refusal::bad(format!("{at}: image exceeds 10 MB maximum: {} bytes > {IMAGE_LIMIT} bytes", bytes.len())));
    }
    match sniff(&bytes) {
        Some(found) if found == media_type => Ok(Image::new(media_type, &bytes)),
        Some(found) => Err(Refusal::bad(format!(
            "{at}: The image was specified using the {media_type} media type, but the image appears to be a {found} image"
        ))),
        None => Err(Refusal::bad("Could not process image")),
    }
}

fn referred(at: &str, url: &str) -> Result<Image, Refusal> {
    if url.starts_with("https://") {
        return Ok(Image::reference(url));
    }
    Err(Refusal::bad(format!("{at}.source.url.url: Only HTTPS URLs are supported.")))
}

fn document(at: &str, block: &Value) -> Result<Image, Refusal> {
    let field = |name: &str| block.get("source").and_then(|source| source.get(name)).and_then(Value::as_str);
    let at = format!("{at}.document.source");
    match (field("type"), field("media_type"), field("data")) {
        (Some("base64"), Some("application/pdf"), Some(data)) => {
            let bytes = decode(data).ok_or_else(|| Refusal::bad(format!("{at}.base64: invalid base64 data")))?;
            if !bytes.starts_with(b"%PDF-") {
                return Err(Refusal::bad(format!("{at}.base64.data: The PDF specified was not valid.")));
            }
            Ok(Image::new("application/pdf", &bytes))
        }
        (Some("base64"), ..) => Err(Refusal::bad(format!("{at}.base64.media_type: Input should be 'application/pdf'"))),
        (Some("text"), Some("text/plain"), Some(text)) => Ok(Image::new("text/plain", text.as_bytes())),
        (Some("url"), ..) => Ok(Image::reference(field("url").unwrap_or_default())),
        (Some("file"), ..) => Ok(Image::reference(field("file_id").unwrap_or_default())),
        (Some("content"), ..) => Ok(Image::reference("content")),
        _ => Err(Refusal::bad(format!(
            "{at}: Input tag does not match any of the expected tags: 'base64', 'content', 'file', 'text', 'url'"
        ))),
    }
}

/// Every use is answered in the next turn, first thing, once; every result answers a use.
fn pair(turns: &[Turn<'_>]) -> Result<(), Refusal> {
    let mut uses: &[&str] = &[];
    for (position, turn) in turns.iter().enumerate() {
        for (at, id) in &turn.results {
            if !uses.contains(id) {
                return Err(Refusal::bad(format!(
                    "{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )));
            }
            if turn.results.iter().filter(|(_, other)| other == id).count() > 1 {
                return Err(Refusal::bad(format!(
                    "{at}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {id}"
                )));
            }
        }
        uses = &turn.uses;
        if uses.is_empty() {
            continue;
        }
        let next = turns.get(position + 1);
        let answered = |id: &&str| next.is_some_and(|turn| !turn.late_result && turn.results.iter().any(|(_, result)| result == id));
        let open: Vec<&str> = uses.iter().copied().filter(|id| !answered(id)).collect();
        if !open.is_empty() {
            return Err(Refusal::bad(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
                turn.index,
                open.join(", ")
            )));
        }
    }
    Ok(())
}

/// A text that the model is to go on with may not end in whitespace.
fn ending(last: Option<&Value>) -> Result<(), Refusal> {
    let Some(last) = last.filter(|message| message.get("role").and_then(Value::as_str) == Some("assistant")) else { return Ok(()) };
    let text = match last.get("content") {
        Some(Value::Array(blocks)) => blocks.last().and_then(|block| block.get("text")),
        other => other,
    };
    if text.and_then(Value::as_str).is_some_and(|text| text.ends_with(char::is_whitespace)) {
        return Err(Refusal::bad("messages: final assistant content cannot end with trailing whitespace"));
    }
    Ok(())
}
