//! Mistral's chat completions: OpenAI's wire format with members, ids, parts and an order of its own, held to strictly (422 for what it
//! does not know). Written by OpenAI's writer with another [`Form`]; replies and streams are read by OpenAI's readers, which know its
//! parts.
//!
//! Sources: the request and message models of Mistral's own SDK (mistralai/client-python, read November 2026); the errors that clients
//! were answered with. Unverified: the highest temperature, and that a sound's type is told by its bytes.

mod embeddings;

use bytes::Bytes;

use super::openai::{Form, House, OpenAi, translate};
use super::{Dialect, Names, Surface, Target, Translated, tool_names};
use crate::chat::{ChatRequest, Glance, Reply, StreamReader};
use crate::embeddings::{EmbeddingsReply, EmbeddingsRequest};
use crate::fault::Fault;
use crate::refusal::Refusal;

/// What its requests look like.
static FORM: Form = Form {
    lacks: &["stream_options", "user", "logprobs", "top_logprobs", "service_tier"],
    renames: &[("seed", "random_seed"), ("max_completion_tokens", "max_tokens")],
    takes: &["guardrails", "metadata", "prediction", "prompt_cache_key", "prompt_mode", "safe_prompt"],
    call_id: tool_names::nine_characters,
    forced: "any",
    stops: usize::MAX,
    hottest: 1.5,
    house: House::Mistral,
};

/// The dialect.
#[derive(Debug)]
pub(super) struct Mistral;

impl Dialect for Mistral {
    fn name(&self) -> &'static str {
        "mistral"
    }

    fn chat_path(&self, model: &str, stream: bool) -> String {
        OpenAi.chat_path(model, stream)
    }

    fn fetches(&self, url: &str, surface: &Surface) -> bool {
        OpenAi.fetches(url, surface)
    }

    fn fetches_files(&self, url: &str, surface: &Surface) -> bool {
        OpenAi.fetches(url, surface)
    }

    fn chat_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        translate(request, target, &FORM)
    }

    fn chat_reply<'a>(&self, body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
        OpenAi.chat_reply(body, names)
    }

    fn chat_glance<'a>(&self, body: &'a Bytes, names: &Names) -> Result<Glance<'a>, Fault> {
        OpenAi.chat_glance(body, names)
    }

    fn chat_stream(&self, names: Names) -> Box<dyn StreamReader> {
        OpenAi.chat_stream(names)
    }

    fn embeddings_path(&self, target: &Target<'_>, inputs: usize) -> String {
        OpenAi.embeddings_path(target, inputs)
    }

    fn embeddings_request(&self, request: &EmbeddingsRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        embeddings::translate(request, target)
    }

    fn embeddings_reply<'a>(&self, body: &'a Bytes) -> Result<EmbeddingsReply<'a>, Fault> {
        OpenAi.embeddings_reply(body)
    }

    fn fault(&self, status: u16, body: &[u8]) -> Fault {
        OpenAi.fault(status, body)
    }
}
