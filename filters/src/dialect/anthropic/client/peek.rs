//! What the gateway itself must know of a Messages body: where its images and links are.

use crate::json::{Document, Kind, View};

/// The strings that hold images, in order.
pub(super) fn images(document: &Document) -> Vec<View<'_>> {
    of_type(document, "image").filter_map(string).collect()
}

/// The strings that hold documents, in order.
pub(super) fn files(document: &Document) -> Vec<View<'_>> {
    of_type(document, "document").filter_map(|source| source.present("data")).collect()
}

fn of_type<'a>(document: &'a Document, kind: &'static str) -> impl Iterator<Item = View<'a>> {
    let is = move |block: &View<'_>| block.present("type").and_then(View::text).is_some_and(|its| its == kind);
    blocks(document).filter(is).filter_map(|block| block.present("source"))
}

/// The strings that may be a URL, in order.
pub(super) fn links(document: &Document) -> Vec<View<'_>> {
    sources(document).filter_map(url).collect()
}

/// All sources of images and documents, in results too.
pub(super) fn sources(document: &Document) -> impl Iterator<Item = View<'_>> {
    blocks(document).filter_map(|block| block.present("source"))
}

/// The URL that a source names.
pub(super) fn url(source: View<'_>) -> Option<View<'_>> {
    source.present("url").filter(|url| url.kind() == Kind::String)
}

/// Blocks of all turns, those within results behind the result.
fn blocks(document: &Document) -> impl Iterator<Item = View<'_>> {
    let turns = document.root().present("messages").into_iter().flat_map(View::elements);
    let outer = turns.filter_map(|turn| turn.present("content")).flat_map(View::elements);
    outer.flat_map(|block| std::iter::once(block).chain(block.present("content").into_iter().flat_map(View::elements)))
}

fn string(source: View<'_>) -> Option<View<'_>> {
    ["data", "url"].iter().find_map(|key| source.present(key)).filter(|string| string.kind() == Kind::String)
}
