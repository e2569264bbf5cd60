//! The client's own body for an upstream of Anthropic's dialect.

use super::{mark, peek};
use crate::dialect::Target;
use crate::dialect::edit::Edits;
use crate::json::{Document, Literal, Pieces, View};

/// The body, byte for byte but for: the model's name (where the path names it, the API's version stands in its place), `fallbacks`,
/// what was fetched in place of its URL, and thinking of other vendors, which Anthropic would refuse.
pub(super) fn rewrite(document: &Document, target: &Target<'_>, version: Option<&str>) -> Pieces {
    let root = document.root();
    let mut edits = Edits::of(document);
    match version {
        None => edits.rename(target.name()),
        Some(version) => {
            if root.get("anthropic_version").is_none() {
                edits.lead(root, &format!("\"anthropic_version\":{}", Literal::quote(version).as_json()));
            }
            edits.cut_member(root, "model");
        }
    }
    edits.cut_member(root, "fallbacks");
    if !target.fetched.is_empty() {
        for source in peek::sources(document) {
            if let Some(inline) = peek::url(source).and_then(|url| target.fetched.at(url)) {
                edits.inline(source, format!("{{\"type\":\"base64\",\"media_type\":\"{}\",\"data\":\"", inline.media_type), inline);
            }
        }
    }
    cut_marked(root, &mut edits);
    edits.finish()
}

/// Leaves marked blocks out; a turn that holds nothing else goes with them.
fn cut_marked(root: View<'_>, edits: &mut Edits<'_>) {
    let Some(turns) = root.present("messages") else { return };
    let mut empty = Vec::new();
    for turn in turns.elements() {
        let Some(content) = turn.present("content") else { continue };
        let marked: Vec<_> = content.elements().filter(|block| mark::is_on(*block)).collect();
        if marked.is_empty() {
            continue;
        }
        if marked.len() == content.elements().count() {
            empty.push(turn);
        } else {
            edits.cut_elements(content, &marked);
        }
    }
    if !empty.is_empty() {
        edits.cut_elements(turns, &empty);
    }
}
