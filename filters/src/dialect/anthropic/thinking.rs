//! `reasoning_effort` as Claude's thinking: adaptive with an effort, or a budget of tokens on older models.

use super::models::{Model, Off, Thinking};
use crate::chat;
use crate::json::{Splice, View};
use crate::loss::{LossKind, Losses};

/// The least budget the API takes.
const LEAST_BUDGET: u64 = 1024;

/// What is said of thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    Unsaid,
    /// As the model sees fit, with this effort.
    Adaptive(&'static str),
    /// At most so many tokens.
    Budget(u64),
    /// Not at all.
    Disabled,
    /// As little as it can.
    BetweenTools,
}

/// An effort's word on both sides, and its share of the tokens above the least budget, in thousandths (Bifrost's ratios).
struct Effort {
    asked: &'static str,
    sent: &'static str,
    share: u64,
}

static EFFORTS: &[Effort] = &[
    Effort { asked: "minimal", sent: "low", share: 25 },
    Effort { asked: "low", sent: "low", share: 150 },
    Effort { asked: "medium", sent: "medium", share: 425 },
    Effort { asked: "high", sent: "high", share: 800 },
    Effort { asked: "xhigh", sent: "xhigh", share: 920 },
    Effort { asked: "max", sent: "max", share: 1000 },
];

/// What stands in the way of thinking, whatever the client asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// The answer must be a call of a certain tool.
    pub(super) forced_answer: bool,
    /// See [`super::turns::Conversation::continues_unthought_calls`].
    pub(super) unthought_calls: bool,
    pub(super) max_tokens: u64,
}

impl Plan {
    /// Chooses what to say. A named effort that cannot be carried is dropped, never refused: the answer stands without it.
    pub(super) fn choose(asked: &chat::Thinking<'_>, model: &Model, circumstances: Circumstances, losses: &mut Losses) -> Self {
        if let Some(plan) = Self::exact(asked, model, circumstances) {
            return plan;
        }
        let Some((chat::Word { text: word, view }, near)) = asked.effort() else { return Self::Unsaid };
        if near {
            losses.note(LossKind::Approximated, view);
        }
        if word == "none" {
            return Self::off(model, view, losses);
        }
        let Some(row) = EFFORTS.iter().find(|row| row.asked == word).filter(|_| !circumstances.forced_answer) else {
            losses.note(LossKind::Dropped, view);
            return Self::Unsaid;
        };
        match model.thinking {
            Thinking::Adaptive => {
                if row.asked != row.sent {
                    losses.note(LossKind::Approximated, view);
                }
                Self::Adaptive(row.sent)
            }
            Thinking::Budget if circumstances.max_tokens > LEAST_BUDGET && !circumstances.unthought_calls => {
                losses.note(LossKind::Approximated, view);
                Self::Budget(budget(row.share, circumstances.max_tokens))
            }
            Thinking::Budget | Thinking::Never => {
                losses.note(LossKind::Dropped, view);
                Self::Unsaid
            }
        }
    }

    /// What Anthropic's own clients ask for, where the model takes it as it is.
    fn exact(asked: &chat::Thinking<'_>, model: &Model, circumstances: Circumstances) -> Option<Self> {
        match (asked, model.thinking) {
            (chat::Thinking::Budget { tokens, .. }, Thinking::Budget)
                if (LEAST_BUDGET..circumstances.max_tokens).contains(tokens)
                    && !circumstances.unthought_calls
                    && !circumstances.forced_answer =>
            {
                Some(Self::Budget(*tokens))
            }
            _ => None,
        }
    }

    fn off(model: &Model, view: View<'_>, losses: &mut Losses) -> Self {
        match model.off {
            Off::Silence => Self::Unsaid,
            Off::Disabled => Self::Disabled,
            Off::BetweenTools => {
                losses.note(LossKind::Approximated, view);
                Self::BetweenTools
            }
            Off::Impossible => {
                losses.note(LossKind::Dropped, view);
                Self::Unsaid
            }
        }
    }

    /// Whether the model thinks because it was asked to: sampling parameters and forced calls are then refused by the API.
    pub(super) fn is_on(self) -> bool {
        matches!(self, Self::Adaptive(_) | Self::Budget(_))
    }

    pub(super) fn effort(self) -> Option<&'static str> {
        if let Self::Adaptive(effort) = self { Some(effort) } else { None }
    }

    /// Writes the member `thinking`. Without `display`, newer models return their thinking empty.
    pub(super) fn write(self, out: &mut Splice) {
        match self {
            Self::Unsaid => return,
            Self::Adaptive(_) => out.key("thinking").object().key("type").string("adaptive").key("display").string("summarized"),
            Self::Budget(tokens) => out.key("thinking").object().key("type").string("enabled").key("budget_tokens").integer(tokens),
            Self::Disabled => out.key("thinking").object().key("type").string("disabled"),
            Self::BetweenTools => out.key("thinking").object().key("type").string("between_tools"),
        };
        out.end_object();
    }
}

/// A share of the tokens above the least budget; always below `max_tokens`, which must exceed the least.
fn budget(share: u64, max_tokens: u64) -> u64 {
    let above = max_tokens.saturating_sub(LEAST_BUDGET);
    let part = u128::from(above) * u128::from(share) / 1000;
    let budget = LEAST_BUDGET.saturating_add(u64::try_from(part).unwrap_or(above));
    budget.min(max_tokens.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::budget;

    #[test]
    fn a_budget_is_at_least_1024_and_below_max_tokens() {
        assert_eq!(budget(150, 1025), 1024);
        assert_eq!(budget(425, 11_024), 5274);
        assert_eq!(budget(1000, 64_000), 63_999);
        assert!(budget(1000, u64::MAX) < u64::MAX);
    }
}
