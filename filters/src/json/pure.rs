//! Long stretches of base64: told by one look at their bytes, which spares every other.

use std::iter::once;
use std::ops::Range;

use base64_simd::STANDARD_NO_PAD;

use super::document::Span;

/// Bodies are looked at in blocks of this size, cut at its multiples, so that a second look at one finds it in the first-level cache.
/// A multiple of 4: base64 without padding.
pub(super) const BLOCK_BYTES: usize = 16 * 1024;

/// The blocks of a body that are letters of base64's standard alphabet throughout, neighbours joined to stretches; in order.
///
/// So a stretch is ASCII and holds no quote, backslash, control character or `=`. It may lie within a string, or be no JSON at all.
#[derive(Debug, Default)]
pub(super) struct Pure(Vec<Span>);

impl Pure {
    /// Looks at every block up to its first byte that is no letter, which in prose comes soon. `bytes` are fewer than 4 GiB. Memory: at most
    /// 8 bytes for 32 KiB of them.
    pub(super) fn find(bytes: &[u8]) -> Self {
        let mut stretches: Vec<Span> = Vec::new();
        let starts = (0u32..).step_by(BLOCK_BYTES);
        for (start, _) in starts.zip(bytes.chunks_exact(BLOCK_BYTES)).filter(|(_, block)| STANDARD_NO_PAD.check(block).is_ok()) {
            let end = start + BLOCK_BYTES as u32;
            match stretches.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => stretches.push(Span { start, end }),
            }
        }
        Self(stretches)
    }

    /// Where `bytes`, whose stretches these are, stop being UTF-8; `None` if they never do. Stretches are not looked at: as they begin and
    /// end with ASCII, what lies between them is UTF-8 or not by itself.
    pub(super) fn utf8_error(&self, bytes: &[u8]) -> Option<usize> {
        let starts = once(0).chain(self.0.iter().map(|stretch| stretch.range().end));
        let ends = self.0.iter().map(|stretch| stretch.range().start).chain(once(bytes.len()));
        starts.zip(ends).find_map(|(start, end)| {
            let between = bytes.get(start..end).unwrap_or_default();
            simdutf8::basic::from_utf8(between).err()?;
            Some(start + std::str::from_utf8(between).err().map_or(0, |error| error.valid_up_to()))
        })
    }

    /// The end of the stretch that holds the byte at `at`; `at` itself if none does. O(log stretches).
    #[inline(never)] // Short strings never come here, and are skipped with fewer instructions if it is apart.
    pub(super) fn skip(&self, at: usize) -> usize {
        self.ending_after(at).filter(|stretch| stretch.start <= at).map_or(at, |stretch| stretch.end)
    }

    /// The first stretch that reaches into `range`, cut to it; empty if there is none. O(log stretches).
    pub(super) fn within(&self, range: Range<usize>) -> Range<usize> {
        let cut = |at: usize| at.clamp(range.start, range.end);
        self.ending_after(range.start).map_or(0..0, |stretch| cut(stretch.start)..cut(stretch.end))
    }

    fn ending_after(&self, at: usize) -> Option<Range<usize>> {
        let next = self.0.partition_point(|stretch| stretch.range().end <= at);
        self.0.get(next).map(|stretch| stretch.range())
    }
}
