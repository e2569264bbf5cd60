//! The client's own body, with `model` replaced and `fallbacks` left out; everything else byte for byte.

use crate::chat::ChatRequest;
use crate::dialect::{Target, Translated};
use crate::refusal::Refusal;

pub(super) fn translate(_request: &ChatRequest<'_>, _target: &Target<'_>) -> Result<Translated, Refusal> {
    Err(Refusal::client("", "skeleton"))
}
