//! Texts and media, as the pivot has them.

use std::borrow::Cow;

use super::key;
use crate::chat::field::{self, literal};
use crate::chat::{MediaSource, Part, Word};
use crate::dialect::gemini::media::by_extension;
use crate::json::{Kind, View};
use crate::refusal::Refusal;

/// Where Google's Files API keeps what was uploaded there.
const FILES_API: &str = "https://generativelanguage.googleapis.com/";

/// A part of a user's turn, of an instruction, or of what a function gave back.
pub(super) fn read(view: View<'_>) -> Result<Part<'_>, Refusal> {
    let view = field::expect(view, Kind::Object)?;
    if let Some(text) = key::string(view, "text")? {
        // A user's thought is a text like any other.
        let others = key::rest(view, &["text", "thought", "thoughtSignature"]).collect();
        return Ok(Part::Text { text: literal(text)?, view: text, cache_control: None, others });
    }
    Ok(media(view)?.unwrap_or(Part::Unknown { view }))
}

/// What stands at `inlineData` or `fileData`; `None` of a part with neither.
pub(super) fn media(view: View<'_>) -> Result<Option<Part<'_>>, Refusal> {
    let others = || key::rest(view, &["inlineData", "fileData", "thought", "thoughtSignature"]);
    let (holder, source) = if let Some(blob) = key::of_kind(view, "inlineData", Kind::Object)? {
        let (data, media_type) = (key::required_string(blob, "data")?, key::string(blob, "mimeType")?);
        (blob, MediaSource::Base64 { data, media_type })
    } else if let Some(file) = key::of_kind(view, "fileData", Kind::Object)? {
        let uri = key::required_string(file, "fileUri")?;
        (file, if is_kept_by_google(uri) { MediaSource::FileId(uri) } else { MediaSource::Address(uri) })
    } else {
        return Ok(None);
    };
    let declared = key::string(holder, "mimeType")?.and_then(View::text).map(|mime| mime.trim().to_ascii_lowercase());
    let mime = declared.filter(|mime| !mime.is_empty()).unwrap_or_else(|| told_by_name(source).to_owned());
    let filename = key::string(holder, "displayName")?;
    let mut others: Vec<_> = others().chain(key::rest(holder, &["data", "fileUri", "mimeType", "displayName"])).collect();
    let part = match (mime.split('/').next().unwrap_or_default(), source) {
        ("video", _) => return Ok(Some(Part::Unknown { view })),
        ("audio", MediaSource::Base64 { data, .. }) => {
            others.extend(filename);
            Part::Audio { data, format: Word { text: audio_format(&mime), view: holder }, others, view }
        }
        ("image", _) => {
            others.extend(filename);
            Part::Image { source, detail: None, cache_control: None, others, view }
        }
        _ => Part::File { source, filename, cache_control: None, others, view },
    };
    Ok(Some(part))
}

/// The type that the name of a file ends in, where nobody says it.
fn told_by_name(source: MediaSource<'_>) -> &'static str {
    let name = |uri: View<'_>| uri.text().and_then(|uri| by_extension(&uri)).unwrap_or_default();
    if let MediaSource::Address(uri) = source { name(uri) } else { "" }
}

/// The strings that hold a part's bytes, or say where they are: of images, or of anything.
pub(super) fn source(view: View<'_>) -> Option<Source<'_>> {
    let string = |holder: View<'_>, name: &str| key::present(holder, name).is_some_and(|view| view.kind() == Kind::String);
    let (holder, name) = [("inlineData", "data"), ("fileData", "fileUri")]
        .into_iter()
        .find_map(|(holder, name)| key::present(view, holder).filter(|holder| string(*holder, name)).map(|holder| (holder, name)))?;
    let mime = key::present(holder, "mimeType").and_then(View::text).unwrap_or_default();
    let is_image = mime.trim_start().get(..6).is_some_and(|kind| kind.eq_ignore_ascii_case("image/"));
    Some(Source { holder, view: key::present(holder, name)?, is_inline: name == "data", is_image })
}

/// Where a part's bytes are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The object at `inlineData` or `fileData`.
    pub(super) holder: View<'a>,
    /// The string in it.
    pub(super) view: View<'a>,
    /// Whether that holds the bytes.
    pub(super) is_inline: bool,
    /// Whether they are said to be an image.
    pub(super) is_image: bool,
}

/// Whether a URI names what only Google can read: its Files API, its video site.
pub(super) fn is_kept_by_google(uri: View<'_>) -> bool {
    let text = uri.text().unwrap_or_default();
    text.starts_with(FILES_API) && text.contains("/files/")
}

/// Names of formats by their media types.
const AUDIO: &[(&str, &str)] = &[
    ("mpeg", "mp3"),
    ("mp3", "mp3"),
    ("x-wav", "wav"),
    ("wave", "wav"),
    ("vnd.wave", "wav"),
    ("mp4", "m4a"),
    ("x-m4a", "m4a"),
    ("x-flac", "flac"),
];

/// The format of a media type, in OpenAI's words.
fn audio_format(mime: &str) -> Cow<'static, str> {
    let kind = mime.split(';').next().unwrap_or_default().trim().trim_start_matches("audio/");
    AUDIO.iter().find(|(name, _)| *name == kind).map_or_else(|| Cow::Owned(kind.to_owned()), |(_, format)| Cow::Borrowed(*format))
}
