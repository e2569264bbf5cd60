//! Where the JSON of a call ends that arrives in pieces.

/// Whether a JSON object is whole, told piece by piece from its brackets.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Brackets {
    depth: usize,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Brackets {
    /// Takes the next piece.
    pub(in crate::dialect) fn feed(&mut self, piece: &str) {
        for byte in piece.bytes() {
            match (self.in_string, byte) {
                (true, _) if self.escaped => self.escaped = false,
                (true, b'\\') => self.escaped = true,
                (true, b'"') => self.in_string = false,
                (true, _) => {}
                (false, b'"') => self.in_string = true,
                (false, b'{' | b'[') => {
                    self.begun = true;
                    self.depth += 1;
                }
                (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
                (false, _) => {}
            }
        }
    }

    /// Whether nothing more can follow.
    pub(in crate::dialect) fn are_closed(&self) -> bool {
        self.begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use super::Brackets;

    #[test]
    fn an_object_is_whole_with_its_last_bracket_however_it_is_cut() {
        let text = r#"{"a":"}\"]\\","b":[{"c":1}]}"#;
        for cut in 0..text.len() {
            let mut brackets = Brackets::default();
            brackets.feed(&text[..cut]);
            assert!(!brackets.are_closed(), "{cut}");
            brackets.feed(&text[cut..]);
            assert!(brackets.are_closed(), "{cut}");
        }
    }
}
