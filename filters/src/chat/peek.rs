//! What the gateway itself must know of a chat body, without reading the whole conversation: same-dialect requests need no more.

use std::borrow::Cow;

use super::read::field;
use crate::json::{Document, Kind, View};
use crate::refusal::Refusal;

/// One entry of the body's `fallbacks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FallbackRef<'a> {
    /// A model's name as in `model`: `provider/model`, an alias, a route.
    Name(Cow<'a, str>),
    /// `{"provider": …, "model": …}`.
    Pair {
        /// The configured provider's name.
        provider: Cow<'a, str>,
        /// The model's name there.
        model: Cow<'a, str>,
    },
}

impl FallbackRef<'_> {
    /// The entry as one name: `provider/model`.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Name(name) => Cow::Borrowed(name),
            Self::Pair { provider, model } => Cow::Owned(format!("{provider}/{model}")),
        }
    }
}

/// The model as asked, still with its provider prefix.
///
/// # Errors
/// A [`Refusal`] at `model` if it is absent, empty, or not a string.
pub fn model(document: &Document) -> Result<Cow<'_, str>, Refusal> {
    let model = field::string(field::expect(document.root(), Kind::Object)?, "model")?.and_then(View::text);
    model.filter(|model| !model.trim().is_empty()).ok_or_else(|| {
        Refusal::client("model", "you must provide a model parameter, such as \"openai/gpt-4o\"").with_code("missing_required_parameter")
    })
}

/// Whether an event stream is asked for.
///
/// # Errors
/// A [`Refusal`] at `stream` if it is not a boolean.
pub fn wants_stream(document: &Document) -> Result<bool, Refusal> {
    Ok(field::boolean(document.root(), "stream")?.unwrap_or(false))
}

/// The body's own list of fallbacks: `None` leaves it to the configuration, an empty list asks for none.
///
/// # Errors
/// A [`Refusal`] naming the entry that is neither a name nor `{provider, model}`.
pub fn fallbacks(document: &Document) -> Result<Option<Vec<FallbackRef<'_>>>, Refusal> {
    let list = field::of_kind(document.root(), "fallbacks", Kind::Array)?;
    list.map(|list| list.elements().map(fallback).collect()).transpose()
}

fn fallback(view: View<'_>) -> Result<FallbackRef<'_>, Refusal> {
    match view.kind() {
        Kind::String => Ok(FallbackRef::Name(name(view)?)),
        Kind::Object => Ok(FallbackRef::Pair {
            provider: name(field::required_string(view, "provider")?)?,
            model: name(field::required_string(view, "model")?)?,
        }),
        _ => Err(field::wrong_kind(view, "\"provider/model\" or {\"provider\": …, \"model\": …}")),
    }
}

fn name(view: View<'_>) -> Result<Cow<'_, str>, Refusal> {
    let name = view.text().filter(|name| !name.trim().is_empty());
    name.ok_or_else(|| Refusal::client(view.path(), format!("Invalid value for '{}': it is empty.", view.path())))
}

/// The strings that say where the request's images are, in order, for limits on their number and size. Parts that are wrong in some
/// way are passed over: reading the request names them.
pub fn image_views(document: &Document) -> impl Iterator<Item = View<'_>> {
    parts(document).filter_map(image)
}

/// The strings that may be a URL of an image or of a file, in order.
pub fn linked_views(document: &Document) -> impl Iterator<Item = View<'_>> {
    parts(document).filter_map(|part| image(part).or_else(|| file(part)))
}

fn parts(document: &Document) -> impl Iterator<Item = View<'_>> {
    let messages = document.root().present("messages").into_iter().flat_map(View::elements);
    messages.filter_map(|message| message.present("content")).flat_map(View::elements)
}

fn image(part: View<'_>) -> Option<View<'_>> {
    let image = part.present("image_url")?;
    let url = if image.kind() == Kind::Object { image.present("url")? } else { image };
    (url.kind() == Kind::String).then_some(url)
}

fn file(part: View<'_>) -> Option<View<'_>> {
    let address = part.present("document_url").or_else(|| part.present("file")?.present("file_data"));
    address.filter(|data| data.kind() == Kind::String)
}
