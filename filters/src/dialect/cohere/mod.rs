//! Cohere's API, version 2: embeddings. Chat is not translated yet, and says so.

mod embeddings;
mod error;

use bytes::Bytes;

use super::{Dialect, Names, Target, Translated, unsupported};
use crate::chat::{ChatRequest, Reply, StreamEvent, StreamReader};
use crate::embeddings::{EmbeddingsReply, EmbeddingsRequest};
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::sse::Event;

/// The dialect.
#[derive(Debug)]
pub(super) struct Cohere;

impl Dialect for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn chat_path(&self, _model: &str, _stream: bool) -> String {
        "/chat".to_owned()
    }

    fn chat_request(&self, _request: &ChatRequest<'_>, _target: &Target<'_>) -> Result<Translated, Refusal> {
        Err(unsupported(self.name(), "Chat completions"))
    }

    fn chat_reply<'a>(&self, _body: &'a Bytes, _names: &Names) -> Result<Reply<'a>, Fault> {
        Err(Fault::new(502, None, "Chat completions of this dialect are not read."))
    }

    fn chat_stream(&self, _names: Names) -> Box<dyn StreamReader> {
        Box::new(NoStream)
    }

    fn embeddings_path(&self, _target: &Target<'_>, _inputs: usize) -> String {
        "/embed".to_owned()
    }

    fn embeddings_request(&self, request: &EmbeddingsRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        embeddings::translate(request, target)
    }

    fn embeddings_reply<'a>(&self, body: &'a Bytes) -> Result<EmbeddingsReply<'a>, Fault> {
        embeddings::read(body)
    }

    fn fault(&self, status: u16, body: &[u8]) -> Fault {
        error::fault(status, body)
    }
}

/// The reader of a stream that is never asked for.
struct NoStream;

impl StreamReader for NoStream {
    fn read<'a>(&mut self, _event: Event<'a>, _report: &mut dyn FnMut(StreamEvent<'a>)) {}

    fn is_complete(&self) -> bool {
        false
    }
}
