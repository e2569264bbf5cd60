//! The client's own body, with `model` replaced and `fallbacks` left out; everything else byte for byte.

use std::ops::Range;

use crate::chat::{ChatRequest, linked_views};
use crate::dialect::{Names, Target, Translated};
use crate::image::{Fetched, Inline};
use crate::json::{Document, Literal, Pieces, Splice, View};
use crate::refusal::Refusal;

pub(super) fn translate(request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    let body = rewrite(request.document, target.model, target.fetched);
    Ok(Translated { body, losses: Vec::new(), names: Names::default() })
}

/// The body for an upstream of the client's own dialect: `model` is its name there, `fallbacks`, which only the gateway understands,
/// is cut out with its comma, and what was `fetched` stands as a data URI in place of its URL. All other bytes stay as they are and
/// are not copied where they are many.
#[must_use]
pub fn rewrite(document: &Document, model: &str, fetched: &Fetched) -> Pieces {
    let mut edits: Vec<_> = rename(document.root(), model).into_iter().chain(cut(document.root())).collect();
    if !fetched.is_empty() {
        edits.extend(linked_views(document).filter_map(|view| Some((view.range(), New::Inline(fetched.at(view)?)))));
    }
    if edits.is_empty() {
        return Pieces::one(document.bytes().clone());
    }
    edits.sort_by_key(|(range, _)| range.start);
    let mut splice = Splice::new();
    let mut kept_to = 0;
    for (range, new) in edits {
        splice.kept(document.bytes().slice(kept_to..range.start));
        new.write(&mut splice);
        kept_to = range.end;
    }
    splice.kept(document.bytes().slice(kept_to..));
    splice.finish()
}

/// A place in the original and what is written there instead.
type Edit<'f> = (Range<usize>, New<'f>);

/// What is written in place of something.
enum New<'f> {
    Text(String),
    /// As a data URI.
    Inline(&'f Inline),
}

impl New<'_> {
    fn write(self, out: &mut Splice) {
        match self {
            Self::Text(text) => out.raw(&text),
            Self::Inline(inline) => {
                let head = format!("\"data:{};base64,", inline.media_type);
                out.raw(&head).kept(inline.base64.clone()).raw("\"")
            }
        };
    }
}

fn rename<'f>(root: View<'_>, model: &str) -> Option<Edit<'f>> {
    let asked = root.get("model").filter(|asked| asked.text().is_none_or(|asked| asked != model))?;
    Some((asked.range(), New::Text(Literal::quote(model).as_json().to_owned())))
}

/// Cuts to the next member if there is one, else from the end of the one before: either way one comma goes too.
fn cut<'f>(root: View<'_>) -> Option<Edit<'f>> {
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
    Some((range, New::Text(String::new())))
}
