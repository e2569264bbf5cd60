//! Function calls of earlier turns and their results.

use std::borrow::Cow;

use super::contents::Contents;
use super::media::{self, Media};
use super::schema::Members;
use super::signature;
use crate::chat::{Arguments, Message, Part, ReasoningTrace, Role, ToolCall, Word};
use crate::json::{Literal, View};
use crate::loss::LossKind;
use crate::refusal::Refusal;

/// Calls made so far: a result names only its call's id, and Google wants the function's name.
#[derive(Debug, Default)]
pub(super) struct Made(Vec<Call>);

#[derive(Debug)]
struct Call {
    id: String,
    sent: Cow<'static, str>,
    name: String,
    answered: bool,
}

/// Writes the calls of an assistant's message as parts of the open turn.
pub(super) fn calls(contents: &mut Contents<'_, '_>, message: &Message<'_>) -> Result<(), Refusal> {
    for call in &message.tool_calls {
        let ToolCall { id, name, arguments, thought_signature, cache_control, others, view: _ } = call;
        contents.writer.losses.dropped(cache_control.iter().chain(others).copied());
        let args = Arguments::object(*arguments)?;
        let name = name.text().unwrap_or_default().into_owned();
        let sent = contents.writer.names.sent(&name);
        let id = id.as_ref().map_or(Cow::Borrowed(""), |id| id.text.clone());
        let first = contents.calls_in_turn == 0;
        contents.calls_in_turn += 1;
        let signature = thought_signature.as_ref().map(|signature| Literal::quote(&signature.text)).or_else(|| traced(message, &id));
        let with_id = contents.writer.surface.tool_ids && !id.is_empty();
        let signed_calls = contents.writer.model.signed_calls;
        let out = contents.part();
        out.raw("{\"functionCall\":").object().key("name").string(&sent).key("args").raw(&args);
        if with_id {
            out.key("id").string(&id);
        }
        out.end_object();
        if let Some(signature) = signature {
            out.key("thoughtSignature").literal(&signature);
        } else if first && signed_calls {
            // Nothing of the client's is lost: it had no signature to send.
            out.key("thoughtSignature").string(signature::SKIP);
        }
        out.end_object();
        contents.made.0.push(Call { id: id.into_owned(), sent, name, answered: false });
    }
    Ok(())
}

/// Whether a trace is the signature of one of the message's calls (OpenRouter's form: `reasoning.encrypted` with the call's id).
pub(super) fn signs_a_call(message: &Message<'_>, trace: View<'_>) -> bool {
    let id = trace.present("id").and_then(View::text);
    id.is_some() && message.tool_calls.iter().any(|call| call.id.as_ref().map(|id| &id.text) == id.as_ref())
}

fn traced<'a>(message: &Message<'a>, id: &str) -> Option<Literal<'a>> {
    message.reasoning.iter().find_map(|trace| match trace {
        ReasoningTrace::Encrypted { data, view } if view.present("id").and_then(View::text).as_deref() == Some(id) => {
            signature::is_googles(*view, data.escaped()).then(|| data.clone())
        }
        _ => None,
    })
}

/// Writes the result of a call as a part of the user's turn.
pub(super) fn result(contents: &mut Contents<'_, '_>, message: &Message<'_>) -> Result<(), Refusal> {
    let Some(call) = answered(contents, message)? else { return Ok(()) };
    let mut texts = Vec::new();
    let mut media = Vec::new();
    for part in &message.content {
        let read = contents.writer.medium(part)?;
        match (part, read) {
            (Part::Text { text, .. } | Part::Refusal { text, .. }, _) => texts.push(text),
            (Part::Image { view, .. } | Part::Audio { view, .. } | Part::File { view, .. }, Some(medium)) => media.push((medium, *view)),
            (part, _) => return Err(media::unknown(part)),
        }
    }
    let inside = contents.writer.model.media_in_results;
    if !inside && !media.is_empty() {
        // Shown after all results of the turn: their count must equal that of the calls.
        for (_, view) in &media {
            contents.writer.losses.note(LossKind::Approximated, *view);
        }
        contents.show_later(&call.1, media.drain(..).map(|(medium, _)| medium).collect());
    }
    let is_error = message.is_error.and_then(View::boolean) == Some(true);
    let with_id = contents.writer.surface.tool_ids && !call.0.is_empty();
    let out = contents.part();
    out.raw("{\"functionResponse\":").object().key("name").string(&call.1).key("response");
    response(out, &texts, is_error);
    if !media.is_empty() {
        out.key("parts").array();
        for (medium, _) in media {
            Media::write(medium, out.element());
        }
        out.end_array();
    }
    if with_id {
        out.key("id").string(&call.0);
    }
    out.raw("}}");
    Ok(())
}

/// The call a result belongs to, as (id, name on the wire). `None` for a second result of the same call, which is left out.
fn answered(contents: &mut Contents<'_, '_>, message: &Message<'_>) -> Result<Option<(String, Cow<'static, str>)>, Refusal> {
    let name = message.name.and_then(View::text);
    if message.role == Role::Function {
        let name = name.ok_or_else(|| Refusal::client(message.view.path(), "A function's result needs the function's name."))?;
        return Ok(Some((String::new(), contents.writer.names.sent(&name))));
    }
    let Some(Word { text: id, view }) = &message.tool_call_id else {
        return Err(Refusal::client(message.view.path(), "A tool's result needs tool_call_id."));
    };
    let Some(call) = contents.made.0.iter_mut().rev().find(|call| call.id == *id) else {
        return Err(Refusal::client(view.path(), "No earlier message makes a call with this id."));
    };
    if std::mem::replace(&mut call.answered, true) {
        contents.writer.losses.note(LossKind::Dropped, message.view);
        return Ok(None);
    }
    let found = (call.id.clone(), call.sent.clone());
    if name.is_some_and(|name| name != call.name) {
        contents.writer.drop_all([message.name]);
    }
    Ok(Some(found))
}

/// Google wants an object: what a tool said as one stands as it is, anything else under `output`, errors under `error`.
fn response(out: &mut crate::json::Splice, texts: &[&Literal<'_>], is_error: bool) {
    let object = match texts {
        [one] => Some(one.text()).filter(|text| Members::read(text).is_some()),
        _ => None,
    };
    if let (Some(object), false) = (&object, is_error) {
        out.raw(object);
        return;
    }
    out.object().key(if is_error { "error" } else { "output" });
    match object {
        Some(object) => out.raw(&object),
        None => {
            out.raw("\"");
            for text in texts {
                out.raw(text.escaped());
            }
            out.raw("\"")
        }
    };
    out.end_object();
}
