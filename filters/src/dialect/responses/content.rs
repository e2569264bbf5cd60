//! Parts of a message's content, as an item has them.

use super::super::openai::data_uri;
use super::super::{Surface, Target};
use crate::chat::{MediaSource, Part};
use crate::image::{ImageSource, Inline, is_web};
use crate::json::{Literal, Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// Where content stands, which decides how its parts are called and which may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// What the model is told: by the user, the system, a tool.
    Input,
    /// What it said itself.
    Output,
}

/// What a file is called where the client gave it no name, by its type: the API demands a name, and looks at its end.
static FILE_NAMES: &[(&str, &str)] =
    &[("application/pdf", "document.pdf"), ("text/plain", "document.txt"), ("text/markdown", "document.md")];

/// Writes all parts, as elements of an array.
pub(super) fn write(parts: &[Part<'_>], place: Place, target: &Target<'_>, losses: &mut Losses, out: &mut Splice) -> Result<(), Refusal> {
    parts.iter().try_for_each(|part| write_part(part, place, target, losses, out.element()))
}

/// The text, if it is all there is.
pub(super) fn only_text<'p, 'a>(parts: &'p [Part<'a>]) -> Option<&'p Literal<'a>> {
    match parts {
        [Part::Text { text, cache_control: None, others, .. }] if others.is_empty() => Some(text),
        _ => None,
    }
}

fn write_part(part: &Part<'_>, place: Place, target: &Target<'_>, losses: &mut Losses, out: &mut Splice) -> Result<(), Refusal> {
    match part {
        Part::Text { text, view: _, cache_control, others } => {
            losses.dropped(cache_control.iter().chain(others).copied());
            let kind = if place == Place::Input { "input_text" } else { "output_text" };
            out.object().key("type").string(kind).key("text").literal(text).end_object();
        }
        Part::Image { source, detail, cache_control, others, view } => {
            require_input(place, *view)?;
            losses.dropped(cache_control.iter().chain(others).copied());
            write_image(*source, *detail, target, out)?;
        }
        Part::File { source, filename, cache_control, others, view } => {
            require_input(place, *view)?;
            losses.dropped(cache_control.iter().chain(others).copied());
            write_file(*source, *filename, target, losses, out)?;
        }
        Part::Refusal { text, others, view } => {
            losses.dropped(others.iter().copied());
            if place == Place::Input {
                losses.note(LossKind::Approximated, *view);
                out.object().key("type").string("input_text").key("text").literal(text).end_object();
            } else {
                write_refusal(text, out);
            }
        }
        Part::Audio { data: _, format: _, others: _, view } => {
            return Err(Refusal::candidate(*view, "This model's API takes no audio. Send text, or ask a model that hears."));
        }
        Part::Unknown { view } => return Err(Refusal::candidate(*view, "Content parts of this type cannot be translated for this model.")),
    }
    Ok(())
}

/// Writes what the model refused earlier.
pub(super) fn write_refusal(text: &Literal<'_>, out: &mut Splice) {
    out.object().key("type").string("refusal").key("refusal").literal(text).end_object();
}

fn require_input(place: Place, part: View<'_>) -> Result<(), Refusal> {
    if place == Place::Input {
        return Ok(());
    }
    Err(Refusal::candidate(part, "This model takes images and files in user and tool messages only."))
}

fn write_image(source: MediaSource<'_>, detail: Option<View<'_>>, target: &Target<'_>, out: &mut Splice) -> Result<(), Refusal> {
    out.object().key("type").string("input_image").key("image_url");
    match source.read(target.fetched)? {
        ImageSource::Inline(inline) => write_inline_image(&inline, source.view(), target.surface, out)?,
        ImageSource::Url(url) => {
            check_web(&url, source.view(), target.surface)?;
            out.string(&url);
        }
    }
    out.key("detail");
    match detail {
        Some(detail) => out.view(detail),
        None => out.string("auto"),
    };
    out.end_object();
    Ok(())
}

fn write_inline_image(inline: &Inline, at: View<'_>, surface: &Surface, out: &mut Splice) -> Result<(), Refusal> {
    if !surface.image_types.iter().any(|known| *known == inline.media_type) {
        let types = surface.image_types.join(", ");
        let message = format!("This model does not take images of type {}. It takes {types}.", inline.media_type);
        return Err(Refusal::candidate(at, message).with_code("unsupported_image_media_type"));
    }
    data_uri(out, inline);
    Ok(())
}

/// Writes a file. An image that was sent as a file is one all the same.
fn write_file(
    source: MediaSource<'_>,
    filename: Option<View<'_>>,
    target: &Target<'_>,
    losses: &mut Losses,
    out: &mut Splice,
) -> Result<(), Refusal> {
    let inline = match source.read(target.fetched)? {
        ImageSource::Inline(inline) if inline.media_type.starts_with("image/") => {
            losses.dropped(filename);
            return write_image(source, None, target, out);
        }
        ImageSource::Inline(inline) => inline,
        ImageSource::Url(url) => {
            check_web(&url, source.view(), target.surface)?;
            losses.dropped(filename);
            out.object().key("type").string("input_file").key("file_url").string(&url).end_object();
            return Ok(());
        }
    };
    out.object().key("type").string("input_file").key("filename");
    match filename {
        Some(name) => out.view(name),
        None => out.string(usual_name(&inline)),
    };
    data_uri(out.key("file_data"), &inline);
    out.end_object();
    Ok(())
}

fn usual_name(inline: &Inline) -> &'static str {
    FILE_NAMES.iter().find(|(kind, _)| *kind == inline.media_type).map_or("document", |(_, name)| name)
}

fn check_web(url: &str, at: View<'_>, surface: &Surface) -> Result<(), Refusal> {
    if surface.image_urls && is_web(url, true) {
        return Ok(());
    }
    let message = "This provider does not fetch this URL. Send the bytes as a data URI.";
    Err(Refusal::candidate(at, message).with_code("invalid_image_url"))
}
