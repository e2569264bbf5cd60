//! Which call a piece of a call belongs to.

use std::borrow::Cow;

use super::super::wire::Call;
use crate::chat::StreamEvent;
use crate::loss::{Loss, LossKind};

/// The most calls of one stream: an upstream chooses how many there are, and each piece is compared with all.
const CALLS_MAX: usize = 4096;

/// The calls seen so far, of all choices.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Seen>);

/// One call.
#[derive(Debug)]
struct Seen {
    choice: u32,
    /// The upstream's index, where it gives one.
    index: Option<u32>,
    /// The upstream's id; empty until it gives one.
    id: String,
    /// Its place within its choice, from 0.
    place: u32,
    /// Whether its start was reported. It waits for the name.
    started: bool,
}

impl Calls {
    /// Reports what one element of `tool_calls` adds.
    pub(super) fn read<'a>(&mut self, choice: u32, call: &Call<'a>, report: &mut dyn FnMut(StreamEvent<'a>)) {
        let at = self.find(choice, call).unwrap_or_else(|| self.begin(choice, call.index));
        let Some(seen) = self.0.get_mut(at) else {
            let path = format!("choices[{choice}].delta.tool_calls").into();
            return report(StreamEvent::Lost(Loss { path, kind: LossKind::Dropped }));
        };
        if let (Some(id), true) = (call.id(), seen.id.is_empty()) {
            seen.id = id.into_owned();
        }
        let arguments = call.arguments().filter(|fragment| !fragment.is_empty());
        if !seen.started && (call.name().is_some() || arguments.is_some()) {
            seen.started = true;
            let id = if seen.id.is_empty() { format!("call_{}", seen.place) } else { seen.id.clone() };
            let (name, thought_signature) = (call.name().unwrap_or_default(), call.thought_signature());
            report(StreamEvent::ToolStart { choice, index: seen.place, id: Cow::Owned(id), name, thought_signature });
        }
        if let Some(fragment) = arguments {
            report(StreamEvent::ToolArguments { choice, index: seen.place, fragment });
        }
    }

    /// The call that this is a piece of. A new call has a name, and an id that was not seen before: only the two together tell it
    /// from a later piece, as there are servers that repeat the name, that make up a new id for each piece, that give all calls
    /// index 0, and that give none an index.
    fn find(&self, choice: u32, call: &Call<'_>) -> Option<usize> {
        let position = |wanted: &dyn Fn(&Seen) -> bool| self.0.iter().rposition(|seen| seen.choice == choice && wanted(seen));
        let id = call.id();
        let by_id = id.as_deref().and_then(|id| position(&|seen| seen.id == id));
        if by_id.is_some() {
            return by_id;
        }
        let by_index = position(&|seen| call.index.is_none() || seen.index == call.index);
        let is_new = call.name().is_some() && by_index.and_then(|at| self.0.get(at)).is_some_and(|seen| seen.is_other(id.as_deref(), call));
        by_index.filter(|_| !is_new)
    }

    /// The place of a new call: past the end, where there is no room for it.
    fn begin(&mut self, choice: u32, index: Option<u32>) -> usize {
        if self.0.len() >= CALLS_MAX {
            return self.0.len();
        }
        let place = self.0.iter().filter(|seen| seen.choice == choice).count();
        self.0.push(Seen { choice, index, id: String::new(), place: u32::try_from(place).unwrap_or(u32::MAX), started: false });
        self.0.len() - 1
    }
}

impl Seen {
    /// Whether a piece that holds a name is of another call than this one.
    fn is_other(&self, id: Option<&str>, call: &Call<'_>) -> bool {
        match id {
            Some(_) => !self.id.is_empty(),
            None => call.index.is_none() && self.started,
        }
    }
}
