//! Vectors as text: numbers as an upstream wrote them, or base64 of 32-bit floats, and the way between the two.

use std::fmt::Write as _;

use base64_simd::STANDARD;

use crate::json::Literal;

/// Bytes of a float.
const WIDTH: usize = size_of::<f32>();

/// One vector, as the upstream wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vector<'a> {
    /// The JSON text of an array of numbers.
    Floats(&'a str),
    /// Base64 of little-endian 32-bit floats.
    Base64(Literal<'a>),
    /// Something else, which is carried in the same dialect only.
    Other,
}

impl<'a> Vector<'a> {
    /// Takes a value's JSON text. Looks at every byte and parses none.
    #[must_use]
    pub fn of_json(text: &'a str) -> Self {
        let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        // Text that is JSON and holds only these is a list of numbers.
        let in_number =
            |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b',' | b' ' | b'\t' | b'\r' | b'\n');
        match inner {
            Some(inner) if inner.bytes().all(in_number) => Self::Floats(text),
            _ => Literal::raw(text).filter(is_base64).map_or(Self::Other, Self::Base64),
        }
    }
}

/// Whether a string holds nothing but letters of base64, some of them escaped perhaps.
fn is_base64(string: &Literal<'_>) -> bool {
    string.text().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

/// Base64 of the numbers of a JSON array, each rounded to the nearest 32-bit float. `None` if it holds anything else, or a number
/// that no such float can hold.
#[must_use]
pub fn floats_to_base64(array: &str) -> Option<String> {
    let inner = array.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut packed = Vec::with_capacity(inner.len() / 3);
    for number in inner.split(',').map(str::trim).filter(|_| !inner.trim().is_empty()) {
        let float: f32 = number.parse().ok().filter(|float: &f32| float.is_finite())?;
        packed.extend_from_slice(&float.to_le_bytes());
    }
    Some(STANDARD.encode_to_string(packed))
}

/// A JSON array of the floats in base64, each in the fewest digits that read back as the same 32-bit float. `None` if it is no base64
/// of whole floats, or one of them is no number.
#[must_use]
pub fn floats_of_base64(base64: &str) -> Option<String> {
    let packed = STANDARD.decode_to_vec(base64).ok().filter(|packed| packed.len() % WIDTH == 0)?;
    let mut array = String::with_capacity(packed.len() * 3 + 2);
    array.push('[');
    for (position, bytes) in packed.chunks_exact(WIDTH).enumerate() {
        let float = f32::from_le_bytes(bytes.try_into().ok()?);
        if !float.is_finite() {
            return None;
        }
        // Writing to a string cannot fail.
        let _ = write!(array, "{}{float:?}", if position == 0 { "" } else { "," });
    }
    array.push(']');
    Some(array)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert_eq, proptest};

    use super::*;

    fn bits(array: &str) -> Vec<u32> {
        serde_json::from_str::<Vec<f32>>(array).expect("an array of numbers").into_iter().map(f32::to_bits).collect()
    }

    fn pack(bits: &[u32]) -> String {
        STANDARD.encode_to_string(bits.iter().flat_map(|bits| bits.to_le_bytes()).collect::<Vec<u8>>())
    }

    #[test]
    fn known_bytes() {
        assert_eq!(floats_to_base64("[1, -2.5,0.0, -0, 1e-7]").as_deref(), Some("AACAPwAAIMAAAAAAAAAAgJW/1jM="));
        assert_eq!(floats_of_base64("AACAPwAAIMAAAAAAAAAAgJW/1jM=").as_deref(), Some("[1.0,-2.5,0.0,-0.0,1e-7]"));
        assert_eq!(floats_to_base64("[ ]").as_deref(), Some(""));
        assert_eq!(floats_of_base64("").as_deref(), Some("[]"));
    }

    #[test]
    fn what_is_no_vector_is_none() {
        for array in ["[null]", "[1,,2]", "[1e39]", "[\"1\"]", "[[1]]", "1", "[1,]", "[NaN]"] {
            assert_eq!(floats_to_base64(array), None, "{array}");
        }
        for base64 in ["AAA", "AAAA", "not base64", "AADAfw==", "AACAfw=="] {
            assert_eq!(floats_of_base64(base64), None, "{base64}");
        }
    }

    #[test]
    fn kinds_of_values() {
        assert_eq!(Vector::of_json("[0.10, -1e-05]"), Vector::Floats("[0.10, -1e-05]"));
        assert!(matches!(Vector::of_json("\"AACAPw==\""), Vector::Base64(_)));
        assert!(matches!(Vector::of_json(r#""AAC\/Pw\u003d\u003d""#), Vector::Base64(_)));
        for other in ["[null]", "[[1]]", "{}", "7", "[true]", r#""AA\ud83dA=""#, "\"not base64\"", r#""AA\"A""#] {
            assert_eq!(Vector::of_json(other), Vector::Other, "{other}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The oracle is serde_json's reading of numbers as 32-bit floats, bit for bit.
        #[test]
        fn base64_and_numbers_are_the_same_floats(bits_in in prop::collection::vec(any::<u32>(), 0..200)) {
            let finite: Vec<u32> = bits_in.into_iter().filter(|bits| f32::from_bits(*bits).is_finite()).collect();
            let base64 = pack(&finite);
            let array = floats_of_base64(&base64).expect("whole floats");
            prop_assert_eq!(bits(&array), finite);
            prop_assert_eq!(floats_to_base64(&array), Some(base64));
        }

        /// Numbers with more digits than a float holds are rounded to the nearest.
        #[test]
        fn long_numbers_are_rounded_once(numbers in prop::collection::vec(-1e30_f64..1e30, 0..50)) {
            let array = format!("[{}]", numbers.iter().map(|number| format!(" {number:e}")).collect::<Vec<_>>().join(" ,"));
            prop_assert_eq!(floats_to_base64(&array), Some(pack(&bits(&array))));
        }
    }
}
