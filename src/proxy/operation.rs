//! What a call is for and in which dialect it is asked: the one place where chat and embeddings part. Everything else of a request's
//! way is the same for all.

use bytes::Bytes;
use heliostat_filters::dialect::openai;
use heliostat_filters::dialect::{Address, Asked, Client, Dialect, Kind, Target, Translated};
use heliostat_filters::embeddings::{self, EMBEDDINGS, EmbeddingsRequest, Wanted};
use heliostat_filters::fault::Fault;
use heliostat_filters::json::{Document, Shape, View};
use heliostat_filters::loss::Loss;
use heliostat_filters::refusal::Refusal;
use heliostat_filters::usage::Usage;

use super::problem::Problem;
use crate::config::{Candidate, Speech};

/// Bytes of JSON that make a token of text, bytes of base64 that make one of a document, tokens of an image of usual size: rules of
/// thumb, good to a factor of two.
const BYTES_A_TOKEN: usize = 4;
const FILE_BYTES_A_TOKEN: usize = 40;
const TOKENS_AN_IMAGE: usize = 1_600;

/// What a call is for, and the client's dialect.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// In which dialect it is asked and answered.
    pub client: &'static dyn Client,
    /// What it is for.
    pub kind: Kind,
}

impl Operation {
    /// What the scan of a body records.
    #[must_use]
    pub fn shape(self) -> &'static Shape {
        if self.is_chat() { self.client.shape() } else { &EMBEDDINGS }
    }

    /// Whether it is of a conversation.
    #[must_use]
    pub fn is_chat(self) -> bool {
        self.kind != Kind::Embeddings
    }

    /// What the gateway itself must know of a body. Only an answer to a conversation streams.
    ///
    /// # Errors
    /// A [`Refusal`] naming the member.
    pub fn peek<'a>(self, document: &'a Document, address: &'a Address) -> Result<Asked<'a>, Refusal> {
        if self.kind == Kind::Chat {
            return self.client.peek(document, address);
        }
        let Asked { model, fallbacks, .. } = self.client.peek(document, address)?;
        Ok(Asked { model, stream: false, fallbacks })
    }

    /// What of a body may be a URL of an image or of a file.
    #[must_use]
    pub fn links(self, document: &Document) -> Vec<View<'_>> {
        if self.is_chat() { self.client.links(document) } else { Vec::new() }
    }

    /// Whether the client speaks this dialect.
    #[must_use]
    pub fn is_in(self, dialect: &dyn Dialect) -> bool {
        self.client.name() == dialect.name()
    }

    /// Refuses what this gateway takes of no client: too many inputs.
    ///
    /// # Errors
    /// A [`Refusal`] at `input`.
    pub fn check(self, document: &Document) -> Result<(), Refusal> {
        if self.kind == Kind::Embeddings { embeddings::count_inputs(document).map(drop) } else { Ok(()) }
    }

    /// The path of the call, below the provider's base URL.
    #[must_use]
    pub fn path(self, document: &Document, speech: &Speech, target: &Target<'_>, stream: bool) -> String {
        match self.kind {
            Kind::Chat => speech.chat_path(target.name(), stream),
            // Where there is none, nothing is sent.
            Kind::CountTokens => speech.dialect.count_path(target).unwrap_or_default(),
            // The count was checked when the request was planned.
            Kind::Embeddings => speech
                .embeddings_path(target.name())
                .unwrap_or_else(|| speech.dialect.embeddings_path(target, embeddings::count_inputs(document).unwrap_or_default())),
        }
    }

    /// Tokens of a conversation, guessed: about four bytes each, images and documents by what they cost on average.
    #[must_use]
    pub fn estimate(self, document: &Document) -> u64 {
        let bytes = |views: &[View<'_>]| views.iter().map(|view| view.range().len()).sum::<usize>();
        let (images, files) = (self.client.images(document), self.client.files(document));
        let held = bytes(&images) + bytes(&files);
        let text = document.bytes().len().saturating_sub(held);
        let tokens = text / BYTES_A_TOKEN + images.len() * TOKENS_AN_IMAGE + bytes(&files) / FILE_BYTES_A_TOKEN;
        tokens.max(1) as u64
    }

    /// Holds the fallbacks that a body names against its model. Vectors of two models have nothing in common, so that an index
    /// would be spoilt by them without anybody noticing: only the same model elsewhere may stand in.
    ///
    /// # Errors
    /// 400 for embeddings with a fallback to another model.
    pub fn check_fallbacks(self, primary: &Candidate, fallbacks: &[Candidate]) -> Result<(), Problem> {
        let other = fallbacks.iter().position(|fallback| !self.may_stand_in(primary, fallback));
        let Some((index, fallback)) = other.and_then(|index| Some((index, fallbacks.get(index)?))) else { return Ok(()) };
        let message = format!(
            "Embeddings of `{}` cannot stand in for those of `{}`: vectors of different models do not compare. Name the same model at \
             another provider, or no fallback.",
            fallback.model, primary.model
        );
        Err(Problem::new(400, "incompatible_fallback", message).at(format!("fallbacks[{index}]")))
    }

    /// Whether `fallback` may answer in place of `primary`: any model in a chat, the same model for embeddings.
    #[must_use]
    pub fn may_stand_in(self, primary: &Candidate, fallback: &Candidate) -> bool {
        self.is_chat() || fallback.model == primary.model
    }
}

/// An embeddings request as a provider of another dialect gets it, and what the client's reply must hold.
///
/// # Errors
/// A [`Refusal`]: the request is wrong, or this candidate cannot carry it.
pub fn embeddings_request(document: &Document, dialect: &dyn Dialect, target: &Target<'_>) -> Result<(Translated, Wanted), Refusal> {
    let request = EmbeddingsRequest::read(document)?;
    let translated = dialect.embeddings_request(&request, target)?;
    let wanted = Wanted { model: target.model.to_owned(), inputs: request.inputs.len(), encoding: request.encoding };
    Ok((translated, wanted))
}

/// Reads a whole embeddings reply, and writes it for a client of another dialect.
///
/// # Errors
/// The [`Fault`] that the body stands for.
pub fn embeddings_reply(dialect: &dyn Dialect, body: &Bytes, wanted: Option<&Wanted>) -> Result<Read, Fault> {
    let reply = dialect.embeddings_reply(body)?;
    let usage = reply.usage.unwrap_or_default();
    let Some(wanted) = wanted else { return Ok(Read { usage, written: None }) };
    let (pieces, losses) = openai::write_embeddings(&reply, wanted)?;
    Ok(Read { usage, written: Some((pieces.pieces, losses)) })
}

/// Reads a count of tokens, and writes it for a client of another dialect.
///
/// # Errors
/// The [`Fault`] that the body stands for.
pub fn count_reply(dialect: &dyn Dialect, body: &Bytes, client: Option<&dyn Client>) -> Result<Read, Fault> {
    let tokens = dialect.count_reply(body)?;
    Ok(Read { usage: Usage::default(), written: client.map(|client| (vec![client.write_count(tokens)], Vec::new())) })
}

/// What came of a whole reply.
#[derive(Debug)]
pub struct Read {
    /// Token counts.
    pub usage: Usage,
    /// For a client of another dialect: the body, and what it lost.
    pub written: Option<(Vec<Bytes>, Vec<Loss>)>,
}
