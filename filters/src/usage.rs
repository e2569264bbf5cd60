//! Token counts of one request, in OpenAI's reading: the prompt includes what came from a cache, the completion includes reasoning.

/// Token counts. `None` is "not said", which is not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub prompt_tokens: Option<u64>,
    /// Completion tokens, reasoning included.
    pub completion_tokens: Option<u64>,
    /// Of the prompt: read from a cache.
    pub cached_tokens: Option<u64>,
    /// Of the prompt: written to a cache.
    pub cache_write_tokens: Option<u64>,
    /// Of the completion: reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Of the prompt: audio.
    pub prompt_audio_tokens: Option<u64>,
    /// The upstream's own total, where it gives one.
    pub total_tokens: Option<u64>,
}

impl Usage {
    /// The total: the upstream's, else prompt + completion.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total_tokens
            .unwrap_or_else(|| self.prompt_tokens.unwrap_or_default().saturating_add(self.completion_tokens.unwrap_or_default()))
    }

    /// Takes over what `later` says. Usage in streams is cumulative, but a provider may repeat only some fields.
    pub fn merge(&mut self, later: Self) {
        let fields = [
            (&mut self.prompt_tokens, later.prompt_tokens),
            (&mut self.completion_tokens, later.completion_tokens),
            (&mut self.cached_tokens, later.cached_tokens),
            (&mut self.cache_write_tokens, later.cache_write_tokens),
            (&mut self.reasoning_tokens, later.reasoning_tokens),
            (&mut self.prompt_audio_tokens, later.prompt_audio_tokens),
            (&mut self.total_tokens, later.total_tokens),
        ];
        for (mine, new) in fields {
            *mine = new.or(*mine);
        }
    }
}
