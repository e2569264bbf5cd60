//! Anthropic's Messages API.

mod block;
mod client;
mod content;
mod count;
mod error;
mod format;
mod models;
mod replay;
mod reply;
mod request;
mod schema;
mod settings;
mod stream;
mod thinking;
mod tools;
mod turns;
mod usage;

use bytes::Bytes;

pub(super) use self::models::Model;
use super::openai::ErrorText;
use super::{Dialect, Names, Target, Translated};
use crate::chat::{ChatRequest, Reply, StreamReader};
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::usage::Usage;

/// The dialect.
#[derive(Debug)]
pub struct Anthropic;

impl Dialect for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn chat_path(&self, _model: &str, _stream: bool) -> String {
        "/messages".to_owned()
    }

    fn chat_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        request::translate(request, target)
    }

    fn chat_reply<'a>(&self, body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
        reply::read(body, names)
    }

    fn counts(&self) -> (&'static str, fn(&str) -> Option<Usage>) {
        ("usage", |raw| serde_json::from_str::<usage::Counts>(raw).ok().map(|counts| counts.usage()))
    }

    fn chat_stream(&self, names: Names) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new(names))
    }

    fn count_path(&self, target: &Target<'_>) -> Option<String> {
        Some(count::path(target.surface).to_owned())
    }

    fn count_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        request::translate_count(request, target)
    }

    fn count_reply(&self, body: &Bytes) -> Result<u64, Fault> {
        count::read(body)
    }

    fn fault(&self, status: u16, body: &[u8]) -> Fault {
        error::fault(status, body)
    }

    fn error(&self, status: u16, error: ErrorText<'_>, request_id: &str) -> Bytes {
        let long = error.code == Some("context_length_exceeded");
        error::write(status, &if long { error::too_long(error.message) } else { error.message.into() }, request_id)
    }

    fn overloaded(&self) -> u16 {
        529
    }
}
