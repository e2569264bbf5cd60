//! Reads turns into the pivot's messages: results of calls become messages of their own, in their place. Within an assistant's turn the
//! pivot tells thinking, text and calls apart, each in its order.

use super::mark::{self, Mark};
use crate::chat::field::{self, literal, of_kind, required_string, rest, string};
use crate::chat::{Arguments, MediaSource, Message, Part, ReasoningTrace, Role, ToolCall, Word};
use crate::json::{Kind, Literal, View};
use crate::refusal::Refusal;

/// What Claude Code puts before its instructions for Anthropic's billing. It changes with each request, and would spoil any other
/// provider's prompt cache.
const BILLING: &[u8] = b"\"x-anthropic-billing-header:";

/// Reads the turns. What changes its place on the way is noted in `moved`.
pub(super) fn read<'a>(root: View<'a>, moved: &mut Vec<View<'a>>) -> Result<Vec<Message<'a>>, Refusal> {
    let turns = of_kind(root, "messages", Kind::Array)?.ok_or_else(|| field::missing(root, "messages"))?;
    let mut messages = Vec::new();
    if let Some(system) = root.present("system") {
        messages.extend(instruction(system)?);
    }
    for turn in turns.elements() {
        let turn = field::expect(turn, Kind::Object)?;
        let role = required_string(turn, "role")?;
        match role.text().unwrap_or_default().as_ref() {
            "user" => user(turn, &mut messages, moved)?,
            "assistant" => messages.push(assistant(turn, moved)?),
            "system" => {
                let content = turn.present("content").ok_or_else(|| field::missing(turn, "content"))?;
                messages.extend(instruction(content)?);
            }
            _ => return Err(field::unknown_value(role, "'user', 'assistant', and 'system'")),
        }
    }
    if turns.elements().next().is_none() {
        return Err(Refusal::client("messages", "messages: at least one message is required").with_code("empty_array"));
    }
    Ok(messages)
}

/// A string or blocks; the content of a message, of `system`, or of a result.
fn blocks(content: View<'_>) -> Result<Vec<View<'_>>, Refusal> {
    match content.kind() {
        Kind::String => Ok(vec![content]),
        Kind::Array => Ok(content.elements().collect()),
        _ => Err(field::wrong_kind(content, "a string or an array of blocks")),
    }
}

/// `system`; nothing, where it holds nothing.
fn instruction(content: View<'_>) -> Result<Option<Message<'_>>, Refusal> {
    let mut message = Message::blank(Role::System, content);
    for block in blocks(content)? {
        let text = block.present("text").unwrap_or(block);
        if text.bytes().starts_with(BILLING) {
            message.others.push(block);
        } else {
            message.content.push(part(block)?);
        }
    }
    message.content.retain(|part| !matches!(part, Part::Text { text, .. } if text.is_empty()));
    Ok(Some(message).filter(|message| !message.content.is_empty() || !message.others.is_empty()))
}

/// Results first: every dialect wants them right behind the calls.
fn user<'a>(turn: View<'a>, messages: &mut Vec<Message<'a>>, moved: &mut Vec<View<'a>>) -> Result<(), Refusal> {
    let content = turn.present("content").ok_or_else(|| field::missing(turn, "content"))?;
    let mut said = Message::blank(Role::User, turn);
    said.others = rest(turn, &["role", "content"]).collect();
    for block in blocks(content)? {
        if kind(block)?.as_deref() == Some("tool_result") {
            moved.extend((!said.content.is_empty()).then_some(block));
            messages.push(result(block)?);
        } else {
            said.content.push(part(block)?);
        }
    }
    if !said.content.is_empty() || !said.others.is_empty() {
        messages.push(said);
    }
    Ok(())
}

fn result(view: View<'_>) -> Result<Message<'_>, Refusal> {
    let content = view.present("content").map(blocks).transpose()?.unwrap_or_default();
    Ok(Message {
        content: content.into_iter().map(part).collect::<Result<_, _>>()?,
        tool_call_id: Some(Word::of(required_string(view, "tool_use_id")?)),
        is_error: of_kind(view, "is_error", Kind::Bool)?.filter(|is_error| is_error.boolean() == Some(true)),
        cache_control: view.present("cache_control"),
        others: rest(view, &["type", "tool_use_id", "content", "is_error", "cache_control"]).collect(),
        ..Message::blank(Role::Tool, view)
    })
}

fn assistant<'a>(turn: View<'a>, moved: &mut Vec<View<'a>>) -> Result<Message<'a>, Refusal> {
    let content = turn.present("content").ok_or_else(|| field::missing(turn, "content"))?;
    let mut message = Message::blank(Role::Assistant, turn);
    message.others = rest(turn, &["role", "content"]).collect();
    let mut signature = None;
    for block in blocks(content)? {
        match kind(block)?.as_deref() {
            None | Some("text" | "image" | "document") => {
                moved.extend((!message.tool_calls.is_empty()).then_some(block));
                message.content.push(part(block)?);
            }
            Some("thinking") => {
                let (thought, of_call) = thinking(block)?;
                message.reasoning.extend(thought);
                signature = of_call.or(signature);
            }
            Some("redacted_thinking") => message.reasoning.push(redacted(block)?),
            Some("tool_use") => message.tool_calls.push(call(block, signature.take())?),
            // What Anthropic's own tools did, compactions, and what is yet to come.
            Some(_) => message.others.push(block),
        }
    }
    Ok(message)
}

/// A block's type; a plain string has none.
fn kind(block: View<'_>) -> Result<Option<std::borrow::Cow<'_, str>>, Refusal> {
    if block.kind() == Kind::String {
        return Ok(None);
    }
    Ok(required_string(field::expect(block, Kind::Object)?, "type")?.text())
}

/// A block of thinking: the thought, or the signature of the call that follows, or both.
fn thinking(view: View<'_>) -> Result<(Option<ReasoningTrace<'_>>, Option<Word<'_>>), Refusal> {
    let text = literal(required_string(view, "thinking")?)?;
    let Some(signature) = string(view, "signature")?.filter(|signature| signature.range().len() > 2) else {
        return Ok((Some(ReasoningTrace::Plain { text, view }), None));
    };
    let said = signature.text().unwrap_or_default();
    Ok(match mark::read(&said) {
        None => (Some(ReasoningTrace::Signed { text, signature: literal(signature)?, view }), None),
        Some(Mark::Unsigned | Mark::Data(_)) => (Some(ReasoningTrace::Plain { text, view }), None),
        Some(Mark::Signed(signature)) => (Some(ReasoningTrace::Signed { text, signature: Literal::quote(signature), view }), None),
        Some(Mark::Call(of_call)) => {
            let thought = (!text.is_empty()).then_some(ReasoningTrace::Plain { text, view });
            (thought, Some(Word { text: of_call.to_owned().into(), view: signature }))
        }
    })
}

fn redacted(view: View<'_>) -> Result<ReasoningTrace<'_>, Refusal> {
    let data = required_string(view, "data")?;
    let said = data.text().unwrap_or_default();
    let data = match mark::read(&said) {
        Some(Mark::Data(data)) => Literal::quote(data),
        _ => literal(data)?,
    };
    Ok(ReasoningTrace::Encrypted { data, view })
}

fn call<'a>(view: View<'a>, thought_signature: Option<Word<'a>>) -> Result<ToolCall<'a>, Refusal> {
    Ok(ToolCall {
        id: Some(Word::of(required_string(view, "id")?)),
        name: required_string(view, "name")?,
        arguments: view.present("input").map(Arguments::Json),
        thought_signature,
        cache_control: view.present("cache_control"),
        // `caller` says that the model itself called, which is what other dialects take for granted.
        others: rest(view, &["type", "id", "name", "input", "cache_control", "caller"]).collect(),
        view,
    })
}

/// A block of text, an image, a document.
fn part(view: View<'_>) -> Result<Part<'_>, Refusal> {
    let cache_control = view.present("cache_control");
    let Some(kind) = kind(view)? else {
        return Ok(Part::Text { text: literal(view)?, view, cache_control: None, others: Vec::new() });
    };
    let others = |known: &'static [&'static str]| rest(view, known).filter(|member| !is_empty(*member)).collect();
    Ok(match kind.as_ref() {
        "text" => {
            let text = required_string(view, "text")?;
            Part::Text { text: literal(text)?, view: text, cache_control, others: others(&["type", "text", "cache_control"]) }
        }
        "image" => match source(view)? {
            Some(source) => Part::Image { source, detail: None, cache_control, others: others(&["type", "source", "cache_control"]), view },
            None => Part::Unknown { view },
        },
        "document" => match source(view)? {
            Some(source) => {
                let filename = string(view, "title")?;
                Part::File { source, filename, cache_control, others: others(&["type", "source", "title", "cache_control"]), view }
            }
            None => Part::Unknown { view },
        },
        _ => Part::Unknown { view },
    })
}

/// Members that say nothing, such as `citations: {"enabled": false}`.
fn is_empty(member: View<'_>) -> bool {
    let plain: String = member.raw().chars().filter(|letter| !letter.is_whitespace()).collect();
    matches!(plain.as_str(), "[]" | "{}" | "{\"enabled\":false}")
}

/// Where the bytes are; `None` for a source of another type, such as blocks.
fn source(block: View<'_>) -> Result<Option<MediaSource<'_>>, Refusal> {
    let source = field::required_object(block, "source")?;
    Ok(match required_string(source, "type")?.text().unwrap_or_default().as_ref() {
        "base64" => Some(MediaSource::Base64 { data: required_string(source, "data")?, media_type: string(source, "media_type")? }),
        "url" => Some(MediaSource::Address(required_string(source, "url")?)),
        "file" => Some(MediaSource::FileId(required_string(source, "file_id")?)),
        "text" => Some(MediaSource::Text(required_string(source, "data")?)),
        _ => None,
    })
}
