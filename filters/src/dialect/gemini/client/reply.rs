//! Writes a whole reply as a `GenerateContentResponse`, and the parts that a stream's are made of.

use super::mark::Mark;
use crate::chat::{Choice, FinishReason, Reasoning, Reply, ReplyContext};
use crate::dialect::Written;
use crate::dialect::gemini::arguments::compact;
use crate::dialect::gemini::signature::{self, SKIP};
use crate::json::{Literal, Splice};
use crate::loss::{LossKind, Losses};
use crate::usage::Usage;

/// Holds arguments that are no JSON object: an empty object would be another call.
const INVALID_JSON: &str = "INVALID_JSON";

pub(super) fn write(reply: &Reply<'_>, context: &ReplyContext) -> Written {
    let mut losses = Losses::default();
    let mut out = Splice::new();
    out.object().key("candidates").array();
    for choice in &reply.choices {
        candidate(out.element(), choice, &mut losses);
    }
    out.end_array();
    if let Some(usage) = &reply.usage {
        write_usage(&mut out, usage, reply.service_tier.as_deref(), &mut losses);
    }
    tail(&mut out, &reply.id, &reply.model, context);
    Written { body: out.finish(), losses: losses.0 }
}

/// The last members of each response, and the brace behind them.
pub(super) fn tail(out: &mut Splice, id: &str, model: &str, context: &ReplyContext) {
    out.key("modelVersion").string(if model.is_empty() { &context.model } else { model });
    out.key("responseId").string(if id.is_empty() { &context.id } else { id }).end_object();
}

fn candidate(out: &mut Splice, choice: &Choice<'_>, losses: &mut Losses) {
    let refusal = choice.refusal.as_ref().filter(|refusal| !refusal.is_empty());
    out.object().key("content").object().key("parts").array();
    let mut empty = true;
    for stretch in &choice.reasoning {
        empty = false;
        match stretch {
            Reasoning::Text { text, signature } => thought(out.element(), text, signature.as_ref()),
            Reasoning::Encrypted { data } => opaque(out.element(), data),
        }
    }
    if !choice.text.iter().all(Literal::is_empty) {
        empty = false;
        out.element().object().key("text").raw("\"");
        choice.text.iter().for_each(|piece| {
            out.raw(piece.escaped());
        });
        out.raw("\"").end_object();
    }
    if let Some(refusal) = refusal {
        empty = false;
        text(out.element(), refusal);
    }
    for image in &choice.images {
        empty = false;
        self::image(out.element(), &image.media_type, &image.base64);
    }
    for (position, tool_call) in choice.tool_calls.iter().enumerate() {
        empty = false;
        let signature = tool_call.thought_signature.as_ref();
        let call = Call { id: &tool_call.id, name: &tool_call.name, arguments: &tool_call.arguments.text(), signature };
        call.write(out.element(), position == 0, losses);
    }
    if empty {
        text(out.element(), &Literal::quote(""));
    }
    out.end_array().key("role").string("model").end_object();
    if let Some(reason) = finish_reason(choice.finish, refusal.is_some()) {
        out.key("finishReason").string(reason);
    }
    out.key("index").integer(choice.index.into()).end_object();
}

/// A part of text.
pub(super) fn text(out: &mut Splice, text: &Literal<'_>) {
    out.object().key("text").literal(text).end_object();
}

/// A thought, with its signature: Google's own as it is, another vendor's as a mark.
pub(super) fn thought(out: &mut Splice, text: &Literal<'_>, signed: Option<&Literal<'_>>) {
    let google = signed.is_some_and(|signature| signature::looks_like_googles(signature.escaped()));
    out.object().key("text").literal(text);
    // Google's signature without a thought is the answer's.
    if !(google && text.is_empty()) {
        out.key("thought").raw("true");
    }
    if let Some(signature) = signed {
        out.key("thoughtSignature");
        if google {
            out.literal(signature);
        } else {
            out.string(&Mark::Signed(signature.text().into_owned()).written());
        }
    }
    out.end_object();
}

/// Reasoning that nobody can read.
pub(super) fn opaque(out: &mut Splice, data: &Literal<'_>) {
    out.object().key("text").string("").key("thought").raw("true");
    out.key("thoughtSignature").string(&Mark::Data(data.text().into_owned()).written()).end_object();
}

/// An image.
pub(super) fn image(out: &mut Splice, media_type: &str, base64: &Literal<'_>) {
    out.object().key("inlineData").object().key("mimeType").string(media_type).key("data").literal(base64).end_object().end_object();
}

/// A call, whole.
pub(super) struct Call<'c> {
    pub(super) id: &'c str,
    pub(super) name: &'c str,
    pub(super) arguments: &'c str,
    pub(super) signature: Option<&'c Literal<'c>>,
}

impl Call<'_> {
    /// Writes the part, on one line. The first call of a turn that nobody signed says so in the way that Google takes, so that the
    /// conversation may go on there.
    pub(super) fn write(&self, out: &mut Splice, first: bool, losses: &mut Losses) {
        let Self { id, name, arguments, signature } = self;
        out.object().key("functionCall").object();
        if !id.is_empty() {
            out.key("id").string(id);
        }
        out.key("name").string(name).key("args");
        let arguments = arguments.trim();
        if matches!(arguments, "" | "null") {
            out.raw("{}");
        } else if is_object(arguments) {
            out.raw(&compact(arguments));
        } else {
            losses.at(LossKind::Approximated, "tool_calls.arguments");
            out.object().key(INVALID_JSON).string(arguments).end_object();
        }
        out.end_object();
        match signature {
            Some(signature) => {
                out.key("thoughtSignature").literal(signature);
            }
            None if first => {
                out.key("thoughtSignature").string(SKIP);
            }
            None => {}
        }
        out.end_object();
    }
}

fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// OpenAI's finish reasons in Google's words, which has none for calls. `None`: the answer was cut off.
pub(super) fn finish_reason(finish: Option<FinishReason>, refused: bool) -> Option<&'static str> {
    Some(match finish? {
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
        FinishReason::Stop | FinishReason::ToolCalls if refused => "SAFETY",
        FinishReason::Stop | FinishReason::ToolCalls => "STOP",
    })
}

/// Usage in Google's reading: the prompt includes what came from a cache, the candidates exclude thoughts.
pub(super) fn write_usage(out: &mut Splice, usage: &Usage, tier: Option<&str>, losses: &mut Losses) {
    if usage.cache_write_tokens.is_some_and(|tokens| tokens > 0) {
        losses.at(LossKind::Dropped, "usage.cache_write_tokens");
    }
    let thoughts = usage.reasoning_tokens;
    let candidates = usage.completion_tokens.map(|tokens| tokens.saturating_sub(thoughts.unwrap_or_default()));
    out.key("usageMetadata").object();
    let counts = [
        ("promptTokenCount", usage.prompt_tokens),
        ("candidatesTokenCount", candidates),
        ("thoughtsTokenCount", thoughts.filter(|tokens| *tokens > 0)),
        ("cachedContentTokenCount", usage.cached_tokens.filter(|tokens| *tokens > 0)),
        ("totalTokenCount", Some(usage.total())),
    ];
    for (name, tokens) in counts {
        if let Some(tokens) = tokens {
            out.key(name).integer(tokens);
        }
    }
    if let Some(audio) = usage.prompt_audio_tokens.filter(|tokens| *tokens > 0) {
        out.key("promptTokensDetails").array().object().key("modality").string("AUDIO").key("tokenCount").integer(audio);
        out.end_object().end_array();
    }
    if let Some(tier) = tier {
        out.key("serviceTier").string(if tier == "default" { "standard" } else { tier });
    }
    out.end_object();
}
