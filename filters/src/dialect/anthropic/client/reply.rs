//! Writes a whole reply as a message.

use super::mark::Mark;
use crate::chat::{FinishReason, Reasoning, Reply, ReplyContext, ReplyToolCall};
use crate::dialect::Written;
use crate::json::{Literal, Splice};
use crate::loss::{LossKind, Losses};
use crate::usage::Usage;

/// Holds arguments that are no JSON object, as Anthropic's guide to streamed tools advises: an empty object would be another call.
const INVALID_JSON: &str = "INVALID_JSON";

pub(super) fn write(reply: &Reply<'_>, context: &ReplyContext) -> Written {
    let mut losses = Losses::default();
    for index in 1..reply.choices.len() {
        losses.at(LossKind::Dropped, format!("choices[{index}]"));
    }
    let mut out = Splice::new();
    out.object();
    head(&mut out, &reply.id, &reply.model, context);
    out.key("content").array();
    let choice = reply.choices.first();
    if let Some(choice) = choice {
        let signature = choice.tool_calls.first().and_then(|call| call.thought_signature.as_ref());
        let merged = thoughts(&mut out, &choice.reasoning, signature);
        if !choice.text.iter().all(Literal::is_empty) {
            text(&mut out, choice.text.iter());
        }
        if let Some(refusal) = choice.refusal.as_ref().filter(|refusal| !refusal.is_empty()) {
            text(&mut out, std::iter::once(refusal));
        }
        for (position, call) in choice.tool_calls.iter().enumerate() {
            if let Some(signature) = call.thought_signature.as_ref().filter(|_| position > 0 || !merged) {
                thought(&mut out, "\"\"", &Mark::Call(signature.escaped()));
            }
            tool_use(&mut out, call, &mut losses);
        }
        if !choice.images.is_empty() {
            losses.at(LossKind::Dropped, "choices[0].message.images");
        }
    }
    let called = choice.is_some_and(|choice| !choice.tool_calls.is_empty());
    let refused = choice.is_some_and(|choice| choice.refusal.as_ref().is_some_and(|refusal| !refusal.is_empty()));
    let reason = stop_reason(choice.and_then(|choice| choice.finish), called, refused);
    out.end_array().key("stop_reason").string(reason).key("stop_sequence").raw("null").key("usage");
    if reply.usage.is_none() {
        losses.at(LossKind::Estimated, "usage");
    }
    let usage = reply.usage.unwrap_or(Usage { prompt_tokens: Some(context.prompt_tokens), ..Usage::default() });
    write_usage(&mut out, &usage, reply.service_tier.as_deref());
    out.end_object();
    Written { body: out.finish(), losses: losses.0 }
}

/// The first members of a message. An id of another form would not be one of Anthropic's.
pub(super) fn head(out: &mut Splice, id: &str, model: &str, context: &ReplyContext) {
    out.key("id").string(if id.starts_with("msg_") { id } else { &context.id });
    out.key("type").string("message").key("role").string("assistant");
    out.key("model").string(if model.is_empty() { &context.model } else { model });
}

/// Writes thinking; whether the last of it took the signature of the first call along.
fn thoughts(out: &mut Splice, reasoning: &[Reasoning<'_>], of_call: Option<&Literal<'_>>) -> bool {
    let mut merged = false;
    for (position, stretch) in reasoning.iter().enumerate() {
        match stretch {
            Reasoning::Text { text, signature: Some(signature) } => thought(out, text.as_json(), &Mark::Signed(signature.escaped())),
            Reasoning::Text { text, signature: None } => match of_call.filter(|_| position + 1 == reasoning.len()) {
                Some(signature) => {
                    merged = true;
                    thought(out, text.as_json(), &Mark::Call(signature.escaped()));
                }
                None => thought(out, text.as_json(), &Mark::Unsigned),
            },
            Reasoning::Encrypted { data } => {
                out.element().object().key("type").string("redacted_thinking").key("data");
                out.raw("\"").raw(&Mark::Data(data.escaped()).written()).raw("\"").end_object();
            }
        }
    }
    merged
}

fn thought(out: &mut Splice, text: &str, mark: &Mark<'_>) {
    out.element().object().key("type").string("thinking").key("thinking").raw(text).key("signature");
    out.raw("\"").raw(&mark.written()).raw("\"").end_object();
}

fn text<'l>(out: &mut Splice, texts: impl Iterator<Item = &'l Literal<'l>>) {
    out.element().object().key("type").string("text").key("text").raw("\"");
    for text in texts {
        out.raw(text.escaped());
    }
    out.raw("\"").end_object();
}

fn tool_use(out: &mut Splice, call: &ReplyToolCall<'_>, losses: &mut Losses) {
    out.element().object().key("type").string("tool_use").key("id").string(&call.id).key("name").string(&call.name).key("input");
    let arguments = call.arguments.text();
    if arguments.trim().is_empty() || arguments.trim() == "null" {
        out.raw("{}");
    } else if is_object(&arguments) {
        out.raw(arguments.trim());
    } else {
        losses.at(LossKind::Approximated, "tool_calls.arguments");
        out.object().key(INVALID_JSON).literal(&call.arguments).end_object();
    }
    out.end_object();
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<&serde_json::value::RawValue>(text.trim()).is_ok()
}

/// OpenAI's finish reasons in Anthropic's words. A model that called waits for results, whatever its server says.
pub(super) fn stop_reason(finish: Option<FinishReason>, called: bool, refused: bool) -> &'static str {
    match finish {
        Some(FinishReason::Length) => "max_tokens",
        Some(FinishReason::ContentFilter) => "refusal",
        _ if called => "tool_use",
        _ if refused => "refusal",
        _ => "end_turn",
    }
}

/// Usage in Anthropic's reading: the input is what came from no cache and went to none.
pub(super) fn write_usage(out: &mut Splice, usage: &Usage, tier: Option<&str>) {
    let (cached, written) = (usage.cached_tokens.unwrap_or_default(), usage.cache_write_tokens.unwrap_or_default());
    let input = usage.prompt_tokens.unwrap_or_default().saturating_sub(cached.saturating_add(written));
    out.object().key("input_tokens").integer(input).key("cache_creation_input_tokens").integer(written);
    out.key("cache_read_input_tokens").integer(cached).key("output_tokens").integer(usage.completion_tokens.unwrap_or_default());
    if let Some(reasoning) = usage.reasoning_tokens {
        out.key("output_tokens_details").object().key("thinking_tokens").integer(reasoning).end_object();
    }
    if let Some(tier) = tier.and_then(tier_word) {
        out.key("service_tier").string(tier);
    }
    out.end_object();
}

fn tier_word(openai: &str) -> Option<&'static str> {
    match openai {
        "default" | "flex" | "scale" => Some("standard"),
        "priority" => Some("priority"),
        _ => None,
    }
}
