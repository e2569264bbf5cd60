//! Names of tools and ids of calls in the alphabet that OpenAI and Anthropic allow, `[a-zA-Z0-9_-]`, so that equal inputs become equal
//! outputs in every turn (prompt caches match bytes).

use std::borrow::Cow;

use crate::chat::{Message, Tool};
use crate::dialect::rename::Renames;

/// Room for a number, or for a hash, behind a name that is respelled.
const SUFFIX_BYTES: usize = 28;

/// Names of tools as they are sent.
#[derive(Debug, Default)]
pub(super) struct ToolNames {
    renames: Renames,
    longest: usize,
}

impl ToolNames {
    /// Looks at every name in the tools and in the history; valid ones, no longer than `longest`, keep their name, others get one
    /// that nobody has.
    pub(super) fn of(tools: &[Tool<'_>], messages: &[Message<'_>], longest: usize) -> Self {
        let declared = tools.iter().filter_map(|tool| tool.name);
        let called = messages.iter().flat_map(|message| message.tool_calls.iter().map(|call| call.name));
        let written: Vec<_> = declared.chain(called).filter_map(|name| name.text()).collect();
        let (valid, others): (Vec<_>, Vec<_>) = written.iter().partition(|name| is_valid(name, longest));
        let mut names = Renames::keeping(valid.into_iter().map(ToString::to_string));
        for name in others {
            if names.sent(name).is_none() {
                names.rename(name, &spell(name, longest), longest);
            }
        }
        Self { renames: names, longest }
    }

    /// The name to send for the client's.
    pub(super) fn sent<'a>(&self, name: Cow<'a, str>) -> Cow<'a, str> {
        let sent = self.renames.sent(&name).map(str::to_owned);
        sent.map_or(name, Cow::Owned)
    }

    /// A valid name that no tool has, as near to `wanted` as can be.
    pub(super) fn fresh(&self, wanted: &str) -> String {
        self.renames.free(&spell(wanted, self.longest), self.longest).0
    }

    /// What a reply's reader must change back.
    pub(super) fn into_renamed(self) -> Vec<(String, String)> {
        self.renames.into_renamed()
    }
}

/// A call's id in the allowed alphabet: itself where it can be, else respelled with a hash of the original, so that different ids
/// stay different and a call and its result stay together.
pub(super) fn call_id(id: Cow<'_, str>, longest: usize) -> Cow<'_, str> {
    if is_valid(&id, longest) {
        return id;
    }
    Cow::Owned(format!("{}_{:016x}", spell(&id, longest.min(128)), fnv1a(&id)))
}

/// A call's id as nine letters and digits, all that Mistral takes: itself where it is that, else made from a hash of it, so that a call
/// and its result stay together in every turn.
pub(super) fn nine_characters(id: Cow<'_, str>) -> Cow<'_, str> {
    const NINE: usize = 9;
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == NINE && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id;
    }
    let mut rest = fnv1a(&id);
    let digits = (0..NINE).map(|_| {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        rest /= 62;
        DIGITS.get(digit).copied().map_or('0', char::from)
    });
    Cow::Owned(digits.collect())
}

fn is_valid(name: &str, max: usize) -> bool {
    !name.is_empty() && name.len() <= max && name.bytes().all(is_allowed)
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Each character that is not allowed as `_`, shortened so that a suffix has room.
fn spell(name: &str, longest: usize) -> String {
    let allowed = |character: char| u8::try_from(character).is_ok_and(is_allowed);
    let spelled: String =
        name.chars().take(longest.saturating_sub(SUFFIX_BYTES)).map(|character| if allowed(character) { character } else { '_' }).collect();
    if spelled.is_empty() { "tool".to_owned() } else { spelled }
}

/// FNV-1a, 64 bits: stable across builds and machines, unlike the standard library's hasher.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::{Renames, ToolNames, call_id, nine_characters};

    #[test]
    fn nine_characters_are_kept_or_made() {
        assert_eq!(nine_characters("g6fVbXS8K".into()), "g6fVbXS8K");
        for other in ["call_abc", "", "toolu_01A09q90qw90lq917835lq9", "g6fVbXS8-", "äbcdefgh"] {
            let made = nine_characters(other.into());
            assert!(made.len() == 9 && made.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{other}: {made}");
            assert_eq!(made, nine_characters(other.into()));
        }
        assert_ne!(nine_characters("call_a".into()), nine_characters("call_b".into()));
    }

    #[test]
    fn ids_stay_apart_and_the_same_each_time() {
        assert_eq!(call_id("call_1-a".into(), 64), "call_1-a");
        assert_ne!(call_id("a.b".into(), 64), call_id("a:b".into(), 64));
        assert_eq!(call_id("a.b".into(), 64), call_id("a.b".into(), 64));
        assert!(call_id("".into(), 64).starts_with("tool_"));
        assert_eq!(call_id("x".repeat(65).into(), 64).len(), 53);
    }

    #[test]
    fn a_fresh_name_is_nobodys() {
        let names = ToolNames { renames: Renames::keeping(["json".to_owned()]), longest: 64 };
        assert_eq!(names.fresh("json"), "json_2");
        assert_eq!(names.fresh("text"), "text");
    }
}
