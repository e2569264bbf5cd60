//! JSON without decoding: scan a body once, look at spans of it, write the next body from slices.

mod document;
mod literal;
mod path;
pub mod pointer;
mod pure;
mod scan;
mod splice;
mod view;

pub use document::{Document, Kind, ScanError, ScanLimits, Shape};
pub use literal::{Literal, quote_into};
pub use splice::{Pieces, Splice};
pub use view::View;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod pure_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod write_tests;
