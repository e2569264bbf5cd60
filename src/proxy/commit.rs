//! From an attempt's answer to the client: a last look, then the commit.

use std::time::{Duration, Instant};

use heliostat_filters::chat::{FinishReason, Glance, Reply, ReplyContext};
use heliostat_filters::dialect::{Client, Kind, Names, Written};
use heliostat_filters::embeddings::Wanted;
use heliostat_filters::fault::{Fault, FaultKind};
use heliostat_filters::sse::Array;

use super::attempt::{self, Ended, Ready, Said, Streaming, Translated, Whole};
use super::content::Excerpt;
use super::context::Context;
use super::failover::End;
use super::headers;
use super::operation::{self, Operation};
use super::pump::MODEL_CHARACTERS;
use super::relay::{self, RelayClocks, Relayed};
use super::{attributes, redact};
use crate::config::Candidate;
use crate::proxy::session::Session;
use crate::upstream::pool::Pool;

/// How a candidate's answers are read and written.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Who answers.
    pub candidate: &'a Candidate,
    /// What the request's translation changed.
    pub names: &'a Names,
    /// What the client's chat reply needs beside the provider's.
    pub reply: &'a ReplyContext,
    /// What was asked for.
    pub operation: Operation,
    /// What the client's list of embeddings must hold, where it is written anew.
    pub wanted: Option<&'a Wanted>,
    /// Whether the client speaks the provider's dialect.
    pub same_dialect: bool,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Somebody else is left to be asked: an answer that says nothing is not taken.
    pub others: bool,
    /// When the answer must be through.
    pub total: Instant,
    /// So much of a reply is captured.
    pub content_bytes: Option<usize>,
}

/// A last look at a whole reply, and its translation: an error inside a 200, or something that is no reply, is a failed attempt.
///
/// # Errors
/// [`Ended::Failed`].
pub fn inspect(ready: Ready, terms: Terms<'_>) -> Result<Ready, Ended> {
    let Ready::Whole(mut whole) = ready else { return Ok(ready) };
    if whole.rest.is_some() {
        if !whole.body.trim_ascii_start().starts_with(b"{") {
            return Err(attempt::in_stream(malformed("The provider's reply is no JSON object.")));
        }
        let too_long = || attempt::in_stream(malformed("The provider's reply is too long to be translated."));
        return if terms.same_dialect { Ok(Ready::Whole(whole)) } else { Err(too_long()) };
    }
    if terms.operation.kind != Kind::Chat {
        return no_chat(whole, terms);
    }
    let dialect = terms.candidate.speech().dialect;
    if terms.same_dialect && terms.content_bytes.is_none() {
        let glance = dialect.chat_glance(&whole.body, terms.names).map_err(attempt::in_stream)?;
        if glance.empty && terms.others {
            return Err(attempt::empty());
        }
        whole.said = said(&glance);
        return Ok(Ready::Whole(whole));
    }
    let reply = dialect.chat_reply(&whole.body, terms.names).map_err(attempt::in_stream)?;
    if terms.others && reply.is_empty() {
        return Err(attempt::empty());
    }
    let said = Said { reply: terms.content_bytes.map(|max| excerpt(&reply, max)), ..said(&reply.glance()) };
    if terms.same_dialect {
        drop(reply);
        whole.said = said;
        return Ok(Ready::Whole(whole));
    }
    if terms.stream {
        return Err(attempt::in_stream(malformed("The provider did not stream its answer.")));
    }
    let Written { body, mut losses } = terms.operation.client.write_reply(&reply, terms.reply);
    losses.extend(reply.losses);
    Ok(Ready::Translated(Translated { head: whole.head, pieces: body.pieces, said, losses }))
}

/// Vectors, or a count.
fn no_chat(mut whole: Whole, terms: Terms<'_>) -> Result<Ready, Ended> {
    let dialect = terms.candidate.speech().dialect;
    let read = match terms.operation.kind {
        Kind::CountTokens => operation::count_reply(dialect, &whole.body, (!terms.same_dialect).then_some(terms.operation.client)),
        Kind::Chat | Kind::Embeddings => operation::embeddings_reply(dialect, &whole.body, terms.wanted),
    };
    let read = read.map_err(attempt::in_stream)?;
    let said = Said { usage: read.usage, ..Said::default() };
    Ok(match read.written {
        Some((pieces, losses)) => Ready::Translated(Translated { head: whole.head, pieces, said, losses }),
        None => {
            whole.said = said;
            Ready::Whole(whole)
        }
    })
}

/// What the first choice begins with.
fn excerpt(reply: &Reply<'_>, max_bytes: usize) -> Excerpt {
    let mut excerpt = Excerpt::of(max_bytes);
    reply.choices.first().into_iter().flat_map(|choice| &choice.text).for_each(|text| excerpt.add(&text.text()));
    excerpt
}

fn said(reply: &Glance<'_>) -> Said {
    Said {
        reply: None,
        usage: reply.usage.unwrap_or_default(),
        model: Some(redact::cut(&reply.model, MODEL_CHARACTERS).to_owned()).filter(|model| !model.is_empty()),
        finish: reply.finish.map(FinishReason::as_str),
    }
}

/// Commits an answer: from here on the client sees this one.
///
/// # Errors
/// The client cannot be written to, or the provider broke off where only a cut connection can say so.
pub async fn answer(session: &mut Session<'_>, context: &mut Context, ready: Ready, terms: Terms<'_>, pool: &Pool) -> pingora::Result<End> {
    let stall = Duration::from_millis(terms.candidate.timeouts.stall_ms);
    let clocks = RelayClocks { total: terms.total, stall };
    context.outcome.first_content = Some(Instant::now());
    context.outcome.upstream_request_id = headers::upstream_id(ready.head());
    let live = context.live.clone();
    attributes::of_answer(&live.snapshot.observability.attributes, &mut context.outcome, |name| ready.head().text(name));
    match ready {
        // In a box: a whole reply would else carry its size along.
        Ready::Stream(streaming) => {
            return Box::pin(stream(session, context, streaming, (terms.operation.client, terms.reply), pool, clocks)).await;
        }
        Ready::Whole(mut whole) => {
            context.outcome.hear(std::mem::take(&mut whole.said));
            relay::whole(session, context, whole, pool, clocks).await?;
        }
        Ready::Translated(translated) => {
            context.outcome.hear(translated.said);
            context.outcome.losses.extend(translated.losses);
            relay::translated(session, context, (&translated.head, translated.pieces), clocks).await?;
        }
    }
    Ok(End::Served)
}

async fn stream(
    session: &mut Session<'_>,
    context: &mut Context,
    streaming: Box<Streaming>,
    (client, reply): (&dyn Client, &ReplyContext),
    pool: &Pool,
    clocks: RelayClocks,
) -> pingora::Result<End> {
    let writer = (client.stream_writer(reply.clone()), reply.array.then(Array::default));
    let (relayed, mut pump) = relay::stream(session, context, streaming, writer, pool, clocks).await?;
    let excerpt = pump.seen.excerpt.take();
    let seen = &pump.seen;
    context.outcome.hear(Said {
        usage: seen.usage,
        model: seen.model.clone(),
        finish: seen.finish.map(FinishReason::as_str),
        reply: excerpt,
    });
    context.outcome.chunks = seen.chunks;
    // What passed untouched lost nothing.
    if !pump.is_untouched() {
        context.outcome.losses.extend(seen.losses.iter().cloned());
    }
    match relayed {
        Relayed::ClientGone => return Ok(End::ClientGone),
        Relayed::Broken => {
            let fault = pump.failure();
            context.outcome.error_code = Some(fault.and_then(|fault| fault.code.clone()).unwrap_or_else(|| "stream_broken".to_owned()));
            context.outcome.error_log = fault.map(|fault| fault.message.clone());
        }
        Relayed::Whole => {}
    }
    Ok(End::Served)
}

fn malformed(message: &str) -> Fault {
    Fault {
        status: 502,
        kind: FaultKind::Malformed,
        message: message.to_owned(),
        code: Some("upstream_malformed".to_owned()),
        param: None,
        retry_after_ms: None,
    }
}
