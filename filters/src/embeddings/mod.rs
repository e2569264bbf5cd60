//! The pivot of embeddings: a request and a reply as views in the shape of OpenAI's `POST /embeddings`.
//!
//! As in [`crate::chat`], it is used only where the client's dialect and the upstream's differ. A vector that is carried as numbers
//! keeps its digits: it moves as text and is never printed anew.

mod peek;
mod reply;
mod request;
mod shape;
mod vector;

pub use peek::{INPUTS_MAX, count_inputs};
pub use reply::{EmbeddingsReply, Wanted};
pub use request::{EmbeddingsRequest, Encoding, Input};
pub use shape::EMBEDDINGS;
pub use vector::{Vector, floats_of_base64, floats_to_base64};
