//! Chat completion chunks, read from an upstream and written to a client.

use super::ReplyContext;
use crate::chat::{StreamEvent, StreamReader};
use crate::fault::Fault;
use crate::sse::Event;

/// Reads an OpenAI-compatible stream. In same-dialect traffic it only observes: the bytes pass untouched.
#[derive(Debug, Default)]
pub(super) struct Reader;

impl StreamReader for Reader {
    fn read<'a>(&mut self, _event: Event<'a>, _report: &mut dyn FnMut(StreamEvent<'a>)) {}

    fn is_complete(&self) -> bool {
        false
    }
}

/// Writes pivot events as `data: {chat.completion.chunk}` frames. One per client stream.
#[derive(Debug)]
pub struct StreamWriter {
    context: ReplyContext,
}

impl StreamWriter {
    /// A writer for one reply.
    #[must_use]
    pub fn new(context: ReplyContext) -> Self {
        Self { context }
    }

    /// Appends the frames of one event to `out`. Usage is held for the usage chunk; [`StreamEvent::Lost`] is collected for the comment
    /// before the end; [`StreamEvent::Failed`] and [`StreamEvent::Done`] are the caller's to act on, through
    /// [`StreamWriter::fail`] and [`StreamWriter::finish`].
    pub fn write(&mut self, event: &StreamEvent<'_>, out: &mut Vec<u8>) {
        let _ = (event, out, &self.context);
    }

    /// Ends a whole stream: the losses as a comment, the usage chunk where it was asked for, `[DONE]`.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Ends a broken stream: `data: {"error":…}` and no `[DONE]`.
    pub fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        let _ = (fault, out);
    }
}
