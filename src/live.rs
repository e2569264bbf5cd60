//! A configuration with what has been learnt under it: what a request begins and ends with.

use crate::config::Snapshot;
use crate::upstream::limit::Gates;
use crate::upstream::select::Lanes;
use crate::upstream::token::Tokens;

/// One configuration in force. Swapped whole at a reload; requests in flight keep theirs.
#[derive(Debug)]
pub struct Live {
    /// What the configuration means.
    pub snapshot: Snapshot,
    /// How its credentials stand.
    pub lanes: Lanes,
    /// Its concurrency limits.
    pub gates: Gates,
    /// Access tokens of its service accounts.
    pub tokens: Tokens,
}

impl Live {
    /// Puts a configuration in force. What was learnt under the previous one is kept where it still applies.
    #[must_use]
    pub fn new(snapshot: Snapshot, previous: Option<&Self>) -> Self {
        let lanes = Lanes::build(&snapshot, previous.map(|live| &live.lanes));
        let gates = Gates::build(&snapshot, previous.map(|live| &live.gates));
        let tokens = Tokens::build(&snapshot, previous.map(|live| &live.tokens));
        Self { snapshot, lanes, gates, tokens }
    }
}
