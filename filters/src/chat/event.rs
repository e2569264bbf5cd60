//! What happens in a stream, whatever its dialect.

use std::borrow::Cow;

use crate::fault::Fault;
use crate::json::Literal;
use crate::loss::Loss;
use crate::sse::Event;
use crate::usage::Usage;

/// The most choices of one stream that are kept track of; OpenAI's `n` ends at 128. An upstream chooses their numbers.
pub(crate) const CHOICES_MAX: usize = 1024;

/// One thing that happened in an upstream's stream.
#[derive(Debug)]
pub enum StreamEvent<'a> {
    /// The reply began. Not content: nothing is committed yet.
    Start {
        /// The upstream's id for the reply.
        id: Cow<'a, str>,
        /// The model that answers.
        model: Cow<'a, str>,
    },
    /// A piece of text.
    Text {
        /// Index of the choice.
        choice: u32,
        /// The piece.
        text: Literal<'a>,
    },
    /// A piece of reasoning.
    Reasoning {
        /// Index of the choice.
        choice: u32,
        /// The piece.
        text: Literal<'a>,
    },
    /// The signature of the reasoning so far.
    ReasoningSignature {
        /// Index of the choice.
        choice: u32,
        /// The signature.
        signature: Literal<'a>,
    },
    /// Reasoning as opaque data, whole.
    ReasoningEncrypted {
        /// Index of the choice.
        choice: u32,
        /// The data.
        data: Literal<'a>,
    },
    /// A piece of a refusal.
    Refusal {
        /// Index of the choice.
        choice: u32,
        /// The piece.
        text: Literal<'a>,
    },
    /// A call begins.
    ToolStart {
        /// Index of the choice.
        choice: u32,
        /// Index of the call within the choice, from 0.
        index: u32,
        /// The call's id.
        id: Cow<'a, str>,
        /// The function's name, as the client declared it.
        name: Cow<'a, str>,
        /// Google's thought signature.
        thought_signature: Option<Literal<'a>>,
    },
    /// A piece of a call's arguments.
    ToolArguments {
        /// Index of the choice.
        choice: u32,
        /// Index of the call within the choice.
        index: u32,
        /// The piece: part of a string that holds JSON.
        fragment: Literal<'a>,
    },
    /// An image the model made, whole.
    Image {
        /// Index of the choice.
        choice: u32,
        /// Its media type.
        media_type: Cow<'a, str>,
        /// Its base64.
        base64: Literal<'a>,
    },
    /// A piece of audio (same dialect only: it is content, and is never translated).
    Audio,
    /// Content that only its own dialect has words for: a call of one of the provider's own tools, its result, the draft of an image.
    /// What another dialect loses of it is told apart, as [`Self::Lost`].
    Native,
    /// A choice ended.
    Finish {
        /// Index of the choice.
        choice: u32,
        /// Why.
        reason: super::FinishReason,
    },
    /// Token counts so far, cumulative: the last stands.
    Usage(Usage),
    /// The upstream says that it still works.
    Ping,
    /// The upstream failed inside a 200.
    Failed(Fault),
    /// Something that the client's shape has no place for.
    Lost(Loss),
    /// The stream's own end mark: `[DONE]`, `message_stop`. Dialects without one end with the body.
    Done,
}

impl StreamEvent<'_> {
    /// Whether this is content (contract, "Candidates and attempts"): non-empty text, reasoning, a tool's name or arguments, a
    /// refusal, audio, an image, what only its own dialect has words for, or a finish reason. Before content nothing is committed to the client.
    #[must_use]
    pub fn is_content(&self) -> bool {
        match self {
            Self::Text { text, .. } | Self::Reasoning { text, .. } | Self::Refusal { text, .. } => !text.is_empty(),
            Self::ToolArguments { fragment, .. } => !fragment.is_empty(),
            Self::ReasoningEncrypted { data, .. } => !data.is_empty(),
            Self::ToolStart { .. } | Self::Image { .. } | Self::Audio | Self::Native | Self::Finish { .. } => true,
            Self::Start { .. }
            | Self::ReasoningSignature { .. }
            | Self::Usage(_)
            | Self::Ping
            | Self::Failed(_)
            | Self::Lost(_)
            | Self::Done => false,
        }
    }

    /// Whether this is more than the end of an answer: content, but no finish reason that tells of an answer ended by itself. A stream
    /// without any is an empty answer.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.is_content() && !matches!(self, Self::Finish { reason: super::FinishReason::Stop, .. })
    }

    /// How much content this is, in bytes of JSON: of text, reasoning, a refusal or a call. An image, audio and an end count as more
    /// than anybody asks for, since they come whole.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        match self {
            Self::Text { text, .. } | Self::Reasoning { text, .. } | Self::Refusal { text, .. } => text.escaped().len(),
            Self::ToolArguments { fragment, .. } => fragment.escaped().len(),
            Self::ToolStart { name, .. } => name.len(),
            Self::Image { .. } | Self::Audio | Self::Native | Self::ReasoningEncrypted { .. } | Self::Finish { .. } => usize::MAX,
            Self::Start { .. }
            | Self::ReasoningSignature { .. }
            | Self::Usage(_)
            | Self::Ping
            | Self::Failed(_)
            | Self::Lost(_)
            | Self::Done => 0,
        }
    }
}

/// Writes a client dialect's stream, event by event. One a request.
pub trait StreamWriter: Send + Sync {
    /// Appends what the client gets of one event to `out`. [`StreamEvent::Failed`] and [`StreamEvent::Done`] are the caller's to act
    /// on, through [`StreamWriter::fail`] and [`StreamWriter::finish`]; [`StreamEvent::Lost`] is told before the end.
    fn write(&mut self, event: &StreamEvent<'_>, out: &mut Vec<u8>);

    /// Ends a whole stream.
    fn finish(&mut self, out: &mut Vec<u8>);

    /// Ends a broken stream with the error in the client's form. Also alone, behind an untouched stream of the client's own dialect.
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>);
}

/// Reads one upstream dialect's stream, event by event. One per attempt; keeps only what later events need.
pub trait StreamReader: Send + Sync {
    /// Reads one SSE event and reports what happened, in order. Unknown events and fields are ignored, never an error: providers
    /// add them without notice.
    fn read<'a>(&mut self, event: Event<'a>, report: &mut dyn FnMut(StreamEvent<'a>));

    /// Says whether only finish reasons, usage, failures and the end are of interest from now on, as where content was just seen and
    /// the bytes pass untouched. A quiet reader may skip events that hold none of these without parsing them; what it skipped it
    /// does not report later. May be turned off again at any event.
    fn quiet(&mut self, quiet: bool) {
        let _ = quiet;
    }

    /// Where in the bytes of whole events the first thing of interest stands, for a reader that is quiet; `None` if they hold none, so
    /// that they need not be split. May err towards interest: by default all is of it.
    fn first_of_interest(&mut self, events: &[u8]) -> Option<usize> {
        let _ = events;
        Some(0)
    }

    /// The body ended. Reports what was held back until now. Whether the stream was whole is [`StreamReader::is_complete`].
    fn end(&mut self, report: &mut dyn FnMut(StreamEvent<'static>)) {
        let _ = report;
    }

    /// Whether the stream, if its body ended now, would be whole: a finish reason, and the end mark where the dialect has one that
    /// it always sends. Otherwise it is truncated.
    fn is_complete(&self) -> bool;
}
