//! The pivot's request, written in this dialect.

use crate::chat::ChatRequest;
use crate::dialect::{Target, Translated};
use crate::refusal::Refusal;

pub(super) fn translate(_request: &ChatRequest<'_>, _target: &Target<'_>) -> Result<Translated, Refusal> {
    Err(Refusal::client("", "skeleton"))
}
