//! What the gateway itself must know of an embeddings body: requests of the same dialect need no more.

use crate::json::{Document, Kind, View};
use crate::refusal::Refusal;

/// The most inputs of one request. Source: OpenAI's API specification, `CreateEmbeddingRequest.input`.
pub const INPUTS_MAX: usize = 2048;

/// How many vectors the request asks for: a list of numbers is one input, made of tokens.
///
/// # Errors
/// A [`Refusal`] at `input` if there are more than [`INPUTS_MAX`].
pub fn count_inputs(document: &Document) -> Result<usize, Refusal> {
    let Some(input) = document.root().present("input") else { return Ok(0) };
    if input.kind() != Kind::Array || is_tokens(input) {
        return Ok(1);
    }
    let count = input.elements().count();
    if count > INPUTS_MAX {
        let message = format!("Invalid 'input': at most {INPUTS_MAX} inputs in one request, but got {count}. Send them in several.");
        return Err(Refusal::client("input", message).with_code("array_above_max_length"));
    }
    Ok(count)
}

/// Whether an array is one input, written as tokens.
pub(super) fn is_tokens(input: View<'_>) -> bool {
    input.elements().next().is_some_and(|first| first.kind() == Kind::Number)
}
