//! Vectors: deterministic, of length one, equal for equal input.

use sha2::{Digest, Sha256};

/// The vector of a text.
pub(super) fn of(input: &str, dimensions: u64) -> Vec<f32> {
    let raw: Vec<f32> = (0..dimensions)
        .map(|index| {
            let hash = Sha256::new().chain_update(index.to_le_bytes()).chain_update(input).finalize();
            f32::from(i16::from_le_bytes([hash[0], hash[1]]))
        })
        .collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0);
    raw.into_iter().map(|x| x / length).collect()
}
