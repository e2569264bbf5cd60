//! Images, audio and documents: `inlineData` for what the request carries, `fileData` for what Google fetches itself.

use std::borrow::Cow;

use bytes::Bytes;

use super::request::{Writer, on_ai_studio};
use crate::chat::{MediaSource, Part, Word};
use crate::dialect::Surface;
use crate::image::{self, ImageSource};
use crate::json::{Splice, View};
use crate::refusal::Refusal;

/// One medium, ready to be written.
#[derive(Debug)]
pub(super) enum Media {
    /// Base64, a slice of the client's body.
    Inline { mime: Cow<'static, str>, base64: Bytes },
    /// Something that Google fetches. Vertex insists on the type.
    Reference { uri: String, mime: Option<&'static str> },
}

impl Media {
    /// Writes the part.
    pub(super) fn write(self, out: &mut Splice) {
        match self {
            Self::Inline { mime, base64 } => {
                out.raw("{\"inlineData\":").object().key("mimeType").string(&mime);
                out.key("data").raw("\"").kept(base64).raw("\"}}");
            }
            Self::Reference { uri, mime } => {
                out.raw("{\"fileData\":").object();
                if let Some(mime) = mime {
                    out.key("mimeType").string(mime);
                }
                out.key("fileUri").string(&uri).raw("}}");
            }
        }
    }
}

/// Types by file name, where nothing else says them.
const EXTENSIONS: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("csv", "text/csv"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
];

/// Types of OpenAI's audio formats.
const AUDIO: &[(&str, &str)] = &[
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("aac", "audio/aac"),
    ("aiff", "audio/aiff"),
    ("m4a", "audio/mp4"),
];

/// Where Google itself keeps what it can read without a type.
const YOUTUBE: &[&str] =
    &["https://www.youtube.com/watch", "https://youtube.com/watch", "https://m.youtube.com/watch", "https://youtu.be/"];
const FILES_API: &str = "https://generativelanguage.googleapis.com/";

/// An image.
pub(super) fn image(writer: &Writer<'_>, source: MediaSource<'_>) -> Result<Media, Refusal> {
    let url = source.view();
    match source.read(writer.fetched)? {
        ImageSource::Inline(inline) => {
            taken(writer.surface, url, &inline.media_type)?;
            Ok(Media::Inline { mime: inline.media_type, base64: inline.base64 })
        }
        ImageSource::Url(uri) => reference(writer.surface, url, &uri),
    }
}

/// `input_audio`: base64 and the name of its format.
pub(super) fn audio(data: View<'_>, format: &Word<'_>) -> Result<Media, Refusal> {
    let word = format.text.to_ascii_lowercase();
    let mime = AUDIO.iter().find(|(name, _)| *name == word).map(|(_, mime)| *mime);
    let mime = mime.ok_or_else(|| {
        let known: Vec<_> = AUDIO.iter().map(|(name, _)| *name).collect();
        Refusal::candidate(format.view, format!("This provider takes audio as {}.", known.join(", ")))
    })?;
    Ok(Media::Inline { mime: Cow::Borrowed(mime), base64: payload(data) })
}

/// A file: a data URI, bare base64 beside a file name, a URL, or base64 with its type.
pub(super) fn file(writer: &Writer<'_>, source: MediaSource<'_>, filename: Option<View<'_>>) -> Result<Media, Refusal> {
    let MediaSource::Address(data) = source else {
        return match source.read(writer.fetched)? {
            ImageSource::Inline(inline) => Ok(Media::Inline { mime: inline.media_type, base64: inline.base64 }),
            ImageSource::Url(uri) => reference(writer.surface, source.view(), &uri),
        };
    };
    if let Some(url) = image::url_at(data) {
        return match writer.fetched.at(data) {
            Some(inline) => Ok(Media::Inline { mime: inline.media_type.clone(), base64: inline.base64.clone() }),
            None => reference(writer.surface, data, &url),
        };
    }
    let by_name = || by_extension(&filename.and_then(View::text).unwrap_or_default());
    let literal = data.bytes();
    let start = payload_start(&literal);
    let declared = start.and_then(|start| declared_type(std::str::from_utf8(literal.get(..start)?).ok()?));
    let sniffed = || literal.get(start.unwrap_or(1)..)?.starts_with(b"JVBERi0").then_some("application/pdf");
    let mime = declared.map(Cow::Owned).or_else(|| sniffed().or_else(by_name).map(Cow::Borrowed));
    let unreadable = start.is_none() && is_data_uri(&literal);
    match mime {
        Some(mime) if !unreadable => Ok(Media::Inline { mime, base64: payload(data) }),
        _ => Err(Refusal::client(data.path(), "The file must be a base64 data URI that names its type: data:application/pdf;base64,…")),
    }
}

/// A part that has no place where it stands.
pub(super) fn unknown(part: &Part<'_>) -> Refusal {
    let view = match part {
        Part::Text { view, .. }
        | Part::Image { view, .. }
        | Part::Audio { view, .. }
        | Part::File { view, .. }
        | Part::Refusal { view, .. }
        | Part::Unknown { view } => *view,
    };
    Refusal::candidate(view, "This provider has no place for a part of this type here.")
}

impl Writer<'_> {
    /// The medium a part holds, if it holds one. Notes what goes lost beside it, and beside a text.
    pub(super) fn medium(&mut self, part: &Part<'_>) -> Result<Option<Media>, Refusal> {
        let (medium, cache_control, others) = match part {
            Part::Text { text: _, view: _, cache_control, others } => (None, *cache_control, others),
            Part::Refusal { text: _, others, view: _ } => (None, None, others),
            // What `detail` asks for is one setting of the whole request.
            Part::Image { source, detail: _, cache_control, others, view: _ } => (Some(image(self, *source)?), *cache_control, others),
            Part::Audio { data, format, others, view: _ } => (Some(audio(*data, format)?), None, others),
            Part::File { source, filename, cache_control, others, view: _ } => {
                self.drop_all([*filename]);
                (Some(file(self, *source, *filename)?), *cache_control, others)
            }
            Part::Unknown { view: _ } => return Ok(None),
        };
        self.drop_all([cache_control]);
        self.losses.dropped(others.iter().copied());
        Ok(medium)
    }
}

/// Whether Google fetches this URL itself, of a type that it takes.
pub(super) fn fetches(surface: &Surface, uri: &str) -> bool {
    let takes = |mime: &'static str| !mime.starts_with("image/") || surface.image_types.iter().any(|taken| taken == mime);
    told(surface, uri).is_ok_and(|mime| mime.is_none_or(takes))
}

fn taken(surface: &Surface, at: View<'_>, mime: &str) -> Result<(), Refusal> {
    let types = &surface.image_types;
    if types.iter().any(|taken| taken == mime) {
        return Ok(());
    }
    let message = format!("The image is {mime}; this provider takes {}.", types.join(", "));
    Err(Refusal::candidate(at, message).with_code("unsupported_image_media_type"))
}

fn reference(surface: &Surface, at: View<'_>, uri: &str) -> Result<Media, Refusal> {
    let mime = told(surface, uri).map_err(|why| Refusal::candidate(at, why))?;
    if let Some(mime) = mime.filter(|mime| mime.starts_with("image/")) {
        taken(surface, at, mime)?;
    }
    Ok(Media::Reference { uri: uri.to_owned(), mime })
}

/// The type that Google is told of a URL that it fetches itself, where it must be; or why it does not fetch it.
fn told(surface: &Surface, uri: &str) -> Result<Option<&'static str>, &'static str> {
    let studio = on_ai_studio(surface);
    if YOUTUBE.iter().any(|prefix| uri.starts_with(prefix)) {
        return Ok((!studio).then_some("video/mp4"));
    }
    if studio && uri.starts_with(FILES_API) && uri.contains("/files/") {
        return Ok(None);
    }
    if !surface.image_urls || !(uri.starts_with("https://") || (!studio && uri.starts_with("gs://"))) {
        return Err("This provider does not fetch image URLs: send the image as a data URI.");
    }
    let unknown = "The URL does not end like an image, and this provider must be told its type: send a data URI.";
    by_extension(uri).map(Some).ok_or(unknown)
}

/// The type a name or URL ends in; query and fragment do not count.
pub(super) fn by_extension(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let (_, extension) = path.rsplit_once('/').map_or(path, |(_, last)| last).rsplit_once('.')?;
    EXTENSIONS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, mime)| *mime)
}

/// The base64 in a literal, with or without a data URI around it: a slice, escapes and all.
fn payload(data: View<'_>) -> Bytes {
    let literal = data.bytes();
    let start = payload_start(&literal).unwrap_or(1).min(literal.len());
    literal.slice(start..literal.len().saturating_sub(1).max(start))
}

/// Where the payload of a base64 data URI begins in its literal.
fn payload_start(literal: &[u8]) -> Option<usize> {
    let comma = is_data_uri(literal).then(|| memchr::memchr(b',', literal)).flatten()?;
    let head = literal.get(..comma)?.to_ascii_lowercase();
    memchr::memmem::find(&head, b"base64").map(|_| comma + 1)
}

fn is_data_uri(literal: &[u8]) -> bool {
    literal.get(..6).is_some_and(|head| head.eq_ignore_ascii_case(b"\"data:"))
}

/// The media type of `"data:type/sub;param;base64,`, if it names one that says something.
fn declared_type(head: &str) -> Option<String> {
    let mime = head.get("\"data:".len()..)?.split([';', ',']).next()?.replace("\\/", "/").trim().to_ascii_lowercase();
    (mime.contains('/') && mime != "application/octet-stream").then_some(mime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_type() {
        assert_eq!(by_extension("https://x.y/a.b/photo.JPG?width=3.png#f"), Some("image/jpeg"));
        assert_eq!(by_extension("gs://bucket/clip.mp4"), Some("video/mp4"));
        assert_eq!(by_extension("https://example.com/photo"), None);
        assert_eq!(by_extension("https://example.com"), None);
    }

    #[test]
    fn a_data_uri_says_its_type() {
        assert_eq!(declared_type("\"data:application\\/PDF;name=x;base64,"), Some("application/pdf".to_owned()));
        assert_eq!(declared_type("\"data:;base64,"), None);
        assert_eq!(payload_start(b"\"data:application/pdf;base64,JVBE\""), Some(29));
        assert_eq!(payload_start(b"\"JVBERi0,\""), None);
    }
}
