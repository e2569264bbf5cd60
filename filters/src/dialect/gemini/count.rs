//! Counts of tokens: `:countTokens`.

use bytes::Bytes;
use serde::Deserialize;

use super::request;
use crate::chat::ChatRequest;
use crate::dialect::{Target, Translated};
use crate::fault::Fault;
use crate::json::Splice;
use crate::refusal::Refusal;

/// The whole request, as AI Studio counts it: `{"generateContentRequest":{"model":…, …}}`.
pub(super) fn translate(request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    let translated = request::translate(request, target)?;
    let name = if target.model.contains('/') { target.model.to_owned() } else { format!("models/{}", target.model) };
    let mut out = Splice::new();
    out.object().key("generateContentRequest").object().key("model").string(&name).raw(",");
    // What follows the brace that opens the request.
    for (position, piece) in translated.body.pieces.into_iter().enumerate() {
        out.kept(piece.slice(usize::from(position == 0)..));
    }
    out.end_object();
    Ok(Translated { body: out.finish(), ..translated })
}

/// Reads `{"totalTokens":…}`.
pub(super) fn read(body: &Bytes) -> Result<u64, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Count {
        total_tokens: u64,
    }
    let unreadable = |why: serde_json::Error| Fault::malformed(&format!("The provider's count cannot be read: {why}"));
    serde_json::from_slice::<Count>(body).map(|count| count.total_tokens).map_err(unreadable)
}
