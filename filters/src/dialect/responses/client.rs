//! The Responses API as a client's dialect.

use bytes::Bytes;

use super::super::edit::Edits;
use super::read;
use super::stream::EventWriter;
use super::{Responses, echo, write_reply};
use crate::chat::{self, ChatRequest, Reply, ReplyContext, StreamWriter};
use crate::dialect::openai::OpenAi;
use crate::dialect::{Address, Asked, Client, Model, Target, Written};
use crate::json::{Document, Pieces, Shape, View};
use crate::refusal::Refusal;

impl Client for Responses {
    fn shape(&self) -> &'static Shape {
        &read::RESPONSE
    }

    fn home(&self) -> &'static str {
        "openai"
    }

    fn peek<'a>(&self, document: &'a Document, _address: &'a Address) -> Result<Asked<'a>, Refusal> {
        Ok(Asked { model: chat::model(document)?, stream: chat::wants_stream(document)?, fallbacks: chat::fallbacks(document)? })
    }

    fn read<'a>(&self, document: &'a Document, _address: &'a Address) -> Result<ChatRequest<'a>, Refusal> {
        read::read(document)
    }

    fn images<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        read::images(document).collect()
    }

    fn links<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        read::links(document).collect()
    }

    fn files<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        read::files(document).collect()
    }

    /// A file that was fetched is `file_data` in place of its `file_url`, where no data may stand.
    fn rewrite(&self, document: &Document, target: &Target<'_>) -> Pieces {
        let mut edits = Edits::of(document);
        edits.rename(target.name());
        edits.cut_member(document.root(), "fallbacks");
        let links = if target.fetched.is_empty() { None } else { Some(read::links(document)) };
        for view in links.into_iter().flatten() {
            let Some(inline) = target.fetched.at(view) else { continue };
            let head = format!("\"data:{};base64,", inline.media_type);
            if view.key().is_some_and(|key| key == "file_url") {
                edits.inline_member(view, format!("\"file_data\":{head}"), inline);
            } else {
                edits.inline(view, head, inline);
            }
        }
        edits.finish()
    }

    /// It is unless the request says otherwise.
    fn is_stored(&self, document: &Document) -> bool {
        let root = document.root();
        root.get("store").is_none_or(|store| store.raw() != "false") || read::stateful(root).is_some()
    }

    fn echo(&self, document: &Document) -> Bytes {
        echo(document)
    }

    fn id_prefix(&self) -> &'static str {
        "resp_"
    }

    fn write_reply(&self, reply: &Reply<'_>, context: &ReplyContext) -> Written {
        let (body, losses) = write_reply(reply, context);
        Written { body, losses }
    }

    fn write_models(&self, models: &[Model]) -> Bytes {
        OpenAi.write_models(models)
    }

    fn write_model(&self, model: &Model) -> Bytes {
        OpenAi.write_model(model)
    }

    fn stream_writer(&self, context: ReplyContext) -> Box<dyn StreamWriter> {
        Box::new(EventWriter::new(context))
    }
}
