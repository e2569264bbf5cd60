//! Members by name. Proto JSON has each name in two spellings, `inlineData` and `inline_data`, and takes one element for an array of one.

use crate::chat::field;
use crate::json::{Kind, View};
use crate::refusal::Refusal;

/// The member `camel` in either spelling, if it stands and is not `null`.
pub(super) fn present<'a>(parent: View<'a>, camel: &str) -> Option<View<'a>> {
    let mut room = [0; LONGEST];
    parent.present(camel).or_else(|| parent.present(snake(camel, &mut room)?))
}

/// Longer names than that are none of Google's.
const LONGEST: usize = 64;

/// The other spelling, if there is one, written into `room`.
fn snake<'r>(camel: &str, room: &'r mut [u8; LONGEST]) -> Option<&'r str> {
    let (mut end, mut has_humps) = (0, false);
    for letter in camel.bytes() {
        if letter.is_ascii_uppercase() {
            has_humps = true;
            *room.get_mut(end)? = b'_';
            end += 1;
        }
        *room.get_mut(end)? = letter.to_ascii_lowercase();
        end += 1;
    }
    if has_humps { std::str::from_utf8(room.get(..end)?).ok() } else { None }
}

/// The same, of one kind.
pub(super) fn of_kind<'a>(parent: View<'a>, camel: &str, kind: Kind) -> Result<Option<View<'a>>, Refusal> {
    present(parent, camel).map(|view| field::expect(view, kind)).transpose()
}

/// The same, a string.
pub(super) fn string<'a>(parent: View<'a>, camel: &str) -> Result<Option<View<'a>>, Refusal> {
    of_kind(parent, camel, Kind::String)
}

/// A string that must stand.
pub(super) fn required_string<'a>(parent: View<'a>, camel: &str) -> Result<View<'a>, Refusal> {
    string(parent, camel)?.ok_or_else(|| field::missing(parent, camel))
}

/// The elements of an array, or the one value in its place; none if it is absent.
pub(super) fn elements<'a>(parent: View<'a>, camel: &str) -> impl Iterator<Item = View<'a>> + use<'a> {
    let member = present(parent, camel);
    let single = member.filter(|member| member.kind() != Kind::Array);
    single.into_iter().chain(member.into_iter().flat_map(View::elements))
}

/// Members that stand and are none of `known`, in either spelling.
pub(super) fn rest<'a>(parent: View<'a>, known: &'static [&'static str]) -> impl Iterator<Item = View<'a>> {
    let is_known = |key: &str| known.iter().any(|camel| is(key, camel));
    parent.members().filter(move |member| member.kind() != Kind::Null && member.key().is_none_or(|key| !is_known(&key)))
}

/// Whether a key is `camel`, in either spelling.
pub(super) fn is(key: &str, camel: &str) -> bool {
    if key == camel {
        return true;
    }
    let mut key = key.chars();
    let matches = camel.chars().all(|letter| match letter.is_ascii_uppercase() {
        true => key.next() == Some('_') && key.next() == Some(letter.to_ascii_lowercase()),
        false => key.next() == Some(letter),
    });
    matches && key.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, is, snake};

    #[test]
    fn both_spellings_are_one_name() {
        assert!(is("inlineData", "inlineData") && is("inline_data", "inlineData") && is("text", "text"));
        assert!(is("function_calling_config", "functionCallingConfig"));
        let mut room = [0; LONGEST];
        assert_eq!(snake("functionCallingConfig", &mut room), Some("function_calling_config"));
        assert_eq!(snake("text", &mut room), None);
        assert_eq!(snake(&"xY".repeat(LONGEST), &mut room), None);
        assert!(!is("inline_Data", "inlineData") && !is("inline_data_", "inlineData") && !is("inlin", "inlineData"));
    }
}
