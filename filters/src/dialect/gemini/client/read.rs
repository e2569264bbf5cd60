//! Reads a scanned body into the pivot.

use std::borrow::Cow;

use super::{config, contents, key, tools};
use crate::chat::field;
use crate::chat::{ChatRequest, Word};
use crate::dialect::Address;
use crate::json::{Document, Kind, View};
use crate::refusal::Refusal;

/// Members that are taken up by name.
static KNOWN: &[&str] =
    &["model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "cachedContent", "serviceTier", "fallbacks"];

pub(super) fn read<'a>(document: &'a Document, address: &'a Address) -> Result<ChatRequest<'a>, Refusal> {
    let whole = field::expect(document.root(), Kind::Object)?;
    // A call that counts may hold the request whole.
    let root = key::of_kind(whole, "generateContentRequest", Kind::Object)?.unwrap_or(whole);
    if let Some(cached) = key::present(root, "cachedContent") {
        let message = "This stands for a part of the conversation that only Google keeps. Send the conversation itself.";
        return Err(Refusal::candidate(cached, message).with_code("unsupported_parameter"));
    }
    let mut others: Vec<_> = key::rest(root, KNOWN).filter(|member| !says_nothing(*member)).collect();
    let tool_choice = tools::choice(root, &mut others)?;
    let tools = tools::read(root, &mut others)?;
    let config = config::read(root, &mut others)?;
    let stream = address.stream.unwrap_or_default();
    Ok(ChatRequest {
        document,
        model: Cow::Borrowed(address.model.as_deref().unwrap_or_default()),
        stream,
        include_usage: stream,
        messages: contents::read(root)?,
        tools,
        legacy_functions: false,
        tool_choice,
        no_parallel_tool_calls: None,
        max_tokens: config.max_tokens,
        temperature: config.temperature,
        top_p: config.top_p,
        top_k: config.top_k,
        stop: config.stop,
        response_format: config.response_format,
        thinking: config.thinking,
        n: config.n,
        seed: config.seed,
        presence_penalty: config.presence_penalty,
        frequency_penalty: config.frequency_penalty,
        logprobs: config.logprobs,
        top_logprobs: config.top_logprobs,
        modalities: None,
        user: None,
        service_tier: service_tier(root)?,
        moved: Vec::new(),
        others,
    })
}

/// Members whose absence means the same.
fn says_nothing(member: View<'_>) -> bool {
    matches!(member.raw().trim(), "[]" | "{}" | "\"\"")
}

/// In OpenAI's words: `standard` is its `default`.
fn service_tier(root: View<'_>) -> Result<Option<Word<'_>>, Refusal> {
    let Some(view) = key::string(root, "serviceTier")? else { return Ok(None) };
    let word = view.text().unwrap_or_default().to_ascii_lowercase();
    Ok(match word.trim_start_matches("service_tier_") {
        "" | "unspecified" => None,
        "standard" => Some(Word { text: Cow::Borrowed("default"), view }),
        other => Some(Word { text: Cow::Owned(other.to_owned()), view }),
    })
}
