//! Google's generateContent and its embeddings, on AI Studio and Vertex.

mod arguments;
mod calls;
mod client;
mod contents;
mod count;
mod embeddings;
mod error;
mod finish;
mod generation;
mod media;
mod models;
mod path;
mod reply;
mod request;
mod schema;
pub(super) mod signature;
mod stream;
mod tools;
mod wire;

use bytes::Bytes;

pub(super) use self::models::Traits;
use super::openai::ErrorText;
use super::{Dialect, Names, Surface, Target, Translated};
use crate::chat::{ChatRequest, Reply, StreamReader};
use crate::embeddings::{EmbeddingsReply, EmbeddingsRequest};
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::usage::Usage;

/// The dialect, as clients and as providers speak it.
#[derive(Debug)]
pub struct Gemini;

impl Dialect for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn chat_path(&self, model: &str, stream: bool) -> String {
        path::chat(model, stream)
    }

    fn fetches(&self, url: &str, surface: &Surface) -> bool {
        media::fetches(surface, url)
    }

    fn chat_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        request::translate(request, target)
    }

    fn chat_reply<'a>(&self, body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
        reply::read(body, names)
    }

    fn counts(&self) -> (&'static str, fn(&str) -> Option<Usage>) {
        ("usageMetadata", |raw| serde_json::from_str::<wire::UsageMetadata<'_>>(raw).ok().map(|counts| counts.usage()))
    }

    fn chat_stream(&self, names: Names) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(names))
    }

    /// AI Studio counts a whole request; Vertex takes another shape, with less in it.
    fn count_path(&self, target: &Target<'_>) -> Option<String> {
        request::on_ai_studio(target.surface).then(|| path::of(target.model, ":countTokens"))
    }

    fn count_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        count::translate(request, target)
    }

    fn count_reply(&self, body: &Bytes) -> Result<u64, Fault> {
        count::read(body)
    }

    fn embeddings_path(&self, target: &Target<'_>, inputs: usize) -> String {
        embeddings::path(target, inputs)
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

    fn error(&self, status: u16, error: ErrorText<'_>, _request_id: &str) -> Bytes {
        error::write(status, error)
    }
}
