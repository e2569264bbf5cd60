//! What the scan of an embeddings body records, as data.

use crate::json::Shape;

/// What the scan records of an embeddings body. Inputs are one value each, so that a list of tokens inside the list costs one too.
pub static EMBEDDINGS: Shape = Shape::Open {
    members: &[
        ("model", &OPAQUE),
        ("input", &INPUT),
        ("dimensions", &OPAQUE),
        ("encoding_format", &OPAQUE),
        ("input_type", &OPAQUE),
        ("user", &OPAQUE),
        ("fallbacks", &FALLBACKS),
    ],
    elements: None,
};

static OPAQUE: Shape = Shape::Opaque;
static INPUT: Shape = Shape::Open { members: &[], elements: Some(&OPAQUE) };
static FALLBACKS: Shape = Shape::Open { members: &[], elements: Some(&FALLBACK) };
static FALLBACK: Shape = Shape::Open { members: &[("provider", &OPAQUE), ("model", &OPAQUE)], elements: None };
