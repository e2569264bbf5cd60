//! The pure part of Heliostat: bytes in, bytes out. No I/O, clock, randomness or logging; time comes in as an argument.
//!
//! Two rules shape it.
//! - **Type what you translate, span what you carry.** A request body is scanned once into a [`json::Document`]: spans over the
//!   client's own bytes. A translation emits a [`json::Splice`]: ordered pieces, each a slice of those bytes or new text. An image
//!   moves as a slice from JSON string to JSON string and is never decoded.
//! - **Lossless or loud.** What a translation cannot carry becomes a [`loss::Loss`] that names the JSON path; what no candidate
//!   could carry becomes a [`refusal::Refusal`].
//!
//! Read in this order: [`json`] → [`chat`] and [`embeddings`] (the pivots every dialect translates from and to) → [`dialect`] (one folder per wire
//! format) → [`sse`] (streams).

pub mod chat;
pub mod dialect;
pub mod embeddings;
pub mod fault;
pub mod image;
pub mod json;
pub mod loss;
pub mod refusal;
pub mod sse;
pub mod usage;
