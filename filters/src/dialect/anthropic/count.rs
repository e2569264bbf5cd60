//! Counts of tokens: `POST /messages/count_tokens`, and Vertex's model of that name.

use bytes::Bytes;
use serde::Deserialize;

use super::error;
use crate::dialect::Surface;
use crate::fault::Fault;

/// The path of the call. On Vertex the body names the model that it asks about.
pub(super) fn path(surface: &Surface) -> &'static str {
    if surface.body_version.is_some() { "/models/count-tokens:rawPredict" } else { "/messages/count_tokens" }
}

/// Reads `{"input_tokens":…}`.
pub(super) fn read(body: &Bytes) -> Result<u64, Fault> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    serde_json::from_slice::<Count>(body).map(|count| count.input_tokens).map_err(|why| error::unreadable(&why.to_string()))
}
