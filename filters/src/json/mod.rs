//! JSON without decoding: scan a body once, look at spans of it, write the next body from slices.

mod document;
mod literal;
mod splice;

pub use document::{Document, Kind, ScanError, ScanLimits, Shape, View};
pub use literal::Literal;
pub use splice::{Pieces, Splice};
