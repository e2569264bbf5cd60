//! Token counts. Anthropic's `input_tokens` leave out what a cache read or wrote; OpenAI's prompt includes both.

use serde::Deserialize;

use crate::usage::Usage;

/// `usage` of a message, or of a `message_delta`: cumulative, `None` where it says nothing new.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    iterations: Option<Vec<Iteration>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

/// One pass of the model within a message (compaction, advisor, fallback).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Iteration {
    #[serde(rename = "type")]
    kind: String,
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

impl Counts {
    /// Takes over what a later event says. Never adds: cache tokens stand in `message_start` and in `message_delta` alike.
    pub(super) fn merge(&mut self, later: Self) {
        let Self { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens, .. } = &later;
        self.input_tokens = input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens = cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens = output_tokens.or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details.take());
        self.iterations = later.iterations.or(self.iterations.take());
    }

    /// The counts in OpenAI's reading.
    pub(super) fn usage(&self) -> Usage {
        let billed = self.billed();
        let billed = billed.as_ref().unwrap_or(self);
        let cached = billed.cache_read_input_tokens;
        let written = billed.cache_creation_input_tokens;
        let said = [billed.input_tokens, cached, written];
        let prompt = said.iter().flatten().fold(0_u64, |sum, tokens| sum.saturating_add(*tokens));
        Usage {
            prompt_tokens: said.iter().any(Option::is_some).then_some(prompt),
            completion_tokens: billed.output_tokens,
            cached_tokens: cached,
            cache_write_tokens: written,
            reasoning_tokens: self.output_tokens_details.as_ref().and_then(|details| details.thinking_tokens),
            ..Usage::default()
        }
    }

    /// The sum of the message's own iterations and its compactions, which the top level leaves out. A fallback's top level is whole.
    fn billed(&self) -> Option<Self> {
        let iterations = self.iterations.as_ref().filter(|iterations| !iterations.is_empty())?;
        if iterations.iter().any(|iteration| iteration.kind == "fallback_message") {
            return None;
        }
        let own = || iterations.iter().filter(|iteration| matches!(iteration.kind.as_str(), "message" | "compaction"));
        let sum = |of: fn(&Iteration) -> u64| Some(own().fold(0_u64, |sum, iteration| sum.saturating_add(of(iteration))));
        own().next()?;
        Some(Self {
            input_tokens: sum(|iteration| iteration.input_tokens),
            cache_creation_input_tokens: sum(|iteration| iteration.cache_creation_input_tokens),
            cache_read_input_tokens: sum(|iteration| iteration.cache_read_input_tokens),
            output_tokens: sum(|iteration| iteration.output_tokens),
            output_tokens_details: None,
            iterations: None,
        })
    }
}
