//! What of a model OpenAI's dialects must know. The rows are data: `conf/models.yaml`, section `openai`.

use serde::Deserialize;

use crate::dialect::effort::Effort;

/// What a model accepts. By default: a model of somebody else's, of which nothing is known; reasoning is left to its own default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::dialect) struct Model {
    /// The most tokens of an answer it takes; `None` where that is not known.
    pub(in crate::dialect) max_output_tokens: Option<u64>,
    /// It reasons: these efforts it takes, least first. One of OpenAI's own then takes no sampling, no penalties, no stop sequences.
    pub(in crate::dialect) efforts: Vec<Effort>,
    /// One of OpenAI's own: the limit is `max_completion_tokens`, instructions of reasoning models are the developer's.
    pub(in crate::dialect) own: bool,
    /// It gives its reasoning back, encrypted, though it takes no efforts. Others refuse to be asked for it.
    pub(in crate::dialect) gives_reasoning: bool,
}

impl Model {
    /// Whether it takes sampling parameters and stop sequences.
    pub(in crate::dialect) fn samples(&self) -> bool {
        !self.own || self.efforts.is_empty()
    }

    /// The effort it takes that is nearest to `asked`: the same, else the next one below, else its least. `None` if it takes none.
    pub(in crate::dialect) fn effort(&self, asked: &str) -> Option<&'static str> {
        let wanted = Effort::of(asked)?;
        if wanted == Effort::None {
            return self.efforts.contains(&Effort::None).then_some(Effort::None.word());
        }
        let thinks = || self.efforts.iter().filter(|effort| **effort != Effort::None);
        let below = thinks().rfind(|effort| **effort <= wanted);
        below.or_else(|| thinks().next()).map(|effort| effort.word())
    }

    /// Whether it gives its reasoning back. One that is not known is not asked for it.
    pub(in crate::dialect) fn reasons(&self) -> bool {
        self.gives_reasoning || !self.efforts.is_empty()
    }
}
