//! OpenAI chat completions: the client's own dialect, and that of most providers.
//!
//! Source: OpenAI's API specification, endpoint `POST /chat/completions`.

mod error;
mod reply;
mod request;
mod stream;
mod wire;

use bytes::Bytes;

use super::{Dialect, Names, Surface, Target, Translated};
use crate::chat::{ChatRequest, Reply, StreamReader};
use crate::fault::Fault;
use crate::image;
use crate::refusal::Refusal;

pub use error::{ErrorText, error_body, error_type, fault_body};
pub use reply::{ReplyContext, write_reply};
pub use request::rewrite;
pub use stream::StreamWriter;

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

    fn chat_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        request::translate(request, target)
    }

    fn chat_reply<'a>(&self, body: &'a Bytes, _names: &Names) -> Result<Reply<'a>, Fault> {
        reply::read(body)
    }

    fn chat_stream(&self, _names: Names) -> Box<dyn StreamReader> {
        Box::new(stream::Reader::default())
    }

    fn fault(&self, status: u16, body: &[u8]) -> Fault {
        error::fault(status, body)
    }
}
