//! The Messages API as a client's dialect.

mod mark;
mod message;
mod peek;
mod read;
mod reply;
mod rewrite;
mod serial;
mod shape;
mod stream;
mod tool;

use bytes::Bytes;

use super::Anthropic;
use crate::chat::{self, ChatRequest, Reply, ReplyContext, StreamWriter};
use crate::dialect::{Address, Asked, Client, Model, Target, Written};
use crate::json::{Document, Pieces, Shape, Splice, View};
use crate::refusal::Refusal;

/// The API demands a date of each model; the configuration has none.
const CREATED: &str = "1970-01-01T00:00:00Z";

impl Client for Anthropic {
    fn shape(&self) -> &'static Shape {
        &shape::MESSAGES
    }

    fn peek<'a>(&self, document: &'a Document, _address: &'a Address) -> Result<Asked<'a>, Refusal> {
        Ok(Asked { model: chat::model(document)?, stream: chat::wants_stream(document)?, fallbacks: chat::fallbacks(document)? })
    }

    fn read<'a>(&self, document: &'a Document, _address: &'a Address) -> Result<ChatRequest<'a>, Refusal> {
        read::read(document)
    }

    fn images<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        peek::images(document)
    }

    fn links<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        peek::links(document)
    }

    fn rewrite(&self, document: &Document, target: &Target<'_>) -> Pieces {
        rewrite::rewrite(document, target, target.surface.body_version.as_deref())
    }

    /// With the model's name in the body, wherever it is asked.
    fn rewrite_count(&self, document: &Document, target: &Target<'_>) -> Pieces {
        rewrite::rewrite(document, target, None)
    }

    fn files<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        peek::files(document)
    }

    fn write_count(&self, tokens: u64) -> Bytes {
        let mut out = Splice::new();
        out.object().key("input_tokens").integer(tokens).end_object();
        out.finish().join()
    }

    fn id_prefix(&self) -> &'static str {
        "msg_"
    }

    fn write_reply(&self, reply: &Reply<'_>, context: &ReplyContext) -> Written {
        reply::write(reply, context)
    }

    /// All on one page.
    fn write_models(&self, models: &[Model]) -> Bytes {
        let mut out = Splice::new();
        out.object().key("data").array();
        models.iter().for_each(|model| write_model(model, out.element()));
        out.end_array().key("has_more").raw("false");
        for (key, model) in [("first_id", models.first()), ("last_id", models.last())] {
            out.key(key);
            match model {
                Some(model) => out.string(&model.id),
                None => out.raw("null"),
            };
        }
        out.end_object();
        out.finish().join()
    }

    fn write_model(&self, model: &Model) -> Bytes {
        let mut out = Splice::new();
        write_model(model, &mut out);
        out.finish().join()
    }

    fn stream_writer(&self, context: ReplyContext) -> Box<dyn StreamWriter> {
        Box::new(stream::MessageWriter::new(context))
    }
}

fn write_model(model: &Model, out: &mut Splice) {
    out.object().key("type").string("model").key("id").string(&model.id).key("display_name").string(&model.id);
    out.key("created_at").string(CREATED).end_object();
}
