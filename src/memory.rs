//! How much memory request bodies may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes held for bodies in flight. One for the process.
#[derive(Debug, Default)]
pub struct Memory(AtomicU64);

/// A part of it, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: Arc<Memory>,
    bytes: u64,
}

/// There was not enough left. Not the client's fault; a moment later it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the memory for request bodies is used up")]
pub struct Exceeded;

impl Memory {
    /// Bytes held now.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A reservation of nothing, to be grown.
    #[must_use]
    pub fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation { memory: self.clone(), bytes: 0 }
    }
}

impl Reservation {
    /// Grows the reservation to `bytes`, if all of them together stay within `limit`. Never shrinks it.
    ///
    /// # Errors
    /// [`Exceeded`]; what was reserved before stays so.
    pub fn grow_to(&mut self, bytes: u64, limit: u64) -> Result<(), Exceeded> {
        let more = bytes.saturating_sub(self.bytes);
        let grown = |held: u64| held.checked_add(more).filter(|held| more == 0 || *held <= limit);
        self.memory.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map_err(|_| Exceeded)?;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_share_the_limit_and_give_back_what_they_held() {
        let memory = Arc::new(Memory::default());
        let (mut first, mut second) = (memory.reserve(), memory.reserve());
        assert_eq!(first.grow_to(60, 100), Ok(()));
        assert_eq!(second.grow_to(41, 100), Err(Exceeded));
        assert_eq!(second.grow_to(40, 100), Ok(()));
        assert_eq!(first.grow_to(50, 100), Ok(()));
        assert_eq!(memory.held(), 100);
        drop(first);
        assert_eq!((memory.held(), second.grow_to(100, 100)), (40, Ok(())));
        drop(second);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_limit_that_was_lowered_takes_nothing_more() {
        let memory = Arc::new(Memory::default());
        let (mut held, mut new) = (memory.reserve(), memory.reserve());
        held.grow_to(80, 100).unwrap();
        assert_eq!((new.grow_to(1, 50), held.grow_to(80, 50)), (Err(Exceeded), Ok(())));
    }
}
