//! The client's own body, with `model` replaced and `fallbacks` left out; everything else byte for byte, but for what a provider
//! refuses or calls otherwise.

use crate::chat::linked_views;
use crate::chat::neutral::is_default;
use crate::dialect::Surface;
use crate::dialect::edit::Edits;
use crate::image::Fetched;
use crate::json::{Document, Pieces, View};
use crate::loss::{Loss, Losses};

/// The body for an upstream of the client's own dialect: `model` is its name there, `fallbacks`, which only the gateway understands,
/// is cut out with its comma, and what was `fetched` stands as a data URI in place of its URL. Members that the `surface` refuses are
/// cut as well (see [`refused`]), and those it calls otherwise get its names. All other bytes stay as they are and are not copied where
/// they are many.
#[must_use]
pub fn rewrite(document: &Document, model: &str, fetched: &Fetched, surface: &Surface) -> Pieces {
    let mut edits = Edits::of(document);
    edits.rename(model);
    let root = document.root();
    let mut cut: Vec<_> = refused_members(document, surface).chain(root.get("fallbacks")).collect();
    for (ours, theirs) in &surface.renames {
        if let Some(member) = root.get(ours) {
            // Both names at once: OpenAI's newer one holds, and no body may say a thing twice.
            cut.extend(root.get(theirs));
            edits.rename_key(member, theirs);
        }
    }
    if !cut.is_empty() {
        edits.cut_members(root, &cut);
    }
    if !fetched.is_empty() {
        for view in linked_views(document) {
            if let Some(inline) = fetched.at(view) {
                edits.inline(view, format!("\"data:{};base64,", inline.media_type), inline);
            }
        }
    }
    edits.finish()
}

/// What is lost as [`rewrite`] leaves out what the `surface` refuses: nothing, where a default was said.
pub(super) fn refused(document: &Document, surface: &Surface) -> Vec<Loss> {
    let mut losses = Losses::default();
    losses.dropped(refused_members(document, surface).filter(|member| !is_default(*member)));
    losses.0
}

/// The same body for embeddings, of which a surface refuses and renames nothing.
pub(super) fn rewrite_embeddings(document: &Document, model: &str) -> Pieces {
    let mut edits = Edits::of(document);
    edits.rename(model);
    edits.cut_member(document.root(), "fallbacks");
    edits.finish()
}

fn refused_members<'a>(document: &'a Document, surface: &Surface) -> impl Iterator<Item = View<'a>> {
    surface.refuses.iter().filter_map(|member| document.root().get(member))
}
