//! Dialects that clients speak. A client's dialect reads its requests into the pivot and writes the pivot's replies and streams; any
//! upstream's [`Dialect`] does the rest, so N client dialects and M upstream dialects cost N + M translations.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Dialect, Target};
use crate::chat::{ChatRequest, FallbackRef, Reply, ReplyContext, StreamWriter};
use crate::json::{Document, Pieces, Shape, View};
use crate::loss::Loss;
use crate::refusal::Refusal;

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An answer to a conversation, whole or as a stream.
    Chat,
    /// Vectors.
    Embeddings,
    /// How many tokens a conversation has.
    CountTokens,
}

/// What a request's path says, in dialects that say it there (Gemini).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// The model.
    pub model: Option<String>,
    /// Whether a stream is asked for.
    pub stream: Option<bool>,
    /// Whether it is to come as one JSON array rather than as events.
    pub array: bool,
}

/// What the gateway itself must know of a request. Read of every request: it costs no look at the conversation.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The model as asked, still with its provider prefix.
    pub model: Cow<'a, str>,
    /// Whether an event stream is wanted.
    pub stream: bool,
    /// The request's own list of fallbacks: `None` leaves it to the configuration, an empty list asks for none.
    pub fallbacks: Option<Vec<FallbackRef<'a>>>,
}

/// A model that clients may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// What to ask for: a route, or `provider/model`.
    pub id: String,
    /// Who serves it.
    pub owner: String,
}

/// A reply in the client's words.
#[derive(Debug)]
pub struct Written {
    /// The body.
    pub body: Pieces,
    /// What the client's shape has no place for, beside [`Reply::losses`].
    pub losses: Vec<Loss>,
}

/// A dialect that clients speak. Stateless, as [`Dialect`].
pub trait Client: Dialect {
    /// What the scan of a chat body records; members named there may stand only once.
    fn shape(&self) -> &'static Shape;

    /// What leads the paths of its vendor's API: `/openai/v1/responses`.
    fn home(&self) -> &'static str {
        self.name()
    }

    /// What a path that is not fixed, and its query, ask for: `/v1beta/models/{model}:generateContent`. Fixed paths are the gateway's
    /// table.
    fn address(&self, path: &str, query: &str) -> Option<(Kind, Address)> {
        let _ = (path, query);
        None
    }

    /// The model, whether to stream, and the fallbacks.
    ///
    /// # Errors
    /// A [`Refusal`] of the client's fault naming the member.
    fn peek<'a>(&self, document: &'a Document, address: &'a Address) -> Result<Asked<'a>, Refusal>;

    /// Reads the views of a scanned body. Runs once a request, and only if a candidate speaks another dialect.
    ///
    /// # Errors
    /// A [`Refusal`] of the client's fault that names the path of what is no chat request.
    fn read<'a>(&self, document: &'a Document, address: &'a Address) -> Result<ChatRequest<'a>, Refusal>;

    /// The strings that hold images, in order, for limits on their number and size. Parts that are wrong are passed over.
    fn images<'a>(&self, document: &'a Document) -> Vec<View<'a>>;

    /// The strings that may be a URL of an image or of a file, in order.
    fn links<'a>(&self, document: &'a Document) -> Vec<View<'a>>;

    /// The client's own body for an upstream of the same dialect: byte for byte, but for the model's name, `fallbacks`, which only the
    /// gateway understands, and what was fetched in place of its URL.
    fn rewrite(&self, document: &Document, target: &Target<'_>) -> Pieces;

    /// The same of a body that asks for vectors.
    fn rewrite_embeddings(&self, document: &Document, target: &Target<'_>) -> Pieces {
        self.rewrite(document, target)
    }

    /// What [`Client::rewrite`] leaves out because this upstream refuses it.
    fn refused(&self, document: &Document, target: &Target<'_>) -> Vec<Loss> {
        let _ = (document, target);
        Vec::new()
    }

    /// The same body for a call that counts tokens.
    fn rewrite_count(&self, document: &Document, target: &Target<'_>) -> Pieces {
        self.rewrite(document, target)
    }

    /// Whether the provider is to keep the answer, or to work at it in the background: who is asked twice would keep two.
    fn is_stored(&self, document: &Document) -> bool {
        let _ = document;
        false
    }

    /// The strings that hold documents and other files inline, for an estimate of what they cost.
    fn files<'a>(&self, document: &'a Document) -> Vec<View<'a>> {
        let _ = document;
        Vec::new()
    }

    /// Writes a count of tokens; nothing, in dialects that do not ask for one.
    fn write_count(&self, tokens: u64) -> Bytes {
        let _ = tokens;
        Bytes::new()
    }

    /// The members of a request that its reply repeats, without braces.
    fn echo(&self, document: &Document) -> Bytes {
        let _ = document;
        Bytes::new()
    }

    /// What a reply's made-up id begins with.
    fn id_prefix(&self) -> &'static str;

    /// Writes a whole reply.
    fn write_reply(&self, reply: &Reply<'_>, context: &ReplyContext) -> Written;

    /// Writes the list of models that may be asked for.
    fn write_models(&self, models: &[Model]) -> Bytes;

    /// Writes one of them.
    fn write_model(&self, model: &Model) -> Bytes;

    /// A writer for one stream.
    fn stream_writer(&self, context: ReplyContext) -> Box<dyn StreamWriter>;
}
