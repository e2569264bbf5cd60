//! Limits, sampling, the answer's form and the smaller members of a request.

use super::request::Writer;
use super::strict;
use crate::chat::{ResponseFormat, Schema, Thinking, Word};
use crate::json::View;
use crate::loss::LossKind;
use crate::refusal::Refusal;

/// The longest id of an end user.
const USER_BYTES: usize = 64;
/// A schema's name, where the client's dialect gives it none.
const SCHEMA_NAME: &str = "response";

/// The most tokens of the answer, under the name that the model's vendor takes.
pub(super) fn limit(writer: &mut Writer<'_>, asked: Option<View<'_>>) -> Result<(), Refusal> {
    let Some(view) = asked else { return Ok(()) };
    let Some(asked) = view.unsigned() else {
        return Err(Refusal::client(view.path(), "The limit of tokens must be a whole number."));
    };
    let most = writer.model.max_output_tokens.unwrap_or(u64::MAX);
    if asked > most {
        writer.losses.note(LossKind::Clamped, view);
    }
    let key = if writer.model.own { "max_completion_tokens" } else { "max_tokens" };
    if let Some(out) = writer.member(key, Some(view)) {
        out.integer(asked.min(most));
    }
    Ok(())
}

/// The usage is told at the end, in whatever form the client's dialect has for it.
pub(super) fn stream(writer: &mut Writer<'_>, asked: bool) {
    if asked {
        writer.out.key("stream").raw("true");
        if let Some(out) = writer.member("stream_options", None) {
            out.raw(r#"{"include_usage":true}"#);
        }
    }
}

/// What the pivot has no field for: carried as it stands where the wire format or the provider takes it. Below the root it is known by
/// its own name (`text.verbosity`).
pub(super) fn others<'v, 'a: 'v>(writer: &mut Writer<'_>, others: impl Iterator<Item = &'v View<'a>>) {
    for view in others {
        match view.key().filter(|key| writer.takes(key) && is_setting(*view, key)) {
            Some(key) => drop(writer.out.key(&key).view(*view)),
            None => writer.losses.note(LossKind::Dropped, *view),
        }
    }
}

/// Whether it is a member of the request itself, or of what the Responses API says of the answer's text.
fn is_setting(view: View<'_>, key: &str) -> bool {
    let path = view.path();
    path == key || path.strip_prefix("text.") == Some(key)
}

/// What stands in the same form in every dialect.
pub(super) fn carried(writer: &mut Writer<'_>, asked: &[(&str, Option<View<'_>>)]) {
    for (key, view) in asked {
        let Some(view) = view else { continue };
        if let Some(out) = writer.member(key, Some(*view)) {
            out.view(*view);
        }
    }
}

/// The tier is in OpenAI's words already.
pub(super) fn tier(writer: &mut Writer<'_>, asked: Option<&Word<'_>>) {
    let Some(tier) = asked else { return };
    if let Some(out) = writer.member("service_tier", Some(tier.view)) {
        out.string(&tier.text);
    }
}

/// What a reasoning model takes none of.
pub(super) fn sampling(writer: &mut Writer<'_>, asked: &[[(&str, Option<View<'_>>); 2]]) {
    for (key, view) in asked.iter().flatten() {
        let Some(view) = view else { continue };
        if writer.model.samples() {
            let hottest = writer.form.hottest;
            let too_hot = *key == "temperature" && view.number().is_some_and(|asked| asked > hottest);
            if too_hot && !writer.lacks(key) {
                writer.losses.note(LossKind::Clamped, *view);
            }
            if let Some(out) = writer.member(key, Some(*view)) {
                if too_hot {
                    out.raw(&hottest.to_string())
                } else {
                    out.view(*view)
                };
            }
        } else if !is_default(key, *view) {
            writer.losses.note(LossKind::Dropped, *view);
        }
    }
}

fn is_default(key: &str, view: View<'_>) -> bool {
    matches!(key, "temperature" | "top_p") && view.number() == Some(1.0)
}

pub(super) fn stop(writer: &mut Writer<'_>, asked: &[View<'_>]) {
    let taken = if writer.model.samples() && !writer.lacks("stop") { writer.form.stops } else { 0 };
    writer.losses.dropped(asked.iter().skip(taken).copied());
    if asked.is_empty() || taken == 0 {
        return;
    }
    writer.out.key("stop").array();
    for view in asked.iter().take(taken) {
        writer.out.element().view(*view);
    }
    writer.out.end_array();
}

/// A schema is held to strictly where OpenAI can compile it, or where the client says so itself.
pub(super) fn response_format(writer: &mut Writer<'_>, asked: &ResponseFormat<'_>) -> Result<(), Refusal> {
    match asked {
        ResponseFormat::Text => {}
        ResponseFormat::JsonObject(_) => {
            writer.out.key("response_format").raw(r#"{"type":"json_object"}"#);
        }
        ResponseFormat::JsonSchema { name, description, schema, strict, view } => {
            let out = &mut writer.out;
            out.key("response_format").object().key("type").string("json_schema").key("json_schema").object().key("name");
            match name {
                Some(name) => out.view(*name),
                None => out.string(SCHEMA_NAME),
            };
            if let Some(description) = description {
                out.key("description").view(*description);
            }
            if let Some(schema) = schema {
                schema.write(out.key("schema"));
            }
            match strict {
                Some(strict) => {
                    out.key("strict").view(*strict);
                }
                None if compiles(schema.as_ref()) => {
                    out.key("strict").raw("true");
                }
                None => writer.losses.note(LossKind::Approximated, *view),
            }
            writer.out.end_object().end_object();
        }
        ResponseFormat::Unknown(view) => return Err(Refusal::candidate(*view, "This model knows no such form of an answer.")),
    }
    Ok(())
}

fn compiles(schema: Option<&Schema<'_>>) -> bool {
    schema.is_some_and(|schema| strict::compiles(schema.raw()))
}

/// An effort that the model takes; no other word is ever sent.
pub(super) fn thinking(writer: &mut Writer<'_>, asked: &Thinking<'_>) {
    let Some((word, near)) = asked.effort() else { return };
    match writer.model.effort(&word.text) {
        Some(effort) => {
            if near || effort != word.text {
                writer.losses.note(LossKind::Approximated, word.view);
            }
            if let Some(out) = writer.member("reasoning_effort", Some(word.view)) {
                out.string(effort);
            }
        }
        // A model that cannot think is not to think: nothing is lost.
        None if word.text == "none" && writer.model.own && writer.model.efforts.is_empty() => {}
        None => writer.losses.note(LossKind::Dropped, word.view),
    }
}

pub(super) fn user(writer: &mut Writer<'_>, asked: Option<View<'_>>) {
    let Some(view) = asked else { return };
    if view.text().is_none_or(|id| id.len() > USER_BYTES) {
        writer.losses.note(LossKind::Dropped, view);
    } else if let Some(out) = writer.member("user", Some(view)) {
        out.view(view);
    }
}
