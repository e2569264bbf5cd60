//! `messages`: the conversation.
//!
//! Decisions where the formats differ:
//! - results of calls hold text alone: what they show besides follows in the user's next message, and the result says so;
//! - a result that is an error says so in its text;
//! - a message of which nothing is left (a turn that was all thinking) is left out;
//! - Mistral refuses a user's message behind the result of a call: the assistant is made to say a word between them.

use std::borrow::Cow;

use super::form::Form;
use super::media;
use super::request::Writer;
use crate::chat::{Message, Part, ReasoningTrace, Role, ToolCall};
use crate::json::{Literal, View};
use crate::loss::LossKind;
use crate::refusal::Refusal;

/// Stands in a result for what it shows.
const SHOWN_BELOW: &str = "[attached below]";
/// Leads the result of a call that failed.
const ERROR: &str = "Error: ";
/// What the assistant is made to say to a result before the user goes on.
const BRIDGE: &str = r#"{"role":"assistant","content":"OK."}"#;

/// Writes the member.
pub(super) fn write(writer: &mut Writer<'_>, messages: &[Message<'_>]) -> Result<(), Refusal> {
    writer.out.key("messages").array();
    let mut shown = Vec::new();
    let mut answered = false;
    for (position, message) in messages.iter().enumerate() {
        let results = matches!(message.role, Role::Tool | Role::Function);
        if !results && message.role != Role::User && !shown.is_empty() {
            show(writer, &mut shown, &[])?;
        }
        if answered && message.role == Role::User && !message.content.is_empty() && writer.form.is_mistral() {
            writer.losses.note(LossKind::Approximated, message.view);
            writer.out.element().raw(BRIDGE);
        }
        answered = results;
        match message.role {
            Role::System | Role::Developer => instruction(writer, message)?,
            Role::User => user(writer, message, &mut shown)?,
            Role::Assistant => assistant(writer, message, position + 1 == messages.len())?,
            Role::Tool | Role::Function => shown.extend(result(writer, message)?),
        }
    }
    if !shown.is_empty() {
        show(writer, &mut shown, &[])?;
    }
    writer.out.end_array();
    Ok(())
}

/// What no message but those that say so has a place for.
fn leave(writer: &mut Writer<'_>, message: &Message<'_>) {
    // No `..`: a field that is added to the pivot must be mapped, or lost by name.
    let Message { role, content: _, tool_calls, tool_call_id, name, refusal, reasoning, cache_control, is_error, others, view: _ } =
        message;
    let form = writer.form;
    let others = others.iter().filter(|other| !is_prefix(form, *role, **other));
    writer.losses.dropped(cache_control.iter().chain(others).copied());
    if *role != Role::Assistant {
        writer.losses.dropped(tool_calls.iter().map(|call| call.view).chain(*refusal));
        writer.losses.dropped(reasoning.iter().map(place));
    }
    if !matches!(role, Role::Tool | Role::Function) {
        writer.losses.dropped(tool_call_id.as_ref().map(|id| id.view).into_iter().chain(*is_error));
    }
    if !takes_name(writer, *role) {
        writer.losses.dropped(*name);
    }
}

/// Whether a message of this role has a place for a name: that of a speaker, or of a legacy function; in Mistral's form only that of
/// what gave a result.
fn takes_name(writer: &Writer<'_>, role: Role) -> bool {
    if writer.form.is_mistral() { matches!(role, Role::Tool | Role::Function) } else { role != Role::Tool }
}

/// Mistral's word for an answer that is begun: it is written where it belongs, whether the client said it or not.
fn is_prefix(form: &Form, role: Role, other: View<'_>) -> bool {
    form.is_mistral() && role == Role::Assistant && other.key().is_some_and(|key| key == "prefix")
}

fn begin(writer: &mut Writer<'_>, role: &str, message: &Message<'_>) {
    writer.out.element().object().key("role").string(role);
    if let Some(name) = message.name.filter(|_| takes_name(writer, message.role)) {
        writer.out.key("name").view(name);
    }
}

/// Reasoning models of OpenAI's own know the developer; all others the system.
fn instruction(writer: &mut Writer<'_>, message: &Message<'_>) -> Result<(), Refusal> {
    leave(writer, message);
    let texts = texts(writer, message, false)?;
    if texts.is_empty() {
        return Ok(());
    }
    let developer = writer.model.own && !writer.model.efforts.is_empty();
    begin(writer, if developer { "developer" } else { "system" }, message);
    content(writer, &texts);
    writer.out.end_object();
    Ok(())
}

fn user<'m, 'a>(writer: &mut Writer<'_>, message: &'m Message<'a>, shown: &mut Vec<&'m Part<'a>>) -> Result<(), Refusal> {
    leave(writer, message);
    let all_text = shown.is_empty() && message.content.iter().all(|part| matches!(part, Part::Text { .. } | Part::Refusal { .. }));
    if !all_text {
        return show(writer, shown, std::slice::from_ref(message));
    }
    let texts = texts(writer, message, false)?;
    if !texts.is_empty() {
        begin(writer, "user", message);
        content(writer, &texts);
        writer.out.end_object();
    }
    Ok(())
}

/// A message of the user's with parts: what results show, then what the user says.
fn show<'m, 'a>(writer: &mut Writer<'_>, shown: &mut Vec<&'m Part<'a>>, said: &[Message<'_>]) -> Result<(), Refusal> {
    match said {
        [message] => begin(writer, "user", message),
        _ => drop(writer.out.element().object().key("role").string("user")),
    }
    writer.out.key("content").array();
    for part in shown.drain(..) {
        media::write(writer, part)?;
    }
    for message in said {
        parts(writer, &message.content)?;
    }
    writer.out.end_array().end_object();
    Ok(())
}

fn parts(writer: &mut Writer<'_>, parts: &[Part<'_>]) -> Result<(), Refusal> {
    for part in parts {
        match part {
            Part::Text { text, view: _, cache_control, others } => {
                writer.losses.dropped(cache_control.iter().chain(others).copied());
                text_part(writer, text);
            }
            Part::Refusal { text, others, view } => {
                writer.losses.note(LossKind::Approximated, *view);
                writer.losses.dropped(others.iter().copied());
                text_part(writer, text);
            }
            part => media::write(writer, part)?,
        }
    }
    Ok(())
}

fn assistant(writer: &mut Writer<'_>, message: &Message<'_>, last: bool) -> Result<(), Refusal> {
    leave(writer, message);
    let mut texts = texts(writer, message, false)?;
    let thought = thought(writer, &message.reasoning);
    if let Some(refusal) = message.refusal.filter(|_| writer.form.is_mistral()) {
        writer.losses.note(LossKind::Approximated, refusal);
        texts.extend(refusal.literal());
    }
    if texts.is_empty() && message.tool_calls.is_empty() && message.refusal.is_none() {
        // Nothing but thinking, or nothing at all: there is no such message.
        return Ok(());
    }
    begin(writer, "assistant", message);
    if writer.form.is_mistral() {
        thoughts_and_texts(writer, &thought, &texts);
        if last && message.tool_calls.is_empty() {
            writer.out.key("prefix").raw("true");
        }
        calls(writer, &message.tool_calls)?;
        writer.out.end_object();
        return Ok(());
    }
    if texts.is_empty() {
        writer.out.key("content").raw("null");
    } else {
        content(writer, &texts);
    }
    if let Some(refusal) = message.refusal {
        writer.out.key("refusal").view(refusal);
    }
    if !thought.is_empty() {
        writer.out.key("reasoning_content").raw("\"");
        thought.iter().for_each(|text| {
            writer.out.raw(text.escaped());
        });
        writer.out.raw("\"");
    }
    calls(writer, &message.tool_calls)?;
    writer.out.end_object();
    Ok(())
}

/// Thinking without a signature, which compatible servers want back during calls. What a vendor signed is of use to it alone.
fn thought<'a>(writer: &mut Writer<'_>, reasoning: &[ReasoningTrace<'a>]) -> Vec<Literal<'a>> {
    let mut texts = Vec::new();
    for trace in reasoning {
        match trace {
            ReasoningTrace::Plain { text, view: _ } if !writer.model.own => texts.push(text.clone()),
            trace => writer.losses.note(LossKind::Dropped, place(trace)),
        }
    }
    texts
}

/// Mistral's content: thoughts are parts of it; nothing at all is an empty text.
fn thoughts_and_texts(writer: &mut Writer<'_>, thoughts: &[Literal<'_>], texts: &[Literal<'_>]) {
    if thoughts.is_empty() {
        return match texts {
            [] => drop(writer.out.key("content").string("")),
            texts => content(writer, texts),
        };
    }
    writer.out.key("content").array();
    for thought in thoughts {
        writer.out.element().object().key("type").string("thinking").key("thinking").array();
        text_part(writer, thought);
        writer.out.end_array().end_object();
    }
    texts.iter().for_each(|text| text_part(writer, text));
    writer.out.end_array();
}

fn place<'a>(trace: &ReasoningTrace<'a>) -> View<'a> {
    match trace {
        ReasoningTrace::Plain { view, .. } | ReasoningTrace::Signed { view, .. } | ReasoningTrace::Encrypted { view, .. } => *view,
    }
}

fn calls(writer: &mut Writer<'_>, calls: &[ToolCall<'_>]) -> Result<(), Refusal> {
    if calls.is_empty() {
        return Ok(());
    }
    writer.out.key("tool_calls").array();
    for (number, call) in calls.iter().enumerate() {
        let ToolCall { id, name, arguments, thought_signature, cache_control, others, view: _ } = call;
        writer.losses.dropped(thought_signature.iter().map(|signature| signature.view).chain(cache_control.iter().chain(others).copied()));
        let id = id.as_ref().map_or_else(|| legacy_id(writer, number, *name), |id| (writer.form.call_id)(id.text.clone()));
        let name = writer.names.sent(name.text().unwrap_or_default());
        let arguments = arguments.map_or_else(|| Literal::quote("{}"), crate::chat::Arguments::literal);
        let out = &mut writer.out;
        out.element().object().key("id").string(&id).key("type").string("function");
        out.key("function").object().key("name").string(&name).key("arguments").literal(&arguments).end_object().end_object();
    }
    writer.out.end_array();
    Ok(())
}

/// An id for a call of the legacy form, which has none: in Mistral's form, whose results need one, its function's name makes it.
fn legacy_id<'a>(writer: &Writer<'_>, number: usize, name: View<'_>) -> Cow<'a, str> {
    let id = if writer.form.is_mistral() { format!("call_{}", name.text().unwrap_or_default()) } else { format!("call_{number}") };
    Cow::Owned((writer.form.call_id)(id.into()).into_owned())
}

/// Writes the result of a call; what it shows beside text is handed back.
fn result<'m, 'a>(writer: &mut Writer<'_>, message: &'m Message<'a>) -> Result<Vec<&'m Part<'a>>, Refusal> {
    leave(writer, message);
    let shown: Vec<_> = message.content.iter().filter(|part| !matches!(part, Part::Text { .. } | Part::Refusal { .. })).collect();
    if writer.form.is_mistral() && !shown.is_empty() {
        return result_with_media(writer, message).map(|()| Vec::new());
    }
    let mut texts = texts(writer, message, true)?;
    if let Some(view) = message.is_error.filter(|view| view.boolean() == Some(true)) {
        writer.losses.note(LossKind::Approximated, view);
        texts.insert(0, Literal::quote(ERROR));
    }
    for part in &shown {
        writer.losses.note(LossKind::Approximated, media_place(part));
        texts.push(Literal::quote(SHOWN_BELOW));
    }
    begin_result(writer, message);
    match texts.as_slice() {
        [] => {
            writer.out.key("content").string("");
        }
        [mark, said] if mark.escaped() == ERROR => {
            writer.out.key("content").raw("\"").raw(ERROR).raw(said.escaped()).raw("\"");
        }
        texts => content(writer, texts),
    }
    writer.out.end_object();
    Ok(shown)
}

/// A result whose form has a place for what it shows.
fn result_with_media(writer: &mut Writer<'_>, message: &Message<'_>) -> Result<(), Refusal> {
    begin_result(writer, message);
    writer.out.key("content").array();
    if let Some(view) = message.is_error.filter(|view| view.boolean() == Some(true)) {
        writer.losses.note(LossKind::Approximated, view);
        text_part(writer, &Literal::quote(ERROR.trim()));
    }
    parts(writer, &message.content)?;
    writer.out.end_array().end_object();
    Ok(())
}

/// The call that it answers, by its id; a legacy function's name says it, except in Mistral's form.
fn begin_result(writer: &mut Writer<'_>, message: &Message<'_>) {
    let legacy = message.role == Role::Function;
    begin(writer, if legacy && !writer.form.is_mistral() { "function" } else { "tool" }, message);
    let id = match (&message.tool_call_id, message.name) {
        (Some(id), _) => Some((writer.form.call_id)(id.text.clone())),
        (None, Some(name)) if writer.form.is_mistral() => Some(legacy_id(writer, 0, name)),
        (None, _) => None,
    };
    if let Some(id) = id {
        writer.out.key("tool_call_id").string(&id);
    }
}

fn media_place<'a>(part: &Part<'a>) -> View<'a> {
    match part {
        Part::Text { view, .. }
        | Part::Image { view, .. }
        | Part::Audio { view, .. }
        | Part::File { view, .. }
        | Part::Refusal { view, .. }
        | Part::Unknown { view } => *view,
    }
}

/// The texts of a message that holds nothing else; `shows` passes over what is no text.
fn texts<'a>(writer: &mut Writer<'_>, message: &Message<'a>, shows: bool) -> Result<Vec<Literal<'a>>, Refusal> {
    let mut texts = Vec::new();
    for part in &message.content {
        match part {
            Part::Text { text, view: _, cache_control, others } => {
                writer.losses.dropped(cache_control.iter().chain(others).copied());
                texts.push(text.clone());
            }
            Part::Refusal { text, others, view } => {
                writer.losses.note(LossKind::Approximated, *view);
                writer.losses.dropped(others.iter().copied());
                texts.push(text.clone());
            }
            Part::Unknown { view } => {
                return Err(Refusal::candidate(*view, "Content parts of this type cannot be translated for this model."));
            }
            part if !shows => {
                let message = "This model takes images and files in user and tool messages only.";
                return Err(Refusal::candidate(media_place(part), message));
            }
            _ => {}
        }
    }
    Ok(texts)
}

/// One text as a string, which every server takes; several as parts.
fn content(writer: &mut Writer<'_>, texts: &[Literal<'_>]) {
    writer.out.key("content");
    if let [text] = texts {
        writer.out.literal(text);
        return;
    }
    writer.out.array();
    texts.iter().for_each(|text| text_part(writer, text));
    writer.out.end_array();
}

fn text_part(writer: &mut Writer<'_>, text: &Literal<'_>) {
    writer.out.element().object().key("type").string("text").key("text").literal(text).end_object();
}
