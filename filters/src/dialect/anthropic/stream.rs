//! A stream, read into pivot events.
//!
//! `message_start`, then blocks (`content_block_start`, `…_delta`, `…_stop`), then `message_delta` with the stop reason and counts,
//! then `message_stop`. `ping` and whatever is not known here is ignored. An `error` event may come at any time, inside a 200.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{self, ErrorBody};
use super::reply::{self, Block};
use super::usage::Counts;
use crate::chat::{StreamEvent, StreamReader};
use crate::dialect::Names;
use crate::json::Literal;
use crate::loss::{Loss, LossKind, Losses};
use crate::sse::Event;

/// The one choice there is.
const CHOICE: u32 = 0;

/// The most blocks that may be open at once; there is one in practice. An upstream chooses their numbers.
const OPEN_MAX: usize = 1024;

/// Reads one stream.
#[derive(Debug)]
pub(super) struct Reader {
    names: Names,
    /// The id in `message_start`.
    started: Option<String>,
    counts: Counts,
    open: Vec<Open>,
    /// Calls so far: the next one's index.
    calls: u32,
    finished: bool,
    stopped: bool,
}

/// A block that began and has not ended.
#[derive(Debug)]
struct Open {
    index: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Thinking,
    /// A call. `whole`: its arguments came with its start; `said`: some have come.
    Call {
        index: u32,
        whole: bool,
        said: bool,
    },
    /// A call of the answer tool: its arguments are the answer's text.
    Answer {
        whole: bool,
        said: bool,
    },
    /// A block that OpenAI's shape has no place for; its deltas are part of the same loss.
    Lost,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Start<'a>>,
    index: u64,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<Counts>,
    #[serde(borrow)]
    error: Option<ErrorBody<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Start<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    usage: Option<Counts>,
}

/// A delta of any type; kept raw for the reason given at [`Block`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
}

type Report<'r, 'a> = &'r mut dyn FnMut(StreamEvent<'a>);

impl StreamReader for Reader {
    fn read<'a>(&mut self, event: Event<'a>, report: &mut dyn FnMut(StreamEvent<'a>)) {
        // Nothing counts after the end; some compatible servers add `[DONE]`.
        if event.data.is_empty() || self.stopped {
            return;
        }
        let frame: Frame<'a> = match serde_json::from_str(event.data) {
            Ok(frame) => frame,
            Err(error) => return report(StreamEvent::Failed(error::unreadable(&error.to_string()))),
        };
        match frame.kind.as_ref() {
            "message_start" => self.start(frame.message.unwrap_or_default(), report),
            "content_block_start" => self.block_start(frame.index, &frame.content_block.unwrap_or_default(), report),
            "content_block_delta" => self.block_delta(frame.index, &frame.delta.unwrap_or_default(), report),
            "content_block_stop" => self.block_stop(frame.index, report),
            "message_delta" => self.message_delta(&frame.delta.unwrap_or_default(), frame.usage, report),
            "message_stop" => {
                self.stopped = true;
                report(StreamEvent::Done);
            }
            "ping" => report(StreamEvent::Ping),
            "error" => report(StreamEvent::Failed(error::of(None, &frame.error.unwrap_or_default()))),
            _ => {}
        }
    }

    fn is_complete(&self) -> bool {
        self.finished && self.stopped
    }
}

impl Reader {
    pub(super) fn new(names: Names) -> Self {
        let counts = Counts::default();
        Self { names, started: None, counts, open: Vec::new(), calls: 0, finished: false, stopped: false }
    }

    /// The same start may come twice. A start of another message is a reply begun anew: what was sent of the first cannot be taken
    /// back, so that the stream has failed.
    fn start<'a>(&mut self, start: Start<'a>, report: Report<'_, 'a>) {
        let [id, model] = [start.id, start.model].map(|raw| raw.map_or(Cow::Borrowed(""), reply::string));
        match &self.started {
            Some(started) if *started != id => return report(StreamEvent::Failed(error::unreadable("it began a second message"))),
            Some(_) => {}
            None => {
                self.started = Some(id.clone().into_owned());
                report(StreamEvent::Start { id, model });
            }
        }
        if let Some(counts) = start.usage {
            self.count(counts, report);
        }
    }

    fn block_start<'a>(&mut self, index: u64, block: &Block<'a>, report: Report<'_, 'a>) {
        let kind = match block.kind.as_ref() {
            "text" => {
                if let Some(text) = block.text().filter(|text| !text.is_empty()) {
                    report(StreamEvent::Text { choice: CHOICE, text });
                }
                Kind::Text
            }
            "thinking" => {
                if let Some(text) = block.thinking().filter(|text| !text.is_empty()) {
                    report(StreamEvent::Reasoning { choice: CHOICE, text });
                }
                if let Some(signature) = block.signature() {
                    report(StreamEvent::ReasoningSignature { choice: CHOICE, signature });
                }
                Kind::Thinking
            }
            "redacted_thinking" => {
                if let Some(data) = block.data() {
                    report(StreamEvent::ReasoningEncrypted { choice: CHOICE, data });
                }
                Kind::Thinking
            }
            "tool_use" => self.call_start(block, report),
            _ => {
                report(lost(format!("content[{index}]")));
                report(StreamEvent::Native);
                Kind::Lost
            }
        };
        if self.open.len() >= OPEN_MAX {
            return report(StreamEvent::Failed(error::unreadable("too many of its blocks are open at once")));
        }
        self.open.push(Open { index, kind });
    }

    fn call_start<'a>(&mut self, block: &Block<'a>, report: Report<'_, 'a>) -> Kind {
        let whole = block.input().is_some();
        let kind = if self.names.answer_tool.as_deref() == Some(block.name().as_ref()) {
            Kind::Answer { whole, said: whole }
        } else {
            let (id, name) = (block.id(), reply::restored(block.name(), &self.names));
            let index = self.calls;
            self.calls += 1;
            report(StreamEvent::ToolStart { choice: CHOICE, index, id, name, thought_signature: None });
            Kind::Call { index, whole, said: whole }
        };
        if let Some(input) = block.input() {
            report_arguments(kind, Literal::quote(input), report);
        }
        kind
    }

    fn block_delta<'a>(&mut self, index: u64, delta: &Delta<'a>, report: Report<'_, 'a>) {
        let Some(open) = self.open.iter_mut().find(|open| open.index == index) else { return };
        let piece = |raw: Option<&'a RawValue>| raw.and_then(|raw| Literal::raw(raw.get())).filter(|piece| !piece.is_empty());
        match (delta.kind.as_ref(), &mut open.kind) {
            (_, Kind::Lost) => report(StreamEvent::Native),
            ("text_delta", _) => {
                if let Some(text) = piece(delta.text) {
                    report(StreamEvent::Text { choice: CHOICE, text });
                }
            }
            ("thinking_delta", _) => {
                if let Some(text) = piece(delta.thinking) {
                    report(StreamEvent::Reasoning { choice: CHOICE, text });
                }
            }
            ("signature_delta", _) => {
                if let Some(signature) = piece(delta.signature) {
                    report(StreamEvent::ReasoningSignature { choice: CHOICE, signature });
                }
            }
            ("input_json_delta", Kind::Call { whole: false, said, .. } | Kind::Answer { whole: false, said }) => {
                if let Some(fragment) = piece(delta.partial_json) {
                    *said = true;
                    report_arguments(open.kind, fragment, report);
                }
            }
            ("citations_delta", _) => report(lost(format!("content[{index}].citations"))),
            _ => {}
        }
    }

    fn block_stop<'a>(&mut self, index: u64, report: Report<'_, 'a>) {
        if let Some(at) = self.open.iter().position(|open| open.index == index) {
            close(self.open.remove(at).kind, report);
        }
    }

    fn message_delta<'a>(&mut self, delta: &Delta<'a>, counts: Option<Counts>, report: Report<'_, 'a>) {
        for open in self.open.drain(..) {
            close(open.kind, report);
        }
        if let Some(counts) = counts {
            self.count(counts, report);
        }
        for (name, value) in [("stop_sequence", delta.stop_sequence), ("stop_details", delta.stop_details)] {
            if value.is_some() {
                report(lost(name));
            }
        }
        let Some(reason) = delta.stop_reason.as_deref().filter(|_| !self.finished) else { return };
        self.finished = true;
        let mut losses = Losses::default();
        let reason = reply::finish(reason, self.calls > 0, &mut losses);
        losses.0.into_iter().for_each(|loss| report(StreamEvent::Lost(loss)));
        report(StreamEvent::Finish { choice: CHOICE, reason });
    }

    fn count(&mut self, counts: Counts, report: Report<'_, '_>) {
        self.counts.merge(counts);
        report(StreamEvent::Usage(self.counts.usage()));
    }
}

/// Ends a block: a call without arguments has empty ones, since `""` is no JSON.
fn close(kind: Kind, report: Report<'_, '_>) {
    if let Kind::Call { said: false, .. } | Kind::Answer { said: false, .. } = kind {
        report_arguments(kind, Literal::quote("{}"), report);
    }
}

fn report_arguments<'a>(kind: Kind, fragment: Literal<'a>, report: Report<'_, 'a>) {
    match kind {
        Kind::Call { index, .. } => report(StreamEvent::ToolArguments { choice: CHOICE, index, fragment }),
        Kind::Answer { .. } => report(StreamEvent::Text { choice: CHOICE, text: fragment }),
        Kind::Text | Kind::Thinking | Kind::Lost => {}
    }
}

fn lost(path: impl Into<Cow<'static, str>>) -> StreamEvent<'static> {
    StreamEvent::Lost(Loss { path: path.into(), kind: LossKind::Dropped })
}
