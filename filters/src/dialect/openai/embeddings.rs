//! Embeddings in OpenAI's shape: read, and written for the client.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::fault_within;
use super::wire;
use crate::embeddings::{EmbeddingsReply, Encoding, Vector, Wanted, floats_of_base64, floats_to_base64};
use crate::fault::Fault;
use crate::json::{Pieces, Splice};
use crate::loss::{Loss, LossKind};

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    data: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Item<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    embedding: Option<&'a RawValue>,
}

/// Reads a whole reply: the vectors in the order of their indices.
pub(super) fn read(body: &Bytes) -> Result<EmbeddingsReply<'_>, Fault> {
    let text = simdutf8::basic::from_utf8(body).map_err(|why| malformed(&why))?;
    let list: List<'_> = serde_json::from_str(text).map_err(|why| fault_within(text).unwrap_or_else(|| malformed(&why)))?;
    let Some(mut data) = list.data.filter(|_| list.error.is_none()) else {
        return Err(fault_within(text).unwrap_or_else(|| malformed(&"it has no data")));
    };
    data.sort_by_key(|item| item.index);
    let vectors = data.iter().map(|item| item.embedding.map_or(Vector::Other, |raw| Vector::of_json(raw.get())));
    Ok(EmbeddingsReply { vectors: vectors.collect(), usage: list.usage.and_then(wire::usage) })
}

/// Writes a reply for the client, its vectors as it wants them: numbers keep the upstream's digits. A usage that the upstream did not
/// give is written as zero, because clients need the member, and named as a loss.
///
/// # Errors
/// A 502 if there is not one vector for each input, or one is none.
pub fn write_embeddings(reply: &EmbeddingsReply<'_>, wanted: &Wanted) -> Result<(Pieces, Vec<Loss>), Fault> {
    let vectors = &reply.vectors;
    if vectors.len() != wanted.inputs {
        return Err(malformed(&format!("{} vectors for {} inputs", vectors.len(), wanted.inputs)));
    }
    let mut out = Splice::new();
    out.object().key("object").string("list").key("data").array();
    for (index, vector) in (0..).zip(vectors) {
        out.element().object().key("object").string("embedding").key("index").integer(index).key("embedding");
        write_vector(&mut out, vector, wanted.encoding).ok_or_else(|| malformed(&format!("its vector {index} is none")))?;
        out.end_object();
    }
    out.end_array().key("model").string(&wanted.model);
    let prompt = reply.usage.and_then(|usage| usage.prompt_tokens);
    let total = reply.usage.and_then(|usage| usage.total_tokens).or(prompt);
    out.key("usage").object().key("prompt_tokens").integer(prompt.unwrap_or_default());
    out.key("total_tokens").integer(total.unwrap_or_default()).end_object().end_object();
    let unsaid = prompt.is_none().then_some(Loss { path: "usage".into(), kind: LossKind::Estimated });
    Ok((out.finish(), unsaid.into_iter().collect()))
}

fn write_vector(out: &mut Splice, vector: &Vector<'_>, encoding: Encoding) -> Option<()> {
    match (vector, encoding) {
        (Vector::Floats(array), Encoding::Float) => out.raw(array),
        (Vector::Floats(array), Encoding::Base64) => out.raw("\"").raw(&floats_to_base64(array)?).raw("\""),
        (Vector::Base64(literal), Encoding::Base64) => out.literal(literal),
        (Vector::Base64(literal), Encoding::Float) => out.raw(&floats_of_base64(&literal.text())?),
        (Vector::Other, _) => return None,
    };
    Some(())
}

fn malformed(why: &dyn std::fmt::Display) -> Fault {
    Fault::malformed(&format!("the upstream's reply is no list of embeddings: {why}"))
}
