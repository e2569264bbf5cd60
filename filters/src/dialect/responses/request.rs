//! The pivot's request, written as the body of `POST /responses`.
//!
//! Decisions where the two formats differ:
//! - nothing is stored unless the client asked for it: `store` is on by default here, and off in a chat;
//! - reasoning comes back encrypted, so that the client can replay it: without a store there is no other way to keep it;
//! - a tool says whether it is strict, always: a tool that does not is strict here, and not in a chat.

use std::borrow::Cow;

use super::input;
use super::tools;
use crate::chat::{ChatRequest, ResponseFormat, Thinking, Word, functions};
use crate::dialect::openai::{Model, compiles};
use crate::dialect::tool_names::ToolNames;
use crate::dialect::{Names, Target, Translated};
use crate::json::{Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// The longest name of a function, and the longest id of a call. Source: the API's own errors; its specification allows names twice as long.
pub(super) const NAME_BYTES: usize = 64;

/// The longest id of an end user.
const USER_BYTES: usize = 64;

/// The fewest tokens that an answer may be limited to. Source: the API's own error.
const FEWEST_TOKENS: u64 = 16;

/// What a schema is called where the client gave it no name, which must stand.
const SCHEMA_NAME: &str = "response";

/// Members of a chat request that mean the same here, by the same name.
static SAME: &[&str] = &["store", "metadata", "prompt_cache_key", "prompt_cache_retention"];

pub(super) fn translate(request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    // No `..`: a field that is added to the pivot must be mapped here, or lost by name.
    let ChatRequest {
        document: _,
        model: _,
        stream,
        include_usage: _,
        messages,
        tools,
        legacy_functions: _,
        tool_choice,
        no_parallel_tool_calls,
        max_tokens,
        temperature,
        top_p,
        top_k,
        stop,
        response_format,
        thinking,
        n,
        seed,
        presence_penalty,
        frequency_penalty,
        logprobs,
        top_logprobs,
        modalities,
        user,
        service_tier,
        others,
        moved,
    } = request;
    let mut losses = Losses::default();
    losses.approximated(moved.iter().copied());
    let unmapped = [top_k, n, seed, presence_penalty, frequency_penalty, logprobs, top_logprobs, modalities];
    losses.dropped(unmapped.into_iter().flatten().chain(stop).copied());
    let names = ToolNames::of(tools, messages, NAME_BYTES);
    let model = target.surface.models.openai.of(target.model);

    let mut out = Splice::new();
    out.object().key("model").string(target.name());
    if *stream {
        out.key("stream").raw("true");
    }
    input::write(messages, &mut input::Scope { target, names: &names, losses: &mut losses }, &mut out)?;
    let tools = &functions(tools, &mut losses);
    tools::write(tools, tool_choice, &names, &mut losses, &mut out);
    if no_parallel_tool_calls.is_some_and(|view| tools::fit(tools, view, &mut losses)) {
        out.key("parallel_tool_calls").raw("false");
    }
    write_max_tokens(*max_tokens, &mut losses, &mut out);
    for (key, number) in [("temperature", temperature), ("top_p", top_p)] {
        write_sampling(key, *number, model, &mut losses, &mut out);
    }
    let verbosity = others.iter().find(|view| view.path() == "verbosity");
    write_text(response_format, verbosity.copied(), &mut losses, &mut out)?;
    write_reasoning(thinking, model, &mut losses, &mut out);
    write_user(*user, &mut losses, &mut out);
    write_tier(service_tier.as_ref(), &mut out);
    write_others(others, &mut losses, &mut out);
    out.end_object();
    Ok(Translated { body: out.finish(), losses: losses.0, names: Names { renamed_tools: names.into_renamed(), ..Names::default() } })
}

fn write_max_tokens(most: Option<View<'_>>, losses: &mut Losses, out: &mut Splice) {
    let Some(view) = most else { return };
    out.key("max_output_tokens");
    if view.unsigned().is_some_and(|tokens| tokens < FEWEST_TOKENS) {
        losses.note(LossKind::Clamped, view);
        out.integer(FEWEST_TOKENS);
    } else {
        out.view(view);
    }
}

/// A model that reasons takes no sampling; 1 is what it does anyway.
fn write_sampling(key: &str, number: Option<View<'_>>, model: &Model, losses: &mut Losses, out: &mut Splice) {
    let Some(view) = number else { return };
    if model.samples() {
        out.key(key).view(view);
    } else if view.number() != Some(1.0) {
        losses.note(LossKind::Dropped, view);
    }
}

/// The answer's form, and how wordy it is, stand beside each other here.
fn write_text(format: &ResponseFormat<'_>, verbosity: Option<View<'_>>, losses: &mut Losses, out: &mut Splice) -> Result<(), Refusal> {
    if matches!(format, ResponseFormat::Text) && verbosity.is_none() {
        return Ok(());
    }
    out.key("text").object();
    match format {
        ResponseFormat::Text => {}
        ResponseFormat::JsonObject(_) => {
            out.key("format").raw(r#"{"type":"json_object"}"#);
        }
        ResponseFormat::Unknown(view) => return Err(Refusal::candidate(*view, "This model knows no such response format.")),
        ResponseFormat::JsonSchema { schema: None, view, .. } => {
            losses.note(LossKind::Approximated, *view);
            out.key("format").raw(r#"{"type":"json_object"}"#);
        }
        ResponseFormat::JsonSchema { name, description, schema: Some(schema), strict, view } => {
            out.key("format").object().key("type").string("json_schema").key("name");
            match name {
                Some(name) => out.view(*name),
                None => out.string(SCHEMA_NAME),
            };
            if let Some(description) = description {
                out.key("description").view(*description);
            }
            schema.write(out.key("schema"));
            match strict {
                Some(strict) => {
                    out.key("strict").view(*strict);
                }
                // OpenAI's own default.
                None if view.key().is_some_and(|key| key == "response_format") => {}
                None if compiles(schema.raw()) => {
                    out.key("strict").raw("true");
                }
                None => losses.note(LossKind::Approximated, *view),
            }
            out.end_object();
        }
    }
    if let Some(verbosity) = verbosity {
        out.key("verbosity").view(verbosity);
    }
    out.end_object();
    Ok(())
}

/// A model that reasons is told how much, and gives its reasoning back.
fn write_reasoning(thinking: &Thinking<'_>, model: &Model, losses: &mut Losses, out: &mut Splice) {
    let effort = thinking.effort().and_then(|(word, is_near)| {
        let taken = effort(&word, model);
        match &taken {
            Some(effort) if is_near || *effort != word.text => losses.note(LossKind::Approximated, word.view),
            // A model that cannot think is not to think: nothing is lost.
            None if word.text == "none" => {}
            None => losses.note(LossKind::Dropped, word.view),
            Some(_) => {}
        }
        taken
    });
    if let Some(effort) = &effort {
        out.key("reasoning").object().key("effort").string(effort).end_object();
    }
    if model.reasons() || effort.is_some_and(|effort| effort != "none") {
        out.key("include").raw(r#"["reasoning.encrypted_content"]"#);
    }
}

/// The effort that a model takes; as asked of one that is not known.
fn effort<'a>(asked: &Word<'a>, known: &Model) -> Option<Cow<'a, str>> {
    if known.efforts.is_empty() && !known.own {
        return Some(asked.text.clone());
    }
    known.effort(&asked.text).map(Cow::Borrowed)
}

/// Under the name that the client used, where that is one of OpenAI's.
fn write_user(user: Option<View<'_>>, losses: &mut Losses, out: &mut Splice) {
    let Some(user) = user else { return };
    if user.text().is_none_or(|id| id.len() > USER_BYTES) {
        return losses.note(LossKind::Dropped, user);
    }
    let key = if user.key().is_some_and(|key| key == "user") { "user" } else { "safety_identifier" };
    out.key(key).view(user);
}

fn write_tier(tier: Option<&Word<'_>>, out: &mut Splice) {
    if let Some(tier) = tier {
        out.key("service_tier").string(&tier.text);
    }
}

fn write_others(others: &[View<'_>], losses: &mut Losses, out: &mut Splice) {
    let mut stored = false;
    for view in others {
        let path = view.path();
        match SAME.iter().find(|key| **key == path) {
            Some(key) => {
                stored |= *key == "store";
                out.key(key).view(*view);
            }
            None if path == "verbosity" => {}
            None => losses.note(LossKind::Dropped, *view),
        }
    }
    if !stored {
        out.key("store").raw("false");
    }
}
