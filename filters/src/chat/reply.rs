//! A whole reply, borrowed from the upstream's body.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::Literal;
use crate::loss::{Loss, LossKind};
use crate::usage::Usage;

/// What the client's reply needs beside the upstream's.
#[derive(Debug, Clone, Default)]
pub struct ReplyContext {
    /// When it is answered, in seconds since 1970.
    pub created_s: u64,
    /// The id, where the upstream gave none or one of another form: `chatcmpl-…`, `msg_…`.
    pub id: String,
    /// The model as asked, where the upstream names none.
    pub model: String,
    /// An estimate of the prompt's tokens, for dialects whose streams begin with their number.
    pub prompt_tokens: u64,
    /// Write calls as the legacy `function_call`.
    pub legacy_functions: bool,
    /// Streams: end with a usage chunk.
    pub include_usage: bool,
    /// Streams: the client gets the events as one JSON array. Not the writer's affair: see [`Array`].
    ///
    /// [`Array`]: crate::sse::Array
    pub array: bool,
    /// Members of the request that the reply repeats, as JSON members without braces ([`Client::echo`]).
    ///
    /// [`Client::echo`]: crate::dialect::Client::echo
    pub echo: Bytes,
}

/// A reply, as a chat completion has it.
#[derive(Debug, Default)]
pub struct Reply<'a> {
    /// The upstream's id, kept; a writer makes one up where it is empty.
    pub id: Cow<'a, str>,
    /// The model that answered, in the upstream's words.
    pub model: Cow<'a, str>,
    /// The answers.
    pub choices: Vec<Choice<'a>>,
    /// Token counts, where the upstream gave them.
    pub usage: Option<Usage>,
    /// The tier that served, in OpenAI's words.
    pub service_tier: Option<Cow<'a, str>>,
    /// What the reply said that OpenAI's shape has no place for.
    pub losses: Vec<Loss>,
}

/// What is told of a reply that passes untouched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Glance<'a> {
    /// The model that answered, in the upstream's words.
    pub model: Cow<'a, str>,
    /// Token counts, where the upstream gave them.
    pub usage: Option<Usage>,
    /// Why the first answer ended.
    pub finish: Option<FinishReason>,
    /// Every answer ended by itself, and none says anything.
    pub empty: bool,
}

impl Reply<'_> {
    /// The same in short.
    #[must_use]
    pub fn glance(&self) -> Glance<'_> {
        let finish = self.choices.first().and_then(|choice| choice.finish);
        Glance { model: self.model.as_ref().into(), usage: self.usage, finish, empty: self.is_empty() }
    }

    /// Whether every answer ended by itself, and none says anything. What is lost of a reply was something too.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let lost = self.losses.iter().any(|loss| loss.kind == LossKind::Dropped);
        !lost && self.choices.iter().all(Choice::is_empty)
    }
}

/// One answer.
#[derive(Debug, Default)]
pub struct Choice<'a> {
    /// Its index.
    pub index: u32,
    /// Text, in pieces to be joined; none at all means `content: null`.
    pub text: Vec<Literal<'a>>,
    /// A refusal in the model's words.
    pub refusal: Option<Literal<'a>>,
    /// Reasoning, in order.
    pub reasoning: Vec<Reasoning<'a>>,
    /// Calls, in order.
    pub tool_calls: Vec<ReplyToolCall<'a>>,
    /// Images the model made.
    pub images: Vec<ReplyImage<'a>>,
    /// Why it ended; `None` is a truncated answer.
    pub finish: Option<FinishReason>,
}

impl Choice<'_> {
    fn is_empty(&self) -> bool {
        let thinks = |stretch: &Reasoning<'_>| match stretch {
            Reasoning::Text { text, .. } => !text.is_empty(),
            Reasoning::Encrypted { data } => !data.is_empty(),
        };
        self.finish == Some(FinishReason::Stop)
            && self.text.iter().all(Literal::is_empty)
            && self.refusal.as_ref().is_none_or(Literal::is_empty)
            && self.tool_calls.is_empty()
            && self.images.is_empty()
            && !self.reasoning.iter().any(thinks)
    }
}

/// A stretch of reasoning.
#[derive(Debug, Clone)]
pub enum Reasoning<'a> {
    /// Text, with the vendor's signature where it gave one.
    Text {
        /// What was thought.
        text: Literal<'a>,
        /// The vendor's signature.
        signature: Option<Literal<'a>>,
    },
    /// Opaque data.
    Encrypted {
        /// The data.
        data: Literal<'a>,
    },
}

/// A call the model makes.
#[derive(Debug)]
pub struct ReplyToolCall<'a> {
    /// Its id; a dialect without ids makes one up.
    pub id: Cow<'a, str>,
    /// The function's name, as the client declared it.
    pub name: Cow<'a, str>,
    /// The arguments as a string literal that holds JSON.
    pub arguments: Literal<'a>,
    /// Google's thought signature, to be replayed by the client.
    pub thought_signature: Option<Literal<'a>>,
}

/// An image the model made.
#[derive(Debug)]
pub struct ReplyImage<'a> {
    /// Its media type.
    pub media_type: Cow<'a, str>,
    /// Its base64, as a literal that is carried as it stands.
    pub base64: Literal<'a>,
}

/// Why an answer ended, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "OpenAI's own finish reasons")]
pub enum FinishReason {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

impl FinishReason {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}
