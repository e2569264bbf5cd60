//! Members that say what is so anyway: leaving them out loses nothing, so they are not reported as lost.

use crate::json::{Kind, View};

/// Members of a request and their documented defaults. Source: OpenAI's API specification, `CreateChatCompletionRequest`.
/// `stream_options` speaks of the reply's form, which the gateway writes itself.
pub(crate) static NEUTRAL: &[(&str, &[&str])] = &[
    ("n", &["1"]),
    ("logprobs", &["false"]),
    ("presence_penalty", &["0"]),
    ("frequency_penalty", &["0"]),
    ("parallel_tool_calls", &["true"]),
    ("store", &["false"]),
    ("service_tier", &["\"auto\""]),
    ("verbosity", &["\"medium\""]),
    ("modalities", &["[\"text\"]"]),
    ("logit_bias", &["{}"]),
    ("metadata", &["{}"]),
    ("user", &["\"\""]),
    ("safety_identifier", &["\"\""]),
];

/// Members whose default is said by nobody but those who mean to be exact. A provider that refuses one of them does what it says.
static SAID_ANYWAY: &[(&str, &[&str])] = &[("tool_choice", &["\"auto\""]), ("temperature", &["1"]), ("top_p", &["1"])];

/// Whether a request without the member asks for the same.
pub(crate) fn is_default(member: View<'_>) -> bool {
    member.kind() == Kind::Null || is_neutral(member, NEUTRAL) || is_neutral(member, SAID_ANYWAY)
}

/// Members of a replayed assistant message that say nothing.
pub(super) static NEUTRAL_IN_MESSAGE: &[(&str, &[&str])] = &[("annotations", &["[]"]), ("images", &["[]"]), ("is_error", &["false"])];

/// Members of an image reference that say nothing.
pub(super) static NEUTRAL_IN_IMAGE: &[(&str, &[&str])] = &[("detail", &["\"auto\""])];

/// Whether the member's value is in `table` under its key.
pub(crate) fn is_neutral(member: View<'_>, table: &[(&str, &[&str])]) -> bool {
    let Some(key) = member.key() else { return false };
    let values = table.iter().filter(|(name, _)| *name == key).flat_map(|(_, values)| *values);
    values.into_iter().any(|value| same_value(member, value))
}

/// Whether two members say the same number, as `1` and `1.0` do.
pub(super) fn same_number(one: View<'_>, other: View<'_>) -> bool {
    one.raw() == other.raw() || (one.number().is_some() && one.number() == other.number())
}

fn same_value(view: View<'_>, value: &str) -> bool {
    if view.kind() == Kind::Number {
        return view.number().is_some() && view.number() == value.parse().ok();
    }
    without_spaces(view.raw()).eq(value.chars())
}

/// JSON text without the whitespace between its tokens.
fn without_spaces(text: &str) -> impl Iterator<Item = char> {
    let mut quoted = false;
    text.chars().filter(move |c| {
        quoted ^= *c == '"';
        quoted || !c.is_ascii_whitespace()
    })
}
