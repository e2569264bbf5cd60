//! What OpenAI and its imitators really send, typed only as far as it is read: a field's shape that we got slightly wrong must never
//! reject a reply. Replies and chunks share all but the outermost shape.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::FinishReason;
use crate::json::Literal;
use crate::usage::Usage;

/// A whole reply, or one chunk of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Completion<'a> {
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Option<&'a RawValue>,
    /// `null` or absent in some first and last chunks.
    #[serde(borrow)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    /// Groq's place for a stream's usage.
    #[serde(borrow)]
    pub(super) x_groq: Option<Groq<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

/// A whole reply, as far as it is read when it passes untouched.
#[derive(Debug, Deserialize)]
pub(super) struct Passing<'a> {
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<PassingChoice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    x_groq: Option<Groq<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PassingChoice<'a> {
    #[serde(borrow)]
    message: Option<PassingSaid<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<&'a RawValue>,
}

/// What a message may say, by the names of [`Said`].
#[derive(Debug, Deserialize)]
struct PassingSaid<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
    #[serde(borrow)]
    images: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Groq<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    pub(super) index: Option<u32>,
    /// In replies. Perplexity repeats the whole message in chunks: not read there.
    #[serde(borrow)]
    pub(super) message: Option<Said<'a>>,
    /// In chunks.
    #[serde(borrow)]
    pub(super) delta: Option<Said<'a>>,
    #[serde(borrow)]
    pub(super) finish_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
}

/// A message, or a piece of one.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said<'a> {
    /// A string, or parts (Mistral, Databricks).
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<Vec<Part<'a>>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    pub(super) function_call: Option<Function<'a>>,
    #[serde(borrow)]
    pub(super) audio: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) images: Option<Vec<Image<'a>>>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

/// One of a content array, or of `reasoning_details`: a table of all the names a text goes by.
#[derive(Debug, Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    /// Mistral: parts again. Elsewhere: a string.
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    /// OpenRouter: a string. Databricks: parts again.
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    /// Mistral: what a text refers to.
    #[serde(borrow)]
    reference_ids: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Call<'a> {
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
    /// A `custom` tool's call: free text for arguments.
    #[serde(borrow)]
    pub(super) custom: Option<Function<'a>>,
    #[serde(borrow)]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct ExtraContent<'a> {
    #[serde(borrow)]
    google: Option<Google<'a>>,
}

#[derive(Debug, Deserialize)]
struct Google<'a> {
    #[serde(borrow)]
    thought_signature: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Image<'a> {
    #[serde(borrow)]
    image_url: Option<ImageUrl<'a>>,
}

#[derive(Debug, Deserialize)]
struct ImageUrl<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
}

/// A piece of a message's content.
pub(super) enum Piece<'a> {
    Text(Literal<'a>),
    Reasoning(Literal<'a>),
}

impl Completion<'_> {
    /// Token counts, in any of their places.
    pub(super) fn usage(&self) -> Option<Usage> {
        counted(self.usage, self.x_groq.as_ref())
    }

    /// Whether it is an error in place of an answer.
    pub(super) fn is_error(&self) -> bool {
        says_error(self.error, self.object)
    }
}

impl Passing<'_> {
    /// As [`Completion::usage`].
    pub(super) fn usage(&self) -> Option<Usage> {
        counted(self.usage, self.x_groq.as_ref())
    }

    /// As [`Completion::is_error`].
    pub(super) fn is_error(&self) -> bool {
        says_error(self.error, self.object)
    }
}

impl PassingChoice<'_> {
    /// Whether it ended by itself without having said anything.
    pub(super) fn is_empty(&self) -> bool {
        self.finish_reason.and_then(finish_reason) == Some(FinishReason::Stop) && self.message.as_ref().is_none_or(PassingSaid::is_empty)
    }
}

impl PassingSaid<'_> {
    fn is_empty(&self) -> bool {
        let reasoning = [self.reasoning_content, self.reasoning, self.reasoning_details];
        let said = [self.content, self.refusal, self.tool_calls, self.function_call, self.audio, self.images];
        said.into_iter().chain(reasoning).flatten().all(|value| matches!(value.get(), "\"\"" | "[]" | "{}"))
    }
}

fn counted(own: Option<&RawValue>, groq: Option<&Groq<'_>>) -> Option<Usage> {
    own.or_else(|| groq?.usage).and_then(usage)
}

fn says_error(error: Option<&RawValue>, object: Option<&RawValue>) -> bool {
    error.is_some() || object.and_then(string).is_some_and(|object| object == "error")
}

impl<'a> Said<'a> {
    /// Whether it cites anything.
    pub(super) fn cites(&self) -> bool {
        self.annotations.is_some_and(|list| list.get().strip_prefix('[').is_some_and(|rest| !rest.trim_start().starts_with(']')))
    }

    /// Whether parts of its content refer to something.
    pub(super) fn refers(&self) -> bool {
        let parts = self.content.filter(|content| content.get().starts_with('[')).map(parts);
        parts.is_some_and(|parts| parts.iter().any(|part| part.reference_ids.is_some()))
    }

    /// The content in order, thinking parts told apart.
    pub(super) fn content(&self) -> Vec<Piece<'a>> {
        let Some(content) = self.content else { return Vec::new() };
        if let Some(text) = literal(content) {
            return vec![Piece::Text(text)];
        }
        let mut pieces = Vec::new();
        for part in parts(content) {
            pieces.extend(part.text.and_then(literal).map(Piece::Text));
            pieces.extend(part.thoughts().into_iter().map(Piece::Reasoning));
        }
        pieces
    }

    /// Reasoning as plain text: `reasoning_content`, or `reasoning` (Groq, OpenRouter, newer vLLM).
    pub(super) fn plain_reasoning(&self) -> Option<Literal<'a>> {
        let texts = [self.reasoning_content, self.reasoning];
        texts.into_iter().flatten().filter_map(literal).find(|text| !text.is_empty())
    }

    /// The calls, the legacy one last.
    pub(super) fn calls(&mut self) -> Vec<Call<'a>> {
        let mut calls = self.tool_calls.take().unwrap_or_default();
        let legacy = self.function_call.take();
        calls.extend(legacy.map(|function| Call { index: None, id: None, function: Some(function), custom: None, extra_content: None }));
        calls
    }
}

impl<'a> Part<'a> {
    /// The reasoning that the part holds, whatever it calls it.
    fn thoughts(&self) -> Vec<Literal<'a>> {
        let mut thoughts = Vec::new();
        for field in [self.thinking, self.summary].into_iter().flatten() {
            match literal(field) {
                Some(text) => thoughts.push(text),
                None => thoughts.extend(parts(field).into_iter().filter_map(|part| part.text.and_then(literal))),
            }
        }
        thoughts
    }

    /// As one of `reasoning_details`: its text.
    pub(super) fn detail_text(&self) -> Option<Literal<'a>> {
        self.text.and_then(literal).or_else(|| self.thoughts().into_iter().next()).filter(|text| !text.is_empty())
    }

    /// As one of `reasoning_details`: the signature.
    pub(super) fn signature(&self) -> Option<Literal<'a>> {
        self.signature.and_then(literal).filter(|signature| !signature.is_empty())
    }

    /// As one of `reasoning_details`: the opaque data.
    pub(super) fn data(&self) -> Option<Literal<'a>> {
        self.data.and_then(literal).filter(|data| !data.is_empty())
    }
}

impl<'a> Call<'a> {
    /// The call's id, where it is said.
    pub(super) fn id(&self) -> Option<Cow<'a, str>> {
        self.id.and_then(string).filter(|id| !id.is_empty())
    }

    /// The function's name, where it is said.
    pub(super) fn name(&self) -> Option<Cow<'a, str>> {
        self.called()?.name.and_then(string).filter(|name| !name.is_empty())
    }

    /// The arguments, or a piece of them. Some servers send the object itself instead of a string that holds it.
    pub(super) fn arguments(&self) -> Option<Literal<'a>> {
        let called = self.called()?;
        let arguments = called.arguments.or(called.input)?;
        Some(literal(arguments).unwrap_or_else(|| Literal::quote(arguments.get())))
    }

    /// Google's thought signature.
    pub(super) fn thought_signature(&self) -> Option<Literal<'a>> {
        self.extra_content.as_ref()?.google.as_ref()?.thought_signature.and_then(literal)
    }

    fn called(&self) -> Option<&Function<'a>> {
        self.function.as_ref().or(self.custom.as_ref())
    }
}

impl<'a> Image<'a> {
    /// Media type and base64 of a data URI.
    pub(super) fn inline(&self) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
        let Cow::Borrowed(url) = string(self.image_url.as_ref()?.url?)? else { return None };
        let (media_type, base64) = url.strip_prefix("data:")?.split_once(";base64,")?;
        Some((media_type.into(), base64.into()))
    }
}

/// The reasons of OpenAI, and those of imitators that pass on their own. An unknown one is an end all the same.
pub(super) fn finish_reason(raw: &RawValue) -> Option<FinishReason> {
    let word = string(raw).filter(|word| !word.is_empty())?;
    let row = FINISH_REASONS.iter().find(|(known, _)| *known == word);
    Some(row.map_or(FinishReason::Stop, |(_, reason)| *reason))
}

/// Whether a reason is none of those: what it says is lost where it is taken for an end.
pub(super) fn is_unknown_reason(raw: &RawValue) -> bool {
    string(raw).is_some_and(|word| !word.is_empty() && !FINISH_REASONS.iter().any(|(known, _)| *known == word))
}

static FINISH_REASONS: &[(&str, FinishReason)] = &[
    ("stop", FinishReason::Stop),
    ("length", FinishReason::Length),
    ("max_tokens", FinishReason::Length),
    ("model_length", FinishReason::Length),
    ("tool_calls", FinishReason::ToolCalls),
    ("tool_use", FinishReason::ToolCalls),
    ("function_call", FinishReason::ToolCalls),
    ("content_filter", FinishReason::ContentFilter),
];

/// Token counts by their JSON.
pub(in crate::dialect) fn usage_of(raw: &str) -> Option<Usage> {
    serde_json::from_str(raw).ok().and_then(usage)
}

/// Token counts in OpenAI's shape, with DeepSeek's and OpenRouter's additions.
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
        prompt_tokens: Option<u64>,
        completion_tokens: Option<u64>,
        total_tokens: Option<u64>,
        prompt_cache_hit_tokens: Option<u64>,
        prompt_tokens_details: Option<Details>,
        completion_tokens_details: Option<Details>,
    }
    let counts: Counts = serde_json::from_str(raw.get()).ok()?;
    let prompt = counts.prompt_tokens_details.unwrap_or_default();
    let reasoning = counts.completion_tokens_details.unwrap_or_default().reasoning_tokens;
    let cached = prompt.cached_tokens.or(counts.prompt_cache_hit_tokens);
    // A prompt is not shorter than what of it came from a cache: some of xAI's servers leave that out.
    let left_out = cached.filter(|cached| counts.prompt_tokens.is_some_and(|prompt| prompt < *cached)).unwrap_or_default();
    Some(Usage {
        prompt_tokens: counts.prompt_tokens.map(|prompt| prompt.saturating_add(left_out)),
        completion_tokens: with_reasoning(counts.completion_tokens, [counts.prompt_tokens, reasoning, counts.total_tokens]),
        cached_tokens: cached,
        cache_write_tokens: prompt.cache_write_tokens,
        reasoning_tokens: reasoning,
        prompt_audio_tokens: prompt.audio_tokens,
        total_tokens: counts.total_tokens,
    })
}

/// xAI leaves reasoning out of the completion: then only the sum of all three is the total.
fn with_reasoning(completion: Option<u64>, [prompt, reasoning, total]: [Option<u64>; 3]) -> Option<u64> {
    let whole = completion?.saturating_add(reasoning.unwrap_or_default());
    if total == Some(whole.saturating_add(prompt.unwrap_or_default())) { Some(whole) } else { completion }
}

/// The parts of an array; none if it is not one.
fn parts(raw: &RawValue) -> Vec<Part<'_>> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// A string as a literal.
pub(in crate::dialect) fn literal(raw: &RawValue) -> Option<Literal<'_>> {
    Literal::raw(raw.get())
}

/// A string's text, borrowed where it has no escapes.
pub(in crate::dialect) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { Some(literal(raw)?.text().into_owned().into()) } else { Some(inner.into()) }
}

/// A string's text, or the JSON text of anything else.
pub(super) fn text(raw: &RawValue) -> Cow<'_, str> {
    string(raw).unwrap_or(Cow::Borrowed(raw.get()))
}
