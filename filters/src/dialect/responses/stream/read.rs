//! Reads the events of a response. Runs on every event of a stream, also where the bytes pass untouched: so it looks before it parses.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::super::super::openai::{literal, string};
use super::super::error::{fault_of, fault_within};
use super::super::reply::{finish, original};
use super::super::wire::{self, Event, Item, ItemKind, Response, Said};
use super::sent::{Of, Sent, Text};
use crate::chat::{FinishReason, StreamEvent, StreamReader};
use crate::dialect::Names;
use crate::fault::Fault;
use crate::json::Literal;
use crate::loss::{Loss, LossKind, Losses};
use crate::sse;

/// A response has one choice.
const CHOICE: u32 = 0;

/// The most items of one stream: an upstream chooses how many there are, and each event is compared with all.
const ITEMS_MAX: usize = 4096;

static RESPONSE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"response\""));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));

type Report<'r, 'a> = &'r mut dyn FnMut(StreamEvent<'a>);

/// Reads a stream of the Responses API. In same-dialect traffic it only observes: the bytes pass untouched.
#[derive(Debug, Default)]
pub(in crate::dialect::responses) struct Reader {
    names: Names,
    started: bool,
    quiet: bool,
    failed: bool,
    finished: bool,
    items: Vec<Seen>,
    /// Calls so far.
    calls: u32,
    sent: Sent,
}

/// An item of the output, told from others by its place: GitHub's proxy gives it another id in each event.
#[derive(Debug)]
struct Seen {
    index: u32,
    /// Its index among the calls, if it is one.
    call: Option<u32>,
    done: bool,
}

impl StreamReader for Reader {
    fn read<'a>(&mut self, event: sse::Event<'a>, report: &mut dyn FnMut(StreamEvent<'a>)) {
        let data = event.data.trim();
        // Some imitators end with `[DONE]` all the same.
        if data.is_empty() || data == "[DONE]" || self.failed || (self.quiet && !is_of_interest(event.name, data)) {
            return;
        }
        match serde_json::from_str::<Event<'a>>(data) {
            Ok(told) => {
                let kind = told.kind.and_then(string).unwrap_or(Cow::Borrowed(event.name));
                self.event(&kind, told, data, report);
            }
            Err(_) if event.name == "error" => self.fail(fault_of(data), report),
            // An error, or something of tomorrow, in a shape of its own.
            Err(_) => self.other(data, report),
        }
    }

    fn quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    fn is_complete(&self) -> bool {
        self.finished && !self.failed
    }
}

/// Whether a quiet reader must parse this: it ends the response, or reports an error. Deltas hold no response.
fn is_of_interest(name: &str, data: &str) -> bool {
    match name {
        "" => RESPONSE.find(data.as_bytes()).is_some() || ERROR.find(data.as_bytes()).is_some(),
        name => matches!(name, "response.completed" | "response.incomplete" | "response.failed" | "error"),
    }
}

impl Reader {
    /// A reader for one stream.
    pub(in crate::dialect::responses) fn new(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    fn event<'a>(&mut self, kind: &str, event: Event<'a>, data: &'a str, report: Report<'_, 'a>) {
        let (index, content) = (event.output_index.unwrap_or_default(), event.content_index.unwrap_or_default());
        let text = |of| Text { item: index, of, part: if of == Of::Summary { event.summary_index.unwrap_or_default() } else { content } };
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => self.start(event.response.as_ref(), report),
            "response.output_item.added" => self.added(index, event.item.as_ref(), report),
            "response.output_item.done" => self.item_done(index, event.item.as_ref(), report),
            "response.completed" | "response.incomplete" | "response.failed" => self.end(kind, &event.response.unwrap_or_default(), report),
            "error" => self.fail(fault_of(data), report),
            "" => self.other(data, report),
            "response.output_text.delta" => {
                if event.has_logprobs() {
                    lose(format!("output[{index}].content[{content}].logprobs"), report);
                }
                self.delta(text(Of::Content), event.delta.and_then(literal), said, report);
            }
            "response.refusal.delta" => self.delta(text(Of::Content), event.delta.and_then(literal), refused, report),
            "response.reasoning_text.delta" => self.delta(text(Of::Content), event.delta.and_then(literal), thought, report),
            "response.reasoning_summary_text.delta" => self.delta(text(Of::Summary), event.delta.and_then(literal), thought, report),
            "response.output_text.done" => self.done(text(Of::Content), event.whole(), said, report),
            "response.refusal.done" => self.done(text(Of::Content), event.whole(), refused, report),
            "response.reasoning_text.done" => self.done(text(Of::Content), event.whole(), thought, report),
            "response.reasoning_summary_text.done" => self.done(text(Of::Summary), event.whole(), thought, report),
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                if let Some(call) = self.call(index) {
                    let (whole, piece) = (arguments_of(index), event.delta.and_then(literal));
                    self.delta(whole, piece, |fragment| argued(call, fragment), report);
                }
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                if let Some(call) = self.call(index) {
                    self.done(arguments_of(index), event.whole(), |fragment| argued(call, fragment), report);
                }
            }
            // The drafts of an image, the steps of a tool of the provider's own: the item, once it is done, says it all.
            _ if kind.contains("_call") => report(StreamEvent::Native),
            // Parts that only announce.
            _ => {}
        }
    }

    fn other<'a>(&mut self, data: &'a str, report: Report<'_, 'a>) {
        if let Some(fault) = fault_within(data) {
            self.fail(fault, report);
        }
    }

    fn start<'a>(&mut self, response: Option<&Response<'a>>, report: Report<'_, 'a>) {
        let Some(response) = response.filter(|_| !self.started) else { return };
        self.started = true;
        let (id, model) = (response.id.and_then(string).unwrap_or_default(), response.model.and_then(string).unwrap_or_default());
        report(StreamEvent::Start { id, model });
    }

    /// A call has its name and id from here on; other items have nothing yet.
    fn added<'a>(&mut self, index: u32, item: Option<&Item<'a>>, report: Report<'_, 'a>) {
        let Some(item) = item else { return };
        if self.see(index, item, report).is_some() && item.kind() == ItemKind::Call {
            self.arguments(index, item, report);
        }
    }

    /// The whole item: what its deltas have not said yet is told now.
    fn item_done<'a>(&mut self, index: u32, item: Option<&Item<'a>>, report: Report<'_, 'a>) {
        let Some(item) = item else { return };
        let first = self.see(index, item, report).is_some_and(|seen| !std::mem::replace(&mut seen.done, true));
        if !first {
            return;
        }
        let text = |of, part: usize| Text { item: index, of, part: u32::try_from(part).unwrap_or(u32::MAX) };
        match item.kind() {
            ItemKind::Call => self.arguments(index, item, report),
            ItemKind::Message => {
                for (place, part) in item.content.iter().flatten().enumerate() {
                    match part.said() {
                        Said::Text(whole) => self.done(text(Of::Content, place), Some(whole), said, report),
                        Said::Refusal(whole) => self.done(text(Of::Content, place), Some(whole), refused, report),
                        Said::Nothing => lose(format!("output[{index}].content[{place}]"), report),
                    }
                    part.unplaced().for_each(|member| lose(format!("output[{index}].content[{place}].{member}"), report));
                }
            }
            ItemKind::Reasoning => {
                for (of, parts) in [(Of::Summary, &item.summary), (Of::Content, &item.content)] {
                    for (place, part) in parts.iter().flatten().enumerate() {
                        self.done(text(of, place), part.text(), thought, report);
                    }
                }
                if let Some(data) = item.encrypted() {
                    report(StreamEvent::ReasoningEncrypted { choice: CHOICE, data });
                }
            }
            ItemKind::Image => match item.image() {
                Some((media_type, base64)) => report(StreamEvent::Image { choice: CHOICE, media_type, base64 }),
                None => lose(format!("output[{index}]"), report),
            },
            ItemKind::Other => lose(format!("output[{index}]"), report),
        }
    }

    /// The response is over. A server that streamed nothing of it is read too.
    fn end<'a>(&mut self, kind: &str, response: &Response<'a>, report: Report<'_, 'a>) {
        self.start(Some(response), report);
        if kind == "response.failed" {
            return self.fail(response.error.map_or_else(|| fault_of("null"), |error| fault_of(error.get())), report);
        }
        if self.items.is_empty() {
            for (index, item) in (0..).zip(response.output.iter().flatten()) {
                self.item_done(index, Some(item), report);
            }
        }
        // A quiet reader has seen no call begin.
        let calls = self.calls > 0 || response.output.iter().flatten().any(|item| item.kind() == ItemKind::Call);
        let mut losses = Losses::default();
        match finish(response, calls, &mut losses) {
            Err(fault) => return self.fail(fault, report),
            Ok(reason) => {
                losses.0.into_iter().for_each(|loss| report(StreamEvent::Lost(loss)));
                // The event's name says that it is over, even where its copy of the response does not.
                let usual = if calls { FinishReason::ToolCalls } else { FinishReason::Stop };
                report(StreamEvent::Finish { choice: CHOICE, reason: reason.unwrap_or(usual) });
            }
        }
        if let Some(usage) = response.usage.and_then(wire::usage) {
            report(StreamEvent::Usage(usage));
        }
        self.finished = true;
        report(StreamEvent::Done);
    }

    /// The item at this place; its start is reported if it is a call that was not seen before. `None` fails the stream: it has too many.
    fn see<'a>(&mut self, index: u32, item: &Item<'a>, report: Report<'_, 'a>) -> Option<&mut Seen> {
        if let Some(at) = self.items.iter().rposition(|seen| seen.index == index) {
            return self.items.get_mut(at);
        }
        if self.items.len() >= ITEMS_MAX {
            self.fail(Fault::malformed(&format!("the upstream's response has more than {ITEMS_MAX} items")), report);
            return None;
        }
        let call = (item.kind() == ItemKind::Call).then_some(self.calls);
        if let Some(call) = call {
            self.calls += 1;
            let (id, name) = (item.call_id(), original(item.name(), &self.names));
            report(StreamEvent::ToolStart { choice: CHOICE, index: call, id, name, thought_signature: None });
        }
        self.items.push(Seen { index, call, done: false });
        self.items.last_mut()
    }

    fn call(&self, index: u32) -> Option<u32> {
        self.items.iter().rev().find(|seen| seen.index == index)?.call
    }

    fn arguments<'a>(&mut self, index: u32, item: &Item<'a>, report: Report<'_, 'a>) {
        if let Some(call) = self.call(index) {
            self.done(arguments_of(index), item.arguments(), |fragment| argued(call, fragment), report);
        }
    }

    fn delta<'a>(&mut self, of: Text, piece: Option<Literal<'a>>, event: impl Fn(Literal<'a>) -> StreamEvent<'a>, report: Report<'_, 'a>) {
        let Some(piece) = piece.filter(|piece| !piece.is_empty()) else { return };
        if !self.sent.piece(of, &piece) {
            return self.fail(Fault::malformed("the upstream's response has too many parts"), report);
        }
        report(event(piece));
    }

    fn done<'a>(&mut self, of: Text, whole: Option<Literal<'a>>, event: impl Fn(Literal<'a>) -> StreamEvent<'a>, report: Report<'_, 'a>) {
        if let Some(rest) = whole.and_then(|whole| self.sent.rest(of, &whole)) {
            report(event(rest));
        }
    }

    fn fail<'a>(&mut self, fault: Fault, report: Report<'_, 'a>) {
        self.failed = true;
        report(StreamEvent::Failed(fault));
    }
}

fn arguments_of(index: u32) -> Text {
    Text { item: index, of: Of::Arguments, part: 0 }
}

fn said(text: Literal<'_>) -> StreamEvent<'_> {
    StreamEvent::Text { choice: CHOICE, text }
}

fn refused(text: Literal<'_>) -> StreamEvent<'_> {
    StreamEvent::Refusal { choice: CHOICE, text }
}

fn thought(text: Literal<'_>) -> StreamEvent<'_> {
    StreamEvent::Reasoning { choice: CHOICE, text }
}

fn argued(index: u32, fragment: Literal<'_>) -> StreamEvent<'_> {
    StreamEvent::ToolArguments { choice: CHOICE, index, fragment }
}

fn lose<'a>(path: String, report: Report<'_, 'a>) {
    report(StreamEvent::Lost(Loss { path: path.into(), kind: LossKind::Dropped }));
}
