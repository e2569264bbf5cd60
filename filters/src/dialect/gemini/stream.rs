//! A stream, read into pivot events. Every event is a whole response that holds what is new; a whole reply is read as a stream of one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::arguments::{Pieces, compact};
use super::finish::{self, Ending};
use super::signature::SKIP;
use super::wire::{Candidate, FunctionCall, Part, Response};
use super::{error, wire};
use crate::chat::{CHOICES_MAX, FinishReason, StreamEvent, StreamReader};
use crate::dialect::Names;
use crate::fault::Fault;
use crate::json::Literal;
use crate::loss::{Loss, LossKind};
use crate::sse::Event;
use crate::usage::Usage;

/// Longest part of a request's id that goes into the id of a call: OpenAI's own ids have at most 64 characters.
const SEED_CHARS: usize = 40;

/// The most losses that are told.
const LOSSES_MAX: usize = 1000;

type Report<'r, 'a> = &'r mut dyn FnMut(StreamEvent<'a>);

#[derive(Debug)]
pub(super) struct Reader {
    names: Names,
    started: bool,
    failed: bool,
    /// Calls of all choices: ids count through.
    calls: usize,
    choices: BTreeMap<u32, Choice>,
    lost: Vec<Loss>,
}

/// What later events need to know of a choice.
#[derive(Debug, Default)]
struct Choice {
    /// Something of it has been reported.
    said: bool,
    calls: u32,
    /// The call whose arguments are still arriving.
    open: Option<Pieces>,
    finished: bool,
}

impl StreamReader for Reader {
    fn read<'a>(&mut self, event: Event<'a>, report: &mut dyn FnMut(StreamEvent<'a>)) {
        if self.failed || event.data.trim().is_empty() || event.data.trim() == "[DONE]" {
            return;
        }
        match Response::read_all(event.data) {
            Ok(responses) => responses.into_iter().for_each(|response| self.take(response, report)),
            Err(error) => self.fail(unreadable(&error), report),
        }
    }

    /// There is no end mark: every choice has its finish reason, and the body ends.
    fn is_complete(&self) -> bool {
        !self.failed && !self.choices.is_empty() && self.choices.values().all(|choice| choice.finished)
    }
}

/// What a body stands for that is not a response.
pub(super) fn unreadable(error: &serde_json::Error) -> Fault {
    Fault::malformed(&format!("The provider's answer cannot be read: {error}"))
}

impl Reader {
    pub(super) fn new(names: Names) -> Self {
        Self { names, started: false, failed: false, calls: 0, choices: BTreeMap::new(), lost: Vec::new() }
    }

    /// Reports what one response holds, in order.
    pub(super) fn take<'a>(&mut self, response: Response<'a>, report: Report<'_, 'a>) {
        if self.failed {
            return;
        }
        if let Some(error) = response.error {
            return self.fail(error::inside_200(error), report);
        }
        let blocked = response.blocked();
        let Response { candidates, prompt_feedback: _, usage_metadata, model_version, response_id, error: _ } = response;
        if !self.started {
            self.started = true;
            report(StreamEvent::Start { id: response_id.unwrap_or_default(), model: model_version.unwrap_or_default() });
        }
        for (position, candidate) in candidates.into_iter().flatten().enumerate() {
            if self.failed {
                return;
            }
            let index = candidate.index.unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX));
            self.candidate(index, candidate, report);
        }
        if blocked && !self.choice(0).finished {
            self.finish(0, FinishReason::ContentFilter, report);
        }
        let usage = usage_metadata.as_ref().map(wire::UsageMetadata::usage).unwrap_or_default();
        if usage != Usage::default() {
            report(StreamEvent::Usage(usage));
        }
    }

    fn candidate<'a>(&mut self, index: u32, candidate: Candidate<'a>, report: Report<'_, 'a>) {
        if self.choices.len() >= CHOICES_MAX && !self.choices.contains_key(&index) {
            let message = format!("the upstream's stream has more than {CHOICES_MAX} candidates");
            return self.fail(Fault::malformed(&message), report);
        }
        for name in candidate.unplaced() {
            self.lose(LossKind::Dropped, format!("candidates[{index}].{name}"), report);
        }
        let Candidate { content, finish_reason, finish_message, .. } = candidate;
        for part in content.and_then(|content| content.parts).into_iter().flatten() {
            self.part(index, part, report);
        }
        let Some(reason) = finish_reason.map(serde_json::value::RawValue::get) else { return };
        let Some(ending) = finish::ending(reason).filter(|_| !self.choice(index).finished) else { return };
        self.close_call(index, report);
        let Choice { said, calls, .. } = *self.choice(index);
        match ending {
            Ending::Broken if !said => return self.fail(finish::broken(reason, finish_message.as_deref()), report),
            Ending::Finished(FinishReason::Stop) if calls > 0 => self.finish(index, FinishReason::ToolCalls, report),
            Ending::Finished(reason) => self.finish(index, reason, report),
            Ending::Broken | Ending::Unknown => self.finish(index, FinishReason::Stop, report),
        }
        if !matches!(ending, Ending::Finished(_)) {
            self.lose(LossKind::Approximated, format!("candidates[{index}].finishReason"), report);
        }
    }

    fn part<'a>(&mut self, choice: u32, part: Part<'a>, report: Report<'_, 'a>) {
        let Part { text, thought, thought_signature, function_call, inline_data } = part;
        if let Some(call) = function_call {
            return self.call(choice, call, thought_signature, report);
        }
        let known = text.is_some() || inline_data.is_some() || thought_signature.is_some();
        let thought = thought == Some(true);
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.choice(choice).said = true;
            report(if thought { StreamEvent::Reasoning { choice, text } } else { StreamEvent::Text { choice, text } });
        }
        if let Some(blob) = inline_data {
            let media_type = blob.mime_type.unwrap_or_default();
            match blob.data {
                // A thought's image is a draft of the one that follows; sound has no place in a chat completion of this kind.
                Some(base64) if media_type.starts_with("image/") && !thought => {
                    self.choice(choice).said = true;
                    report(StreamEvent::Image { choice, media_type, base64 });
                }
                _ => self.lose(LossKind::Dropped, format!("candidates[{choice}].content.parts.inlineData"), report),
            }
        }
        if let Some(signature) = thought_signature {
            report(StreamEvent::ReasoningSignature { choice, signature });
        }
        if !known {
            self.lose(LossKind::Dropped, format!("candidates[{choice}].content.parts"), report);
        }
    }

    fn call<'a>(&mut self, choice: u32, call: FunctionCall<'a>, thought_signature: Option<Literal<'a>>, report: Report<'_, 'a>) {
        let FunctionCall { id, name, args, partial_args, will_continue } = call;
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            self.close_call(choice, report);
            self.calls += 1;
            let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| Cow::Owned(self.call_id()));
            let name = Cow::Owned(self.names.original(&name).to_owned());
            // What stands in place of a signature is none.
            let thought_signature = thought_signature.filter(|signature| signature.escaped() != SKIP);
            let state = self.choice(choice);
            let index = state.calls;
            state.said = true;
            state.calls += 1;
            state.open = Some(Pieces::default());
            report(StreamEvent::ToolStart { choice, index, id, name, thought_signature });
        }
        let Some(open) = &mut self.choice(choice).open else { return };
        if let Some(args) = args {
            self.arguments(choice, &compact(args.get()), report);
        } else {
            let followed = partial_args.iter().flatten().all(|piece| open.add(piece).is_some());
            if !followed {
                self.lose(LossKind::Dropped, format!("candidates[{choice}].content.parts.functionCall.partialArgs"), report);
            }
            if will_continue != Some(true) {
                self.close_call(choice, report);
            }
        }
    }

    /// Hands over what a call's pieces came to.
    fn close_call(&mut self, choice: u32, report: Report<'_, '_>) {
        if let Some(open) = self.choice(choice).open.take() {
            self.arguments(choice, &open.json(), report);
        }
    }

    fn arguments(&mut self, choice: u32, json: &str, report: Report<'_, '_>) {
        let state = self.choice(choice);
        state.open = None;
        let index = state.calls.saturating_sub(1);
        let json = if json == "null" { "{}" } else { json };
        report(StreamEvent::ToolArguments { choice, index, fragment: Literal::quote(json) });
    }

    fn finish(&mut self, choice: u32, reason: FinishReason, report: Report<'_, '_>) {
        self.choice(choice).finished = true;
        report(StreamEvent::Finish { choice, reason });
    }

    fn fail(&mut self, fault: Fault, report: Report<'_, '_>) {
        self.failed = true;
        report(StreamEvent::Failed(fault));
    }

    /// Reports a loss, once; of very many only the first.
    fn lose(&mut self, kind: LossKind, path: String, report: Report<'_, '_>) {
        let loss = Loss { path: Cow::Owned(path), kind };
        if self.lost.len() < LOSSES_MAX && !self.lost.contains(&loss) {
            self.lost.push(loss.clone());
            report(StreamEvent::Lost(loss));
        }
    }

    /// An id for a call that came without one: the same for the same request and place, and not used twice in a conversation.
    fn call_id(&self) -> String {
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let seed: String = self.names.id_seed.chars().filter(plain).take(SEED_CHARS).collect();
        let separator = if seed.is_empty() { "" } else { "_" };
        format!("call_{seed}{separator}{}", self.calls)
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        self.choices.entry(index).or_default()
    }
}
