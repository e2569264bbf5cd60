//! How much of each text has been reported: an event that repeats a whole text may say more than its deltas did.

use crate::json::Literal;

/// The most texts of one stream that are kept track of: an upstream chooses how many there are.
const TEXTS_MAX: usize = 4096;

/// Which text: of which item, and of which of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    /// The item's place in the output.
    pub(super) item: u32,
    /// A message's or a reasoning's content, a summary, or a call's arguments.
    pub(super) of: Of,
    /// The part's place in the item.
    pub(super) part: u32,
}

/// What a text is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Content,
    Summary,
    Arguments,
}

/// Texts and how many bytes of them, decoded, have been reported.
#[derive(Debug, Default)]
pub(super) struct Sent(Vec<(Text, usize)>);

impl Sent {
    /// Notes a piece that is reported. `false` where there is no room to keep track of another text.
    pub(super) fn piece(&mut self, of: Text, piece: &Literal<'_>) -> bool {
        let Some(sent) = self.of(of) else { return false };
        *sent += piece.text().len();
        true
    }

    /// What the whole text says beyond what was reported, which is then noted as reported; `None` if nothing.
    pub(super) fn rest<'a>(&mut self, of: Text, whole: &Literal<'a>) -> Option<Literal<'a>> {
        let sent = self.of(of)?;
        let text = whole.text();
        let before = std::mem::replace(sent, text.len().max(*sent));
        if before == 0 {
            return (!text.is_empty()).then(|| whole.clone());
        }
        let rest = text.get(before..).filter(|rest| !rest.is_empty())?;
        Some(Literal::quote(rest))
    }

    /// The newest are asked for most.
    fn of(&mut self, of: Text) -> Option<&mut usize> {
        let at = self.0.iter().rposition(|(text, _)| *text == of);
        let at = match at {
            Some(at) => at,
            None if self.0.len() < TEXTS_MAX => {
                self.0.push((of, 0));
                self.0.len() - 1
            }
            None => return None,
        };
        self.0.get_mut(at).map(|(_, sent)| sent)
    }
}
