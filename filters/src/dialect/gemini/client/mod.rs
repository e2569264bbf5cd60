//! Google's API as a client's dialect.

mod address;
mod config;
mod contents;
mod key;
mod mark;
mod open_api;
mod part;
mod peek;
mod read;
mod reply;
mod rewrite;
mod shape;
mod stream;
mod tools;

use std::borrow::Cow;

use bytes::Bytes;

use super::Gemini;
use crate::chat::{self, ChatRequest, Reply, ReplyContext, StreamWriter};
use crate::dialect::{Address, Asked, Client, Kind, Model, Target, Written};
use crate::json::{Document, Pieces, Shape, Splice, View};
use crate::refusal::Refusal;

/// What a model is good for here.
const METHODS: [&str; 3] = ["generateContent", "streamGenerateContent", "countTokens"];

impl Client for Gemini {
    fn shape(&self) -> &'static Shape {
        &shape::GENERATE
    }

    fn home(&self) -> &'static str {
        "genai"
    }

    fn address(&self, path: &str, query: &str) -> Option<(Kind, Address)> {
        address::read(path, query)
    }

    /// The path says it all but for the fallbacks.
    fn peek<'a>(&self, document: &'a Document, address: &'a Address) -> Result<Asked<'a>, Refusal> {
        let model = address.model.as_deref().ok_or_else(|| Refusal::client("model", "The path must name a model."))?;
        Ok(Asked { model: Cow::Borrowed(model), stream: address.stream.unwrap_or_default(), fallbacks: chat::fallbacks(document)? })
    }

    fn read<'a>(&self, document: &'a Document, address: &'a Address) -> Result<ChatRequest<'a>, Refusal> {
        read::read(document, address)
    }

    fn images<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        peek::images(document)
    }

    fn links<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        peek::links(document)
    }

    fn files<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        peek::files(document)
    }

    fn rewrite(&self, document: &Document, target: &Target<'_>) -> Pieces {
        rewrite::chat(document, target)
    }

    fn rewrite_count(&self, document: &Document, target: &Target<'_>) -> Pieces {
        rewrite::count(document, target)
    }

    fn write_count(&self, tokens: u64) -> Bytes {
        let mut out = Splice::new();
        out.object().key("totalTokens").integer(tokens).end_object();
        out.finish().join()
    }

    /// Google's ids have no form of their own.
    fn id_prefix(&self) -> &'static str {
        ""
    }

    fn write_reply(&self, reply: &Reply<'_>, context: &ReplyContext) -> Written {
        reply::write(reply, context)
    }

    /// All on one page.
    fn write_models(&self, models: &[Model]) -> Bytes {
        let mut out = Splice::new();
        out.object().key("models").array();
        models.iter().for_each(|model| write_model(model, out.element()));
        out.end_array().end_object();
        out.finish().join()
    }

    fn write_model(&self, model: &Model) -> Bytes {
        let mut out = Splice::new();
        write_model(model, &mut out);
        out.finish().join()
    }

    fn stream_writer(&self, context: ReplyContext) -> Box<dyn StreamWriter> {
        Box::new(stream::EventWriter::new(context))
    }
}

fn write_model(model: &Model, out: &mut Splice) {
    out.object().key("name").string(&format!("models/{}", model.id)).key("displayName").string(&model.id);
    out.key("supportedGenerationMethods").array();
    for method in METHODS {
        out.element().string(method);
    }
    out.end_array().end_object();
}
