//! OpenAI chat as a client's dialect.

use bytes::Bytes;

use super::{ChunkWriter, OpenAi, rewrite, write_reply};
use crate::chat::{self, CHAT, ChatRequest, Reply, ReplyContext, StreamWriter};
use crate::dialect::{Address, Asked, Client, Model, Target, Written};
use crate::json::{Document, Pieces, Shape, Splice, View};
use crate::loss::Loss;
use crate::refusal::Refusal;

/// The time OpenAI's own list gives its oldest models; ours have none.
const CREATED: u64 = 1_677_610_602;

impl Client for OpenAi {
    fn shape(&self) -> &'static Shape {
        &CHAT
    }

    fn peek<'a>(&self, document: &'a Document, _address: &'a Address) -> Result<Asked<'a>, Refusal> {
        Ok(Asked { model: chat::model(document)?, stream: chat::wants_stream(document)?, fallbacks: chat::fallbacks(document)? })
    }

    fn read<'a>(&self, document: &'a Document, _address: &'a Address) -> Result<ChatRequest<'a>, Refusal> {
        ChatRequest::read(document)
    }

    fn images<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        chat::image_views(document).collect()
    }

    fn links<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        chat::linked_views(document).collect()
    }

    fn files<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        chat::linked_views(document)
            .filter(|view| view.key().is_some_and(|key| matches!(key.as_ref(), "file_data" | "document_url")))
            .collect()
    }

    fn rewrite(&self, document: &Document, target: &Target<'_>) -> Pieces {
        rewrite(document, target.name(), target.fetched, target.surface)
    }

    fn rewrite_embeddings(&self, document: &Document, target: &Target<'_>) -> Pieces {
        rewrite::rewrite_embeddings(document, target.name())
    }

    fn refused(&self, document: &Document, target: &Target<'_>) -> Vec<Loss> {
        rewrite::refused(document, target.surface)
    }

    fn is_stored(&self, document: &Document) -> bool {
        document.root().present("store").is_some_and(|store| store.raw() != "false")
    }

    fn id_prefix(&self) -> &'static str {
        "chatcmpl-"
    }

    fn write_reply(&self, reply: &Reply<'_>, context: &ReplyContext) -> Written {
        Written { body: write_reply(reply, context), losses: Vec::new() }
    }

    fn write_models(&self, models: &[Model]) -> Bytes {
        let mut out = Splice::new();
        out.object().key("object").string("list").key("data").array();
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
        Box::new(ChunkWriter::new(context))
    }
}

fn write_model(model: &Model, out: &mut Splice) {
    out.object().key("id").string(&model.id).key("object").string("model");
    out.key("created").integer(CREATED).key("owned_by").string(&model.owner).end_object();
}
