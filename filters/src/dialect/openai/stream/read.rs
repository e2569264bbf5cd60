//! Reads chunks. Runs on every event of a stream, also where the bytes pass untouched: so it looks before it parses.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::super::error::fault_within;
use super::super::reply::restore;
use super::super::wire::{self, Choice, Completion, Piece, Said};
use super::alike::Alike;
use super::calls::Calls;
use crate::chat::{CHOICES_MAX, StreamEvent, StreamReader};
use crate::dialect::Names;
use crate::fault::Fault;
use crate::loss::{Loss, LossKind};
use crate::sse::Event;

/// The end mark.
const DONE: &str = "[DONE]";

static FINISH_REASON: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
static ERROR_EVENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("event:"));
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(DONE));

/// Reads an OpenAI-compatible stream. In same-dialect traffic it only observes: the bytes pass untouched.
#[derive(Debug, Default)]
pub(in crate::dialect::openai) struct Reader {
    started: bool,
    quiet: bool,
    failed: bool,
    done: bool,
    calls: Calls,
    /// Reasoning came as plain text.
    told: bool,
    names: Names,
    /// Each choice seen, and whether it ended.
    choices: Vec<(u32, bool)>,
    /// An event that a quiet reader passed over.
    alike: Alike,
}

impl StreamReader for Reader {
    fn read<'a>(&mut self, event: Event<'a>, report: &mut dyn FnMut(StreamEvent<'a>)) {
        let data = event.data.trim();
        if data.is_empty() || (self.quiet && event.name != "error" && !is_of_interest(data)) {
            return;
        }
        if data == DONE {
            self.done = true;
            return report(StreamEvent::Done);
        }
        match serde_json::from_str::<Completion<'a>>(data) {
            Ok(chunk) if event.name != "error" && !chunk.is_error() => self.chunk(chunk, report),
            Ok(_) | Err(_) => self.other(event.name, data, report),
        }
    }

    fn quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    fn first_of_interest(&mut self, events: &[u8]) -> Option<usize> {
        if !self.quiet {
            return Some(0);
        }
        let mut at = 0;
        loop {
            let rest = events.get(at..).unwrap_or_default();
            let known = self.alike.length(rest);
            let unknown = rest.get(known..).unwrap_or_default();
            if unknown.is_empty() {
                return None;
            }
            at += known;
            match self.alike.learn(unknown, |event| glance(event).is_none()) {
                Some(length) => at += length,
                None => return glance(unknown).map(|found| at + found),
            }
        }
    }

    /// Not all servers send `[DONE]`: a finish reason for each choice seen is an end too.
    fn is_complete(&self) -> bool {
        let ended = self.choices.iter().filter(|(_, ended)| *ended).count();
        !self.failed && ended > 0 && (self.done || ended == self.choices.len())
    }
}

/// Whether a quiet reader must parse this: it ends a choice, counts tokens, reports an error, or is the end mark.
fn is_of_interest(data: &str) -> bool {
    data == DONE
        || any_value(&FINISH_REASON, data, |value| !value.starts_with("null") && !value.starts_with("\"\""))
        || any_value(&USAGE, data, |value| value.starts_with('{'))
        || any_value(&ERROR, data, |value| !value.starts_with("null"))
}

/// Where in the bytes of events the first thing that [`is_of_interest`] may stand. What spans lines counts as such.
fn glance(events: &[u8]) -> Option<usize> {
    let values: [(&Finder<'_>, &[&str]); 4] = [(&FINISH_REASON, &["null", "\"\""]), (&USAGE, &["null"]), (&ERROR, &["null"]), (&END, &[])];
    let values = values.into_iter().filter_map(|(key, of_none)| first_other(key, events, of_none));
    let named = |at: &usize| {
        let name = events.get(at + ERROR_EVENT.needle().len()..).unwrap_or_default();
        name.trim_ascii_start().starts_with(b"error")
    };
    values.chain(ERROR_EVENT.find_iter(events).find(named)).min()
}

/// Where the key first stands with a value that begins otherwise.
fn first_other(key: &Finder<'_>, events: &[u8], values: &[&str]) -> Option<usize> {
    key.find_iter(events).find(|at| {
        let after = events.get(at + key.needle().len()..).unwrap_or_default().trim_ascii_start();
        let value = after.strip_prefix(b":").unwrap_or(after).trim_ascii_start();
        !values.iter().any(|known| value.starts_with(known.as_bytes()))
    })
}

/// Whether any value under the key satisfies `test`. A key's bytes cannot stand inside a string: its quotes would be escaped.
fn any_value(key: &Finder<'_>, data: &str, test: impl Fn(&str) -> bool) -> bool {
    key.find_iter(data.as_bytes()).any(|at| {
        let after = data.get(at + key.needle().len()..).unwrap_or_default().trim_start();
        test(after.strip_prefix(':').unwrap_or(after).trim_start())
    })
}

impl Reader {
    pub(in crate::dialect::openai) fn new(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    /// An error, or something unknown, which is passed over.
    fn other<'a>(&mut self, name: &str, data: &str, report: &mut dyn FnMut(StreamEvent<'a>)) {
        match fault_within(data) {
            Some(fault) => self.fail(fault, report),
            None if name == "error" => {
                let message = serde_json::from_str::<&RawValue>(data).map_or(data.into(), wire::text);
                self.fail(Fault::malformed(&message), report);
            }
            None => {}
        }
    }

    fn fail<'a>(&mut self, fault: Fault, report: &mut dyn FnMut(StreamEvent<'a>)) {
        self.failed = true;
        report(StreamEvent::Failed(fault));
    }

    fn chunk<'a>(&mut self, chunk: Completion<'a>, report: &mut dyn FnMut(StreamEvent<'a>)) {
        let (id, model) = (chunk.id.and_then(wire::string), chunk.model.and_then(wire::string));
        if !self.started && (id.as_ref().is_some_and(|id| !id.is_empty()) || model.as_ref().is_some_and(|model| !model.is_empty())) {
            self.started = true;
            report(StreamEvent::Start { id: id.unwrap_or_default(), model: model.unwrap_or_default() });
        }
        let usage = chunk.usage();
        for choice in chunk.choices.unwrap_or_default() {
            self.choice(choice, report);
            if self.failed {
                return;
            }
        }
        if let Some(usage) = usage {
            report(StreamEvent::Usage(usage));
        }
    }

    /// A server that answers a streamed request whole (`message` for `delta`) is read too, where nothing was streamed before.
    fn choice<'a>(&mut self, choice: Choice<'a>, report: &mut dyn FnMut(StreamEvent<'a>)) {
        let index = choice.index.unwrap_or_default();
        let known = self.choices.iter().position(|(seen, _)| *seen == index);
        if known.is_none() && self.choices.len() >= CHOICES_MAX {
            let message = format!("the upstream's stream has more than {CHOICES_MAX} choices");
            return self.fail(Fault::malformed(&message), report);
        }
        if choice.logprobs.is_some_and(|told| told.get() != "null") {
            report(StreamEvent::Lost(Loss { path: format!("choices[{index}].logprobs").into(), kind: LossKind::Dropped }));
        }
        let whole = choice.message.filter(|_| known.is_none() && choice.delta.is_none());
        if let Some(said) = choice.delta.or(whole) {
            self.said(index, said, report);
        }
        if known.is_none() {
            self.choices.push((index, false));
        }
        let Some(raw) = choice.finish_reason else { return };
        if raw.get() == "\"error\"" {
            let message = "the upstream ended the stream with finish reason \"error\"";
            return self.fail(Fault::malformed(message), report);
        }
        if let Some(reason) = wire::finish_reason(raw) {
            self.choices.iter_mut().filter(|(seen, _)| *seen == index).for_each(|(_, ended)| *ended = true);
            report(StreamEvent::Finish { choice: index, reason });
        }
        if wire::is_unknown_reason(raw) {
            let path = format!("choices[{index}].finish_reason").into();
            report(StreamEvent::Lost(Loss { path, kind: LossKind::Approximated }));
        }
    }

    fn said<'a>(&mut self, choice: u32, mut said: Said<'a>, report: &mut dyn FnMut(StreamEvent<'a>)) {
        self.told |= said.plain_reasoning().is_some();
        reasoning(choice, &said, self.told, report);
        if said.cites() {
            let path = format!("choices[{choice}].delta.annotations").into();
            report(StreamEvent::Lost(Loss { path, kind: LossKind::Dropped }));
        }
        if said.refers() {
            let path = format!("choices[{choice}].delta.content").into();
            report(StreamEvent::Lost(Loss { path, kind: LossKind::Dropped }));
        }
        for piece in said.content() {
            match piece {
                Piece::Text(text) if !text.is_empty() => report(StreamEvent::Text { choice, text }),
                Piece::Reasoning(text) if !text.is_empty() => report(StreamEvent::Reasoning { choice, text }),
                Piece::Text(_) | Piece::Reasoning(_) => {}
            }
        }
        if let Some(text) = said.refusal.and_then(wire::literal).filter(|text| !text.is_empty()) {
            report(StreamEvent::Refusal { choice, text });
        }
        if said.audio.is_some() {
            report(StreamEvent::Audio);
        }
        for image in said.images.take().unwrap_or_default() {
            match image.inline() {
                Some((media_type, base64)) => {
                    report(StreamEvent::Image { choice, media_type, base64: crate::json::Literal::quote(&base64) });
                }
                None => {
                    let path = format!("choices[{choice}].delta.images").into();
                    report(StreamEvent::Lost(Loss { path, kind: LossKind::Dropped }));
                }
            }
        }
        for call in said.calls() {
            self.calls.read(choice, &call, &mut |mut event| {
                if let StreamEvent::ToolStart { name, .. } = &mut event {
                    restore(name, &self.names);
                }
                report(event);
            });
        }
    }
}

/// `reasoning_details` repeat the plain text where a stream has both, in the same chunk or later; only they have signatures.
fn reasoning<'a>(choice: u32, said: &Said<'a>, told: bool, report: &mut dyn FnMut(StreamEvent<'a>)) {
    let plain = said.plain_reasoning();
    if let Some(text) = plain {
        report(StreamEvent::Reasoning { choice, text });
    }
    for detail in said.reasoning_details.iter().flatten() {
        if let Some(text) = detail.detail_text().filter(|_| !told) {
            report(StreamEvent::Reasoning { choice, text });
        }
        if let Some(signature) = detail.signature() {
            report(StreamEvent::ReasoningSignature { choice, signature });
        }
        if let Some(data) = detail.data() {
            report(StreamEvent::ReasoningEncrypted { choice, data });
        }
    }
}
