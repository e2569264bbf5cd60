//! `POST /v1/embeddings` in Mistral's words. Vectors are asked for as numbers, whatever the client wants: its reply is written anew.

use crate::dialect::{Names, Target, Translated};
use crate::embeddings::EmbeddingsRequest;
use crate::json::{Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// Members of Mistral's own that a client may add.
static EXTENSIONS: &[&str] = &["metadata"];

pub(super) fn translate(request: &EmbeddingsRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    let EmbeddingsRequest { document: _, inputs: _, dimensions, encoding: _, input_type, user, others } = request;
    let mut losses = Losses::default();
    let mut out = Splice::new();
    out.object().key("model").string(target.name());
    if let Some(count) = dimensions.and_then(View::unsigned) {
        out.key("output_dimension").integer(count);
    }
    for view in others {
        match EXTENSIONS.iter().find(|name| view.key().as_deref() == Some(**name)) {
            Some(name) => drop(out.key(name).view(*view)),
            None => losses.note(LossKind::Dropped, *view),
        }
    }
    losses.dropped(input_type.iter().chain(user).copied());
    out.key("input").array();
    for text in request.texts(usize::MAX)? {
        out.element().view(text);
    }
    out.end_array().end_object();
    Ok(Translated { body: out.finish(), losses: losses.0, names: Names::default() })
}
