//! What the models differ in, as data. A model is the first row whose text its name contains.
//!
//! Sources: Google's model and thinking guides, the capability tables of the Vercel AI SDK and of LiteLLM (see the protocol survey).

/// Google's published translation of OpenAI's efforts into token budgets (its OpenAI-compatible endpoint).
const BUDGETS: &[(&str, u64)] =
    &[("minimal", 1_024), ("low", 1_024), ("medium", 8_192), ("high", 24_576), ("xhigh", u64::MAX), ("max", u64::MAX)];

/// Efforts in ascending order; a level that a model lacks becomes the next higher one, else its highest.
const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// What a model takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traits {
    /// Takes `systemInstruction`.
    pub system: bool,
    /// Takes JSON Schema as it is (`parametersJsonSchema`, `responseJsonSchema`); else the OpenAPI subset.
    pub json_schema: bool,
    /// Takes function declarations and a JSON answer in one request.
    pub tools_with_json: bool,
    /// Takes the calling mode `VALIDATED`.
    pub validated: bool,
    /// Takes media inside a function response.
    pub media_in_results: bool,
    /// Refuses a replayed call without its thought signature.
    pub signed_calls: bool,
    /// Where it takes presence and frequency penalties.
    pub penalties: Penalties,
    /// How much it thinks is said in this way.
    pub thinking: Thinking,
}

/// Where penalties are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Penalties {
    /// Everywhere.
    Taken,
    /// On Vertex only.
    Vertex,
    /// Nowhere.
    Refused,
}

/// How a model's thinking is steered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thinking {
    /// Not at all.
    Fixed,
    /// By a number of tokens. `min` is what it cannot go below unless `off`, which allows 0.
    Budget { min: u64, max: u64, off: bool },
    /// By a word, out of these, in ascending order.
    Level(&'static [&'static str]),
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

const GEMINI_1: Traits = Traits {
    system: true,
    json_schema: false,
    tools_with_json: false,
    validated: false,
    media_in_results: false,
    signed_calls: false,
    penalties: Penalties::Taken,
    thinking: Thinking::Fixed,
};
const GEMMA: Traits = Traits { system: false, json_schema: true, ..GEMINI_1 };
const GEMINI_2: Traits = Traits { json_schema: true, ..GEMINI_1 };
const GEMINI_25: Traits = Traits { validated: true, penalties: Penalties::Vertex, ..GEMINI_2 };
const GEMINI_25_FLASH: Traits = Traits { thinking: Thinking::Budget { min: 1, max: 24_576, off: true }, ..GEMINI_25 };
const GEMINI_3: Traits = Traits {
    tools_with_json: true,
    media_in_results: true,
    signed_calls: true,
    penalties: Penalties::Refused,
    thinking: Thinking::Level(&["low", "high"]),
    ..GEMINI_25
};
const GEMINI_3_MEDIUM: Traits = Traits { thinking: Thinking::Level(&["low", "medium", "high"]), ..GEMINI_3 };
const GEMINI_3_MINIMAL: Traits = Traits { thinking: Thinking::Level(&["minimal", "low", "medium", "high"]), ..GEMINI_3 };
/// `…-latest` moves between generations: budgets, which both understand, and the newer one's signatures.
const LATEST: Traits = Traits { thinking: Thinking::Budget { min: 512, max: 24_576, off: true }, ..GEMINI_3 };

/// First hit wins; the last row is for what no other names.
static MODELS: &[(&str, Traits)] = &[
    ("gemma", GEMMA),
    ("gemini-1", GEMINI_1),
    ("gemini-2.0", GEMINI_2),
    ("gemini-2.5-flash-image", GEMINI_25),
    ("gemini-2.5-flash-lite", Traits { thinking: Thinking::Budget { min: 512, max: 24_576, off: true }, ..GEMINI_25 }),
    ("gemini-2.5-pro", Traits { thinking: Thinking::Budget { min: 128, max: 32_768, off: false }, ..GEMINI_25 }),
    ("gemini-2.5", GEMINI_25_FLASH),
    ("gemini-3-flash", GEMINI_3_MINIMAL),
    ("gemini-3.5", GEMINI_3_MINIMAL),
    ("gemini-3.6", GEMINI_3_MINIMAL),
    ("gemini-3.1-pro", GEMINI_3_MEDIUM),
    ("gemini-3.7", GEMINI_3_MEDIUM),
    ("-latest", LATEST),
    ("gemini", GEMINI_3),
    ("", GEMINI_2),
];

impl Traits {
    /// The row of a model, by its name without provider prefix.
    pub(super) fn of(model: &str) -> &'static Self {
        let name = model.to_ascii_lowercase();
        MODELS.iter().find(|(text, _)| name.contains(text)).map_or(&GEMINI_2, |(_, traits)| traits)
    }

    /// Whether replayed thoughts have a place in its requests.
    pub(super) fn thinks(&self) -> bool {
        !matches!(self.thinking, Thinking::Fixed)
    }

    /// A budget of tokens, where the model is steered by one; `true` beside it says that it was brought into the model's range.
    pub(super) fn budget(&self, tokens: u64) -> Option<(Effort, bool)> {
        match self.thinking {
            Thinking::Budget { off: true, .. } if tokens == 0 => Some((Effort::Budget(0), false)),
            Thinking::Budget { min, max, .. } => {
                let held = tokens.clamp(min, max);
                Some((Effort::Budget(held), held != tokens))
            }
            Thinking::Fixed | Thinking::Level(_) => None,
        }
    }

    /// Thinking as the model sees fit: what newer ones do unasked.
    pub(super) fn dynamic(&self) -> Option<Effort> {
        match self.thinking {
            Thinking::Budget { .. } => Some(Effort::Dynamic),
            Thinking::Level(_) => Some(Effort::Unsaid),
            Thinking::Fixed => None,
        }
    }

    /// Translates OpenAI's effort; `true` beside it says that the model cannot go so low or so high. `None`: no such effort, or a
    /// model that cannot be steered.
    pub(super) fn effort(&self, effort: &str) -> Option<(Effort, bool)> {
        match self.thinking {
            Thinking::Fixed if effort == "none" => Some((Effort::Unsaid, false)),
            Thinking::Fixed => None,
            Thinking::Budget { min, off, .. } if effort == "none" => Some((Effort::Budget(if off { 0 } else { min }), !off)),
            Thinking::Budget { min, max, .. } => {
                let (_, budget) = BUDGETS.iter().find(|(word, _)| *word == effort)?;
                Some((Effort::Budget((*budget).clamp(min, max)), false))
            }
            Thinking::Level(levels) => {
                let asked = EFFORTS.iter().position(|word| *word == effort)?;
                let at_least = |level: &&&str| EFFORTS.iter().position(|word| word == *level) >= Some(asked);
                let level = levels.iter().find(at_least).or(levels.last())?;
                Some((Effort::Level(level), *level != effort))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efforts_become_what_the_model_understands() {
        let cases = [
            ("gemini-2.5-flash", "none", Some((Effort::Budget(0), false))),
            ("gemini-2.5-pro", "none", Some((Effort::Budget(128), true))),
            ("gemini-2.5-pro", "xhigh", Some((Effort::Budget(32_768), false))),
            ("gemini-2.5-flash-lite", "medium", Some((Effort::Budget(8_192), false))),
            ("gemini-3-pro-preview", "medium", Some((Effort::Level("high"), true))),
            ("gemini-3-pro-preview", "none", Some((Effort::Level("low"), true))),
            ("gemini-3-flash-preview", "minimal", Some((Effort::Level("minimal"), false))),
            ("publishers/google/models/gemini-3.1-pro", "medium", Some((Effort::Level("medium"), false))),
            ("gemini-2.0-flash", "low", None),
            ("gemini-2.0-flash", "none", Some((Effort::Unsaid, false))),
            ("gemini-3-flash-preview", "enormous", None),
        ];
        for (model, effort, expected) in cases {
            assert_eq!(Traits::of(model).effort(effort), expected, "{model} {effort}");
        }
    }
}
