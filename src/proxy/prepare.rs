//! A request as one candidate gets it: the client's own bytes, or translated.

use heliostat_filters::chat::{ChatRequest, ReplyContext};
use heliostat_filters::dialect::{Kind, Names, Target, Translated, unsupported};
use heliostat_filters::embeddings::Wanted;
use heliostat_filters::refusal::{Refusal, RefusalScope};

use super::context::Call;
use super::images::Images;
use super::operation;
use crate::config::{Candidate, Snapshot};

/// A request as one candidate gets it.
pub struct Prepared {
    /// The body, its losses, and what the reply's reader must know.
    pub translated: Translated,
    /// Path below the provider's base URL.
    pub path: String,
    /// Whether the client speaks the provider's dialect.
    pub same_dialect: bool,
    /// What the client's chat reply needs beside the provider's.
    pub reply: ReplyContext,
    /// What the client's list of embeddings must hold, where it is written anew.
    pub wanted: Option<Wanted>,
}

/// Prepares a call for its candidates. The client's body is read into views once, and only if a candidate speaks another dialect.
pub struct Translator<'a> {
    call: &'a Call,
    pivot: Option<Result<ChatRequest<'a>, Refusal>>,
    /// What it names by URL. Whatever a candidate needs of it is fetched before it is prepared for it.
    pub images: Images<'a>,
}

impl<'a> Translator<'a> {
    /// A translator for one call.
    #[must_use]
    pub fn new(call: &'a Call, snapshot: &'a Snapshot) -> Self {
        Self { call, pivot: None, images: Images::new(call, snapshot.image_fetch, &snapshot.limits) }
    }

    /// The request as this candidate gets it.
    ///
    /// # Errors
    /// A [`Refusal`]: the request is wrong, or this candidate cannot carry it.
    pub fn prepare(&mut self, candidate: &Candidate, request_id: &str) -> Result<Prepared, Refusal> {
        let speech = candidate.speech();
        let dialect = speech.dialect;
        let Call { operation, document, stream, address, .. } = self.call;
        let same_dialect = operation.is_in(dialect);
        let mut reply = ReplyContext {
            created_s: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            id: format!("{}{request_id}", operation.client.id_prefix()),
            array: address.array,
            ..ReplyContext::default()
        };
        let fetched = self.images.fetched(candidate)?;
        let target = Target { model: &candidate.model, surface: &speech.surface, fetched: &fetched };
        let path = operation.path(document, speech, &target, *stream);
        if operation.kind == Kind::CountTokens && path.is_empty() {
            return Err(unsupported(dialect.name(), "Counts of tokens"));
        }
        if same_dialect {
            let body = match operation.kind {
                Kind::CountTokens => operation.client.rewrite_count(document, &target),
                Kind::Chat => operation.client.rewrite(document, &target),
                Kind::Embeddings => operation.client.rewrite_embeddings(document, &target),
            };
            let losses = if operation.kind == Kind::Chat { operation.client.refused(document, &target) } else { Vec::new() };
            let translated = Translated { body, losses, names: Names::default() };
            self.check_losses(&translated)?;
            return Ok(Prepared { translated, path, same_dialect, reply, wanted: None });
        }
        let (mut translated, wanted) = match operation.kind {
            Kind::Chat | Kind::CountTokens => {
                let pivot = self.pivot.get_or_insert_with(|| operation.client.read(document, address)).as_ref().map_err(Clone::clone)?;
                self.call.asked.clone_into(&mut reply.model);
                reply.echo = operation.client.echo(document);
                reply.prompt_tokens = operation.estimate(document);
                reply.legacy_functions = pivot.legacy_functions;
                reply.include_usage = pivot.include_usage;
                let counts = operation.kind == Kind::CountTokens;
                (if counts { dialect.count_request(pivot, &target) } else { dialect.chat_request(pivot, &target) }?, None)
            }
            Kind::Embeddings => {
                let (translated, wanted) = operation::embeddings_request(document, dialect, &target)?;
                (translated, Some(wanted))
            }
        };
        translated.names.id_seed.push_str(request_id);
        self.check_losses(&translated)?;
        Ok(Prepared { translated, path, same_dialect, reply, wanted })
    }

    /// Strict mode takes no loss.
    fn check_losses(&self, translated: &Translated) -> Result<(), Refusal> {
        if self.call.strict && !translated.losses.is_empty() { Err(too_lossy(translated)) } else { Ok(()) }
    }
}

fn too_lossy(translated: &Translated) -> Refusal {
    let lost: Vec<String> = translated.losses.iter().map(ToString::to_string).collect();
    let path = translated.losses.first().map(|loss| loss.path.to_string()).unwrap_or_default();
    let message = format!("In strict mode nothing may be lost, but this model's provider cannot carry: {}.", lost.join(", "));
    Refusal { path, code: "lossy_translation", message: message.into(), scope: RefusalScope::Candidate }
}
