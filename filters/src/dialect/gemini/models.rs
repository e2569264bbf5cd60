//! What of a model Google's dialect must know. The rows are data: `conf/models.yaml`, section `gemini`.

use serde::Deserialize;

use crate::dialect::effort;

/// Google's published translation of OpenAI's efforts into token budgets (its OpenAI-compatible endpoint).
const BUDGETS: &[(&str, u64)] =
    &[("minimal", 1_024), ("low", 1_024), ("medium", 8_192), ("high", 24_576), ("xhigh", u64::MAX), ("max", u64::MAX)];

/// What a model takes. By default: as a Gemini of the second generation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::dialect) struct Traits {
    /// Takes `systemInstruction`.
    pub(super) system: bool,
    /// Takes JSON Schema as it is (`parametersJsonSchema`, `responseJsonSchema`); else the OpenAPI subset.
    pub(super) json_schema: bool,
    /// Takes function declarations and a JSON answer in one request.
    pub(super) tools_with_json: bool,
    /// Takes the calling mode `VALIDATED`.
    pub(super) validated: bool,
    /// Takes media inside a function response.
    pub(super) media_in_results: bool,
    /// Refuses a replayed call without its thought signature.
    pub(super) signed_calls: bool,
    /// Where it takes presence and frequency penalties.
    pub(super) penalties: Penalties,
    /// How much it thinks is said in this way.
    pub(super) thinking: Thinking,
}

/// Where penalties are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::dialect) enum Penalties {
    /// Everywhere.
    Taken,
    /// On Vertex only.
    Vertex,
    /// Nowhere.
    Refused,
}

/// How a model's thinking is steered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::dialect) enum Thinking {
    /// Not at all.
    Fixed,
    /// By a number of tokens. `min` is what it cannot go below unless `off`, which allows 0.
    Budget { min: u64, max: u64, off: bool },
    /// By a word, out of these, in ascending order. A level that a model lacks becomes the next higher one, else its highest.
    Level(Vec<effort::Effort>),
}

/// What an effort becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// Nothing to say: the model thinks as it does, or not at all.
    Unsaid,
    /// `thinkingBudget`.
    Budget(u64),
    /// `thinkingLevel`.
    Level(&'static str),
    /// A `thinkingBudget` of -1: as the model sees fit.
    Dynamic,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            system: true,
            json_schema: true,
            tools_with_json: false,
            validated: false,
            media_in_results: false,
            signed_calls: false,
            penalties: Penalties::Taken,
            thinking: Thinking::Fixed,
        }
    }
}

impl Traits {
    /// Whether replayed thoughts have a place in its requests.
    pub(super) fn thinks(&self) -> bool {
        !matches!(self.thinking, Thinking::Fixed)
    }

    /// A budget of tokens, where the model is steered by one; `true` beside it says that it was brought into the model's range.
    pub(super) fn budget(&self, tokens: u64) -> Option<(Effort, bool)> {
        match &self.thinking {
            Thinking::Budget { off: true, .. } if tokens == 0 => Some((Effort::Budget(0), false)),
            Thinking::Budget { min, max, .. } => {
                let held = tokens.max(*min).min(*max);
                Some((Effort::Budget(held), held != tokens))
            }
            Thinking::Fixed | Thinking::Level(_) => None,
        }
    }

    /// Thinking as the model sees fit: what newer ones do unasked.
    pub(super) fn dynamic(&self) -> Option<Effort> {
        match &self.thinking {
            Thinking::Budget { .. } => Some(Effort::Dynamic),
            Thinking::Level(_) => Some(Effort::Unsaid),
            Thinking::Fixed => None,
        }
    }

    /// Translates OpenAI's effort; `true` beside it says that the model cannot go so low or so high. `None`: no such effort, or a
    /// model that cannot be steered.
    pub(super) fn effort(&self, effort: &str) -> Option<(Effort, bool)> {
        match &self.thinking {
            Thinking::Fixed if effort == "none" => Some((Effort::Unsaid, false)),
            Thinking::Fixed => None,
            Thinking::Budget { min, off, .. } if effort == "none" => Some((Effort::Budget(if *off { 0 } else { *min }), !*off)),
            Thinking::Budget { min, max, .. } => {
                let (_, budget) = BUDGETS.iter().find(|(word, _)| *word == effort)?;
                Some((Effort::Budget((*budget).max(*min).min(*max)), false))
            }
            Thinking::Level(levels) => {
                let asked = effort::Effort::of(effort)?;
                let level = levels.iter().find(|level| **level >= asked).or(levels.last())?;
                Some((Effort::Level(level.word()), *level != asked))
            }
        }
    }
}
