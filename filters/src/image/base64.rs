//! Base64 as clients write it, brought to the one form every provider reads.

use std::borrow::Cow;
use std::ops::Range;

use base64_simd::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;

use super::flaw::{self, Flaw};
use super::{Inline, Text, sniff};

/// Standard base64 with padding that may stand in a JSON string as it is, `\/` for `/` included. Not empty.
#[derive(Debug)]
pub(super) struct Base64 {
    pub(super) text: Bytes,
    pub(super) decoded_bytes: usize,
}

impl Base64 {
    /// Checks a payload, and rewrites it if it is not canonical: other escapes, white space, the URL-safe alphabet, percent-encoding,
    /// padding that is missing or too long, bits set behind the last byte.
    pub(super) fn read(payload: &Text) -> Result<Self, Flaw> {
        let bytes = &payload.bytes;
        if !payload.escaped || memchr::memchr(b'\\', bytes).is_none() {
            return Self::kept(bytes, bytes, &payload.letters).map_or_else(|| Self::rewritten(bytes), Ok);
        }
        without_slash_escapes(bytes)
            .and_then(|plain| Self::kept(bytes, &plain, &(0..0)))
            .map_or_else(|| Self::rewritten(payload.decoded().as_bytes()), Ok)
    }

    /// Encodes plain bytes.
    pub(super) fn encode(bytes: &[u8]) -> Result<Self, Flaw> {
        if bytes.is_empty() {
            return Err(flaw::EMPTY);
        }
        Ok(Self { text: STANDARD.encode_to_string(bytes).into(), decoded_bytes: bytes.len() })
    }

    /// The first bytes that it decodes to.
    pub(super) fn head(&self) -> Vec<u8> {
        let chars = self.text.iter().copied().filter(|byte| !matches!(byte, b'\\' | b'='));
        let chars: Vec<u8> = chars.take(sniff::HEAD_CHARS).collect();
        base64_simd::forgiving_decode_to_vec(&chars).unwrap_or_default()
    }

    /// `text` as it stands, if `plain`, which is `text` without escapes, is canonical; `letters` of it are known to be of the alphabet.
    fn kept(text: &Bytes, plain: &[u8], letters: &Range<usize>) -> Option<Self> {
        if !is_canonical(plain, letters) {
            return None;
        }
        let decoded_bytes = STANDARD.decoded_length(plain).ok().filter(|length| *length > 0)?;
        Some(Self { text: text.clone(), decoded_bytes })
    }

    fn rewritten(text: &[u8]) -> Result<Self, Flaw> {
        let text = percent_decoded(text);
        let chars = text.iter().filter(|byte| !byte.is_ascii_whitespace());
        let mut chars: Vec<u8> = chars.map(|byte| in_standard_alphabet(*byte)).collect();
        let padding = chars.iter().rev().take_while(|byte| **byte == b'=').count();
        chars.truncate(chars.len() - padding);
        if chars.is_empty() {
            return Err(flaw::EMPTY);
        }
        clear_spare_bits(&mut chars);
        chars.resize(chars.len().next_multiple_of(4), b'=');
        let text = Bytes::from(chars);
        Self::kept(&text, &text, &(0..0)).ok_or(flaw::NOT_BASE64)
    }
}

/// Whether `text` is standard base64 with its padding. Of `letters`, known to be of the alphabet, whole groups of four are not looked at.
pub(super) fn is_canonical(text: &[u8], letters: &Range<usize>) -> bool {
    let known = letters.start.next_multiple_of(4)..letters.end / 4 * 4;
    match (text.get(..known.start), text.get(known.end..)) {
        // The head holds no padding, which is for the end alone.
        (Some(head), Some(tail)) if !known.is_empty() => STANDARD_NO_PAD.check(head).is_ok() && STANDARD.check(tail).is_ok(),
        _ => STANDARD.check(text).is_ok(),
    }
}

/// Base64 without a word of what it is: taken for it only if it is valid throughout and its first bytes tell a type.
pub(super) fn plausible(payload: &Text) -> Option<Inline> {
    let start = payload.bytes.get(..sniff::HEAD_CHARS)?;
    if start.iter().any(|byte| matches!(byte, b':' | b'<')) {
        return None; // Cheaply excluded: text and markup.
    }
    let payload = Base64::read(payload).ok()?;
    let media_type = Cow::Borrowed(sniff::by_magic(&payload.head())?);
    Some(Inline { media_type, base64: payload.text, decoded_bytes: payload.decoded_bytes })
}

/// Resolves `%2B` and its like; a percent sign that begins none stays.
pub(super) fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'%', text) else { return Cow::Borrowed(text) };
    let (plain, mut rest) = text.split_at(first);
    let mut decoded = plain.to_vec();
    while let Some((byte, after)) = rest.split_first() {
        let pair = after.split_at_checked(2).filter(|_| *byte == b'%');
        let (byte, after) = pair.and_then(|(digits, after)| Some((hex_pair(digits)?, after))).unwrap_or((*byte, after));
        decoded.push(byte);
        rest = after;
    }
    Cow::Owned(decoded)
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let pair = digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?));
    pair.and_then(|value| u8::try_from(value).ok())
}

/// The text with `\/` as `/`; `None` if it holds another escape.
fn without_slash_escapes(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(stop) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(stop);
        plain.extend_from_slice(before);
        plain.push(b'/');
        rest = escape.strip_prefix(b"\\/")?;
    }
    plain.extend_from_slice(rest);
    Some(plain)
}

fn in_standard_alphabet(byte: u8) -> u8 {
    match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    }
}

/// Clears the bits of the last character that lie behind the last byte: strict readers refuse them, lenient ones ignore them.
fn clear_spare_bits(chars: &mut [u8]) {
    let alphabet = STANDARD.charset();
    let kept = match chars.len() % 4 {
        2 => 0b11_0000,
        3 => 0b11_1100,
        _ => return,
    };
    if let Some(last) = chars.last_mut()
        && let Some(value) = alphabet.iter().position(|byte| byte == last)
        && let Some(cleared) = alphabet.get(value & kept)
    {
        *last = *cleared;
    }
}
