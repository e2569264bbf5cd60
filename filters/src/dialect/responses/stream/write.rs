//! Writes pivot events as the events of a response.

use std::borrow::Cow;

use super::super::item::{self, Body, Item, Part};
use super::super::replay::{self, Kept};
use super::super::write::{Status, response_id, write_head, write_rest};
use crate::chat::{FinishReason, ReplyContext, StreamEvent, StreamWriter};
use crate::dialect::openai::{default_code, error_type};
use crate::fault::{Fault, FaultKind};
use crate::json::{Literal, Splice};
use crate::loss::{LossKind, Losses};
use crate::usage::Usage;

/// The most of a response that is kept to be repeated at its end. Longer ones fail: an end that leaves something out would be a lie.
const KEPT_BYTES: usize = 64 << 20;

/// What an item costs beside its texts.
const ITEM_BYTES: usize = 256;

/// The longest id and model that are repeated; of longer ones the beginning stands.
const NAME_BYTES: usize = 256;

/// Writes pivot events as `event: response.…` frames. One per client stream. Keeps the whole response: its last event repeats it.
#[derive(Debug)]
pub struct EventWriter {
    context: ReplyContext,
    id: String,
    model: String,
    /// What items' ids begin with.
    seed: String,
    /// The number of the next event.
    sequence: u64,
    begun: bool,
    /// By their place in the output.
    items: Vec<Item<'static>>,
    /// The message or the reasoning that goes on.
    open: Option<usize>,
    /// Calls that have begun, all open until the answer ends, as their arguments may come by turns: (index among calls, place).
    calls: Vec<(u32, usize)>,
    kept_bytes: usize,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    losses: Losses,
    /// Nothing more is written.
    over: bool,
}

impl StreamWriter for EventWriter {
    fn write(&mut self, event: &StreamEvent<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        if let Some(choice) = choice_of(event).filter(|choice| *choice != 0) {
            return self.losses.at(LossKind::Dropped, format!("choices[{choice}]"));
        }
        match event {
            StreamEvent::Start { id, model } => {
                self.id = response_id(beginning(id), &self.context);
                if !model.is_empty() {
                    beginning(model).clone_into(&mut self.model);
                }
                self.begin(out);
            }
            StreamEvent::Usage(usage) => self.usage.get_or_insert_default().merge(*usage),
            StreamEvent::Lost(loss) => self.losses.at(loss.kind, loss.path.clone()),
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Audio => self.losses.at(LossKind::Dropped, "choices[0].delta.audio"),
            StreamEvent::Native | StreamEvent::Failed(_) | StreamEvent::Done => {}
            StreamEvent::Finish { reason, .. } => {
                self.begin(out);
                self.finish = Some(*reason);
            }
            StreamEvent::Text { text, .. } => self.said(false, text, out),
            StreamEvent::Refusal { text, .. } => self.said(true, text, out),
            StreamEvent::Reasoning { text, .. } => self.thought(text, out),
            StreamEvent::ReasoningSignature { signature, .. } => self.proven(replay::keep(Kept::Signature, signature), out),
            StreamEvent::ReasoningEncrypted { data, .. } => {
                self.close(out);
                self.proven(replay::keep(Kept::Opaque, data), out);
            }
            StreamEvent::ToolStart { index, id, name, thought_signature, .. } => {
                self.called((*index, id, name), thought_signature.as_ref(), out);
            }
            StreamEvent::ToolArguments { index, fragment, .. } => self.argued(*index, fragment, out),
            StreamEvent::Image { media_type, base64, .. } => self.pictured(media_type, base64, out),
        }
        if self.kept_bytes > KEPT_BYTES {
            self.fail(&too_long(), out);
        }
    }

    /// Ends a whole stream: the open items, the losses as a comment, the response once more.
    fn finish(&mut self, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        self.begin(out);
        let status = Status::Ended(self.finish);
        self.close_as(status.of_item(), out);
        self.close_calls(&status, out);
        let mut rest = Splice::new();
        let kind = if status.word() == "completed" { "response.completed" } else { "response.incomplete" };
        let (items, usage) = (std::mem::take(&mut self.items), self.usage);
        write_head(&mut rest, (&self.id, &self.model), &self.context, &status);
        write_rest(&mut rest, &items, &status, usage.as_ref(), &mut self.losses);
        self.lost(out);
        self.response(kind, rest, out);
        self.over = true;
    }

    /// Ends a broken stream: the losses as a comment, an error event, and the response as it failed, where it had begun.
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        self.lost(out);
        self.event("error", out, |event| write_error(event, fault));
        if self.begun {
            let mut rest = Splice::new();
            let (items, status) = (std::mem::take(&mut self.items), Status::Failed(fault));
            write_head(&mut rest, (&self.id, &self.model), &self.context, &status);
            write_rest(&mut rest, &items, &status, self.usage.as_ref(), &mut Losses::default());
            self.response("response.failed", rest, out);
        }
        self.over = true;
    }
}

impl EventWriter {
    /// A writer for one response.
    #[must_use]
    pub fn new(context: ReplyContext) -> Self {
        Self {
            id: response_id("", &context),
            model: context.model.clone(),
            context,
            seed: String::new(),
            sequence: 0,
            begun: false,
            items: Vec::new(),
            open: None,
            calls: Vec::new(),
            kept_bytes: 0,
            finish: None,
            usage: None,
            losses: Losses::default(),
            over: false,
        }
    }

    /// `: heliostat-loss ["path",…]`. JSON keeps line ends out of the comment.
    fn lost(&mut self, out: &mut Vec<u8>) {
        if self.losses.0.is_empty() {
            return;
        }
        let mut paths = Splice::new();
        paths.array();
        for loss in self.losses.0.drain(..) {
            paths.element().string(&loss.path);
        }
        paths.end_array();
        out.extend_from_slice(b": heliostat-loss ");
        out.extend_from_slice(&paths.finish().join());
        out.extend_from_slice(b"\n\n");
    }

    /// Announces the response, once.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.seed = item::seed(&self.id);
        for kind in ["response.created", "response.in_progress"] {
            let mut response = Splice::new();
            write_head(&mut response, (&self.id, &self.model), &self.context, &Status::InProgress);
            write_rest(&mut response, &[], &Status::InProgress, None, &mut Losses::default());
            self.response(kind, response, out);
        }
    }

    /// A piece of what the assistant says.
    fn said(&mut self, refusal: bool, text: &Literal<'_>, out: &mut Vec<u8>) {
        let place = match self.goes_on(|body| matches!(body, Body::Message(_))) {
            Some(place) => place,
            None => self.add(Body::Message(Vec::new()), out),
        };
        let Some(Body::Message(parts)) = self.body(place) else { return };
        let same = parts.last().is_some_and(|part| part.refusal == refusal);
        if !same {
            self.close_part(place, out);
            let Some(Body::Message(parts)) = self.body(place) else { return };
            parts.push(Part { refusal, text: Cow::Borrowed("") });
            let index = parts.len() - 1;
            self.part_event("response.content_part.added", (place, index), out, |event| {
                event.key("part");
                Part { refusal, text: Cow::Borrowed("") }.write("", event);
            });
        }
        let Some(Body::Message(parts)) = self.body(place) else { return };
        let index = parts.len().saturating_sub(1);
        if let Some(part) = parts.last_mut() {
            part.text.to_mut().push_str(text.escaped());
        }
        self.kept_bytes += text.escaped().len();
        let kind = if refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        self.part_event(kind, (place, index), out, |event| {
            event.key("delta").literal(text);
            if !refusal {
                event.key("logprobs").raw("[]");
            }
        });
    }

    /// A piece of reasoning.
    fn thought(&mut self, text: &Literal<'_>, out: &mut Vec<u8>) {
        let place = match self.goes_on(|body| matches!(body, Body::Reasoning { .. })) {
            Some(place) => place,
            None => self.add(Body::Reasoning { text: Cow::Borrowed(""), encrypted: None }, out),
        };
        let Some(Body::Reasoning { text: so_far, .. }) = self.body(place) else { return };
        let first = so_far.is_empty();
        so_far.to_mut().push_str(text.escaped());
        self.kept_bytes += text.escaped().len();
        if first {
            self.summary_event("response.reasoning_summary_part.added", place, out, |event| {
                event.key("part");
                item::write_summary("", event);
            });
        }
        self.summary_event("response.reasoning_summary_text.delta", place, out, |event| {
            event.key("delta").literal(text);
        });
    }

    /// What proves the reasoning that goes on, or stands for reasoning that is not shown. Ends it.
    fn proven(&mut self, proof: String, out: &mut Vec<u8>) {
        let place = match self.goes_on(|body| matches!(body, Body::Reasoning { .. })) {
            Some(place) => place,
            None => self.add(Body::Reasoning { text: Cow::Borrowed(""), encrypted: None }, out),
        };
        self.kept_bytes += proof.len();
        if let Some(Body::Reasoning { encrypted, .. }) = self.body(place) {
            *encrypted = Some(proof.into());
        }
        self.close(out);
    }

    /// A call begins.
    fn called(&mut self, (index, id, name): (u32, &str, &str), signature: Option<&Literal<'_>>, out: &mut Vec<u8>) {
        if let Some(signature) = signature {
            self.add(item::call_signature(signature), out);
            self.kept_bytes += signature.escaped().len();
        }
        self.kept_bytes += id.len() + name.len();
        let (call_id, name) = (Cow::Owned(id.to_owned()), Cow::Owned(name.to_owned()));
        let place = self.add(Body::Call { call_id, name, arguments: Cow::Borrowed("") }, out);
        self.open = None;
        self.calls.push((index, place));
    }

    /// A piece of a call's arguments.
    fn argued(&mut self, call: u32, fragment: &Literal<'_>, out: &mut Vec<u8>) {
        let Some((_, place)) = self.calls.iter().rev().find(|(index, _)| *index == call).copied() else {
            return self.losses.at(LossKind::Dropped, format!("choices[0].delta.tool_calls[{call}]"));
        };
        if let Some(Body::Call { arguments, .. }) = self.body(place) {
            arguments.to_mut().push_str(fragment.escaped());
        }
        self.kept_bytes += fragment.escaped().len();
        self.item_event("response.function_call_arguments.delta", place, out, |event| {
            event.key("delta").literal(fragment);
        });
    }

    /// A whole image.
    fn pictured(&mut self, media_type: &str, base64: &Literal<'_>, out: &mut Vec<u8>) {
        self.kept_bytes += base64.escaped().len();
        let base64 = Cow::Owned(base64.escaped().to_owned());
        let place = self.add(Body::Image { format: item::format_of(media_type), base64 }, out);
        self.item_event("response.image_generation_call.completed", place, out, |_| {});
        self.close(out);
    }

    /// Ends what goes on, and begins another item, which goes on from here. Returns its place.
    fn add(&mut self, body: Body<'static>, out: &mut Vec<u8>) -> usize {
        self.begin(out);
        self.close(out);
        let place = self.items.len();
        let item = Item::new(&self.seed, place, body);
        self.event("response.output_item.added", out, |event| {
            event.key("output_index").integer(place as u64).key("item");
            item.write_begun(event);
        });
        self.items.push(item);
        self.kept_bytes += ITEM_BYTES;
        self.open = Some(place);
        place
    }

    /// Ends the message or the reasoning that goes on, because something else begins.
    fn close(&mut self, out: &mut Vec<u8>) {
        self.close_as("completed", out);
    }

    fn close_as(&mut self, status: &str, out: &mut Vec<u8>) {
        let Some(place) = self.open.take() else { return };
        match self.body(place) {
            Some(Body::Message(_)) => self.close_part(place, out),
            Some(Body::Reasoning { text, .. }) if !text.is_empty() => self.close_summary(place, out),
            _ => {}
        }
        self.done(place, status, out);
    }

    fn close_part(&mut self, place: usize, out: &mut Vec<u8>) {
        let Some(Body::Message(parts)) = self.body(place) else { return };
        let index = parts.len().saturating_sub(1);
        // Taken out while the events are written, which count.
        let Some(part) = parts.pop() else { return };
        let (kind, member) = if part.refusal { ("response.refusal.done", "refusal") } else { ("response.output_text.done", "text") };
        self.part_event(kind, (place, index), out, |event| {
            event.key(member).raw("\"").raw(&part.text).raw("\"");
            if !part.refusal {
                event.key("logprobs").raw("[]");
            }
        });
        self.part_event("response.content_part.done", (place, index), out, |event| {
            event.key("part");
            part.write(&part.text, event);
        });
        if let Some(Body::Message(parts)) = self.body(place) {
            parts.push(part);
        }
    }

    fn close_summary(&mut self, place: usize, out: &mut Vec<u8>) {
        let Some(Body::Reasoning { text, .. }) = self.body(place) else { return };
        let text = std::mem::take(text);
        self.summary_event("response.reasoning_summary_text.done", place, out, |event| {
            event.key("text").raw("\"").raw(&text).raw("\"");
        });
        self.summary_event("response.reasoning_summary_part.done", place, out, |event| {
            event.key("part");
            item::write_summary(&text, event);
        });
        if let Some(Body::Reasoning { text: place, .. }) = self.body(place) {
            *place = text;
        }
    }

    /// Ends all calls.
    fn close_calls(&mut self, status: &Status<'_>, out: &mut Vec<u8>) {
        let last = self.items.len().saturating_sub(1);
        for (_, place) in std::mem::take(&mut self.calls) {
            let Some(Body::Call { arguments, name, .. }) = self.body(place) else { continue };
            let (arguments, name) = (std::mem::take(arguments), name.clone());
            self.item_event("response.function_call_arguments.done", place, out, |event| {
                event.key("name").string(&name).key("arguments").raw("\"").raw(&arguments).raw("\"");
            });
            if let Some(Body::Call { arguments: place, .. }) = self.body(place) {
                *place = arguments;
            }
            self.done(place, if place == last { status.of_item() } else { "completed" }, out);
        }
    }

    fn done(&mut self, place: usize, status: &str, out: &mut Vec<u8>) {
        let mut whole = Splice::new();
        if let Some(item) = self.items.get(place) {
            item.write(status, &mut whole);
        }
        let whole = whole.finish().join();
        self.event("response.output_item.done", out, |event| {
            event.key("output_index").integer(place as u64).key("item").kept(whole);
        });
    }

    /// The place of the item that goes on, if it is such a one.
    fn goes_on(&self, such: impl Fn(&Body<'_>) -> bool) -> Option<usize> {
        self.open.filter(|place| self.items.get(*place).is_some_and(|item| such(&item.body)))
    }

    fn body(&mut self, place: usize) -> Option<&mut Body<'static>> {
        self.items.get_mut(place).map(|item| &mut item.body)
    }

    fn part_event(&mut self, kind: &str, (place, part): (usize, usize), out: &mut Vec<u8>, fill: impl FnOnce(&mut Splice)) {
        self.item_event(kind, place, out, |event| {
            event.key("content_index").integer(part as u64);
            fill(event);
        });
    }

    fn summary_event(&mut self, kind: &str, place: usize, out: &mut Vec<u8>, fill: impl FnOnce(&mut Splice)) {
        self.item_event(kind, place, out, |event| {
            event.key("summary_index").integer(0);
            fill(event);
        });
    }

    fn item_event(&mut self, kind: &str, place: usize, out: &mut Vec<u8>, fill: impl FnOnce(&mut Splice)) {
        let id = self.items.get(place).map(|item| Literal::quote(&item.id));
        self.event(kind, out, |event| {
            if let Some(id) = &id {
                event.key("item_id").literal(id);
            }
            event.key("output_index").integer(place as u64);
            fill(event);
        });
    }

    fn response(&mut self, kind: &str, response: Splice, out: &mut Vec<u8>) {
        self.event(kind, out, |event| {
            event.key("response");
            response.finish().pieces.into_iter().for_each(|piece| {
                event.kept(piece);
            });
        });
    }

    fn event(&mut self, kind: &str, out: &mut Vec<u8>, fill: impl FnOnce(&mut Splice)) {
        let mut event = Splice::new();
        event.object().key("type").string(kind).key("sequence_number").integer(self.sequence);
        fill(&mut event);
        event.end_object();
        self.sequence += 1;
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        for piece in event.finish().pieces {
            out.extend_from_slice(&piece);
        }
        out.extend_from_slice(b"\n\n");
    }
}

/// What the specification has at the top of the event stands there; what the API really sends, and its clients read, is the object.
fn write_error(event: &mut Splice, fault: &Fault) {
    let code = fault.code.as_deref().or_else(|| default_code(fault.kind));
    let details = |out: &mut Splice| {
        out.key("code");
        match code {
            Some(code) => out.string(code),
            None => out.raw("null"),
        };
        out.key("message").string(&fault.message).key("param");
        match &fault.param {
            Some(param) => out.string(param),
            None => out.raw("null"),
        };
    };
    details(event);
    event.key("error").object().key("type").string(error_type(fault.kind));
    details(event);
    event.end_object();
}

fn too_long() -> Fault {
    let message = format!("The answer is longer than the {} MiB that the gateway can repeat at its end.", KEPT_BYTES >> 20);
    Fault { kind: FaultKind::Server, ..Fault::new(502, Some("response_too_large"), &message) }
}

fn choice_of(event: &StreamEvent<'_>) -> Option<u32> {
    match event {
        StreamEvent::Text { choice, .. }
        | StreamEvent::Refusal { choice, .. }
        | StreamEvent::Reasoning { choice, .. }
        | StreamEvent::ReasoningSignature { choice, .. }
        | StreamEvent::ReasoningEncrypted { choice, .. }
        | StreamEvent::ToolStart { choice, .. }
        | StreamEvent::ToolArguments { choice, .. }
        | StreamEvent::Image { choice, .. }
        | StreamEvent::Finish { choice, .. } => Some(*choice),
        _ => None,
    }
}

/// At most [`NAME_BYTES`] of `text`, cut between characters.
fn beginning(text: &str) -> &str {
    let end = (0..=NAME_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}
