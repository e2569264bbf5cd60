//! The events of a response, read from an upstream and written to a client.

mod read;
mod sent;
mod write;

pub(super) use read::Reader;
pub use write::EventWriter;
