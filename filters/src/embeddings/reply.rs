//! An embeddings reply, borrowed from the upstream's body.

use super::{Encoding, Vector};
use crate::usage::Usage;

/// A reply: one vector for each input, in their order.
#[derive(Debug, Default)]
pub struct EmbeddingsReply<'a> {
    /// The vectors.
    pub vectors: Vec<Vector<'a>>,
    /// Token counts, where the upstream gave them.
    pub usage: Option<Usage>,
}

/// What the client asked for, as its reply's writer must know it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The model that answers, by its name at the provider.
    pub model: String,
    /// How many vectors.
    pub inputs: usize,
    /// How they are written.
    pub encoding: Encoding,
}
