//! What differs between the wire formats that this folder writes: OpenAI's own, and those of vendors that have made it their own.

use std::borrow::Cow;

use crate::dialect::tool_names;

/// A wire format of the family.
#[derive(Debug)]
pub(in crate::dialect) struct Form {
    /// Members of a chat request that it does not have: left out, and told as lost.
    pub(in crate::dialect) lacks: &'static [&'static str],
    /// Members that it calls otherwise: OpenAI's name, then its own.
    pub(in crate::dialect) renames: &'static [(&'static str, &'static str)],
    /// Members of its own, or that the pivot has no field for: carried as they stand.
    pub(in crate::dialect) takes: &'static [&'static str],
    /// The id of a call, and of its result.
    pub(in crate::dialect) call_id: fn(Cow<'_, str>) -> Cow<'_, str>,
    /// The word that makes a model call something.
    pub(in crate::dialect) forced: &'static str,
    /// The most stop sequences.
    pub(in crate::dialect) stops: usize,
    /// The highest temperature.
    pub(in crate::dialect) hottest: f64,
    /// Messages of its vendor's kind.
    pub(in crate::dialect) house: House,
}

/// Whose messages they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dialect) enum House {
    /// Speakers have names, turns have refusals; results hold text alone; thoughts are a member beside the content.
    OpenAi,
    /// Results have names and hold images, and are answered before the user goes on; thoughts are parts of the content; documents and
    /// sounds are addresses; an answer that is begun says so.
    Mistral,
}

/// OpenAI's own.
pub(in crate::dialect) static OPENAI: Form = Form {
    lacks: &[],
    renames: &[],
    takes: &[],
    call_id: |id| tool_names::call_id(id, ID_BYTES),
    forced: "required",
    stops: 4,
    hottest: f64::INFINITY,
    house: House::OpenAi,
};

/// The longest id of a call.
const ID_BYTES: usize = 64;

impl Form {
    /// Whether it is Mistral's.
    pub(in crate::dialect) fn is_mistral(&self) -> bool {
        self.house == House::Mistral
    }

    /// Its own name of a member, where that differs.
    pub(in crate::dialect) fn rename(&self, member: &str) -> Option<&'static str> {
        self.renames.iter().find(|(ours, _)| *ours == member).map(|(_, theirs)| *theirs)
    }
}
