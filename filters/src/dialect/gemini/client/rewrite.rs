//! The client's own body for an upstream of Google's dialect.

use super::{key, mark, peek};
use crate::dialect::Target;
use crate::dialect::edit::Edits;
use crate::json::{Document, Literal, Pieces, View};

/// The body, byte for byte but for: `fallbacks`, which only the gateway understands, a model beside the path's, what was fetched in
/// place of its URL, and what other vendors signed, which Google would refuse.
pub(super) fn chat(document: &Document, target: &Target<'_>) -> Pieces {
    let root = document.root();
    let mut edits = Edits::of(document);
    let cut: Vec<_> = ["model", "fallbacks"].iter().filter_map(|name| root.get(name)).collect();
    if !cut.is_empty() {
        edits.cut_members(root, &cut);
    }
    conversation(document, target, &mut edits);
    edits.finish()
}

/// The same of a call that counts, where a whole request names its model.
pub(super) fn count(document: &Document, target: &Target<'_>) -> Pieces {
    let root = document.root();
    let mut edits = Edits::of(document);
    edits.cut_member(root, "fallbacks");
    if let Some(model) = key::present(root, "generateContentRequest").and_then(|request| request.get("model")) {
        let name = if target.model.contains('/') { target.model.to_owned() } else { format!("models/{}", target.model) };
        if model.text().is_none_or(|asked| asked != name) {
            edits.replace(model, Literal::quote(&name).as_json());
        }
    }
    conversation(document, target, &mut edits);
    edits.finish()
}

fn conversation<'d>(document: &'d Document, target: &Target<'d>, edits: &mut Edits<'d>) {
    if !target.fetched.is_empty() {
        for source in peek::sources(document).filter(|source| !source.is_inline) {
            if let Some(inline) = target.fetched.at(source.view) {
                let head = format!("\"inlineData\":{{\"mimeType\":\"{}\",\"data\":\"", inline.media_type);
                edits.inline_member(source.holder, head, inline);
            }
        }
    }
    unsign(peek::request(document), edits);
}

/// Leaves parts out that bear a mark: another vendor's thoughts. A turn that holds nothing else goes with them.
fn unsign(request: View<'_>, edits: &mut Edits<'_>) {
    let is_marked = |part: &View<'_>| key::present(*part, "thoughtSignature").is_some_and(mark::is_one);
    let Some(contents) = key::present(request, "contents") else { return };
    let mut empty = Vec::new();
    for content in contents.elements() {
        let Some(parts) = key::present(content, "parts") else { continue };
        let marked: Vec<_> = parts.elements().filter(is_marked).collect();
        if marked.is_empty() {
            continue;
        }
        if marked.len() == parts.elements().count() {
            empty.push(content);
        } else {
            edits.cut_elements(parts, &marked);
        }
    }
    if !empty.is_empty() {
        edits.cut_elements(contents, &empty);
    }
}
