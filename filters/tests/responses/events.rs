//! Streams, read and written through the code under test.

use bytes::Bytes;
use heliostat_filters::chat::{ReplyContext, StreamEvent, StreamWriter as _};
use heliostat_filters::dialect::responses::EventWriter;
use heliostat_filters::dialect::{Names, by_name};
use heliostat_filters::sse::{Event, Splitter};

use crate::naive::Answer;

/// What a reader reported, in short.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub(crate) struct Seen {
    pub answer: Answer,
    pub started: Vec<(String, String)>,
    pub finish: Vec<&'static str>,
    /// Prompt, completion, cached, reasoning.
    pub usage: Option<[Option<u64>; 4]>,
    pub failed: Option<(u16, String)>,
    pub lost: Vec<String>,
    pub content: bool,
    pub done: bool,
    pub complete: bool,
}

impl Seen {
    fn note(&mut self, event: &StreamEvent<'_>) {
        self.content |= event.is_content();
        match event {
            StreamEvent::Start { id, model } => self.started.push((id.to_string(), model.to_string())),
            StreamEvent::Text { text, .. } => self.answer.text += &text.text(),
            StreamEvent::Refusal { text, .. } => self.answer.refusal += &text.text(),
            StreamEvent::Reasoning { text, .. } => self.answer.reasoning += &text.text(),
            StreamEvent::ReasoningEncrypted { data, .. } => self.answer.encrypted.push(data.text().into_owned()),
            StreamEvent::ToolStart { index, id, name, .. } => {
                assert_eq!(*index as usize, self.answer.calls.len(), "calls are numbered in order");
                self.answer.calls.push((id.to_string(), name.to_string(), String::new()));
            }
            StreamEvent::ToolArguments { index, fragment, .. } => {
                self.answer.calls.get_mut(*index as usize).expect("a call that has begun").2 += &fragment.text();
            }
            StreamEvent::Image { .. } => self.answer.images += 1,
            StreamEvent::Finish { reason, .. } => self.finish.push(reason.as_str()),
            StreamEvent::Usage(usage) => {
                self.usage = Some([usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens]);
            }
            StreamEvent::Failed(fault) => self.failed = Some((fault.status, fault.message.clone())),
            StreamEvent::Lost(loss) if !self.lost.contains(&loss.path.to_string()) => self.lost.push(loss.path.to_string()),
            StreamEvent::Done => self.done = true,
            _ => {}
        }
    }
}

/// What is done with each event that a stream reader of `dialect` reports.
fn pump(dialect: &str, body: &[u8], cut: usize, quiet: bool, each: &mut dyn FnMut(&StreamEvent<'_>)) -> bool {
    pump_pieces(dialect, &mut body.chunks(cut), quiet, each)
}

fn pump_pieces(dialect: &str, pieces: &mut dyn Iterator<Item = &[u8]>, quiet: bool, each: &mut dyn FnMut(&StreamEvent<'_>)) -> bool {
    let dialect = by_name(dialect).expect("a dialect");
    let (mut reader, mut splitter, mut content) = (dialect.chat_stream(Names::default()), Splitter::new(1 << 24), false);
    let mut read = |event: Event<'_>| {
        reader.read(event, &mut |event| {
            content |= event.is_content();
            each(&event);
        });
        if quiet && content {
            reader.quiet(true);
        }
    };
    for chunk in pieces {
        splitter.push(&Bytes::copy_from_slice(chunk), &mut read).expect("events within the limit");
    }
    splitter.end(&mut read).expect("events within the limit");
    reader.end(&mut |event| each(&event));
    reader.is_complete()
}

/// Reads a body cut at these places, in order.
pub(crate) fn read_cut(body: &[u8], cuts: &[usize]) -> Seen {
    let mut seen = Seen::default();
    let ends = cuts.iter().copied().chain([body.len()]);
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let mut pieces = starts.zip(ends).map(|(from, to)| &body[from..to]);
    seen.complete = pump_pieces("responses", &mut pieces, false, &mut |event| seen.note(event));
    seen
}

/// Reads a body cut into chunks of `cut` bytes. `quiet`: as the gateway does, once content was seen.
pub(crate) fn read(body: &[u8], cut: usize, quiet: bool) -> Seen {
    let mut seen = Seen::default();
    seen.complete = pump("responses", body, cut, quiet, &mut |event| seen.note(event));
    seen
}

/// A writer's context.
pub(crate) fn context() -> ReplyContext {
    let document = heliostat_filters::json::Document::scan("{}".into(), &heliostat_filters::chat::CHAT, Default::default()).expect("JSON");
    ReplyContext {
        created_s: 1,
        id: "resp_1".to_owned(),
        echo: heliostat_filters::dialect::responses::echo(&document),
        ..ReplyContext::default()
    }
}

/// Reads a stream of `dialect` and writes it as a response.
pub(crate) fn rewritten(dialect: &str, body: &[u8], cut: usize) -> String {
    let (mut writer, mut out, mut failed) = (EventWriter::new(context()), Vec::new(), None);
    let complete = pump(dialect, body, cut, false, &mut |event| {
        writer.write(event, &mut out);
        if let StreamEvent::Failed(fault) = event {
            failed = Some(fault.clone());
        }
    });
    match failed {
        Some(fault) => writer.fail(&fault, &mut out),
        None => {
            assert!(complete, "a whole stream");
            writer.finish(&mut out);
        }
    }
    String::from_utf8(out).expect("UTF-8")
}
