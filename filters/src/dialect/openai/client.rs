//! OpenAI chat as a client's dialect.

use super::{ChunkWriter, OpenAi, rewrite, write_reply};
use crate::chat::{self, CHAT, ChatRequest, Reply, ReplyContext, StreamWriter};
use crate::dialect::{Address, Asked, Client, Target, Written};
use crate::json::{Document, Pieces, Shape, View};
use crate::refusal::Refusal;

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

    fn rewrite(&self, document: &Document, target: &Target<'_>) -> Pieces {
        rewrite(document, target.model, target.fetched)
    }

    fn id_prefix(&self) -> &'static str {
        "chatcmpl-"
    }

    fn write_reply(&self, reply: &Reply<'_>, context: &ReplyContext) -> Written {
        Written { body: write_reply(reply, context), losses: Vec::new() }
    }

    fn stream_writer(&self, context: ReplyContext) -> Box<dyn StreamWriter> {
        Box::new(ChunkWriter::new(context))
    }
}
