//! What of a model Anthropic's dialect must know. The rows are data: `conf/models.yaml`, section `anthropic`.

use serde::Deserialize;

use crate::dialect::Target;

/// What a model accepts. By default: one that is not Claude behind Anthropic's wire format (MiniMax, Kimi, DeepSeek), of which nothing is
/// known, so that nothing is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::dialect) struct Model {
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
    /// It goes on with an answer that is begun, where the assistant has the last word.
    pub(super) prefill: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            max_output_tokens: None,
            native_schema: false,
            sampling: Sampling::All,
            thinking: Thinking::Budget,
            off: Off::Disabled,
            forced_choice: true,
            prefill: true,
        }
    }
}

/// What a model takes of temperature, `top_p` and `top_k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::dialect) enum Sampling {
    /// All of them.
    All,
    /// Temperature or `top_p`, not both.
    One,
    /// None: 400 even at the default values.
    Rejected,
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::dialect) enum Thinking {
    /// It cannot.
    Never,
    /// `{"type":"enabled","budget_tokens":…}`
    Budget,
    /// `{"type":"adaptive"}` and `output_config.effort`.
    Adaptive,
}

/// How a model is told not to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::dialect) enum Off {
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
    let model = target.surface.models.anthropic.of(target.model);
    Model { native_schema: model.native_schema && target.surface.native_schema, ..*model }
}
