//! Parts of a message's content, read into blocks.

use std::borrow::Cow;

use super::block::{Block, Source};
use crate::chat::{MediaSource, Part};
use crate::dialect::{Surface, Target};
use crate::image::{ImageSource, Inline, is_web};
use crate::json::{Literal, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// Where content stands, which decides what may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    System,
    User,
    Assistant,
    ToolResult,
}

impl Place {
    fn takes_media(self) -> bool {
        matches!(self, Self::User | Self::ToolResult)
    }
}

/// Reads one part; `None` where it carries nothing (blank text, which the API refuses).
pub(super) fn block<'a>(part: &Part<'a>, place: Place, target: &Target<'_>, losses: &mut Losses) -> Result<Option<Block<'a>>, Refusal> {
    match part {
        Part::Text { text, view: _, cache_control, others } => {
            losses.dropped(others.iter().copied());
            if is_blank(text) {
                losses.dropped(*cache_control);
                return Ok(None);
            }
            Ok(Some(Block::Text { text: text.clone(), tag: None, cache: *cache_control }))
        }
        Part::Image { source, detail, cache_control, others, view } => {
            require_media(place, *view)?;
            losses.dropped(detail.iter().chain(others).copied());
            Ok(Some(Block::Image { source: image(*source, target)?, cache: *cache_control }))
        }
        Part::File { source, filename, cache_control, others, view } => {
            require_media(place, *view)?;
            losses.dropped(others.iter().copied());
            let title = filename.and_then(View::literal).filter(|title| !is_blank(title));
            document(*source, target, losses).map(|block| block.with(title, *cache_control)).map(Some)
        }
        Part::Refusal { text, others, view } => {
            losses.note(LossKind::Approximated, *view);
            losses.dropped(others.iter().copied());
            Ok(Some(Block::text(text.clone())).filter(|_| !is_blank(text)))
        }
        Part::Audio { data: _, format: _, others: _, view } => {
            Err(Refusal::candidate(*view, "This model does not take audio. Send text, or ask a model that hears."))
        }
        Part::Unknown { view } => Err(Refusal::candidate(*view, "Content parts of this type cannot be translated for this model.")),
    }
}

/// [`Literal::is_blank`], without decoding texts that begin with a letter.
pub(super) fn is_blank(text: &Literal<'_>) -> bool {
    let plain = text.escaped().chars().next().is_some_and(|first| first != '\\' && !first.is_whitespace());
    !plain && text.is_blank()
}

impl<'a> Block<'a> {
    /// The same with what a file part says beside its data; an image has no place for a title.
    fn with(self, name: Option<Literal<'a>>, breakpoint: Option<View<'a>>) -> Self {
        match self {
            Self::Document { source, .. } => Self::Document { source, title: name, cache: breakpoint },
            Self::Image { source, .. } => Self::Image { source, cache: breakpoint },
            other => other,
        }
    }
}

fn require_media(place: Place, part: View<'_>) -> Result<(), Refusal> {
    if place.takes_media() {
        return Ok(());
    }
    Err(Refusal::candidate(part, "This model takes images and files in user and tool messages only."))
}

fn image<'a>(source: MediaSource<'a>, target: &Target<'_>) -> Result<Source<'a>, Refusal> {
    match source.read(target.fetched)? {
        ImageSource::Url(address) => web(address, source.view(), target.surface),
        ImageSource::Inline(inline) => inline_image(inline, source.view(), target.surface),
    }
}

fn inline_image<'a>(inline: Inline, url: View<'_>, surface: &Surface) -> Result<Source<'a>, Refusal> {
    if surface.image_types.iter().any(|known| *known == inline.media_type) {
        return Ok(Source::Base64(inline));
    }
    let types = surface.image_types.join(", ");
    let message = format!("This model does not take images of type {}. It takes {types}.", inline.media_type);
    Err(Refusal::candidate(url, message).with_code("unsupported_image_media_type"))
}

fn web<'a>(address: Cow<'a, str>, url: View<'_>, surface: &Surface) -> Result<Source<'a>, Refusal> {
    if surface.image_urls && is_web(&address, false) {
        return Ok(Source::Url(address));
    }
    let message = if surface.image_urls {
        "This model fetches https URLs only. Send the bytes as a data URI, or an https URL."
    } else {
        "This provider does not fetch URLs. Send the bytes as a data URI."
    };
    Err(Refusal::candidate(url, message).with_code("invalid_image_url"))
}

/// Types that are text by another name.
static TEXT_TYPES: &[&str] = &["application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript"];

/// A file by its type: PDF as it stands, text as text, an image as an image.
fn document<'a>(source: MediaSource<'a>, target: &Target<'_>, losses: &mut Losses) -> Result<Block<'a>, Refusal> {
    let data = source.view();
    if let (MediaSource::Text(view), Some(text)) = (source, data.literal()) {
        if is_blank(&text) {
            return Err(Refusal::client(view.path(), "The document is empty."));
        }
        return Ok(Block::Document { source: Source::Text(text), title: None, cache: None });
    }
    let inline = match source.read(target.fetched)? {
        ImageSource::Url(address) => return Ok(Block::Document { source: web(address, data, target.surface)?, title: None, cache: None }),
        ImageSource::Inline(inline) => inline,
    };
    let media_type = inline.media_type.as_ref();
    if media_type.starts_with("image/") {
        return Ok(Block::Image { source: inline_image(inline, data, target.surface)?, cache: None });
    }
    if media_type == "application/pdf" {
        return Ok(Block::Document { source: Source::Base64(inline), title: None, cache: None });
    }
    if !media_type.starts_with("text/") && !TEXT_TYPES.contains(&media_type) {
        let message = format!("This model does not take files of type {media_type}. It takes PDF, text and images.");
        return Err(Refusal::candidate(data, message).with_code("unsupported_file"));
    }
    // The API knows no text but plain.
    if media_type != "text/plain" {
        losses.note(LossKind::Approximated, data);
    }
    let text = inline.text().ok_or_else(|| Refusal::client(data.path(), "The file says it is text, but is not UTF-8."))?;
    Ok(Block::Document { source: Source::Text(Literal::quote(&text)), title: None, cache: None })
}
