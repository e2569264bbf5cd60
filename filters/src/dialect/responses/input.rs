//! The conversation as items: what is said, thought, called, and what came of calls, each an item of its own.
//!
//! Items have no ids: an id is of use only to a provider that has stored the item.

use std::borrow::Cow;

use super::super::Target;
use super::super::maker::{self, Maker};
use super::super::tool_names::{ToolNames, call_id};
use super::content::{self, Place};
use super::request::NAME_BYTES;
use crate::chat::{Arguments, Message, Part, ReasoningTrace, Role, ToolCall};
use crate::json::{Literal, Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// Stands before the result of a call that failed, which items have no flag for.
const FAILED: &str = "Error: ";

/// What writing messages needs beside them.
pub(super) struct Scope<'s> {
    pub(super) target: &'s Target<'s>,
    pub(super) names: &'s ToolNames,
    pub(super) losses: &'s mut Losses,
}

/// Calls so far, for messages that do not say the id of theirs.
#[derive(Default)]
struct Calls<'a> {
    /// How many.
    made: usize,
    /// (name, id) of those without an id of their own that have no result yet.
    open: Vec<(Cow<'a, str>, String)>,
}

/// Writes the member `input`. What the system says is an item too: `instructions` would mean the same, and xAI refuses it.
pub(super) fn write<'a>(messages: &[Message<'a>], scope: &mut Scope<'_>, out: &mut Splice) -> Result<(), Refusal> {
    out.key("input").array();
    let mut calls = Calls::default();
    for message in messages {
        write_message(message, &mut calls, scope, out)?;
    }
    out.end_array();
    Ok(())
}

/// What a message says beside its role, content, calls, reasoning and refusal, and items have no place for.
fn lose_beside(message: &Message<'_>, losses: &mut Losses) {
    let Message { role, name, tool_call_id, cache_control, is_error, others, .. } = message;
    losses.dropped(cache_control.iter().chain(others).copied());
    if *role != Role::Function {
        losses.dropped(*name);
    }
    if !matches!(role, Role::Tool | Role::Function) {
        losses.dropped(tool_call_id.as_ref().map(|id| id.view).into_iter().chain(*is_error));
    }
}

fn write_message<'a>(message: &Message<'a>, calls: &mut Calls<'a>, scope: &mut Scope<'_>, out: &mut Splice) -> Result<(), Refusal> {
    lose_beside(message, scope.losses);
    if message.role != Role::Assistant {
        scope.losses.dropped(message.tool_calls.iter().map(|call| call.view).chain(message.refusal));
        scope.losses.dropped(message.reasoning.iter().map(place_of));
    }
    match message.role {
        Role::System => write_said("system", &message.content, scope, out),
        Role::Developer => write_said("developer", &message.content, scope, out),
        Role::User => write_said("user", &message.content, scope, out),
        Role::Assistant => write_assistant(message, calls, scope, out),
        Role::Tool | Role::Function => write_output(message, calls, scope, out),
    }
}

fn write_said(role: &str, parts: &[Part<'_>], scope: &mut Scope<'_>, out: &mut Splice) -> Result<(), Refusal> {
    out.element().object().key("role").string(role);
    write_content(parts, scope, out.key("content"))?;
    out.end_object();
    Ok(())
}

/// Text alone as a string, else an array of parts.
fn write_content(parts: &[Part<'_>], scope: &mut Scope<'_>, out: &mut Splice) -> Result<(), Refusal> {
    match (content::only_text(parts), parts) {
        (Some(text), _) => out.literal(text),
        (None, []) => out.string(""),
        (None, _) => {
            out.array();
            content::write(parts, Place::Input, scope.target, scope.losses, out)?;
            out.end_array()
        }
    };
    Ok(())
}

/// What it thought, what it said, what it called.
fn write_assistant<'a>(message: &Message<'a>, calls: &mut Calls<'a>, scope: &mut Scope<'_>, out: &mut Splice) -> Result<(), Refusal> {
    write_reasoning(&message.reasoning, scope.losses, out);
    let refusal = message.refusal.and_then(View::literal);
    if !message.content.is_empty() || refusal.is_some() {
        out.element().object().key("role").string("assistant").key("content").array();
        content::write(&message.content, Place::Output, scope.target, scope.losses, out)?;
        if let Some(refusal) = &refusal {
            content::write_refusal(refusal, out.element());
        }
        out.end_array().end_object();
    }
    for call in &message.tool_calls {
        write_call(call, calls, scope, out)?;
    }
    Ok(())
}

/// Reasoning that only its maker can read, with the summary before it. What is not encrypted, or signed by somebody else, the API does
/// not take back.
fn write_reasoning(traces: &[ReasoningTrace<'_>], losses: &mut Losses, out: &mut Splice) {
    let mut summary: Vec<(&Literal<'_>, View<'_>)> = Vec::new();
    for trace in traces {
        match trace {
            ReasoningTrace::Plain { text, view } => summary.push((text, *view)),
            ReasoningTrace::Signed { text: _, signature: _, view } => losses.note(LossKind::Dropped, *view),
            ReasoningTrace::Encrypted { data, view } if matches!(maker::of(data.escaped()), Some(Maker::Anthropic | Maker::Google)) => {
                losses.note(LossKind::Dropped, *view);
            }
            ReasoningTrace::Encrypted { data, view: _ } => {
                out.element().object().key("type").string("reasoning").key("summary").array();
                for (text, _) in summary.drain(..) {
                    out.element().object().key("type").string("summary_text").key("text").literal(text).end_object();
                }
                out.end_array().key("encrypted_content").literal(data).end_object();
            }
        }
    }
    losses.dropped(summary.into_iter().map(|(_, view)| view));
}

fn place_of<'a>(trace: &ReasoningTrace<'a>) -> View<'a> {
    match trace {
        ReasoningTrace::Signed { view, .. } | ReasoningTrace::Encrypted { view, .. } | ReasoningTrace::Plain { view, .. } => *view,
    }
}

fn write_call<'a>(call: &ToolCall<'a>, calls: &mut Calls<'a>, scope: &mut Scope<'_>, out: &mut Splice) -> Result<(), Refusal> {
    let ToolCall { id, name, arguments, thought_signature, cache_control, others, view: _ } = call;
    scope.losses.dropped(thought_signature.iter().map(|signature| signature.view).chain(*cache_control).chain(others.iter().copied()));
    let name = name.text().unwrap_or_default();
    let id = match id {
        Some(id) => call_id(id.text.clone(), NAME_BYTES),
        None => {
            let made_up = format!("call_{}", calls.made);
            calls.open.push((name.clone(), made_up.clone()));
            made_up.into()
        }
    };
    calls.made += 1;
    out.element().object().key("type").string("function_call").key("call_id").string(&id);
    out.key("name").string(&scope.names.sent(name)).key("arguments");
    let arguments = arguments.map(Arguments::literal).filter(|arguments| !arguments.is_blank());
    match &arguments {
        Some(arguments) => out.literal(arguments),
        None => out.string("{}"),
    };
    out.end_object();
    Ok(())
}

/// What came of a call: by its id, in the legacy form by the function's name.
fn write_output<'a>(message: &Message<'a>, calls: &mut Calls<'a>, scope: &mut Scope<'_>, out: &mut Splice) -> Result<(), Refusal> {
    let named = |calls: &mut Calls<'a>| {
        let name = message.name?.text()?;
        let at = calls.open.iter().position(|(open, _)| *open == name)?;
        Some(Cow::Owned(calls.open.remove(at).1))
    };
    let id = match &message.tool_call_id {
        Some(id) => Some(call_id(id.text.clone(), NAME_BYTES)),
        None => named(calls),
    };
    let Some(id) = id else {
        return Err(Refusal::client(message.view.path(), "This message answers a call, but no call before it is the one it names."));
    };
    out.element().object().key("type").string("function_call_output").key("call_id").string(&id).key("output");
    let failed = message.is_error.filter(|view| view.boolean() == Some(true));
    match (failed, content::only_text(&message.content)) {
        (Some(flag), Some(text)) => {
            scope.losses.note(LossKind::Approximated, flag);
            out.raw("\"").raw(FAILED).raw(text.escaped()).raw("\"");
        }
        (flag, _) => {
            scope.losses.dropped(flag);
            write_content(&message.content, scope, out)?;
        }
    }
    out.end_object();
    Ok(())
}
