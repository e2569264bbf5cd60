//! Parts of an item's content.

use crate::chat::field::{self, literal, missing, required_object, required_string, rest, string};
use crate::chat::neutral::is_neutral;
use crate::chat::{MediaSource, Part, Word};
use crate::json::{Document, Kind, View};
use crate::refusal::Refusal;

/// Members of a part that say nothing: what a replayed answer has, and what is the default.
static NEUTRAL: &[(&str, &[&str])] = &[("annotations", &["[]"]), ("logprobs", &["[]"]), ("detail", &["\"auto\""])];

/// What stands at `key` of an item: a string, or an array of parts. Absent is empty.
pub(super) fn content<'a>(item: View<'a>, key: &str) -> Result<Vec<Part<'a>>, Refusal> {
    let Some(content) = item.present(key) else { return Ok(Vec::new()) };
    match content.kind() {
        Kind::String => Ok(vec![of_string(content)?]),
        Kind::Array => content.elements().map(part).collect(),
        _ => Err(field::wrong_kind(content, "a string or an array of parts")),
    }
}

/// A string as a part.
pub(super) fn of_string(view: View<'_>) -> Result<Part<'_>, Refusal> {
    Ok(Part::Text { text: literal(view)?, view, cache_control: None, others: Vec::new() })
}

fn part(view: View<'_>) -> Result<Part<'_>, Refusal> {
    let view = field::expect(view, Kind::Object)?;
    match required_string(view, "type")?.text().unwrap_or_default().as_ref() {
        "input_text" | "output_text" | "text" => {
            let text = required_string(view, "text")?;
            Ok(Part::Text { text: literal(text)?, view: text, cache_control: None, others: beside(view, &["type", "text"]) })
        }
        "input_image" => {
            let source = match (string(view, "image_url")?, string(view, "file_id")?) {
                (Some(url), _) => MediaSource::Address(url),
                (None, Some(id)) => MediaSource::FileId(id),
                (None, None) => return Err(missing(view, "image_url")),
            };
            let detail = string(view, "detail")?.filter(|detail| !is_neutral(*detail, NEUTRAL));
            let others = beside(view, &["type", "image_url", "file_id", "detail"]);
            Ok(Part::Image { source, detail, cache_control: None, others, view })
        }
        "input_file" => file(view),
        "input_audio" => {
            let audio = required_object(view, "input_audio")?;
            let (data, format) = (required_string(audio, "data")?, Word::of(required_string(audio, "format")?));
            let others = rest(view, &["type", "input_audio"]).chain(rest(audio, &["data", "format"])).collect();
            Ok(Part::Audio { data, format, others, view })
        }
        "refusal" => {
            let others = beside(view, &["type", "refusal"]);
            Ok(Part::Refusal { text: literal(required_string(view, "refusal")?)?, others, view })
        }
        _ => Ok(Part::Unknown { view }),
    }
}

fn file(view: View<'_>) -> Result<Part<'_>, Refusal> {
    let sources = (string(view, "file_data")?, string(view, "file_url")?, string(view, "file_id")?);
    let source = match sources {
        (Some(data), ..) => MediaSource::Address(data),
        (None, Some(url), _) => MediaSource::Address(url),
        (None, None, Some(id)) => MediaSource::FileId(id),
        (None, None, None) => return Err(missing(view, "file_data")),
    };
    let others = beside(view, &["type", "file_data", "file_url", "file_id", "filename", "detail"]);
    Ok(Part::File { source, filename: string(view, "filename")?, cache_control: None, others, view })
}

/// Members that are not named, and say something.
fn beside<'a>(view: View<'a>, known: &'static [&'static str]) -> Vec<View<'a>> {
    rest(view, known).filter(|member| !is_neutral(*member, NEUTRAL)).collect()
}

/// The strings that say where images are, in order. Parts that are wrong in some way are passed over: reading names them.
pub(in crate::dialect::responses) fn images(document: &Document) -> impl Iterator<Item = View<'_>> {
    parts(document).filter_map(|part| link(part, "image_url"))
}

/// The strings that hold files.
pub(in crate::dialect::responses) fn files(document: &Document) -> impl Iterator<Item = View<'_>> {
    parts(document).filter_map(|part| link(part, "file_data"))
}

/// The strings that may be a URL of an image or of a file, in order.
pub(in crate::dialect::responses) fn links(document: &Document) -> impl Iterator<Item = View<'_>> {
    let keys = ["image_url", "file_data", "file_url"];
    parts(document).filter_map(move |part| keys.iter().find_map(|key| link(part, key)))
}

fn parts(document: &Document) -> impl Iterator<Item = View<'_>> {
    let items = document.root().present("input").into_iter().flat_map(View::elements);
    let contents = items.flat_map(|item| ["content", "output"].into_iter().filter_map(move |key| item.present(key)));
    contents.flat_map(View::elements)
}

fn link<'a>(part: View<'a>, key: &str) -> Option<View<'a>> {
    part.present(key).filter(|link| link.kind() == Kind::String)
}
