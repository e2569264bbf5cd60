//! A configuration with what has been learnt under it: what a request begins and ends with.

use crate::config::Snapshot;
use crate::upstream::limit::Gates;
use crate::upstream::select::Lanes;

/// One configuration in force. Swapped whole at a reload; requests in flight keep theirs.
#[derive(Debug)]
pub struct Live {
    /// What the configuration means.
    pub snapshot: Snapshot,
    /// How its credentials stand.
    pub lanes: Lanes,
    /// Its concurrency limits.
    pub gates: Gates,
}

impl Live {
    /// Puts a configuration in force. What was learnt under the previous one is kept where it still applies.
    #[must_use]
    pub fn new(snapshot: Snapshot, previous: Option<&Self>) -> Self {
        let lanes = Lanes::build(&snapshot, previous.map(|live| &live.lanes));
        let gates = Gates::build(&snapshot, previous.map(|live| &live.gates));
        Self { snapshot, lanes, gates }
    }
}
