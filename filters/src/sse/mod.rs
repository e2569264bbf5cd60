//! Server-sent events: bytes → events for any chunk boundary.
//!
//! Source of the format: WHATWG HTML, "Server-sent events", but for what providers do otherwise: a stream may end without the last
//! event's blank line, and bytes that are not UTF-8 are an error here, where the standard has them silently replaced.

mod array;
mod split;

pub use array::Array;
pub use split::{Event, SplitError, Splitter};

#[cfg(test)]
mod tests;
