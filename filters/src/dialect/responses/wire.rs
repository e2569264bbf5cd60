//! What a Responses API sends, typed only as far as it is read: a field's shape that we got slightly wrong must never reject a reply.
//! Replies, and the events of a stream that repeat items of one, share these.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::openai::{literal, string};
use crate::json::Literal;
use crate::usage::Usage;

/// A whole response, or the one that an event repeats.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow)]
    pub(super) output: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Incomplete<'a> {
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
}

/// One item of the output: a message, a call, reasoning, or what a tool of the provider's own did.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<Vec<Part<'a>>>,
    #[serde(borrow)]
    pub(super) summary: Option<Vec<Part<'a>>>,
    #[serde(borrow)]
    encrypted_content: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    output_format: Option<&'a RawValue>,
}

/// One part of an item's content, or of a summary.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

/// An event of a stream: all members that any of those that are read has.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response: Option<Response<'a>>,
    #[serde(borrow)]
    pub(super) item: Option<Item<'a>>,
    pub(super) output_index: Option<u32>,
    pub(super) content_index: Option<u32>,
    pub(super) summary_index: Option<u32>,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemKind {
    Message,
    Reasoning,
    Call,
    Image,
    /// What a tool of the provider's own did, or something of tomorrow.
    Other,
}

/// What a part of a message says.
pub(super) enum Said<'a> {
    Text(Literal<'a>),
    Refusal(Literal<'a>),
    Nothing,
}

impl<'a> Response<'a> {
    /// `completed`, `incomplete`, `failed`, …; empty where it is not said.
    pub(super) fn status(&self) -> Cow<'a, str> {
        self.status.and_then(string).unwrap_or_default()
    }

    /// Why it is incomplete; empty where it is not said.
    pub(super) fn incomplete_reason(&self) -> Cow<'a, str> {
        self.incomplete_details.as_ref().and_then(|details| details.reason).and_then(string).unwrap_or_default()
    }
}

impl<'a> Item<'a> {
    /// What it is.
    pub(super) fn kind(&self) -> ItemKind {
        match self.kind.and_then(string).unwrap_or_default().as_ref() {
            "message" => ItemKind::Message,
            "reasoning" => ItemKind::Reasoning,
            "function_call" | "custom_tool_call" => ItemKind::Call,
            "image_generation_call" => ItemKind::Image,
            _ => ItemKind::Other,
        }
    }

    /// A call's id: the one its result must name.
    pub(super) fn call_id(&self) -> Cow<'a, str> {
        let ids = [self.call_id, self.id];
        ids.into_iter().flatten().filter_map(string).find(|id| !id.is_empty()).unwrap_or_default()
    }

    /// The called function's name.
    pub(super) fn name(&self) -> Cow<'a, str> {
        self.name.and_then(string).unwrap_or_default()
    }

    /// The call's arguments; free text, where the tool is a custom one.
    pub(super) fn arguments(&self) -> Option<Literal<'a>> {
        arguments(self.arguments.or(self.input)?)
    }

    /// Opaque reasoning, to be replayed.
    pub(super) fn encrypted(&self) -> Option<Literal<'a>> {
        self.encrypted_content.and_then(literal).filter(|data| !data.is_empty())
    }

    /// An image the provider's own tool made: media type and base64.
    pub(super) fn image(&self) -> Option<(Cow<'a, str>, Literal<'a>)> {
        let base64 = self.result.and_then(literal).filter(|data| !data.is_empty())?;
        let format = self.output_format.and_then(string).filter(|format| !format.is_empty());
        Some((format.map_or("image/png".into(), |format| format!("image/{format}").into()), base64))
    }
}

impl<'a> Part<'a> {
    /// What it says.
    pub(super) fn said(&self) -> Said<'a> {
        match (self.kind.and_then(string).as_deref(), self.text.and_then(literal), self.refusal.and_then(literal)) {
            (Some("refusal"), _, Some(refusal)) => Said::Refusal(refusal),
            (_, Some(text), _) => Said::Text(text),
            _ => Said::Nothing,
        }
    }

    /// The text, of a part of reasoning.
    pub(super) fn text(&self) -> Option<Literal<'a>> {
        self.text.and_then(literal).filter(|text| !text.is_empty())
    }

    /// Its members that a chat has no place for.
    pub(super) fn unplaced(&self) -> impl Iterator<Item = &'static str> {
        let members = [("annotations", self.annotations), ("logprobs", self.logprobs)];
        members.into_iter().filter(|(_, list)| list.is_some_and(is_filled)).map(|(name, _)| name)
    }
}

impl<'a> Event<'a> {
    /// The whole of what its deltas said, in a `…done` event.
    pub(super) fn whole(&self) -> Option<Literal<'a>> {
        let text = self.text.or(self.refusal).and_then(literal);
        text.or_else(|| arguments(self.arguments.or(self.input)?))
    }

    /// Whether it holds probabilities of tokens.
    pub(super) fn has_logprobs(&self) -> bool {
        self.logprobs.is_some_and(is_filled)
    }
}

/// Some servers send the object itself instead of a string that holds it.
fn arguments(raw: &RawValue) -> Option<Literal<'_>> {
    (raw.get() != "null").then(|| literal(raw).unwrap_or_else(|| Literal::quote(raw.get())))
}

/// Whether a list holds anything.
fn is_filled(list: &RawValue) -> bool {
    list.get().strip_prefix('[').is_some_and(|rest| !rest.trim_start().starts_with(']'))
}

/// Token counts: the input includes what came from a cache, the output includes reasoning. xAI adds its own members.
pub(super) fn usage(raw: &RawValue) -> Option<Usage> {
    #[derive(Default, Deserialize)]
    struct Details {
        cached_tokens: Option<u64>,
        cache_write_tokens: Option<u64>,
        audio_tokens: Option<u64>,
        reasoning_tokens: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Counts {
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        total_tokens: Option<u64>,
        input_tokens_details: Option<Details>,
        output_tokens_details: Option<Details>,
    }
    let counts: Counts = serde_json::from_str(raw.get()).ok()?;
    let input = counts.input_tokens_details.unwrap_or_default();
    Some(Usage {
        prompt_tokens: counts.input_tokens,
        completion_tokens: counts.output_tokens,
        cached_tokens: input.cached_tokens,
        cache_write_tokens: input.cache_write_tokens,
        reasoning_tokens: counts.output_tokens_details.unwrap_or_default().reasoning_tokens,
        prompt_audio_tokens: input.audio_tokens,
        total_tokens: counts.total_tokens,
    })
}
