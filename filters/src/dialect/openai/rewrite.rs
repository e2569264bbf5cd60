//! The client's own body, with `model` replaced and `fallbacks` left out; everything else byte for byte.

use crate::chat::linked_views;
use crate::dialect::edit::Edits;
use crate::image::Fetched;
use crate::json::{Document, Pieces};

/// The body for an upstream of the client's own dialect: `model` is its name there, `fallbacks`, which only the gateway understands,
/// is cut out with its comma, and what was `fetched` stands as a data URI in place of its URL. All other bytes stay as they are and
/// are not copied where they are many.
#[must_use]
pub fn rewrite(document: &Document, model: &str, fetched: &Fetched) -> Pieces {
    let mut edits = Edits::of(document);
    edits.rename(model);
    edits.cut_member(document.root(), "fallbacks");
    if !fetched.is_empty() {
        for view in linked_views(document) {
            if let Some(inline) = fetched.at(view) {
                edits.inline(view, format!("\"data:{};base64,", inline.media_type), inline);
            }
        }
    }
    edits.finish()
}
