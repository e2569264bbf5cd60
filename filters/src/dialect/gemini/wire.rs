//! Google's answer as it stands on the wire. Proto JSON: every name in camel or snake case, enums by name or by number.
//!
//! Not read, because they speak of the answer rather than being part of it: safety ratings, average log-probabilities, creation time,
//! kind of traffic.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::json::Literal;
use crate::usage::Usage;

/// One `GenerateContentResponse`: a whole reply, or one event of a stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow, alias = "prompt_feedback")]
    pub prompt_feedback: Option<PromptFeedback<'a>>,
    #[serde(borrow, alias = "usage_metadata")]
    pub usage_metadata: Option<UsageMetadata<'a>>,
    #[serde(alias = "model_version")]
    pub model_version: Option<Cow<'a, str>>,
    #[serde(alias = "response_id")]
    pub response_id: Option<Cow<'a, str>>,
    /// A failure inside a 200.
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    pub index: Option<u32>,
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    #[serde(borrow, alias = "finish_reason")]
    pub finish_reason: Option<&'a RawValue>,
    #[serde(alias = "finish_message")]
    pub finish_message: Option<String>,
    #[serde(alias = "grounding_metadata")]
    pub grounding_metadata: Option<IgnoredAny>,
    #[serde(alias = "citation_metadata")]
    pub citation_metadata: Option<IgnoredAny>,
    #[serde(alias = "url_context_metadata")]
    pub url_context_metadata: Option<IgnoredAny>,
    #[serde(alias = "logprobs_result")]
    pub logprobs_result: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub parts: Option<Vec<Part<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub text: Option<Literal<'a>>,
    pub thought: Option<bool>,
    #[serde(borrow, alias = "thought_signature")]
    pub thought_signature: Option<Literal<'a>>,
    #[serde(borrow, alias = "function_call")]
    pub function_call: Option<FunctionCall<'a>>,
    #[serde(borrow, alias = "inline_data")]
    pub inline_data: Option<Blob<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionCall<'a> {
    pub id: Option<Cow<'a, str>>,
    pub name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub args: Option<&'a RawValue>,
    /// Vertex, where arguments are asked for in pieces.
    #[serde(borrow, alias = "partial_args")]
    pub partial_args: Option<Vec<PartialArg<'a>>>,
    #[serde(alias = "will_continue")]
    pub will_continue: Option<bool>,
}

/// A piece of an argument.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PartialArg<'a> {
    #[serde(alias = "json_path")]
    pub json_path: Cow<'a, str>,
    #[serde(borrow, alias = "string_value")]
    pub string_value: Option<Literal<'a>>,
    #[serde(borrow, alias = "number_value")]
    pub number_value: Option<&'a RawValue>,
    #[serde(alias = "bool_value")]
    pub bool_value: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    #[serde(alias = "mime_type")]
    pub mime_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub data: Option<Literal<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PromptFeedback<'a> {
    #[serde(borrow, alias = "block_reason")]
    pub block_reason: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageMetadata<'a> {
    #[serde(alias = "prompt_token_count")]
    pub prompt_token_count: Option<u64>,
    #[serde(alias = "tool_use_prompt_token_count")]
    pub tool_use_prompt_token_count: Option<u64>,
    #[serde(alias = "candidates_token_count")]
    pub candidates_token_count: Option<u64>,
    #[serde(alias = "thoughts_token_count")]
    pub thoughts_token_count: Option<u64>,
    #[serde(alias = "cached_content_token_count")]
    pub cached_content_token_count: Option<u64>,
    #[serde(alias = "total_token_count")]
    pub total_token_count: Option<u64>,
    #[serde(borrow, alias = "prompt_tokens_details")]
    pub prompt_tokens_details: Option<Vec<ModalityCount<'a>>>,
    #[serde(alias = "service_tier")]
    pub service_tier: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ModalityCount<'a> {
    #[serde(borrow)]
    pub modality: Option<&'a RawValue>,
    #[serde(alias = "token_count")]
    pub token_count: Option<u64>,
}

impl<'a> Response<'a> {
    /// Reads one response, or an array of them (an error, and a stream without `alt=sse`, come so).
    pub(super) fn read_all(text: &'a str) -> Result<Vec<Self>, serde_json::Error> {
        if text.trim_start().starts_with('[') { serde_json::from_str(text) } else { Ok(vec![serde_json::from_str(text)?]) }
    }

    /// Why the prompt was blocked, if it was.
    pub(super) fn blocked(&self) -> bool {
        let reason = self.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason);
        let candidates = self.candidates.as_ref().is_some_and(|candidates| !candidates.is_empty());
        !candidates && reason.is_some()
    }
}

impl Candidate<'_> {
    /// Members that OpenAI's shape has no place for, by name, where they stand.
    pub(super) fn unplaced(&self) -> impl Iterator<Item = &'static str> {
        let members = [
            ("groundingMetadata", &self.grounding_metadata),
            ("citationMetadata", &self.citation_metadata),
            ("urlContextMetadata", &self.url_context_metadata),
            ("logprobsResult", &self.logprobs_result),
        ];
        members.into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name)
    }
}

impl UsageMetadata<'_> {
    /// The counts in OpenAI's reading: Google's prompt includes what came from a cache, its candidates exclude thoughts.
    pub(super) fn usage(&self) -> Usage {
        let audio = |count: &&ModalityCount<'_>| count.modality.is_some_and(|modality| matches!(modality.get(), "\"AUDIO\"" | "4"));
        let details = self.prompt_tokens_details.iter().flatten();
        Usage {
            prompt_tokens: sum([self.prompt_token_count, self.tool_use_prompt_token_count]),
            completion_tokens: sum([self.candidates_token_count, self.thoughts_token_count]),
            cached_tokens: self.cached_content_token_count,
            cache_write_tokens: None,
            reasoning_tokens: self.thoughts_token_count,
            prompt_audio_tokens: sum(details.filter(audio).map(|count| count.token_count)),
            total_tokens: self.total_token_count,
        }
    }

    /// The tier in OpenAI's words.
    pub(super) fn tier(&self) -> Option<Cow<'static, str>> {
        let tier = self.service_tier.as_ref()?.to_ascii_lowercase();
        let tier = tier.strip_prefix("service_tier_").unwrap_or(&tier);
        match tier {
            "standard" => Some(Cow::Borrowed("default")),
            "" | "unspecified" => None,
            other => Some(Cow::Owned(other.to_owned())),
        }
    }
}

/// The sum of what is said; nothing if nothing is.
fn sum(counts: impl IntoIterator<Item = Option<u64>>) -> Option<u64> {
    counts.into_iter().flatten().reduce(u64::saturating_add)
}
