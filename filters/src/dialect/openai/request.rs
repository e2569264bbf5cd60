//! The client's own body, with `model` replaced and `fallbacks` left out; everything else byte for byte.

use std::ops::Range;

use crate::chat::ChatRequest;
use crate::dialect::{Names, Target, Translated};
use crate::json::{Document, Literal, Pieces, Splice, View};
use crate::refusal::Refusal;

pub(super) fn translate(request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    Ok(Translated { body: rewrite(request.document, target.model), losses: Vec::new(), names: Names::default() })
}

/// The body for an upstream of the client's own dialect: `model` is its name there, and `fallbacks`, which only the gateway
/// understands, is cut out with its comma. All other bytes stay as they are and are not copied where they are many.
#[must_use]
pub fn rewrite(document: &Document, model: &str) -> Pieces {
    let mut edits: Vec<_> = rename(document.root(), model).into_iter().chain(cut(document.root())).collect();
    if edits.is_empty() {
        return Pieces::one(document.bytes().clone());
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut splice = Splice::new();
    let mut kept_to = 0;
    for (range, text) in edits {
        splice.kept(document.bytes().slice(kept_to..range.start)).raw(&text);
        kept_to = range.end;
    }
    splice.kept(document.bytes().slice(kept_to..));
    splice.finish()
}

/// A place in the original and what is written there instead.
type Edit = (Range<usize>, String);

fn rename(root: View<'_>, model: &str) -> Option<Edit> {
    let asked = root.get("model").filter(|asked| asked.text().is_none_or(|asked| asked != model))?;
    Some((asked.range(), Literal::quote(model).as_json().to_owned()))
}

/// Cuts to the next member if there is one, else from the end of the one before: either way one comma goes too.
fn cut(root: View<'_>) -> Option<Edit> {
    let cut = root.get("fallbacks")?.member_range()?;
    let members = root.members().filter_map(View::member_range);
    let (mut before, mut after) = (None, None);
    for member in members {
        if member.end <= cut.start {
            before = Some(member.end);
        } else if member.start >= cut.end && after.is_none() {
            after = Some(member.start);
        }
    }
    let range = match (before, after) {
        (_, Some(next)) => cut.start..next,
        (Some(previous), None) => previous..cut.end,
        (None, None) => cut,
    };
    Some((range, String::new()))
}
