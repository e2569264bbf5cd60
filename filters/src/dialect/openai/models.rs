//! What OpenAI's models accept, as data.
//!
//! Source: OpenAI's model pages and the parameter errors that gateways work around (protocol notes, "OpenAI-compatible deltas"). Rows
//! seen in one source only, and efforts of models newer than this table, are unverified: correct the row, not the code.

/// What a model accepts.
#[derive(Debug, Clone, Copy)]
pub(in crate::dialect) struct Model {
    /// What the model's name begins with, behind the last slash; the first row that fits counts.
    pub(in crate::dialect) prefix: &'static str,
    /// The most tokens of an answer it takes; `None` where that is not known.
    pub(in crate::dialect) max_output_tokens: Option<u64>,
    /// It reasons: these efforts it takes, least first. It then takes no sampling, no penalties, no stop sequences.
    pub(in crate::dialect) efforts: &'static [&'static str],
    /// One of OpenAI's own: the limit is `max_completion_tokens`, instructions of reasoning models are the developer's.
    pub(in crate::dialect) own: bool,
}

impl Model {
    /// Whether it takes sampling parameters and stop sequences.
    pub(in crate::dialect) fn samples(&self) -> bool {
        !self.own || self.efforts.is_empty()
    }

    /// The effort it takes that is nearest to `asked`: the same, else the next one below, else its least. `None` if it takes none.
    pub(in crate::dialect) fn effort(&self, asked: &str) -> Option<&'static str> {
        let rank = |word: &str| EFFORTS.iter().position(|known| *known == word);
        let wanted = rank(asked)?;
        if wanted == 0 {
            return self.efforts.iter().find(|word| **word == "none").copied();
        }
        let thinks = || self.efforts.iter().filter(|word| **word != "none");
        let below = thinks().rfind(|word| rank(word).is_some_and(|rank| rank <= wanted));
        below.or_else(|| thinks().next()).copied()
    }
}

/// Every word for an effort, least first.
static EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// The row of a model at a provider.
pub(in crate::dialect) fn of(model: &str) -> &'static Model {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    MODELS.iter().find(|row| name.starts_with(row.prefix)).unwrap_or(&UNKNOWN)
}

/// A model of somebody else behind OpenAI's wire format: nothing is known, and reasoning is left to its default.
static UNKNOWN: Model = Model { prefix: "", max_output_tokens: None, efforts: &[], own: false };

const fn plain(prefix: &'static str, max_output_tokens: u64) -> Model {
    Model { prefix, max_output_tokens: Some(max_output_tokens), efforts: &[], own: true }
}

const fn reasoning(prefix: &'static str, max_output_tokens: u64, efforts: &'static [&'static str]) -> Model {
    Model { prefix, max_output_tokens: Some(max_output_tokens), efforts, own: true }
}

/// One of Mistral's that thinks when it is told to. Source: Mistral's SDK (`none` and `high` are all efforts there), recorded traffic of
/// mistral-small; the other rows are unverified.
const fn mistral(prefix: &'static str) -> Model {
    Model { prefix, max_output_tokens: None, efforts: &["none", "high"], own: false }
}

static MODELS: &[Model] = &[
    plain("gpt-5-chat", 16_384),
    plain("gpt-5.1-chat", 16_384),
    plain("gpt-5.2-chat", 16_384),
    reasoning("gpt-5.1-codex-max", 128_000, &["none", "low", "medium", "high", "xhigh"]),
    reasoning("gpt-5.1", 128_000, &["none", "low", "medium", "high"]),
    reasoning("gpt-5.", 128_000, &["none", "low", "medium", "high", "xhigh"]),
    reasoning("gpt-5-pro", 272_000, &["high"]),
    reasoning("gpt-5", 128_000, &["minimal", "low", "medium", "high"]),
    reasoning("gpt-6", 128_000, &["none", "low", "medium", "high", "xhigh"]),
    reasoning("o1", 100_000, &["low", "medium", "high"]),
    reasoning("o3", 100_000, &["low", "medium", "high"]),
    reasoning("o4", 100_000, &["low", "medium", "high"]),
    plain("gpt-4.1", 32_768),
    plain("gpt-4o", 16_384),
    plain("chatgpt-4o", 16_384),
    plain("gpt-4-turbo", 4_096),
    plain("gpt-4", 8_192),
    plain("gpt-3.5", 4_096),
    mistral("mistral-small-latest"),
    mistral("mistral-small-26"),
    mistral("mistral-medium-latest"),
    mistral("mistral-medium-26"),
    mistral("mistral-medium-3.5"),
    Model { prefix: "gpt-oss", max_output_tokens: None, efforts: &["low", "medium", "high"], own: false },
    Model { prefix: "grok-3-mini", max_output_tokens: None, efforts: &["low", "high"], own: false },
];

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_nearest_effort_is_taken() {
        for (model, asked, taken) in [
            ("gpt-5", "max", Some("high")),
            ("gpt-5", "none", None),
            ("gpt-5.2", "max", Some("xhigh")),
            ("gpt-5.1", "none", Some("none")),
            ("gpt-5.1", "minimal", Some("low")),
            ("o3-mini", "minimal", Some("low")),
            ("gpt-4o-mini", "high", None),
            ("openai/gpt-oss-120b", "medium", Some("medium")),
            ("llama-3", "medium", None),
            ("gpt-5", "soon", None),
        ] {
            assert_eq!(of(model).effort(asked), taken, "{model} {asked}");
        }
    }
}
