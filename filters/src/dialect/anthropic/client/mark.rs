//! What the gateway writes where Anthropic would sign: clients replay thinking with its signature as they received it, so that another
//! vendor's signature, or the want of one, survives the turn there. Anthropic itself would refuse such a block: it never gets one.

use crate::json::{Kind, View};

/// What a mark begins with.
const MARK: &str = "heliostat:";
const UNSIGNED: &str = "heliostat:none";
const SIGNED: &str = "heliostat:signed:";
const CALL: &str = "heliostat:call:";
const DATA: &str = "heliostat:data:";

/// What a mark says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark<'t> {
    /// Thinking that its vendor did not sign.
    Unsigned,
    /// Thinking with another vendor's signature.
    Signed(&'t str),
    /// Another vendor's signature of the next call.
    Call(&'t str),
    /// Another vendor's opaque data.
    Data(&'t str),
}

impl Mark<'_> {
    /// As it is written, JSON escapes of the vendor's text left as they are.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Unsigned => UNSIGNED.to_owned(),
            Self::Signed(signature) => format!("{SIGNED}{signature}"),
            Self::Call(signature) => format!("{CALL}{signature}"),
            Self::Data(data) => format!("{DATA}{data}"),
        }
    }
}

/// Reads a signature, or redacted data; `None` if the gateway did not write it.
pub(super) fn read(text: &str) -> Option<Mark<'_>> {
    if text == UNSIGNED {
        return Some(Mark::Unsigned);
    }
    let signed = text.strip_prefix(SIGNED).map(Mark::Signed);
    signed.or_else(|| text.strip_prefix(CALL).map(Mark::Call)).or_else(|| text.strip_prefix(DATA).map(Mark::Data))
}

/// Whether a block of thinking, redacted or not, bears a mark. O(1).
pub(super) fn is_on(block: View<'_>) -> bool {
    let bears = |key: &str| {
        let sign = block.present(key).filter(|sign| sign.kind() == Kind::String);
        sign.is_some_and(|sign| sign.bytes().get(1..).is_some_and(|text| text.starts_with(MARK.as_bytes())))
    };
    bears("signature") || bears("data")
}

#[cfg(test)]
mod tests {
    use super::{Mark, read};

    #[test]
    fn what_is_written_is_read() {
        for mark in [Mark::Unsigned, Mark::Signed("c2ln"), Mark::Call("c2ln"), Mark::Data("ZW5j")] {
            assert_eq!(read(&mark.written()), Some(mark));
        }
        assert_eq!(read("EqQBCkgIAxAB"), None);
    }
}
