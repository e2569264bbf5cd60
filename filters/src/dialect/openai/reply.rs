//! A chat completion, read from an upstream and written to a client.

use std::borrow::Cow;

use bytes::Bytes;

use super::error::fault_within;
use super::wire::{self, Call, Completion, Image, Passing, Piece, Said};
use crate::chat::{Choice, FinishReason, Glance, Reasoning, Reply, ReplyContext, ReplyImage, ReplyToolCall};
use crate::dialect::Names;
use crate::fault::Fault;
use crate::json::{Literal, Pieces, Splice};
use crate::loss::{Loss, LossKind};
use crate::usage::Usage;

/// Looks at a reply that passes untouched: checks its form, and reads no more than is told of it.
pub(super) fn glance(body: &Bytes) -> Result<Glance<'_>, Fault> {
    let text = std::str::from_utf8(body).map_err(|why| unreadable(&why))?;
    let passing: Passing<'_> = serde_json::from_str(text).map_err(|why| fault_within(text).unwrap_or_else(|| unreadable(&why)))?;
    if passing.is_error() {
        return Err(fault_within(text).unwrap_or_else(|| unreadable(&"it reports an error without saying which")));
    }
    let usage = passing.usage();
    let choices = passing.choices.unwrap_or_default();
    if choices.is_empty() {
        return Err(unreadable(&"it has no choices"));
    }
    let empty = choices.iter().all(wire::PassingChoice::is_empty);
    let first = choices.into_iter().next();
    let model = passing.model.and_then(wire::string).unwrap_or_default();
    Ok(Glance { model, usage, finish: first.and_then(|choice| choice.finish_reason).and_then(wire::finish_reason), empty })
}

fn unreadable(why: &dyn std::fmt::Display) -> Fault {
    Fault::malformed(&format!("the upstream's reply is no chat completion: {why}"))
}

pub(super) fn read<'a>(body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
    let text = std::str::from_utf8(body).map_err(|why| unreadable(&why))?;
    let completion: Completion<'a> = serde_json::from_str(text).map_err(|why| fault_within(text).unwrap_or_else(|| unreadable(&why)))?;
    if completion.is_error() {
        return Err(fault_within(text).unwrap_or_else(|| unreadable(&"it reports an error without saying which")));
    }
    let usage = completion.usage();
    let mut losses = Vec::new();
    let mut choices = completion.choices.unwrap_or_default().into_iter().map(|choice| read_choice(choice, &mut losses)).collect::<Vec<_>>();
    if !names.renamed_tools.is_empty() {
        choices.iter_mut().flat_map(|choice| &mut choice.tool_calls).for_each(|call| restore(&mut call.name, names));
    }
    if choices.is_empty() {
        return Err(unreadable(&"it has no choices"));
    }
    Ok(Reply {
        id: completion.id.and_then(wire::string).unwrap_or_default(),
        model: completion.model.and_then(wire::string).unwrap_or_default(),
        choices,
        usage,
        service_tier: completion.service_tier.and_then(wire::string),
        losses,
    })
}

/// The name as the client declared it.
pub(super) fn restore(sent: &mut Cow<'_, str>, names: &Names) {
    let original = names.original(sent);
    if original != sent.as_ref() {
        *sent = Cow::Owned(original.to_owned());
    }
}

fn read_choice<'a>(choice: wire::Choice<'a>, losses: &mut Vec<Loss>) -> Choice<'a> {
    let index = choice.index.unwrap_or_default();
    let mut said = choice.message.or(choice.delta).unwrap_or_default();
    if choice.logprobs.is_some_and(|told| told.get() != "null") {
        losses.push(Loss { path: format!("choices[{index}].logprobs").into(), kind: LossKind::Dropped });
    }
    if choice.finish_reason.is_some_and(wire::is_unknown_reason) {
        losses.push(Loss { path: format!("choices[{index}].finish_reason").into(), kind: LossKind::Approximated });
    }
    let mut lost = |member: &str| {
        losses.push(Loss { path: format!("choices[{index}].message.{member}").into(), kind: LossKind::Dropped });
    };
    let images = said.images.take().unwrap_or_default();
    let read: Vec<_> = images.iter().filter_map(read_image).collect();
    if read.len() < images.len() {
        lost("images");
    }
    if said.cites() {
        lost("annotations");
    }
    if said.refers() {
        lost("content");
    }
    if said.audio.is_some() {
        lost("audio");
    }
    let mut answer = Choice {
        index,
        refusal: said.refusal.and_then(wire::literal),
        reasoning: read_reasoning(&said),
        images: read,
        finish: choice.finish_reason.and_then(wire::finish_reason),
        ..Choice::default()
    };
    for piece in said.content() {
        match piece {
            Piece::Text(text) => answer.text.push(text),
            Piece::Reasoning(text) => answer.reasoning.push(Reasoning::Text { text, signature: None }),
        }
    }
    answer.tool_calls = said.calls().iter().enumerate().map(read_call).collect();
    answer
}

/// `reasoning_details` say what the plain text says, with signatures. Where they hold no text, the plain text is taken too.
fn read_reasoning<'a>(said: &Said<'a>) -> Vec<Reasoning<'a>> {
    let mut reasoning = Vec::new();
    let mut told = false;
    for detail in said.reasoning_details.iter().flatten() {
        match (detail.detail_text(), detail.signature()) {
            (Some(text), signature) => {
                told = true;
                reasoning.push(Reasoning::Text { text, signature });
            }
            // Google signs an answer too.
            (None, Some(signature)) => reasoning.push(Reasoning::Text { text: Literal::quote(""), signature: Some(signature) }),
            (None, None) => {}
        }
        reasoning.extend(detail.data().map(|data| Reasoning::Encrypted { data }));
    }
    if !told {
        reasoning.extend(said.plain_reasoning().map(|text| Reasoning::Text { text, signature: None }));
    }
    reasoning
}

fn read_call<'a>((position, call): (usize, &Call<'a>)) -> ReplyToolCall<'a> {
    ReplyToolCall {
        id: call.id().unwrap_or_else(|| Cow::Owned(format!("call_{position}"))),
        name: call.name().unwrap_or_default(),
        arguments: call.arguments().unwrap_or_else(|| Literal::quote("")),
        thought_signature: call.thought_signature(),
    }
}

fn read_image<'a>(image: &Image<'a>) -> Option<ReplyImage<'a>> {
    let (media_type, base64) = image.inline()?;
    Some(ReplyImage { media_type, base64: Literal::quote(&base64) })
}

/// Writes a whole reply as a `chat.completion` object.
#[must_use]
pub fn write_reply(reply: &Reply<'_>, context: &ReplyContext) -> Pieces {
    let mut out = Splice::new();
    out.object().key("id").string(if reply.id.is_empty() { &context.id } else { reply.id.as_ref() });
    out.key("object").string("chat.completion").key("created").integer(context.created_s).key("model").string(&reply.model);
    out.key("choices").array();
    for choice in &reply.choices {
        out.element();
        write_choice(&mut out, choice, context.legacy_functions);
    }
    out.end_array();
    if let Some(usage) = &reply.usage {
        out.key("usage");
        write_usage(&mut out, usage);
    }
    if let Some(tier) = &reply.service_tier {
        out.key("service_tier").string(tier);
    }
    out.end_object();
    out.finish()
}

fn write_choice(out: &mut Splice, choice: &Choice<'_>, legacy: bool) {
    out.object().key("index").integer(choice.index.into());
    out.key("message").object().key("role").string("assistant").key("content");
    if choice.text.is_empty() {
        out.raw("null");
    } else {
        write_joined(out, choice.text.iter());
    }
    out.key("refusal").raw(choice.refusal.as_ref().map_or("null", Literal::as_json));
    write_reasoning(out, &choice.reasoning);
    write_calls(out, &choice.tool_calls, legacy);
    if !choice.images.is_empty() {
        out.key("images").array();
        for (index, image) in (0..).zip(&choice.images) {
            out.element();
            write_image(out, index, (&image.media_type, &image.base64));
        }
        out.end_array();
    }
    out.end_object().key("logprobs").raw("null").key("finish_reason");
    match choice.finish {
        Some(reason) => out.string(reason_word(reason, legacy)),
        None => out.raw("null"),
    };
    out.end_object();
}

/// Reasoning as text for readers, and once more with its signatures for clients that replay it.
fn write_reasoning(out: &mut Splice, reasoning: &[Reasoning<'_>]) {
    let texts = || reasoning.iter().filter_map(|stretch| if let Reasoning::Text { text, .. } = stretch { Some(text) } else { None });
    if texts().next().is_some() {
        out.key("reasoning_content");
        write_joined(out, texts());
    }
    if reasoning.iter().all(|stretch| matches!(stretch, Reasoning::Text { signature: None, .. })) {
        return;
    }
    out.key("reasoning_details").array();
    for (index, stretch) in (0..).zip(reasoning) {
        out.element();
        match stretch {
            Reasoning::Text { text, signature } => write_thought(out, index, (text, signature.as_ref())),
            Reasoning::Encrypted { data } => write_encrypted(out, index, data),
        }
    }
    out.end_array();
}

/// One of `reasoning_details`: text with its signature.
pub(super) fn write_thought(out: &mut Splice, index: u64, (text, signature): (&Literal<'_>, Option<&Literal<'_>>)) {
    out.object().key("type").string("reasoning.text").key("text").literal(text);
    if let Some(signature) = signature {
        out.key("signature").literal(signature);
    }
    out.key("index").integer(index).end_object();
}

/// One of `reasoning_details`: opaque data.
pub(super) fn write_encrypted(out: &mut Splice, index: u64, data: &Literal<'_>) {
    out.object().key("type").string("reasoning.encrypted").key("data").literal(data);
    out.key("index").integer(index).end_object();
}

/// The legacy form holds one call. Should there be more, they stand beside it in the newer form rather than nowhere.
fn write_calls(out: &mut Splice, calls: &[ReplyToolCall<'_>], legacy: bool) {
    let (first, rest) = match calls.split_first() {
        Some((first, rest)) if legacy => (Some(first), rest),
        _ => (None, calls),
    };
    if let Some(call) = first {
        out.key("function_call").object().key("name").string(&call.name).key("arguments").literal(&call.arguments).end_object();
    }
    if rest.is_empty() {
        return;
    }
    out.key("tool_calls").array();
    for call in rest {
        out.element().object().key("id").string(&call.id).key("type").string("function");
        out.key("function").object().key("name").string(&call.name).key("arguments").literal(&call.arguments).end_object();
        write_thought_signature(out, call.thought_signature.as_ref());
        out.end_object();
    }
    out.end_array();
}

/// Where Google's own OpenAI surface puts it.
pub(super) fn write_thought_signature(out: &mut Splice, signature: Option<&Literal<'_>>) {
    if let Some(signature) = signature {
        out.key("extra_content").object().key("google").object().key("thought_signature").literal(signature);
        out.end_object().end_object();
    }
}

/// One of `images`, as OpenRouter and its clients have it.
pub(super) fn write_image(out: &mut Splice, index: u64, (media_type, base64): (&str, &Literal<'_>)) {
    let prefix = Literal::quote(&format!("data:{media_type};base64,"));
    out.object().key("type").string("image_url").key("image_url").object().key("url");
    out.raw("\"").raw(prefix.escaped()).raw(base64.escaped()).raw("\"");
    out.end_object().key("index").integer(index).end_object();
}

/// Several literals as one string: escaped text joins as it stands.
fn write_joined<'l>(out: &mut Splice, texts: impl Iterator<Item = &'l Literal<'l>>) {
    out.raw("\"");
    for text in texts {
        out.raw(text.escaped());
    }
    out.raw("\"");
}

/// Usage in OpenAI's shape, with OpenRouter's name for cache writes.
pub(super) fn write_usage(out: &mut Splice, usage: &Usage) {
    out.object().key("prompt_tokens").integer(usage.prompt_tokens.unwrap_or_default());
    out.key("completion_tokens").integer(usage.completion_tokens.unwrap_or_default()).key("total_tokens").integer(usage.total());
    let prompt = [
        ("cached_tokens", usage.cached_tokens),
        ("cache_write_tokens", usage.cache_write_tokens),
        ("audio_tokens", usage.prompt_audio_tokens),
    ];
    write_details(out, "prompt_tokens_details", &prompt);
    write_details(out, "completion_tokens_details", &[("reasoning_tokens", usage.reasoning_tokens)]);
    out.end_object();
}

fn write_details(out: &mut Splice, key: &str, counts: &[(&str, Option<u64>)]) {
    if counts.iter().all(|(_, count)| count.is_none()) {
        return;
    }
    out.key(key).object();
    for (name, count) in counts {
        if let Some(count) = count {
            out.key(name).integer(*count);
        }
    }
    out.end_object();
}

/// The finish reason in the client's generation of words.
pub(super) fn reason_word(reason: FinishReason, legacy: bool) -> &'static str {
    if legacy && reason == FinishReason::ToolCalls { "function_call" } else { reason.as_str() }
}
