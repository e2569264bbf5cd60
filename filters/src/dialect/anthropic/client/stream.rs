//! Writes pivot events as a Messages stream: `message_start`, blocks one after another, `message_delta`, `message_stop`.

use super::super::error;
use super::mark::Mark;
use super::reply::{self, stop_reason};
use super::serial::{Queue, Waiting};
use crate::chat::{FinishReason, ReplyContext, StreamEvent, StreamWriter};
use crate::dialect::brackets::Brackets;
use crate::fault::Fault;
use crate::json::{Literal, Splice};
use crate::loss::{LossKind, Losses};
use crate::usage::Usage;

/// The one choice that a message has.
const CHOICE: u32 = 0;

/// Writes one stream. Every block is opened by its first piece, and closed before the next.
#[derive(Debug)]
pub(super) struct MessageWriter {
    context: ReplyContext,
    started: bool,
    open: Open,
    /// Blocks begun so far: the next one's index is this.
    blocks: u64,
    queue: Queue,
    finish: Option<FinishReason>,
    called: bool,
    refused: bool,
    /// A signature that came behind text. It is written before the next block: a message that ended in thinking would show nothing in
    /// clients that read its last block, as Claude Code does.
    signature: Option<String>,
    usage: Usage,
    losses: Losses,
}

/// The block that is being written.
#[derive(Debug)]
enum Open {
    None,
    Text,
    /// Thinking, which ends with a signature.
    Thinking,
    /// A call, by its index in the upstream's stream.
    Call {
        index: u32,
        brackets: Brackets,
    },
}

impl StreamWriter for MessageWriter {
    /// What ends a message is held until it has ended: usage may come behind the finish reason.
    fn write(&mut self, event: &StreamEvent<'_>, out: &mut Vec<u8>) {
        if let Some(choice) = choice_of(event).filter(|choice| *choice != CHOICE) {
            return self.losses.at(LossKind::Dropped, format!("choices[{choice}]"));
        }
        match event {
            StreamEvent::Start { id, model } => self.start(id, model, out),
            StreamEvent::Usage(usage) => self.usage.merge(*usage),
            StreamEvent::Lost(loss) => self.losses.at(loss.kind, loss.path.clone()),
            StreamEvent::Ping if self.started => ping(out),
            StreamEvent::Ping | StreamEvent::Native | StreamEvent::Failed(_) | StreamEvent::Done => {}
            StreamEvent::Finish { reason, .. } => {
                self.end_calls(out);
                self.finish = Some(*reason);
            }
            StreamEvent::Text { text, .. } => self.text(text, out),
            StreamEvent::Refusal { text, .. } => {
                self.refused = true;
                self.text(text, out);
            }
            StreamEvent::Reasoning { text, .. } => self.thought(text, out),
            StreamEvent::ReasoningSignature { signature, .. } => {
                self.end_calls(out);
                let mark = Mark::Signed(signature.escaped());
                match self.open {
                    Open::Text => self.signature = Some(mark.written()),
                    _ => self.sign(&mark, out),
                }
            }
            StreamEvent::ReasoningEncrypted { data, .. } => self.redacted(data, out),
            StreamEvent::ToolStart { index, id, name, thought_signature, .. } => {
                let signature = thought_signature.as_ref().map(|signature| signature.escaped().to_owned());
                let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
                self.call(Waiting { index: *index, id, name, signature, arguments: String::new() }, out);
            }
            StreamEvent::ToolArguments { index, fragment, .. } => self.arguments(*index, fragment, out),
            StreamEvent::Image { .. } => self.losses.at(LossKind::Dropped, "images"),
            StreamEvent::Audio => self.losses.at(LossKind::Dropped, "audio"),
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        self.end_calls(out);
        self.close(out);
        if self.signature.take().is_some() {
            self.losses.at(LossKind::Dropped, "reasoning.signature");
        }
        for (count, path) in [(self.usage.prompt_tokens, "usage.input_tokens"), (self.usage.completion_tokens, "usage.output_tokens")] {
            if count.is_none() {
                self.losses.at(LossKind::Estimated, path);
            }
        }
        self.losses.tell(out);
        let usage = Usage { prompt_tokens: self.usage.prompt_tokens.or(Some(self.context.prompt_tokens)), ..self.usage };
        let reason = stop_reason(self.finish, self.called, self.refused);
        frame("message_delta", out, |data| {
            data.key("delta").object().key("stop_reason").string(reason).key("stop_sequence").raw("null").end_object().key("usage");
            reply::write_usage(data, &usage, None);
        });
        frame("message_stop", out, |_| {});
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.losses.tell(out);
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&error::write_fault(fault, self.context.id.strip_prefix("msg_").unwrap_or_default()));
        out.extend_from_slice(b"\n\n");
    }
}

impl MessageWriter {
    pub(super) fn new(context: ReplyContext) -> Self {
        Self {
            context,
            started: false,
            open: Open::None,
            blocks: 0,
            queue: Queue::default(),
            finish: None,
            called: false,
            refused: false,
            signature: None,
            usage: Usage::default(),
            losses: Losses::default(),
        }
    }

    /// Begins the message, as Anthropic does with a ping behind it. Its usage is what is known by now, else an estimate: the one at the
    /// end stands.
    fn start(&mut self, id: &str, model: &str, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let usage = Usage { prompt_tokens: self.usage.prompt_tokens.or(Some(self.context.prompt_tokens)), ..self.usage };
        frame("message_start", out, |data| {
            data.key("message").object();
            reply::head(data, id, model, &self.context);
            data.key("content").raw("[]").key("stop_reason").raw("null").key("stop_sequence").raw("null").key("usage");
            reply::write_usage(data, &usage, None);
            data.end_object();
        });
        ping(out);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        self.start("", "", out);
    }

    fn text(&mut self, text: &Literal<'_>, out: &mut Vec<u8>) {
        if !matches!(self.open, Open::Text) || (self.signature.is_some() && !text.is_empty()) {
            self.open_block(Open::Text, out, |block| {
                block.key("type").string("text").key("text").string("");
            });
        }
        self.delta(out, |delta| {
            delta.key("type").string("text_delta").key("text").literal(text);
        });
    }

    fn thought(&mut self, text: &Literal<'_>, out: &mut Vec<u8>) {
        self.end_calls(out);
        self.open_thinking(out);
        self.delta(out, |delta| {
            delta.key("type").string("thinking_delta").key("thinking").literal(text);
        });
    }

    fn open_thinking(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.open, Open::Thinking) {
            self.open_block(Open::Thinking, out, |block| {
                block.key("type").string("thinking").key("thinking").string("").key("signature").string("");
            });
        }
    }

    /// Ends thinking with a signature, in a block of its own if none is open.
    fn sign(&mut self, mark: &Mark<'_>, out: &mut Vec<u8>) {
        self.open_thinking(out);
        self.signature_delta(&mark.written(), out);
        self.stop(out);
    }

    fn signature_delta(&mut self, written: &str, out: &mut Vec<u8>) {
        self.delta(out, |delta| {
            delta.key("type").string("signature_delta").key("signature").raw("\"").raw(written).raw("\"");
        });
    }

    fn redacted(&mut self, data: &Literal<'_>, out: &mut Vec<u8>) {
        let mark = Mark::Data(data.escaped()).written();
        self.open_block(Open::None, out, |block| {
            block.key("type").string("redacted_thinking").key("data").raw("\"").raw(&mark).raw("\"");
        });
        self.stop(out);
    }

    /// A call begins, or waits until the one before it is whole.
    fn call(&mut self, call: Waiting, out: &mut Vec<u8>) {
        self.called = true;
        match &self.open {
            Open::Call { brackets, .. } if !brackets.are_closed() => self.queue.push(call),
            _ => self.open_call(&call, out),
        }
    }

    fn open_call(&mut self, call: &Waiting, out: &mut Vec<u8>) {
        let Waiting { index, id, name, signature, arguments } = call;
        if let Some(signature) = signature {
            self.sign(&Mark::Call(signature), out);
        }
        self.open_block(Open::Call { index: *index, brackets: Brackets::default() }, out, |block| {
            block.key("type").string("tool_use").key("id").string(id).key("name").string(name).key("input").raw("{}");
        });
        let held = format!("\"{arguments}\"");
        if let Some(held) = Literal::raw(&held).filter(|held| !held.is_empty()) {
            self.piece(&held, out);
        }
    }

    fn arguments(&mut self, of: u32, fragment: &Literal<'_>, out: &mut Vec<u8>) {
        if matches!(&self.open, Open::Call { index, .. } if *index == of) {
            self.piece(fragment, out);
        } else if !self.queue.keep(of, fragment) {
            return self.losses.at(LossKind::Dropped, format!("tool_calls[{of}].function.arguments"));
        }
        while matches!(&self.open, Open::Call { brackets, .. } if brackets.are_closed()) && !self.queue.is_empty() {
            self.next_call(out);
        }
    }

    fn piece(&mut self, fragment: &Literal<'_>, out: &mut Vec<u8>) {
        if let Open::Call { brackets, .. } = &mut self.open {
            brackets.feed(&fragment.text());
        }
        self.delta(out, |delta| {
            delta.key("type").string("input_json_delta").key("partial_json").literal(fragment);
        });
    }

    fn next_call(&mut self, out: &mut Vec<u8>) {
        if let Some(call) = self.queue.pop() {
            self.open_call(&call, out);
        }
    }

    /// Writes the calls that still wait.
    fn end_calls(&mut self, out: &mut Vec<u8>) {
        while !self.queue.is_empty() {
            self.next_call(out);
        }
    }

    /// Opens a block behind what is open, and behind all calls that wait.
    fn open_block(&mut self, open: Open, out: &mut Vec<u8>, write: impl FnOnce(&mut Splice)) {
        self.begin(out);
        if !matches!(open, Open::Call { .. } | Open::Thinking) {
            self.end_calls(out);
        }
        self.close(out);
        if let Some(signature) = self.signature.take() {
            self.open_thinking(out);
            self.signature_delta(&signature, out);
            self.stop(out);
        }
        self.open = open;
        let index = self.blocks;
        self.blocks += 1;
        frame("content_block_start", out, |data| {
            data.key("index").integer(index).key("content_block").object();
            write(data);
            data.end_object();
        });
    }

    fn delta(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Splice)) {
        let index = self.blocks.saturating_sub(1);
        frame("content_block_delta", out, |data| {
            data.key("index").integer(index).key("delta").object();
            write(data);
            data.end_object();
        });
    }

    /// Ends the open block, if there is one; thinking that nobody signed with a mark that says so.
    fn close(&mut self, out: &mut Vec<u8>) {
        match self.open {
            Open::None => return,
            Open::Thinking => self.signature_delta(&Mark::Unsigned.written(), out),
            Open::Text | Open::Call { .. } => {}
        }
        self.stop(out);
    }

    fn stop(&mut self, out: &mut Vec<u8>) {
        self.open = Open::None;
        let index = self.blocks.saturating_sub(1);
        frame("content_block_stop", out, |data| {
            data.key("index").integer(index);
        });
    }
}

fn choice_of(event: &StreamEvent<'_>) -> Option<u32> {
    match event {
        StreamEvent::Text { choice, .. }
        | StreamEvent::Reasoning { choice, .. }
        | StreamEvent::ReasoningSignature { choice, .. }
        | StreamEvent::ReasoningEncrypted { choice, .. }
        | StreamEvent::Refusal { choice, .. }
        | StreamEvent::ToolStart { choice, .. }
        | StreamEvent::ToolArguments { choice, .. }
        | StreamEvent::Image { choice, .. }
        | StreamEvent::Finish { choice, .. } => Some(*choice),
        StreamEvent::Start { .. }
        | StreamEvent::Audio
        | StreamEvent::Native
        | StreamEvent::Usage(_)
        | StreamEvent::Ping
        | StreamEvent::Failed(_)
        | StreamEvent::Lost(_)
        | StreamEvent::Done => None,
    }
}

fn ping(out: &mut Vec<u8>) {
    frame("ping", out, |_| {});
}

/// One event: its name stands in its data too.
fn frame(name: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Splice)) {
    let mut data = Splice::new();
    data.object().key("type").string(name);
    write(&mut data);
    data.end_object();
    for text in ["event: ", name, "\ndata: "] {
        out.extend_from_slice(text.as_bytes());
    }
    for piece in data.finish().pieces {
        out.extend_from_slice(&piece);
    }
    out.extend_from_slice(b"\n\n");
}
