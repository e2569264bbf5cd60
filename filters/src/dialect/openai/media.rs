//! Images, audio and documents in messages.

use std::borrow::Cow;

use super::request::Writer;
use crate::chat::{MediaSource, Part, Word};
use crate::image::{self, ImageSource, Inline, is_web};
use crate::json::{Literal, Splice, View};
use crate::loss::LossKind;
use crate::refusal::Refusal;

/// A document's name, where the client's dialect gives it none: the API demands one.
const PDF_NAME: &str = "document.pdf";

/// Writes a part that is no text as the next element.
pub(super) fn write(writer: &mut Writer<'_>, part: &Part<'_>) -> Result<(), Refusal> {
    match part {
        Part::Image { source, detail, cache_control, others, view: _ } => {
            writer.losses.dropped(cache_control.iter().chain(others).copied());
            image(writer, *source, *detail)
        }
        Part::File { source, filename, cache_control, others, view: _ } => {
            writer.losses.dropped(cache_control.iter().chain(others).copied());
            file(writer, *source, *filename)
        }
        Part::Audio { data, format, others, view: _ } => {
            writer.losses.dropped(others.iter().copied());
            audio(writer, *data, format)
        }
        Part::Text { view, .. } | Part::Refusal { view, .. } | Part::Unknown { view } => {
            Err(Refusal::candidate(*view, "Content parts of this type cannot be translated for this model."))
        }
    }
}

fn image(writer: &mut Writer<'_>, source: MediaSource<'_>, detail: Option<View<'_>>) -> Result<(), Refusal> {
    match source.read(writer.target.fetched)? {
        ImageSource::Inline(inline) => inline_image(writer, source.view(), &inline, detail),
        ImageSource::Url(url) if writer.target.surface.image_urls && is_web(&url, true) => {
            let out = &mut writer.out;
            out.element().object().key("type").string("image_url").key("image_url").object().key("url").string(&url);
            if let Some(detail) = detail {
                out.key("detail").view(detail);
            }
            out.end_object().end_object();
            Ok(())
        }
        ImageSource::Url(_) => {
            let message = "This provider does not fetch this URL. Send the bytes as base64.";
            Err(Refusal::candidate(source.view(), message).with_code("invalid_image_url"))
        }
    }
}

fn inline_image(writer: &mut Writer<'_>, at: View<'_>, inline: &Inline, detail: Option<View<'_>>) -> Result<(), Refusal> {
    let types = &writer.target.surface.image_types;
    if !types.iter().any(|known| *known == inline.media_type) {
        let message = format!("This model does not take images of type {}. It takes {}.", inline.media_type, types.join(", "));
        return Err(Refusal::candidate(at, message).with_code("unsupported_image_media_type"));
    }
    let out = &mut writer.out;
    out.element().object().key("type").string("image_url").key("image_url").object().key("url");
    data_uri(out, inline);
    if let Some(detail) = detail {
        out.key("detail").view(detail);
    }
    out.end_object().end_object();
    Ok(())
}

/// A file by its type: PDF as it stands, text as text, an image as an image.
fn file(writer: &mut Writer<'_>, source: MediaSource<'_>, name: Option<View<'_>>) -> Result<(), Refusal> {
    let at = source.view();
    if let (MediaSource::Text(view), Some(text)) = (source, at.literal()) {
        return text_document(writer, &text, name, view);
    }
    let inline = match source.read(writer.target.fetched)? {
        ImageSource::Inline(inline) => inline,
        ImageSource::Url(url) if writer.form.is_mistral() && writer.target.surface.image_urls && is_web(&url, true) => {
            document_url(writer, name).string(&url);
            writer.out.end_object();
            return Ok(());
        }
        ImageSource::Url(_) => {
            let message = "This provider does not fetch documents. Send the bytes as base64.";
            return Err(Refusal::candidate(at, message).with_code("invalid_image_url"));
        }
    };
    match inline.media_type.as_ref() {
        media_type if media_type.starts_with("image/") => inline_image(writer, at, &inline, None),
        "application/pdf" if writer.form.is_mistral() => {
            data_uri(document_url(writer, name), &inline);
            writer.out.end_object();
            Ok(())
        }
        "application/pdf" => {
            let out = &mut writer.out;
            out.element().object().key("type").string("file").key("file").object().key("filename");
            match name {
                Some(name) => out.view(name),
                None => out.string(PDF_NAME),
            };
            data_uri(out.key("file_data"), &inline);
            out.end_object().end_object();
            Ok(())
        }
        media_type if media_type.starts_with("text/") || media_type == "application/json" => {
            let text = inline.text().ok_or_else(|| Refusal::client(at.path(), "The file says it is text, but is not UTF-8."))?;
            text_document(writer, &Literal::quote(&text), name, at)
        }
        media_type => {
            let message = format!("This model does not take files of type {media_type}. It takes PDF, text and images.");
            Err(Refusal::candidate(at, message).with_code("unsupported_file"))
        }
    }
}

/// Mistral's part for a document, up to its address: a URL, or a data URI.
fn document_url<'w>(writer: &'w mut Writer<'_>, name: Option<View<'_>>) -> &'w mut Splice {
    let out = writer.out.element().object().key("type").string("document_url");
    if let Some(name) = name {
        out.key("document_name").view(name);
    }
    out.key("document_url")
}

/// The API has no place for a text with a name of its own: it is told between tags.
fn text_document(writer: &mut Writer<'_>, text: &Literal<'_>, name: Option<View<'_>>, at: View<'_>) -> Result<(), Refusal> {
    if text.is_blank() {
        return Err(Refusal::client(at.path(), "The document is empty."));
    }
    writer.losses.note(LossKind::Approximated, at);
    let title = name.and_then(View::text).map_or(Cow::Borrowed(""), |name| format!(" title=\"{name}\"").into());
    let (open, close) = (Literal::quote(&format!("<document{title}>\n")), Literal::quote("\n</document>"));
    let out = &mut writer.out;
    out.element().object().key("type").string("text").key("text");
    out.raw("\"").raw(open.escaped()).raw(text.escaped()).raw(close.escaped()).raw("\"");
    out.end_object();
    Ok(())
}

fn audio(writer: &mut Writer<'_>, data: View<'_>, format: &Word<'_>) -> Result<(), Refusal> {
    let inline = image::read_base64(data, Some("audio/*"))?;
    let out = &mut writer.out;
    out.element().object().key("type").string("input_audio").key("input_audio");
    if writer.form.is_mistral() {
        // Base64 alone: what it is stands in its first bytes.
        out.raw("\"").kept(inline.base64).raw("\"").end_object();
        return Ok(());
    }
    out.object().key("data").raw("\"").kept(inline.base64).raw("\"").key("format").string(&format.text).end_object().end_object();
    Ok(())
}

/// A data URI around the base64 as it stands.
pub(in crate::dialect) fn data_uri(out: &mut Splice, inline: &Inline) {
    out.raw("\"data:").raw(&inline.media_type).raw(";base64,").kept(inline.base64.clone()).raw("\"");
}
