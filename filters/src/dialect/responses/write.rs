//! A response, written for a client.

use bytes::Bytes;

use super::item::{self, Item};
use crate::chat::{FinishReason, Reply, ReplyContext};
use crate::dialect::openai::default_code;
use crate::fault::Fault;
use crate::json::{Document, Kind, Pieces, Splice};
use crate::loss::{Loss, LossKind, Losses};
use crate::usage::Usage;

/// Members of a request that its response repeats, and what stands where they are absent. Source: the API specification's `Response`.
/// Nothing that is translated is stored.
static ECHOED: &[(&str, &str)] = &[
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", r#""disabled""#),
    ("user", "null"),
];

/// The members that a response repeats of its request.
#[must_use]
pub fn echo(document: &Document) -> Bytes {
    let mut out = Splice::new();
    for (key, absent) in ECHOED {
        out.key(key);
        match document.root().get(key).filter(|member| member.kind() != Kind::Null) {
            Some(member) => out.view(member),
            None => out.raw(absent),
        };
    }
    out.finish().join()
}

/// How a response stands.
pub(super) enum Status<'f> {
    InProgress,
    Ended(Option<FinishReason>),
    Failed(&'f Fault),
}

impl Status<'_> {
    /// Of the response.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Ended(Some(FinishReason::Stop | FinishReason::ToolCalls)) => "completed",
            Self::Ended(_) => "incomplete",
            Self::Failed(_) => "failed",
        }
    }

    /// Of its last item.
    pub(super) fn of_item(&self) -> &'static str {
        if matches!(self, Self::Ended(Some(FinishReason::Stop | FinishReason::ToolCalls))) { "completed" } else { "incomplete" }
    }
}

/// A response's id: the upstream's, marked as one where it is none.
pub(super) fn response_id(upstream: &str, context: &ReplyContext) -> String {
    let id = if upstream.is_empty() { &context.id } else { upstream };
    if id.starts_with("resp_") { id.to_owned() } else { format!("resp_{id}") }
}

/// Writes a whole reply as a response, and says what it has no place for, or was made up.
#[must_use]
pub fn write_reply(reply: &Reply<'_>, context: &ReplyContext) -> (Pieces, Vec<Loss>) {
    let mut losses = Losses::default();
    let id = response_id(&reply.id, context);
    let choice = reply.choices.first();
    for choice in reply.choices.iter().skip(1) {
        losses.at(LossKind::Dropped, format!("choices[{}]", choice.index));
    }
    let items = choice.map(|choice| item::of_choice(choice, &item::seed(&id))).unwrap_or_default();
    let status = Status::Ended(choice.and_then(|choice| choice.finish));
    let mut out = Splice::new();
    let model = if reply.model.is_empty() { context.model.as_str() } else { &reply.model };
    write_head(&mut out, (&id, model), context, &status);
    if let Some(tier) = &reply.service_tier {
        out.key("service_tier").string(tier);
    }
    write_rest(&mut out, &items, &status, reply.usage.as_ref(), &mut losses);
    (out.finish(), losses.0)
}

/// Writes a response up to its output.
pub(super) fn write_head(out: &mut Splice, (id, model): (&str, &str), context: &ReplyContext, status: &Status<'_>) {
    out.object().key("id").string(id).key("object").string("response").key("created_at").integer(context.created_s);
    out.key("status").string(status.word()).key("background").raw("false").key("error");
    match status {
        Status::Failed(fault) => {
            let code = fault.code.as_deref().or_else(|| default_code(fault.kind)).unwrap_or("server_error");
            out.object().key("code").string(code).key("message").string(&fault.message).end_object()
        }
        _ => out.raw("null"),
    };
    out.key("incomplete_details");
    match status {
        Status::Ended(Some(FinishReason::Length) | None) => out.raw(r#"{"reason":"max_output_tokens"}"#),
        Status::Ended(Some(FinishReason::ContentFilter)) => out.raw(r#"{"reason":"content_filter"}"#),
        _ => out.raw("null"),
    };
    out.key("model").string(model).key("previous_response_id").raw("null").key("store").raw("false");
    out.element().kept(context.echo.clone());
}

/// Writes a response from its output on.
pub(super) fn write_rest(out: &mut Splice, items: &[Item<'_>], status: &Status<'_>, usage: Option<&Usage>, losses: &mut Losses) {
    out.key("output").array();
    let last = items.len().saturating_sub(1);
    for (place, item) in items.iter().enumerate() {
        item.write(if place == last { status.of_item() } else { "completed" }, out.element());
    }
    out.end_array().key("usage");
    match usage {
        Some(usage) => write_usage(out, usage, losses),
        None => {
            out.raw("null");
        }
    }
    out.end_object();
}

/// Every count must stand for clients to read a response: one that the upstream did not give is zero, and is said to be made up.
fn write_usage(out: &mut Splice, usage: &Usage, losses: &mut Losses) {
    let mut count = |out: &mut Splice, path: &'static str, count: Option<u64>| {
        if count.is_none() {
            losses.at(LossKind::Estimated, path);
        }
        out.key(path.rsplit('.').next().unwrap_or(path)).integer(count.unwrap_or_default());
    };
    out.object();
    count(out, "usage.input_tokens", usage.prompt_tokens);
    out.key("input_tokens_details").object();
    count(out, "usage.input_tokens_details.cached_tokens", usage.cached_tokens);
    out.key("cache_write_tokens").integer(usage.cache_write_tokens.unwrap_or_default()).end_object();
    count(out, "usage.output_tokens", usage.completion_tokens);
    out.key("output_tokens_details").object();
    count(out, "usage.output_tokens_details.reasoning_tokens", usage.reasoning_tokens);
    out.end_object().key("total_tokens").integer(usage.total()).end_object();
}
