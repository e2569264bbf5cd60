//! `POST /v2/embed`. Source: Cohere's API reference of the endpoint.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error;
use crate::dialect::{Names, Target, Translated};
use crate::embeddings::{EmbeddingsReply, EmbeddingsRequest, Vector};
use crate::fault::Fault;
use crate::json::{Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;
use crate::usage::Usage;

/// The most texts of one call.
const TEXTS_MAX: usize = 96;

/// What is said where the client does not say what the vectors are for: the member is required.
const DEFAULT_TYPE: &str = "search_document";

/// Other vendors' words for what vectors are for. All other words go out as they stand.
static TYPES: &[(&str, &str)] = &[("document", "search_document"), ("passage", "search_document"), ("query", "search_query")];

/// Members of Cohere's own that a client may add.
static EXTENSIONS: &[&str] = &["truncate", "max_tokens"];

pub(super) fn translate(request: &EmbeddingsRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
    let EmbeddingsRequest { document: _, inputs: _, dimensions, encoding: _, input_type, user, others } = request;
    let texts = request.texts(TEXTS_MAX)?;
    let mut losses = Losses::default();
    let mut out = Splice::new();
    out.object().key("model").string(target.name()).key("input_type");
    match input_type {
        Some(view) => write_type(&mut out, *view),
        None => {
            out.string(DEFAULT_TYPE);
            losses.at(LossKind::Approximated, "input_type");
        }
    }
    out.key("embedding_types").array().string("float").end_array();
    if let Some(count) = dimensions.and_then(View::unsigned) {
        out.key("output_dimension").integer(count);
    }
    for view in others {
        match EXTENSIONS.iter().find(|name| view.key().as_deref() == Some(**name)) {
            Some(name) => drop(out.key(name).view(*view)),
            None => losses.note(LossKind::Dropped, *view),
        }
    }
    losses.dropped(*user);
    out.key("texts").array();
    for text in texts {
        out.element().view(text);
    }
    out.end_array().end_object();
    Ok(Translated { body: out.finish(), losses: losses.0, names: Names::default() })
}

fn write_type(out: &mut Splice, view: View<'_>) {
    let asked = view.text().unwrap_or_default();
    match TYPES.iter().find(|(word, _)| *word == asked) {
        Some((_, word)) => out.string(word),
        None => out.view(view),
    };
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    embeddings: Option<ByType<'a>>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct ByType<'a> {
    #[serde(borrow)]
    float: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Meta {
    billed_units: Option<Units>,
}

#[derive(Deserialize)]
struct Units {
    input_tokens: Option<f64>,
}

pub(super) fn read(body: &Bytes) -> Result<EmbeddingsReply<'_>, Fault> {
    let unreadable = |why: &dyn std::fmt::Display| Fault::malformed(&format!("The provider's answer cannot be read: {why}"));
    let text = simdutf8::basic::from_utf8(body).map_err(|why| unreadable(&why))?;
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|why| unreadable(&why))?;
    let Some(floats) = wire.embeddings.and_then(|by_type| by_type.float) else {
        return Err(error::fault(502, body));
    };
    let tokens = wire.meta.and_then(|meta| meta.billed_units).and_then(|units| units.input_tokens);
    let usage = tokens.and_then(whole).map(|tokens| Usage { prompt_tokens: Some(tokens), ..Usage::default() });
    Ok(EmbeddingsReply { vectors: floats.into_iter().map(|raw| Vector::of_json(raw.get())).collect(), usage })
}

/// Cohere types its counts as numbers of any kind.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: a whole number that is not negative, and saturating")]
fn whole(count: f64) -> Option<u64> {
    (count >= 0.0 && count.fract() == 0.0).then_some(count as u64)
}
