//! Writes pivot events as Google's events: each a whole response that holds what is new. Calls come whole, in one event, as Google's do;
//! what ends the answer comes last, in one event with the counts.
//!
//! Comments and named events are not written: Google's own SDK takes any line that is not data for a part of a broken answer. A sign
//! of life is an empty line, and what a stream loses stands in a member of its last event, `heliostatLoss`, which clients pass over.

use super::reply::{self, Call, finish_reason};
use crate::chat::{CHOICES_MAX, FinishReason, ReplyContext, StreamEvent, StreamWriter};
use crate::dialect::brackets::Brackets;
use crate::dialect::gemini::error;
use crate::fault::Fault;
use crate::json::{Literal, Splice};
use crate::loss::{LossKind, Losses};
use crate::usage::Usage;

/// What calls that are not whole may hold together.
const HELD_BYTES: usize = 16 << 20;

/// Longest id and model that are repeated in each event; of longer ones the beginning stands.
const REPEATED_BYTES: usize = 256;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct EventWriter {
    context: ReplyContext,
    id: String,
    model: String,
    choices: Vec<Begun>,
    /// Calls that are not written yet, in the order in which they began.
    calls: Vec<Held>,
    held_bytes: usize,
    usage: Option<Usage>,
    losses: Losses,
}

/// A choice of which something was written.
#[derive(Debug)]
struct Begun {
    index: u32,
    /// Whether a call was written.
    called: bool,
    refused: bool,
    finish: Option<FinishReason>,
}

/// A call whose arguments are still arriving.
#[derive(Debug)]
struct Held {
    choice: u32,
    index: u32,
    id: String,
    name: String,
    signature: Option<Literal<'static>>,
    arguments: String,
    brackets: Brackets,
}

impl StreamWriter for EventWriter {
    fn write(&mut self, event: &StreamEvent<'_>, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Start { id, model } => {
                beginning(id).clone_into(&mut self.id);
                beginning(model).clone_into(&mut self.model);
            }
            StreamEvent::Usage(usage) => self.usage.get_or_insert_default().merge(*usage),
            StreamEvent::Lost(loss) => self.losses.at(loss.kind, loss.path.clone()),
            StreamEvent::Ping => out.push(b'\n'),
            StreamEvent::Audio => self.losses.at(LossKind::Dropped, "audio"),
            StreamEvent::Native | StreamEvent::Failed(_) | StreamEvent::Done => {}
            StreamEvent::Finish { choice, reason } => {
                if let Some(begun) = self.begun(*choice) {
                    begun.finish = begun.finish.or(Some(*reason));
                }
                self.end_calls(Some(*choice), out);
            }
            StreamEvent::Text { choice, text } => self.part(*choice, out, |part, _| reply::text(part, text)),
            StreamEvent::Refusal { choice, text } => {
                if let Some(begun) = self.begun(*choice) {
                    begun.refused = true;
                }
                self.part(*choice, out, |part, _| reply::text(part, text));
            }
            StreamEvent::Reasoning { choice, text } => self.part(*choice, out, |part, _| reply::thought(part, text, None)),
            StreamEvent::ReasoningSignature { choice, signature } => {
                self.part(*choice, out, |part, _| reply::thought(part, &Literal::quote(""), Some(signature)));
            }
            StreamEvent::ReasoningEncrypted { choice, data } => self.part(*choice, out, |part, _| reply::opaque(part, data)),
            StreamEvent::Image { choice, media_type, base64 } => {
                self.part(*choice, out, |part, _| reply::image(part, media_type, base64));
            }
            StreamEvent::ToolStart { choice, index, id, name, thought_signature } => {
                self.end_whole_calls(out);
                self.calls.push(Held {
                    choice: *choice,
                    index: *index,
                    id: id.clone().into_owned(),
                    name: name.clone().into_owned(),
                    signature: thought_signature.clone().map(Literal::into_owned),
                    arguments: String::new(),
                    brackets: Brackets::default(),
                });
            }
            StreamEvent::ToolArguments { choice, index, fragment } => self.arguments(*choice, *index, fragment),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.end_calls(None, out);
        let mut last = Splice::new();
        last.object();
        let ended: Vec<_> = self.choices.iter().filter_map(|begun| Some((begun.index, begun.reason()?))).collect();
        if !ended.is_empty() {
            last.key("candidates").array();
            for (index, reason) in ended {
                last.element().object().key("content").raw("{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"}");
                last.key("finishReason").string(reason).key("index").integer(index.into()).end_object();
            }
            last.end_array();
        }
        if let Some(usage) = &self.usage {
            reply::write_usage(&mut last, usage, None, &mut self.losses);
        }
        let losses = std::mem::take(&mut self.losses.0);
        if !losses.is_empty() {
            last.key("heliostatLoss").array();
            for loss in losses {
                last.element().string(&loss.path);
            }
            last.end_array();
        }
        reply::tail(&mut last, &self.id, &self.model, &self.context);
        frame(last, out);
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&error::write_fault(fault));
        out.extend_from_slice(b"\n\n");
    }
}

impl EventWriter {
    pub(super) fn new(context: ReplyContext) -> Self {
        Self {
            context,
            id: String::new(),
            model: String::new(),
            choices: Vec::new(),
            calls: Vec::new(),
            held_bytes: 0,
            usage: None,
            losses: Losses::default(),
        }
    }

    /// What is known of a choice; past [`CHOICES_MAX`] of them nothing.
    fn begun(&mut self, choice: u32) -> Option<&mut Begun> {
        if let Some(place) = self.choices.iter().position(|begun| begun.index == choice) {
            return self.choices.get_mut(place);
        }
        if self.choices.len() >= CHOICES_MAX {
            return None;
        }
        self.choices.push(Begun { index: choice, called: false, refused: false, finish: None });
        self.choices.last_mut()
    }

    fn arguments(&mut self, choice: u32, index: u32, fragment: &Literal<'_>) {
        let text = fragment.text();
        let room = self.held_bytes + text.len() <= HELD_BYTES;
        let call = self.calls.iter_mut().rev().find(|call| call.choice == choice && call.index == index);
        match call.filter(|_| room) {
            Some(call) => {
                self.held_bytes += text.len();
                call.brackets.feed(&text);
                call.arguments.push_str(&text);
            }
            None => self.losses.at(LossKind::Dropped, format!("tool_calls[{index}].function.arguments")),
        }
    }

    /// Writes the calls that are whole, as far as none before them is not.
    fn end_whole_calls(&mut self, out: &mut Vec<u8>) {
        while self.calls.first().is_some_and(|call| call.brackets.are_closed()) {
            let call = self.calls.remove(0);
            self.call(&call, out);
        }
    }

    /// Writes all calls of a choice, or of all.
    fn end_calls(&mut self, choice: Option<u32>, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.calls);
        let (ended, others) = held.into_iter().partition(|call| choice.is_none_or(|choice| call.choice == choice));
        self.calls = others;
        let ended: Vec<Held> = ended;
        ended.iter().for_each(|call| self.call(call, out));
    }

    fn call(&mut self, held: &Held, out: &mut Vec<u8>) {
        self.held_bytes = self.held_bytes.saturating_sub(held.arguments.len());
        let first = self.begun(held.choice).is_some_and(|begun| !std::mem::replace(&mut begun.called, true));
        let call = Call { id: &held.id, name: &held.name, arguments: &held.arguments, signature: held.signature.as_ref() };
        self.event(held.choice, out, |part, losses| call.write(part, first, losses));
    }

    /// One part, behind the calls that are whole.
    fn part(&mut self, choice: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Splice, &mut Losses)) {
        self.end_whole_calls(out);
        self.event(choice, out, write);
    }

    fn event(&mut self, choice: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Splice, &mut Losses)) {
        let _ = self.begun(choice);
        let mut event = Splice::new();
        event.object().key("candidates").array().object().key("content").object().key("parts").array();
        write(&mut event, &mut self.losses);
        event.end_array().key("role").string("model").end_object().key("index").integer(choice.into()).end_object().end_array();
        reply::tail(&mut event, &self.id, &self.model, &self.context);
        frame(event, out);
    }
}

impl Begun {
    /// In a stream that was whole a choice that nothing ended has ended too.
    fn reason(&self) -> Option<&'static str> {
        finish_reason(self.finish.or(Some(FinishReason::Stop)), self.refused)
    }
}

/// At most [`REPEATED_BYTES`] of `text`, cut between characters.
fn beginning(text: &str) -> &str {
    let end = (0..=REPEATED_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

fn frame(event: Splice, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    for piece in event.finish().pieces {
        out.extend_from_slice(&piece);
    }
    out.extend_from_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(index: u32) -> StreamEvent<'static> {
        StreamEvent::ToolStart { choice: 0, index, id: format!("c{index}").into(), name: "f".into(), thought_signature: None }
    }

    fn piece(index: u32, text: &str) -> StreamEvent<'static> {
        StreamEvent::ToolArguments { choice: 0, index, fragment: Literal::quote(text) }
    }

    fn written(events: &[StreamEvent<'_>]) -> String {
        let (mut writer, mut out) = (EventWriter::new(ReplyContext::default()), Vec::new());
        events.iter().for_each(|event| writer.write(event, &mut out));
        writer.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn interleaved_calls_come_whole_and_in_order() {
        let pieces = [start(0), piece(0, "{\"a\":"), start(1), piece(1, "{\n \"b\": 2}"), piece(0, "\"}\"}"), start(2)];
        let text = written(&pieces);
        let calls =
            [r#""id":"c0","name":"f","args":{"a":"}"}}"#, r#""id":"c1","name":"f","args":{"b":2}}"#, r#""id":"c2","name":"f","args":{}}"#];
        let places: Vec<_> = calls.iter().filter_map(|call| text.find(call)).collect();
        assert!(places.len() == 3 && places.is_sorted(), "{text}");
        assert_eq!(text.matches(crate::dialect::gemini::signature::SKIP).count(), 1, "the first call of a turn alone");
    }

    #[test]
    fn what_is_held_is_bounded_and_told() {
        let long = "x".repeat(HELD_BYTES / 2);
        let text = written(&[start(0), piece(0, &long), piece(0, &long), piece(0, "y")]);
        assert!(text.contains("\"heliostatLoss\":[\"tool_calls[0].function.arguments\""), "{}", text.len());
    }

    #[test]
    fn no_line_is_anything_but_data() {
        let lost = StreamEvent::Lost(crate::loss::Loss { path: "citations".into(), kind: LossKind::Dropped });
        let text = written(&[lost, StreamEvent::Ping, StreamEvent::Text { choice: 0, text: Literal::quote("a\nb") }]);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with("data: {")), "{text}");
        assert!(text.contains("\"heliostatLoss\":[\"citations\"]"), "{text}");
    }
}
