//! Reads messages, their parts, their calls and their reasoning.

use super::field::{self, literal, missing, of_kind, required_object, required_string, rest, string};
use super::neutral::{NEUTRAL_IN_IMAGE, NEUTRAL_IN_MESSAGE, is_neutral};
use crate::chat::form::{Arguments, MediaSource, Word};
use crate::chat::request::{Message, Part, ReasoningTrace, Role, ToolCall};
use crate::json::{Kind, View};
use crate::refusal::Refusal;

static ROLES: &[(&str, Role)] = &[
    ("system", Role::System),
    ("developer", Role::Developer),
    ("user", Role::User),
    ("assistant", Role::Assistant),
    ("tool", Role::Tool),
    ("function", Role::Function),
];

static KNOWN: &[&str] = &[
    "role",
    "content",
    "tool_calls",
    "function_call",
    "tool_call_id",
    "name",
    "refusal",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking_blocks",
    "cache_control",
    "is_error",
];

pub(super) fn read(root: View<'_>) -> Result<Vec<Message<'_>>, Refusal> {
    let Some(messages) = of_kind(root, "messages", Kind::Array)? else {
        return Err(field::missing(root, "messages"));
    };
    let read: Vec<_> = messages.elements().map(message).collect::<Result<_, _>>()?;
    if read.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(Refusal::client("messages", message).with_code("empty_array"));
    }
    Ok(read)
}

fn message(view: View<'_>) -> Result<Message<'_>, Refusal> {
    let view = field::expect(view, Kind::Object)?;
    let mut others: Vec<_> = rest(view, KNOWN).filter(|member| !is_neutral(*member, NEUTRAL_IN_MESSAGE)).collect();
    Ok(Message {
        role: role(view)?,
        content: content(view)?,
        tool_calls: tool_calls(view)?,
        tool_call_id: string(view, "tool_call_id")?.map(Word::of),
        name: string(view, "name")?,
        refusal: string(view, "refusal")?,
        reasoning: reasoning(view, &mut others)?,
        cache_control: view.present("cache_control"),
        is_error: of_kind(view, "is_error", Kind::Bool)?.filter(|member| !is_neutral(*member, NEUTRAL_IN_MESSAGE)),
        others,
        view,
    })
}

fn role(message: View<'_>) -> Result<Role, Refusal> {
    let view = required_string(message, "role")?;
    let word = view.text().unwrap_or_default();
    let row = ROLES.iter().find(|(name, _)| *name == word);
    row.map(|(_, role)| *role)
        .ok_or_else(|| field::unknown_value(view, "'system', 'developer', 'user', 'assistant', 'tool', and 'function'"))
}

fn content(message: View<'_>) -> Result<Vec<Part<'_>>, Refusal> {
    let Some(content) = message.present("content") else { return Ok(Vec::new()) };
    match content.kind() {
        Kind::String => Ok(vec![Part::Text { text: literal(content)?, view: content, cache_control: None, others: Vec::new() }]),
        Kind::Array => content.elements().filter(|part| !is_thought(*part)).map(part).collect(),
        _ => Err(field::wrong_kind(content, "a string or an array of parts")),
    }
}

/// Mistral's thoughts stand among the parts; they are read with the rest of the reasoning.
fn is_thought(part: View<'_>) -> bool {
    part.present("type").and_then(View::text).is_some_and(|kind| kind == "thinking")
}

fn part(view: View<'_>) -> Result<Part<'_>, Refusal> {
    // Mistral's and some frameworks' arrays mix plain strings with parts.
    if view.kind() == Kind::String {
        return Ok(Part::Text { text: literal(view)?, view, cache_control: None, others: Vec::new() });
    }
    let view = field::expect(view, Kind::Object)?;
    let kind = required_string(view, "type")?.text().unwrap_or_default();
    let cache_control = view.present("cache_control");
    match kind.as_ref() {
        "text" => {
            let text = required_string(view, "text")?;
            let others = rest(view, &["type", "text", "cache_control"]).collect();
            Ok(Part::Text { text: literal(text)?, view: text, cache_control, others })
        }
        "image_url" => image(view),
        "input_audio" => audio(view),
        "file" => file(view),
        "document_url" => document(view),
        "refusal" => {
            let others = rest(view, &["type", "refusal"]).collect();
            Ok(Part::Refusal { text: literal(required_string(view, "refusal")?)?, others, view })
        }
        _ => Ok(Part::Unknown { view }),
    }
}

/// `image_url: {url, detail}`, or the plain string that Mistral takes too.
fn image(view: View<'_>) -> Result<Part<'_>, Refusal> {
    let cache_control = view.present("cache_control");
    let mut others: Vec<_> = rest(view, &["type", "image_url", "cache_control"]).collect();
    let reference = view.present("image_url").ok_or_else(|| field::missing(view, "image_url"))?;
    if reference.kind() == Kind::String {
        return Ok(Part::Image { source: MediaSource::Address(reference), detail: None, cache_control, others, view });
    }
    let reference = field::expect(reference, Kind::Object)?;
    others.extend(rest(reference, &["url", "detail"]));
    let detail = string(reference, "detail")?.filter(|member| !is_neutral(*member, NEUTRAL_IN_IMAGE));
    let source = MediaSource::Address(required_string(reference, "url")?);
    Ok(Part::Image { source, detail, cache_control, others, view })
}

fn audio(view: View<'_>) -> Result<Part<'_>, Refusal> {
    let audio = required_object(view, "input_audio")?;
    let others = rest(view, &["type", "input_audio"]).chain(rest(audio, &["data", "format"])).collect();
    let format = Word::of(required_string(audio, "format")?);
    Ok(Part::Audio { data: required_string(audio, "data")?, format, others, view })
}

fn file(view: View<'_>) -> Result<Part<'_>, Refusal> {
    let file = required_object(view, "file")?;
    let mut others: Vec<_> =
        rest(view, &["type", "file", "cache_control"]).chain(rest(file, &["file_data", "file_id", "filename"])).collect();
    let source = match (string(file, "file_data")?, string(file, "file_id")?) {
        (Some(data), id) => {
            others.extend(id);
            MediaSource::Address(data)
        }
        (None, Some(id)) => MediaSource::FileId(id),
        (None, None) => return Err(field::missing(file, "file_id")),
    };
    Ok(Part::File { source, filename: string(file, "filename")?, cache_control: view.present("cache_control"), others, view })
}

/// Mistral's part for a document: its address, a data URI or a URL.
fn document(view: View<'_>) -> Result<Part<'_>, Refusal> {
    let others = rest(view, &["type", "document_url", "document_name", "cache_control"]).collect();
    let source = MediaSource::Address(required_string(view, "document_url")?);
    Ok(Part::File { source, filename: string(view, "document_name")?, cache_control: view.present("cache_control"), others, view })
}

fn tool_calls(message: View<'_>) -> Result<Vec<ToolCall<'_>>, Refusal> {
    let mut calls: Vec<_> = field::elements(message, "tool_calls")?.enumerate().map(tool_call).collect::<Result<_, _>>()?;
    if let Some(view) = of_kind(message, "function_call", Kind::Object)? {
        let others = rest(view, &["name", "arguments"]).collect();
        let (name, arguments) = (required_string(view, "name")?, string(view, "arguments")?.map(Arguments::Text));
        calls.push(ToolCall { id: None, name, arguments, thought_signature: None, cache_control: None, others, view });
    }
    Ok(calls)
}

/// A call of a `custom` tool has free text for arguments, which no other dialect knows: it stands in `others`.
fn tool_call((position, view): (usize, View<'_>)) -> Result<ToolCall<'_>, Refusal> {
    let view = field::expect(view, Kind::Object)?;
    let custom = view.present("custom");
    let function = custom.map_or_else(|| required_object(view, "function"), Ok)?;
    let signature = signature(view)?;
    let mut others: Vec<_> = rest(view, &["id", "type", "function", "custom", "extra_content", "index"]).collect();
    others.extend(rest(function, &["name", "arguments", "input"]));
    others.extend(custom);
    others.extend(view.present("extra_content").filter(|_| signature.is_none()));
    // Clients that put a call together from a stream replay its index, which its place says already.
    others.extend(view.present("index").filter(|index| index.unsigned() != u64::try_from(position).ok()));
    Ok(ToolCall {
        id: string(view, "id")?.map(Word::of),
        name: required_string(function, "name")?,
        arguments: string(function, "arguments")?.map(Arguments::Text),
        thought_signature: signature.map(Word::of),
        cache_control: None,
        others,
        view,
    })
}

fn signature(call: View<'_>) -> Result<Option<View<'_>>, Refusal> {
    let google = call.present("extra_content").and_then(|extra| extra.present("google"));
    Ok(google.map(|google| string(google, "thought_signature")).transpose()?.flatten())
}

/// Where blocks with text stand, the plain text beside them says the same once more and is not read again.
fn reasoning<'a>(message: View<'a>, others: &mut Vec<View<'a>>) -> Result<Vec<ReasoningTrace<'a>>, Refusal> {
    let [details, blocks] = ["reasoning_details", "thinking_blocks"].map(|key| field::elements(message, key));
    let mut traces = traces(details?, others)?;
    if traces.is_empty() {
        traces = self::traces(blocks?, others)?;
    } else {
        others.extend(message.present("thinking_blocks"));
    }
    let told = traces.iter().any(|trace| !matches!(trace, ReasoningTrace::Encrypted { .. }));
    let plain = ["reasoning_content", "reasoning"].iter().find_map(|key| message.present(key));
    if let Some(view) = plain.filter(|view| !told && view.kind() == Kind::String) {
        traces.push(ReasoningTrace::Plain { text: literal(view)?, view });
    }
    others.extend(plain.filter(|view| view.kind() != Kind::String));
    for part in parts(message).filter(|part| is_thought(*part)) {
        for view in thoughts(part)? {
            traces.push(ReasoningTrace::Plain { text: literal(view)?, view });
        }
        // Whether the thought is closed is told by what follows it.
        others.extend(rest(part, &["type", "thinking", "closed"]));
    }
    Ok(traces)
}

fn parts(message: View<'_>) -> impl Iterator<Item = View<'_>> {
    message.present("content").filter(|content| content.kind() == Kind::Array).into_iter().flat_map(View::elements)
}

/// The texts of one of Mistral's thoughts: a string, or parts again.
fn thoughts(part: View<'_>) -> Result<Vec<View<'_>>, Refusal> {
    match part.present("thinking") {
        Some(text) if text.kind() == Kind::String => Ok(vec![text]),
        Some(parts) if parts.kind() == Kind::Array => parts.elements().map(|part| required_string(part, "text")).collect(),
        _ => Err(missing(part, "thinking")),
    }
}

fn traces<'a>(blocks: impl Iterator<Item = View<'a>>, others: &mut Vec<View<'a>>) -> Result<Vec<ReasoningTrace<'a>>, Refusal> {
    let mut traces = Vec::new();
    for view in blocks {
        match trace(field::expect(view, Kind::Object)?)? {
            Some(trace) => traces.push(trace),
            None => others.push(view),
        }
    }
    Ok(traces)
}

fn trace(view: View<'_>) -> Result<Option<ReasoningTrace<'_>>, Refusal> {
    if let Some(data) = string(view, "data")? {
        return Ok(Some(ReasoningTrace::Encrypted { data: literal(data)?, view }));
    }
    let mut texts = Vec::new();
    for key in ["text", "thinking", "summary"] {
        texts.extend(string(view, key)?);
    }
    let signature = string(view, "signature")?.filter(|signature| signature.raw().len() > 2);
    Ok(match (texts.first(), signature) {
        (None, _) => None,
        (Some(text), None) => Some(ReasoningTrace::Plain { text: literal(*text)?, view }),
        (Some(text), Some(signature)) => Some(ReasoningTrace::Signed { text: literal(*text)?, signature: literal(signature)?, view }),
    })
}
