//! OpenAI chat completions: the client's own dialect, and that of most providers.
//!
//! Source: OpenAI's API specification, endpoints `POST /chat/completions` and `POST /embeddings`.

mod client;
mod embeddings;
mod error;
mod form;
mod media;
mod messages;
mod models;
mod reply;
mod request;
mod rewrite;
mod settings;
mod stream;
mod strict;
mod tail;
mod tools;
mod wire;

use bytes::Bytes;

use super::{Dialect, Names, Surface, Target, Translated};
use crate::chat::{ChatRequest, Glance, Reply, StreamReader};
use crate::embeddings::{EmbeddingsReply, EmbeddingsRequest};
use crate::fault::Fault;
use crate::image;
use crate::refusal::Refusal;

pub use embeddings::write_embeddings;
pub use error::{ErrorText, error_body, error_type, fault_body};
pub use reply::write_reply;
pub use rewrite::rewrite;
pub use stream::ChunkWriter;
pub use tail::Tail;

pub(super) use error::{default_code, status_of};
pub(super) use form::{Form, House};
pub(super) use media::data_uri;
pub(super) use models::Model;
pub(super) use request::translate;
pub(super) use strict::compiles;
pub(super) use wire::{literal, string, usage_of};

/// The dialect.
#[derive(Debug)]
pub struct OpenAi;

impl Dialect for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn chat_path(&self, _model: &str, _stream: bool) -> String {
        "/chat/completions".to_owned()
    }

    /// Plain `http` too, and what is no web address at all: the bytes are the client's own.
    fn fetches(&self, url: &str, surface: &Surface) -> bool {
        surface.image_urls || !image::is_web(url, true)
    }

    /// It takes files as data alone.
    fn fetches_files(&self, url: &str, _surface: &Surface) -> bool {
        !image::is_web(url, true)
    }

    fn chat_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        request::translate(request, target, &form::OPENAI)
    }

    fn chat_reply<'a>(&self, body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
        reply::read(body, names)
    }

    fn chat_glance<'a>(&self, body: &'a Bytes, _names: &Names) -> Result<Glance<'a>, Fault> {
        reply::glance(body)
    }

    fn chat_stream(&self, names: Names) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(names))
    }

    fn embeddings_path(&self, _target: &Target<'_>, _inputs: usize) -> String {
        "/embeddings".to_owned()
    }

    fn embeddings_request(&self, request: &EmbeddingsRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        Ok(Translated { body: rewrite::rewrite_embeddings(request.document, target.name()), losses: Vec::new(), names: Names::default() })
    }

    fn embeddings_reply<'a>(&self, body: &'a Bytes) -> Result<EmbeddingsReply<'a>, Fault> {
        embeddings::read(body)
    }

    fn fault(&self, status: u16, body: &[u8]) -> Fault {
        error::fault(status, body)
    }
}
