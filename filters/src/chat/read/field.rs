//! Members of an object as a reader wants them: of the right kind, with `null` as absent, or a refusal in OpenAI's words.

use crate::json::{Kind, Literal, View};
use crate::refusal::Refusal;

/// The member `key` as a string, if it stands.
pub(crate) fn string<'a>(parent: View<'a>, key: &str) -> Result<Option<View<'a>>, Refusal> {
    of_kind(parent, key, Kind::String)
}

/// The member `key`, which must be a string.
pub(crate) fn required_string<'a>(parent: View<'a>, key: &str) -> Result<View<'a>, Refusal> {
    string(parent, key)?.ok_or_else(|| missing(parent, key))
}

/// The member `key`, which must be an object.
pub(crate) fn required_object<'a>(parent: View<'a>, key: &str) -> Result<View<'a>, Refusal> {
    of_kind(parent, key, Kind::Object)?.ok_or_else(|| missing(parent, key))
}

/// The member `key` as a boolean, if it stands.
pub(crate) fn boolean(parent: View<'_>, key: &str) -> Result<Option<bool>, Refusal> {
    Ok(of_kind(parent, key, Kind::Bool)?.and_then(View::boolean))
}

/// Elements of the array at `key`; none if it is absent.
pub(crate) fn elements<'a>(parent: View<'a>, key: &str) -> Result<impl Iterator<Item = View<'a>> + use<'a>, Refusal> {
    Ok(of_kind(parent, key, Kind::Array)?.into_iter().flat_map(View::elements))
}

/// The member `key` of one kind, if it stands.
pub(crate) fn of_kind<'a>(parent: View<'a>, key: &str, kind: Kind) -> Result<Option<View<'a>>, Refusal> {
    parent.present(key).map(|view| expect(view, kind)).transpose()
}

/// The view itself, if it is of the kind.
pub(crate) fn expect(view: View<'_>, kind: Kind) -> Result<View<'_>, Refusal> {
    if view.kind() == kind { Ok(view) } else { Err(wrong_kind(view, noun(kind))) }
}

/// A string as a literal.
pub(crate) fn literal(view: View<'_>) -> Result<Literal<'_>, Refusal> {
    view.literal().ok_or_else(|| wrong_kind(view, noun(Kind::String)))
}

/// Members that stand and are not among `known`.
pub(crate) fn rest<'a>(view: View<'a>, known: &'static [&'static str]) -> impl Iterator<Item = View<'a>> {
    view.members().filter(|member| member.kind() != Kind::Null && member.key().is_none_or(|key| !known.contains(&key.as_ref())))
}

/// A member that must stand does not.
pub(crate) fn missing(parent: View<'_>, key: &str) -> Refusal {
    let mut path = parent.path();
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
    let message = format!("Missing required parameter: '{path}'.");
    Refusal::client(path, message).with_code("missing_required_parameter")
}

/// A value is of the wrong kind; `expected` is a noun with its article.
pub(crate) fn wrong_kind(view: View<'_>, expected: &str) -> Refusal {
    let path = view.path();
    let what = if path.is_empty() { "the request body".to_owned() } else { format!("'{path}'") };
    let message = format!("Invalid type for {what}: expected {expected}, but got {} instead.", noun(view.kind()));
    Refusal::client(path, message).with_code("invalid_type")
}

/// A string is not one of those that are known; `known` lists them, quoted.
pub(crate) fn unknown_value(view: View<'_>, known: &str) -> Refusal {
    let value: String = view.text().unwrap_or_default().chars().take(64).collect();
    Refusal::client(view.path(), format!("Invalid value: '{value}'. Supported values are: {known}."))
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "an object",
        Kind::Array => "an array",
        Kind::String => "a string",
        Kind::Number => "a number",
        Kind::Bool => "a boolean",
        Kind::Null => "null",
    }
}
