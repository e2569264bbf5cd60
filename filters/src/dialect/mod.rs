//! Wire formats. One folder each, one row in [`DIALECTS`]; providers that speak a dialect are data, not code.

mod anthropic;
mod brackets;
mod client;
mod cohere;
mod edit;
mod effort;
mod gemini;
mod maker;
mod mistral;
mod models;
pub mod openai;
mod rename;
pub mod responses;
mod segment;
mod tool_names;

use std::sync::Arc;

use bytes::Bytes;

use crate::chat::{ChatRequest, Glance, Reply, StreamReader};
use crate::embeddings::{EmbeddingsReply, EmbeddingsRequest};
use crate::fault::Fault;
use crate::image::{self, Fetched};
use crate::json::Pieces;
use crate::loss::Loss;
use crate::refusal::{Refusal, RefusalScope};
use crate::usage::Usage;

pub use self::anthropic::Anthropic;
pub use self::client::{Address, Asked, Client, Kind, Model, Written};
pub use self::gemini::Gemini;
pub use self::models::Models;
pub use self::segment::encode as encode_segment;

/// Every dialect.
pub static DIALECTS: &[&dyn Dialect] = &[&openai::OpenAi, &responses::Responses, &Anthropic, &Gemini, &mistral::Mistral, &cohere::Cohere];

/// Those that clients speak.
pub static CLIENTS: &[&dyn Client] = &[&openai::OpenAi, &responses::Responses, &Anthropic, &Gemini];

/// Finds a dialect by its configured name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.name() == name)
}

/// A wire format, both ways. Stateless: state of a request lives in what the methods return.
pub trait Dialect: Sync + Send + std::fmt::Debug {
    /// The name in configuration: `openai`, `responses`, `anthropic`, `gemini`, `mistral`, `cohere`.
    fn name(&self) -> &'static str;

    /// The path and query of a chat call, below the provider's base URL: `/chat/completions`, `/models/{model}:generateContent`.
    fn chat_path(&self, model: &str, stream: bool) -> String;

    /// Whether a provider with this surface fetches the URL of an image itself.
    fn fetches(&self, url: &str, surface: &Surface) -> bool {
        surface.image_urls && image::is_web(url, false)
    }

    /// The same of a document, or of another file that is no image.
    fn fetches_files(&self, url: &str, surface: &Surface) -> bool {
        self.fetches(url, surface)
    }

    /// Translates a chat request for this dialect. Runs once an attempt; same dialect: the client's bytes but for `model` and `fallbacks`.
    ///
    /// # Errors
    /// A [`Refusal`] if this candidate, or anybody, cannot carry the request.
    fn chat_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal>;

    /// Reads a whole reply (status 2xx). An error object inside a 200 is `Err` too (OpenRouter, Gemini).
    ///
    /// # Errors
    /// The [`Fault`] the body stands for: the provider's own error, or a 502 if it cannot be read.
    fn chat_reply<'a>(&self, body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault>;

    /// Looks at a whole reply (status 2xx) that will pass untouched: whether it is one, and what is told of it.
    ///
    /// # Errors
    /// As [`Dialect::chat_reply`].
    fn chat_glance<'a>(&self, body: &'a Bytes, names: &Names) -> Result<Glance<'a>, Fault> {
        let reply = self.chat_reply(body, names)?;
        let (empty, finish) = (reply.is_empty(), reply.choices.first().and_then(|choice| choice.finish));
        Ok(Glance { model: reply.model, usage: reply.usage, finish, empty })
    }

    /// The member of a whole reply that counts its tokens, and how it is read: for a reply that is too long to be read whole.
    fn counts(&self) -> (&'static str, fn(&str) -> Option<Usage>) {
        ("usage", openai::usage_of)
    }

    /// A reader for a stream's events.
    fn chat_stream(&self, names: Names) -> Box<dyn StreamReader>;

    /// The path of a call that counts a conversation's tokens, below the provider's base URL; `None` where the provider has none.
    fn count_path(&self, target: &Target<'_>) -> Option<String> {
        let _ = target;
        None
    }

    /// Translates a chat request whose tokens are to be counted. Runs only where there is a [`Dialect::count_path`].
    ///
    /// # Errors
    /// As [`Dialect::chat_request`].
    fn count_request(&self, request: &ChatRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        let _ = (request, target);
        Err(unsupported(self.name(), "Counts of tokens"))
    }

    /// Reads the count.
    ///
    /// # Errors
    /// The [`Fault`] the body stands for, as in [`Dialect::chat_reply`].
    fn count_reply(&self, body: &Bytes) -> Result<u64, Fault> {
        let _ = body;
        Err(Fault::new(502, None, "The provider's dialect counts no tokens."))
    }

    /// The path of an embeddings call with so many inputs, below the provider's base URL.
    fn embeddings_path(&self, target: &Target<'_>, inputs: usize) -> String {
        let _ = (target, inputs);
        String::new()
    }

    /// Translates an embeddings request for this dialect. Runs once a candidate.
    ///
    /// # Errors
    /// A [`Refusal`] if this candidate, or anybody, cannot carry the request: every request, in a dialect without embeddings.
    fn embeddings_request(&self, request: &EmbeddingsRequest<'_>, target: &Target<'_>) -> Result<Translated, Refusal> {
        let _ = (request, target);
        Err(unsupported(self.name(), "Embeddings"))
    }

    /// Reads a whole reply to an embeddings call (status 2xx).
    ///
    /// # Errors
    /// The [`Fault`] the body stands for, as in [`Dialect::chat_reply`].
    fn embeddings_reply<'a>(&self, body: &'a Bytes) -> Result<EmbeddingsReply<'a>, Fault> {
        let _ = body;
        Err(Fault::new(502, None, "The provider's dialect has no embeddings."))
    }

    /// Reads an error status with its body (at most 64 KiB of it; may be HTML, empty, or anything).
    fn fault(&self, status: u16, body: &[u8]) -> Fault;

    /// The body of an error of the gateway's own, for a client of this dialect. `error` is in OpenAI's terms, which is the default;
    /// `request_id` is for dialects whose errors hold it.
    fn error(&self, status: u16, error: openai::ErrorText<'_>, request_id: &str) -> Bytes {
        let _ = (status, request_id);
        openai::error_body(error)
    }

    /// The status that tells a client of this dialect that all providers are overloaded.
    fn overloaded(&self) -> u16 {
        503
    }
}

/// The refusal of an operation that a dialect does not have here.
#[must_use]
pub fn unsupported(dialect: &str, operation: &str) -> Refusal {
    let message = format!("{operation} are not available at this model's provider (dialect {dialect}). Ask for another provider's model.");
    Refusal { path: "model".to_owned(), code: "unsupported_operation", message: message.into(), scope: RefusalScope::Candidate }
}

/// What a dialect must know of the candidate it writes for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The model's name at the provider, without prefix.
    pub model: &'a str,
    /// What the provider's surface takes; a row of data.
    pub surface: &'a Surface,
    /// What stands in place of URLs that it does not fetch itself.
    pub fetched: &'a Fetched,
}

impl<'a> Target<'a> {
    /// What the model is called on the wire: a deployment's name, where it has one. What it takes is told by [`Target::model`].
    #[must_use]
    pub fn name(&self) -> &'a str {
        let deployment = self.surface.deployments.iter().find(|(model, _)| model == self.model);
        deployment.map_or(self.model, |(_, name)| name.as_str())
    }
}

/// What differs between providers of one dialect, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// Media types of images it takes; anything else is refused by name.
    pub image_types: Vec<String>,
    /// Whether it fetches `https` image URLs itself.
    pub image_urls: bool,
    /// Tool calls and results may carry ids (Vertex refuses them).
    pub tool_ids: bool,
    /// Models that know JSON schemas of answers and strict tools take them here too; else an answer's schema becomes a tool's.
    pub native_schema: bool,
    /// Anthropic's API version, where it stands in the body and the model in the path (Vertex); `None` where it is the other way round.
    pub body_version: Option<String>,
    /// Members of OpenAI's chat requests that it refuses: left out, and told as lost.
    pub refuses: Vec<String>,
    /// Members that it calls otherwise, OpenAI's name first (`max_completion_tokens`, `max_tokens`).
    pub renames: Vec<(String, String)>,
    /// What its models take.
    pub models: Arc<Models>,
    /// Models that have another name there, the asked one first: deployments (Azure).
    pub deployments: Vec<(String, String)>,
    /// Members that not every provider of the dialect knows, and that clients of other dialects send: carried as they stand.
    pub takes: Vec<String>,
}

impl Surface {
    /// Whether it refuses a member of a chat request.
    #[must_use]
    pub fn refuses(&self, member: &str) -> bool {
        self.refuses.iter().any(|refused| refused == member)
    }

    /// Whether it takes a member that not every provider of the dialect knows.
    #[must_use]
    pub fn takes(&self, member: &str) -> bool {
        self.takes.iter().any(|taken| taken == member)
    }

    /// Its own name of a member of a chat request.
    #[must_use]
    pub fn name_of<'s>(&'s self, member: &'s str) -> &'s str {
        self.renames.iter().find(|(ours, _)| ours == member).map_or(member, |(_, theirs)| theirs)
    }
}

impl Default for Surface {
    /// What most providers take, of models of which nothing is known.
    fn default() -> Self {
        Self {
            image_types: ["png", "jpeg", "gif", "webp"].map(|kind| format!("image/{kind}")).to_vec(),
            image_urls: true,
            tool_ids: true,
            native_schema: true,
            body_version: None,
            refuses: Vec::new(),
            renames: Vec::new(),
            takes: Vec::new(),
            deployments: Vec::new(),
            models: Arc::default(),
        }
    }
}

/// A translated request.
#[derive(Debug)]
pub struct Translated {
    /// The body.
    pub body: Pieces,
    /// What could not be carried.
    pub losses: Vec<Loss>,
    /// What the reply's reader must know.
    pub names: Names,
}

/// What a request's translation changed that its reply must change back, and what the reply's form depends on.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// Tool names that the dialect does not allow: (as sent, as the client declared it).
    pub renamed_tools: Vec<(String, String)>,
    /// Goes into the ids of calls, for dialects whose calls have none: unique within a conversation. The gateway sets it to the
    /// request's id.
    pub id_seed: String,
    /// A tool made up to get structured output: its arguments are the answer's text.
    pub answer_tool: Option<String>,
}

impl Names {
    /// The client's name of a tool.
    #[must_use]
    pub fn original<'n>(&'n self, sent: &'n str) -> &'n str {
        self.renamed_tools.iter().find(|(name, _)| name == sent).map_or(sent, |(_, original)| original)
    }
}
