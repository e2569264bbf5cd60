//! An upstream's stream on its way to the client: watched, and rewritten where the dialects differ.

use std::time::Instant;

use bytes::Bytes;
use heliostat_filters::chat::{FinishReason, StreamEvent, StreamReader, StreamWriter};
use heliostat_filters::fault::{Fault, FaultKind};
use heliostat_filters::loss::Loss;
use heliostat_filters::sse::{SplitError, Splitter};
use heliostat_filters::usage::Usage;

use super::content::Excerpt;
use super::gathered::Gathered;
use super::redact;
use crate::config::Secret;

/// The longest event of a stream: a generated image of tens of megabytes fits.
const EVENT_LIMIT_BYTES: usize = 64 << 20;

/// So many different losses of a stream are told; an upstream can make any number.
const LOSSES: usize = 64;

/// A longer name of a model is cut.
pub const MODEL_CHARACTERS: usize = 256;

/// What has been seen of a stream.
#[derive(Debug, Default)]
pub struct Seen {
    /// When content last arrived; `None` before any.
    pub content_at: Option<Instant>,
    /// There was more than the end of an answer.
    pub said: bool,
    /// How much content there was, in bytes of JSON; where nothing is rewritten, only until the commit.
    pub content_bytes: usize,
    /// The upstream failed inside its 200.
    pub failed: Option<Fault>,
    /// The stream's own end mark.
    pub done: bool,
    /// Token counts so far.
    pub usage: Usage,
    /// Why the model stopped: the first choice's word, where there are several.
    pub finish: Option<FinishReason>,
    /// Pieces that the stream came in.
    pub chunks: u64,
    /// What the client's shape had no place for.
    pub losses: Vec<Loss>,
    /// The model, in the upstream's words.
    pub model: Option<String>,
    /// What the first choice began with, where that is captured.
    pub excerpt: Option<Excerpt>,
}

/// Reads a stream's bytes, says what they mean, and writes what the client gets.
pub struct Pump {
    splitter: Splitter,
    reader: Box<dyn StreamReader>,
    /// Writes the client's dialect; `None` passes the upstream's bytes untouched.
    writer: Option<Box<dyn StreamWriter>>,
    /// What has been seen.
    pub seen: Seen,
    /// All content counts, also what comes together with more of it: nothing is passed over before [`Pump::quiet`] says so.
    pub counts: bool,
    /// What went wrong that the upstream did not say itself.
    noticed: Option<Fault>,
    /// The body ended within an event, whose beginning the client may have.
    cut: bool,
    /// The credential in use: never repeated, should the upstream do so in an error.
    secret: Secret,
}

impl Pump {
    /// A pump for one attempt.
    #[must_use]
    pub fn new(reader: Box<dyn StreamReader>, writer: Option<Box<dyn StreamWriter>>, secret: Secret) -> Self {
        Self {
            splitter: Splitter::new(EVENT_LIMIT_BYTES),
            reader,
            writer,
            seen: Seen::default(),
            counts: false,
            noticed: None,
            cut: false,
            secret,
        }
    }

    /// The same, and so many bytes of what is said are kept.
    #[must_use]
    pub fn capturing(mut self, content_bytes: Option<usize>) -> Self {
        self.seen.excerpt = content_bytes.map(Excerpt::of);
        self
    }

    /// Takes what arrived, appends what goes to the client.
    pub fn feed(&mut self, chunk: &Bytes, now: Instant, out: &mut Gathered) {
        self.seen.chunks += 1;
        let untouched = self.writer.is_none();
        if untouched {
            out.push(chunk);
        }
        let (mut text, mut looked, mut rest) = (Vec::new(), false, &chunk[..]);
        loop {
            if untouched && !looked && !self.splitter.is_within_event() {
                rest = self.unspared(rest);
                looked = true;
            }
            if rest.is_empty() {
                break;
            }
            let Self { splitter, reader, writer, seen, secret, .. } = self;
            let had_content = seen.content_at == Some(now);
            let mut take = |event: StreamEvent<'_>| {
                seen.note(&event, now, secret);
                // Until there is content nobody is there to be told that the upstream still works.
                let is_told = seen.content_at.is_some() || !matches!(event, StreamEvent::Ping);
                if let Some(writer) = writer.as_mut().filter(|_| is_told) {
                    writer.write(&event, &mut text);
                }
            };
            let taken = splitter.push_one(rest, &mut |event| reader.read(event, &mut take));
            match taken {
                Ok(taken) => rest = rest.get(taken..).unwrap_or_default(),
                Err(error) => {
                    self.fail(unreadable(error));
                    break;
                }
            }
            if untouched && !self.counts && !had_content && self.seen.said && self.seen.content_at == Some(now) {
                // What came together with content needs no closer look.
                self.quiet(true);
                looked = false;
            }
        }
        out.write(&text);
    }

    /// What is left of bytes that pass untouched, without the events at their front in which a quiet reader finds nothing.
    fn unspared<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let whole = self.splitter.whole_events(bytes);
        let spared = match self.reader.first_of_interest(bytes.get(..whole).unwrap_or_default()) {
            None => whole,
            Some(at) => self.splitter.whole_events(bytes.get(..at).unwrap_or_default()),
        };
        bytes.get(spared..).unwrap_or_default()
    }

    /// From now on only what ends the stream is of interest, where nothing is rewritten: reading gets cheaper.
    pub fn quiet(&mut self, quiet: bool) {
        if self.writer.is_none() && self.seen.excerpt.is_none() {
            self.reader.quiet(quiet);
        }
    }

    /// The body ended. Notes a truncation as a failure.
    pub fn end(&mut self, now: Instant, out: &mut Gathered) {
        self.cut = self.splitter.is_within_event();
        self.finish(now, out, true);
    }

    /// The connection broke. An event that had begun is not read: it lacks more than its blank line.
    pub fn break_off(&mut self, now: Instant, out: &mut Gathered) {
        self.finish(now, out, false);
    }

    fn finish(&mut self, now: Instant, out: &mut Gathered, whole: bool) {
        let Self { splitter, reader, writer, seen, secret, .. } = self;
        seen.chunks += 1;
        let mut text = Vec::new();
        let mut take = |event: StreamEvent<'_>| {
            seen.note(&event, now, secret);
            if let Some(writer) = writer {
                writer.write(&event, &mut text);
            }
        };
        let split = if whole { splitter.end(&mut |event| reader.read(event, &mut take)) } else { Ok(()) };
        reader.end(&mut take);
        out.write(&text);
        if let Err(error) = split {
            self.fail(unreadable(error));
        }
        if !self.reader.is_complete() {
            self.fail(truncated());
        }
    }

    /// Notes a failure that the upstream did not report itself.
    pub fn fail(&mut self, fault: Fault) {
        self.noticed.get_or_insert(fault);
    }

    /// What went wrong: what the upstream said, else what was noticed.
    #[must_use]
    pub fn failure(&self) -> Option<&Fault> {
        self.seen.failed.as_ref().or(self.noticed.as_ref())
    }

    /// Whether the stream is whole as far as it came.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.reader.is_complete()
    }

    /// Whether everything the client is owed has been read: in another dialect the end mark or a failure. A same-dialect stream passes
    /// to its last byte.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.noticed.is_some() || (self.writer.is_some() && (self.seen.done || self.seen.failed.is_some()))
    }

    /// Whether the provider has said its last: its end mark, or its error. More is not to be waited for.
    #[must_use]
    pub fn has_said_all(&self) -> bool {
        self.seen.done || self.seen.failed.is_some()
    }

    /// Whether the bytes pass untouched.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.writer.is_none()
    }

    /// Writes the end of the stream: `[DONE]` after a whole one, an error event after a broken one. `client` writes it where the
    /// upstream's bytes passed untouched; what the upstream itself said of its failure has then been passed on already.
    pub fn close(&mut self, client: &mut dyn StreamWriter, out: &mut Gathered) {
        let failure = self.failure().cloned();
        let mut text = Vec::new();
        match (&mut self.writer, failure) {
            (Some(writer), Some(fault)) => writer.fail(&fault, &mut text),
            (Some(writer), None) => writer.finish(&mut text),
            (None, Some(fault)) if self.seen.failed.is_none() => {
                if self.cut || self.splitter.is_within_event() {
                    // The error must not become part of what was cut off.
                    text.extend_from_slice(b"\n\n");
                }
                client.fail(&fault, &mut text);
            }
            (None, _) => {}
        }
        out.write(&text);
    }
}

impl Seen {
    fn note(&mut self, event: &StreamEvent<'_>, now: Instant, secret: &Secret) {
        if event.is_content() {
            self.content_at = Some(now);
            self.said |= event.says_something();
            self.content_bytes = self.content_bytes.saturating_add(event.content_bytes());
        }
        match event {
            StreamEvent::Start { model, .. } if self.model.is_none() => self.model = Some(redact::cut(model, MODEL_CHARACTERS).to_owned()),
            StreamEvent::Finish { reason, .. } if self.finish.is_none() => self.finish = Some(*reason),
            StreamEvent::Text { choice: 0, text } => {
                if let Some(excerpt) = &mut self.excerpt {
                    excerpt.add(&text.text());
                }
            }
            StreamEvent::Usage(usage) => self.usage.merge(*usage),
            StreamEvent::Lost(loss) if self.losses.len() < LOSSES && !self.losses.contains(loss) => self.losses.push(loss.clone()),
            StreamEvent::Failed(fault) => {
                let failed = self.failed.get_or_insert_with(|| fault.clone());
                redact::fault(failed, secret);
            }
            StreamEvent::Done => self.done = true,
            _ => {}
        }
    }
}

/// A stream that ended before it was whole.
#[must_use]
pub fn truncated() -> Fault {
    gateway_fault(502, FaultKind::Server, "The provider's stream ended before the answer was complete.", "stream_truncated")
}

/// A stream that stopped.
#[must_use]
pub fn stalled() -> Fault {
    gateway_fault(504, FaultKind::Timeout, "The provider's stream stopped for too long.", "stream_stalled")
}

/// A stream that a stop's deadline cut.
#[must_use]
pub fn stopping() -> Fault {
    gateway_fault(503, FaultKind::Server, "The gateway stops, and the answer took longer than it could wait.", "gateway_stopping")
}

/// A stream that took too long as a whole.
#[must_use]
pub fn overdue() -> Fault {
    gateway_fault(504, FaultKind::Timeout, "The answer took longer than the total time limit.", "deadline_exceeded")
}

fn unreadable(error: SplitError) -> Fault {
    gateway_fault(502, FaultKind::Malformed, &format!("The provider's stream cannot be read: {error}."), "stream_malformed")
}

fn gateway_fault(status: u16, kind: FaultKind, message: &str, code: &str) -> Fault {
    Fault { status, kind, message: message.to_owned(), code: Some(code.to_owned()), param: None, retry_after_ms: None }
}
