//! What each generation of Claude accepts, as data.
//!
//! Source: the capability table of Vercel's AI SDK (`@ai-sdk/anthropic` 3.0.138, `getModelCapabilities`), crossed with LiteLLM's
//! model list (which models have dropped thinking budgets) and Bifrost. Rows of the retired Claude 2 and 3 and the limits beside them
//! are general knowledge. No row was tried against a live model: correct the row, not the code.

use crate::dialect::Target;

/// What a model accepts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model {
    /// A substring of the model's id; the first row that is contained in it counts.
    pub(super) contains: &'static str,
    /// The most `max_tokens` it takes; `None` where that is not known.
    pub(super) max_output_tokens: Option<u64>,
    /// It takes `output_config.format` and `strict` tools.
    pub(super) native_schema: bool,
    /// What it takes of temperature, `top_p` and `top_k`.
    pub(super) sampling: Sampling,
    /// How it is told to think.
    pub(super) thinking: Thinking,
    /// How it is told not to think.
    pub(super) off: Off,
    /// It takes `tool_choice` `any` and `tool`.
    pub(super) forced_choice: bool,
}

/// What a model takes of temperature, `top_p` and `top_k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sampling {
    /// All of them.
    All,
    /// Temperature or `top_p`, not both.
    One,
    /// None: 400 even at the default values.
    Rejected,
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    /// It cannot.
    Never,
    /// `{"type":"enabled","budget_tokens":…}`
    Budget,
    /// `{"type":"adaptive"}` and `output_config.effort`.
    Adaptive,
}

/// How a model is told not to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    /// By silence: it cannot think.
    Silence,
    /// `{"type":"disabled"}`
    Disabled,
    /// `{"type":"between_tools"}`, the least it knows.
    BetweenTools,
    /// It always thinks.
    Impossible,
}

/// What a model accepts at a provider whose surface may take less.
pub(super) fn at(target: &Target<'_>) -> Model {
    let model = of(target.model);
    Model { native_schema: model.native_schema && target.surface.native_schema, ..*model }
}

/// The row of a model at a provider. Dots in names count as dashes (`claude-sonnet-4.5`).
pub(super) fn of(model: &str) -> &'static Model {
    let model = model.to_ascii_lowercase().replace('.', "-");
    MODELS.iter().find(|row| model.contains(row.contains)).unwrap_or(&UNKNOWN)
}

/// A model that is not Claude behind Anthropic's wire format (MiniMax, Kimi, DeepSeek): nothing is known, nothing is held back.
static UNKNOWN: Model = Model { max_output_tokens: None, ..row("", 0, Sampling::All, Thinking::Budget) };

const fn row(contains: &'static str, max_output_tokens: u64, sampling: Sampling, thinking: Thinking) -> Model {
    let off = match thinking {
        Thinking::Never => Off::Silence,
        Thinking::Budget | Thinking::Adaptive => Off::Disabled,
    };
    Model { contains, max_output_tokens: Some(max_output_tokens), native_schema: false, sampling, thinking, off, forced_choice: true }
}

/// A model of the generations that think as they see fit and take no sampling parameters.
const fn adaptive(contains: &'static str, off: Off, forced_choice: bool) -> Model {
    Model { native_schema: true, off, forced_choice, ..row(contains, 128_000, Sampling::Rejected, Thinking::Adaptive) }
}

const fn native(model: Model) -> Model {
    Model { native_schema: true, ..model }
}

static MODELS: &[Model] = &[
    adaptive("claude-sonnet-5-5", Off::BetweenTools, false),
    adaptive("claude-opus-5-5", Off::Impossible, false),
    adaptive("claude-haiku-5-5", Off::Disabled, true),
    adaptive("claude-opus-5", Off::Disabled, true),
    adaptive("claude-fable-5-1", Off::Impossible, false),
    adaptive("claude-fable-5", Off::Impossible, true),
    adaptive("claude-opus-4-8", Off::Disabled, true),
    adaptive("claude-opus-4-7", Off::Disabled, true),
    adaptive("claude-sonnet-5", Off::Disabled, true),
    native(row("claude-sonnet-4-6", 128_000, Sampling::One, Thinking::Adaptive)),
    native(row("claude-opus-4-6", 128_000, Sampling::One, Thinking::Adaptive)),
    native(row("claude-sonnet-4-5", 64_000, Sampling::One, Thinking::Budget)),
    native(row("claude-opus-4-5", 64_000, Sampling::One, Thinking::Budget)),
    native(row("claude-haiku-4-5", 64_000, Sampling::One, Thinking::Budget)),
    native(row("claude-opus-4-1", 32_000, Sampling::One, Thinking::Budget)),
    row("claude-sonnet-4", 64_000, Sampling::All, Thinking::Budget),
    row("claude-opus-4", 32_000, Sampling::All, Thinking::Budget),
    row("claude-3-7", 64_000, Sampling::All, Thinking::Budget),
    row("claude-3-5", 8_192, Sampling::All, Thinking::Never),
    row("claude-3", 4_096, Sampling::All, Thinking::Never),
    row("claude-2", 4_096, Sampling::All, Thinking::Never),
    row("claude-instant", 4_096, Sampling::All, Thinking::Never),
    // Any other Claude is newer than this table.
    adaptive("claude-", Off::Disabled, true),
];

#[cfg(test)]
mod tests {
    use super::{Sampling, Thinking, of};

    #[test]
    fn the_first_row_that_is_contained_counts() {
        let cases = [
            ("claude-sonnet-4-5-20250929", Some(64_000), Sampling::One, Thinking::Budget),
            ("claude-sonnet-4-20250514", Some(64_000), Sampling::All, Thinking::Budget),
            ("claude-opus-4@20250514", Some(32_000), Sampling::All, Thinking::Budget),
            ("claude-opus-4.6", Some(128_000), Sampling::One, Thinking::Adaptive),
            ("claude-3-haiku-20240307", Some(4_096), Sampling::All, Thinking::Never),
            ("claude-sonnet-5-5", Some(128_000), Sampling::Rejected, Thinking::Adaptive),
            ("claude-saga-9", Some(128_000), Sampling::Rejected, Thinking::Adaptive),
            ("MiniMax-M2", None, Sampling::All, Thinking::Budget),
        ];
        for (name, max, sampling, thinking) in cases {
            let row = of(name);
            assert_eq!((row.max_output_tokens, row.sampling, row.thinking), (max, sampling, thinking), "{name}");
        }
    }
}
