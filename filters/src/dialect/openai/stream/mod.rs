//! Chat completion chunks, read from an upstream and written to a client.

mod alike;
mod calls;
mod read;
mod write;

pub(super) use read::Reader;
pub use write::ChunkWriter;
