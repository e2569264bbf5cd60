//! Reasoning of earlier turns, replayed by the client. Only what Anthropic signed is of use to Anthropic.

use super::block::Block;
use crate::chat::ReasoningTrace;
use crate::dialect::gemini::signature::is_googles;
use crate::dialect::maker::{self, Maker};
use crate::loss::Losses;

/// The blocks that lead the assistant's turn; reasoning without a signature is refused by the API and left out.
pub(super) fn blocks<'a>(reasoning: &[ReasoningTrace<'a>], losses: &mut Losses) -> Vec<Block<'a>> {
    let block = |trace: &ReasoningTrace<'a>| match trace {
        ReasoningTrace::Signed { signature, view, .. } if is_googles(*view, signature.escaped()) => {
            losses.dropped([*view]);
            None
        }
        ReasoningTrace::Signed { text, signature, view: _ } => Some(Block::Thinking { text: text.clone(), signature: signature.clone() }),
        ReasoningTrace::Encrypted { data, view } if matches!(maker::of(data.escaped()), Some(Maker::Google | Maker::OpenAi)) => {
            losses.dropped([*view]);
            None
        }
        ReasoningTrace::Encrypted { data, view: _ } => Some(Block::Redacted { data: data.clone() }),
        ReasoningTrace::Plain { text: _, view } => {
            losses.dropped([*view]);
            None
        }
    };
    reasoning.iter().filter_map(block).collect()
}

/// Reasoning where none belongs.
pub(super) fn lose(reasoning: &[ReasoningTrace<'_>], losses: &mut Losses) {
    losses.dropped(reasoning.iter().map(|trace| match trace {
        ReasoningTrace::Signed { view, .. } | ReasoningTrace::Encrypted { view, .. } | ReasoningTrace::Plain { view, .. } => *view,
    }));
}
