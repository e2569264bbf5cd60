//! The pivot: a chat request, a reply and a stream event, as views in the shape of OpenAI's chat completions.
//!
//! Used only where the client's dialect and the upstream's differ: each dialect translates to and from the pivot, so N dialects
//! need N translations, not N × N. Nothing here owns a whole conversation: a request is spans over the client's body, a reply is
//! borrowed from the upstream's.

mod event;
mod form;
mod peek;
mod read;
mod reply;
mod request;
mod shape;

pub(crate) use event::CHOICES_MAX;
pub use event::{StreamEvent, StreamReader, StreamWriter};
pub use form::{Arguments, MediaSource, Schema, Thinking, Word};
pub(crate) use read::{field, neutral, tool_choice};

pub use peek::{FallbackRef, fallbacks, image_views, linked_views, model, wants_stream};
pub use reply::{Choice, FinishReason, Glance, Reasoning, Reply, ReplyContext, ReplyImage, ReplyToolCall};
pub(crate) use request::functions;
pub use request::{ChatRequest, Message, Part, ReasoningTrace, ResponseFormat, Role, Tool, ToolCall, ToolChoice};
pub use shape::CHAT;
