//! Which answers are worth keeping. Each is read once more, as its client reads it, when that has it all: only what is whole, ended by
//! itself and says something is given again.

use std::collections::BTreeSet;

use bytes::Bytes;
use heliostat_filters::chat::{FinishReason, StreamEvent};
use heliostat_filters::dialect::{Dialect, Kind, Names};
use heliostat_filters::embeddings;
use heliostat_filters::loss::Loss;
use heliostat_filters::sse::Splitter;

use crate::proxy::context::{Call, Outcome};
use crate::proxy::operation::Operation;

/// Where the reading of a reply says that it does not know the reason of its end: it may be any.
const REASONS: &[&str] = &["finish_reason", "stop_reason", "finishReason", "incomplete_details.reason"];

/// Whether the provider ended its answer by itself, in words that are known: a translation may have made an end of none.
pub(super) fn ended_by_itself(operation: Operation, outcome: &Outcome) -> bool {
    let said = matches!(outcome.finish_reason, Some("stop" | "tool_calls")) || operation.kind == Kind::Embeddings;
    said && !outcome.losses.iter().any(is_of_end)
}

/// Whether the answer is one. `body` is what the client got, as events where it is a stream.
pub(super) fn is_worth_keeping(call: &Call, body: &Bytes) -> bool {
    let client: &dyn Dialect = call.operation.client;
    match call.operation.kind {
        Kind::CountTokens => false,
        Kind::Embeddings => embeddings::count_inputs(&call.document).is_ok_and(|inputs| has_vectors(client, body, inputs)),
        Kind::Chat if call.stream => is_whole_stream(client, body),
        Kind::Chat => is_whole_reply(client, body),
    }
}

/// Whether there is a vector for each input.
fn has_vectors(client: &dyn Dialect, body: &Bytes, inputs: usize) -> bool {
    client.embeddings_reply(body).is_ok_and(|reply| reply.vectors.len() == inputs)
}

fn is_whole_reply(client: &dyn Dialect, body: &Bytes) -> bool {
    let Ok(reply) = client.chat_reply(body, &Names::default()) else { return false };
    let ended = |choice: &heliostat_filters::chat::Choice<'_>| {
        is_natural(choice.finish) && choice.refusal.as_ref().is_none_or(heliostat_filters::json::Literal::is_empty)
    };
    !reply.choices.is_empty() && !reply.is_empty() && reply.choices.iter().all(ended) && !reply.losses.iter().any(is_of_end)
}

/// What a stream says of itself.
#[derive(Default)]
struct Heard {
    said: bool,
    spoilt: bool,
    done: bool,
    begun: BTreeSet<u32>,
    finished: BTreeSet<u32>,
}

fn is_whole_stream(client: &dyn Dialect, body: &Bytes) -> bool {
    let mut reader = client.chat_stream(Names::default());
    let mut heard = Heard::default();
    let mut splitter = Splitter::new(body.len());
    let mut take = |event: StreamEvent<'_>| heard.hear(&event);
    let split = splitter.push(body, &mut |event| reader.read(event, &mut take)).is_ok() && !splitter.is_within_event();
    reader.end(&mut |event| take(event));
    // An imitator may leave OpenAI's end mark out; but then nobody knows that nothing was to come.
    let ended = heard.done || client.name() != "openai";
    split && ended && reader.is_complete() && heard.said && !heard.spoilt && heard.begun.is_subset(&heard.finished)
}

impl Heard {
    fn hear(&mut self, event: &StreamEvent<'_>) {
        self.said |= event.says_something();
        match event {
            StreamEvent::Text { choice, .. }
            | StreamEvent::Reasoning { choice, .. }
            | StreamEvent::ReasoningEncrypted { choice, .. }
            | StreamEvent::ToolStart { choice, .. }
            | StreamEvent::Image { choice, .. } => drop(self.begun.insert(*choice)),
            StreamEvent::Refusal { text, .. } => self.spoilt |= !text.is_empty(),
            StreamEvent::Finish { choice, reason } => {
                self.finished.insert(*choice);
                self.spoilt |= !is_natural(Some(*reason));
            }
            StreamEvent::Lost(loss) => self.spoilt |= is_of_end(loss),
            StreamEvent::Failed(_) => self.spoilt = true,
            StreamEvent::Done => self.done = true,
            _ => {}
        }
    }
}

fn is_natural(finish: Option<FinishReason>) -> bool {
    matches!(finish, Some(FinishReason::Stop | FinishReason::ToolCalls))
}

/// Whether it is the reason of an end that nobody knew.
fn is_of_end(loss: &Loss) -> bool {
    REASONS.iter().any(|reason| loss.path.ends_with(reason))
}
