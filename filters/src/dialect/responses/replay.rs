//! Other vendors' reasoning in this dialect's one place for it, `encrypted_content`: signed text, opaque data, and the signature that
//! Google puts on a call. What is put there says what it is, so that it is found again when the client replays the item; what does not
//! say so is a Responses API's own, and of use to no other.

use crate::json::Literal;

/// What a replayed item holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The signature of the text beside it.
    Signature,
    /// Opaque data, without text.
    Opaque,
    /// The signature of the next call.
    Call,
}

static PREFIXES: &[(Kept, &str)] =
    &[(Kept::Signature, "heliostat:signature:"), (Kept::Opaque, "heliostat:opaque:"), (Kept::Call, "heliostat:call:")];

/// What stands in `encrypted_content` for `data`, escaped.
pub(super) fn keep(kept: Kept, data: &Literal<'_>) -> String {
    let prefix = PREFIXES.iter().find(|(kind, _)| *kind == kept).map_or("", |(_, prefix)| prefix);
    [prefix, data.escaped()].concat()
}

/// What an `encrypted_content` of ours was made of; `None` if it is not ours.
pub(super) fn kept(content: &Literal<'_>) -> Option<(Kept, Literal<'static>)> {
    let escaped = content.escaped();
    let (kept, data) = PREFIXES.iter().find_map(|(kept, prefix)| Some((*kept, escaped.strip_prefix(prefix)?)))?;
    Some((kept, Literal::raw(&format!("\"{data}\""))?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Kept, keep, kept};
    use crate::json::Literal;

    #[test]
    fn what_is_kept_is_found_again() {
        for kind in [Kept::Signature, Kept::Opaque, Kept::Call] {
            let data = Literal::quote("a\"b/+=");
            let content = format!("\"{}\"", keep(kind, &data));
            assert_eq!(kept(&Literal::raw(&content).unwrap()), Some((kind, data)));
        }
        assert_eq!(kept(&Literal::quote("gAAAAAB")), None);
    }
}
