//! Calls one after another: Anthropic's blocks do not overlap, while OpenAI's pieces may come in turns.

use std::collections::VecDeque;

use crate::json::Literal;

/// What calls that wait for their turn may hold together.
const HELD_BYTES: usize = 16 << 20;

/// A call that waits until the one before it is whole.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Its index in the upstream's stream.
    pub(super) index: u32,
    pub(super) id: String,
    pub(super) name: String,
    /// Another vendor's signature, escaped.
    pub(super) signature: Option<String>,
    /// Its arguments so far, escaped.
    pub(super) arguments: String,
}

/// Calls that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    held_bytes: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn push(&mut self, call: Waiting) {
        self.waiting.push_back(call);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let call = self.waiting.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(call.arguments.len());
        Some(call)
    }

    /// Keeps a piece for a call that waits. `false`: there is none of this index, or no room.
    pub(super) fn keep(&mut self, index: u32, piece: &Literal<'_>) -> bool {
        let Some(call) = self.waiting.iter_mut().find(|call| call.index == index) else { return false };
        if self.held_bytes + piece.escaped().len() > HELD_BYTES {
            return false;
        }
        self.held_bytes += piece.escaped().len();
        call.arguments.push_str(piece.escaped());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{HELD_BYTES, Queue, Waiting};
    use crate::json::Literal;

    #[test]
    fn what_waits_is_bounded() {
        let mut queue = Queue::default();
        queue.push(Waiting { index: 1, id: String::new(), name: String::new(), signature: None, arguments: String::new() });
        let piece = Literal::quote(&"x".repeat(HELD_BYTES / 2));
        assert!(queue.keep(1, &piece) && queue.keep(1, &piece) && !queue.keep(1, &piece) && !queue.keep(2, &Literal::quote("")));
        assert!(queue.pop().is_some() && queue.held_bytes == 0);
    }
}
