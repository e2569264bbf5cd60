//! A chat completion, read from an upstream and written to a client.

use bytes::Bytes;

use crate::chat::Reply;
use crate::fault::Fault;
use crate::json::Pieces;

/// What the client's reply needs beside the upstream's.
#[derive(Debug, Clone)]
pub struct ReplyContext {
    /// `created`, in seconds since 1970.
    pub created_s: u64,
    /// The id, where the upstream gave none: `chatcmpl-…`.
    pub id: String,
    /// Write calls as the legacy `function_call`.
    pub legacy_functions: bool,
    /// Streams: end with a usage chunk.
    pub include_usage: bool,
}

pub(super) fn read(_body: &Bytes) -> Result<Reply<'_>, Fault> {
    Ok(Reply::default())
}

/// Writes a whole reply as a `chat.completion` object.
#[must_use]
pub fn write_reply(reply: &Reply<'_>, context: &ReplyContext) -> Pieces {
    let _ = (reply, context);
    Pieces::default()
}
