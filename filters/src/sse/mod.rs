//! Server-sent events: bytes → events for any chunk boundary, and back.
//!
//! Source of the format: WHATWG HTML, "Server-sent events".

mod split;

pub use split::{Event, Splitter};
