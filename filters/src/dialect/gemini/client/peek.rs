//! What the gateway itself must know of a body: where its images, files and links are.

use super::key;
use super::part::{self, Source};
use crate::image::url_at;
use crate::json::{Document, Kind, View};

/// The strings that hold images, in order.
pub(super) fn images(document: &Document) -> Vec<View<'_>> {
    sources(document).filter(|source| source.is_image).map(|source| source.view).collect()
}

/// The strings that hold documents and other files inline.
pub(super) fn files(document: &Document) -> Vec<View<'_>> {
    sources(document).filter(|source| source.is_inline && !source.is_image).map(|source| source.view).collect()
}

/// The strings that may be a URL which somebody but Google can fetch.
pub(super) fn links(document: &Document) -> Vec<View<'_>> {
    let links = sources(document).filter(|source| !source.is_inline && !part::is_kept_by_google(source.view));
    links.map(|source| source.view).filter(|view| url_at(*view).is_some()).collect()
}

/// All images and files, those that functions gave back too.
pub(super) fn sources(document: &Document) -> impl Iterator<Item = Source<'_>> {
    parts(document).filter_map(part::source)
}

/// The request itself, also where a call that counts wraps it.
pub(super) fn request(document: &Document) -> View<'_> {
    let root = document.root();
    key::present(root, "generateContentRequest").filter(|request| request.kind() == Kind::Object).unwrap_or(root)
}

/// Parts of all turns, those within a function's response behind it.
pub(super) fn parts(document: &Document) -> impl Iterator<Item = View<'_>> {
    let root = request(document);
    let contents = key::present(root, "systemInstruction").into_iter().chain(key::elements(root, "contents"));
    let outer = contents.flat_map(|content| key::elements(content, "parts"));
    outer.flat_map(|part| {
        let shown = key::present(part, "functionResponse").into_iter().flat_map(|response| key::elements(response, "parts"));
        std::iter::once(part).chain(shown)
    })
}
