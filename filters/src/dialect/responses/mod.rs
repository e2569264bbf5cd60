//! OpenAI's Responses API.
//!
//! Source: OpenAI's API specification, endpoint `POST /responses` and the events of its stream.

mod client;
mod content;
mod error;
mod input;
mod item;
mod read;
mod replay;
mod reply;
mod request;
mod stream;
mod tools;
mod wire;
mod write;

use bytes::Bytes;

use super::{Dialect, Names, Surface, Target, Translated, openai};
use crate::chat::{ChatRequest, Reply, StreamReader};
use crate::embeddings::{EmbeddingsReply, EmbeddingsRequest};
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::usage::Usage;

pub use stream::EventWriter;
pub use write::{echo, write_reply};

/// The dialect.
#[derive(Debug)]
pub struct Responses;

impl Dialect for Responses {
    fn name(&self) -> &'static str {
        "responses"
    }

    fn chat_path(&self, _model: &str, _stream: bool) -> String {
        "/responses".to_owned()
    }

    /// As OpenAI's chat completions do.
    fn fetches(&self, url: &str, surface: &Surface) -> bool {
        openai::OpenAi.fetches(url, surface)
    }

    fn chat_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        request::translate(request, target)
    }

    fn chat_reply<'a>(&self, body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
        reply::read(body, names)
    }

    fn counts(&self) -> (&'static str, fn(&str) -> Option<Usage>) {
        ("usage", |raw| serde_json::from_str(raw).ok().and_then(wire::usage))
    }

    fn chat_stream(&self, names: Names) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(names))
    }

    fn embeddings_path(&self, target: &Target<'_>, inputs: usize) -> String {
        openai::OpenAi.embeddings_path(target, inputs)
    }

    /// Embeddings are no matter of this dialect: its providers have them as OpenAI has.
    fn embeddings_request(&self, request: &EmbeddingsRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        openai::OpenAi.embeddings_request(request, target)
    }

    fn embeddings_reply<'a>(&self, body: &'a Bytes) -> Result<EmbeddingsReply<'a>, Fault> {
        openai::OpenAi.embeddings_reply(body)
    }

    fn fault(&self, status: u16, body: &[u8]) -> Fault {
        openai::OpenAi.fault(status, body)
    }
}
