//! The client's own body for an upstream of Google's dialect.

use super::{key, mark, peek};
use crate::dialect::Target;
use crate::dialect::edit::Edits;
use crate::dialect::gemini::request::on_ai_studio;
use crate::json::{Document, Literal, Pieces, View};

/// The body, byte for byte but for: `fallbacks`, which only the gateway understands, a model that is not the path's, what was fetched in
/// place of its URL, what other vendors signed, which Google would refuse, and the ids of calls where this surface refuses them.
pub(super) fn chat(document: &Document, target: &Target<'_>) -> Pieces {
    let root = document.root();
    let mut edits = Edits::of(document);
    // Vertex knows the model by its path alone.
    let studio = on_ai_studio(target.surface);
    let cut: Vec<_> = root.get("fallbacks").into_iter().chain(root.get("model").filter(|_| !studio)).collect();
    if !cut.is_empty() {
        edits.cut_members(root, &cut);
    }
    if studio {
        rename(root, target, &mut edits);
    }
    conversation(document, target, &mut edits);
    edits.finish()
}

/// The same of a call that counts, where a whole request names its model.
pub(super) fn count(document: &Document, target: &Target<'_>) -> Pieces {
    let root = document.root();
    let mut edits = Edits::of(document);
    edits.cut_member(root, "fallbacks");
    rename(peek::request(document), target, &mut edits);
    conversation(document, target, &mut edits);
    edits.finish()
}

/// Where a request names its model beside the path, it is the path's.
fn rename(request: View<'_>, target: &Target<'_>, edits: &mut Edits<'_>) {
    let Some(model) = request.get("model") else { return };
    let name = if target.model.contains('/') { target.model.to_owned() } else { format!("models/{}", target.model) };
    if model.text().is_none_or(|asked| asked != name) {
        edits.replace(model, Literal::quote(&name).as_json());
    }
}

fn conversation<'d>(document: &'d Document, target: &Target<'d>, edits: &mut Edits<'d>) {
    if !target.fetched.is_empty() {
        for source in peek::sources(document).filter(|source| !source.is_inline) {
            if let Some(inline) = target.fetched.at(source.view) {
                let head = format!("\"inlineData\":{{\"mimeType\":\"{}\",\"data\":\"", inline.media_type);
                edits.inline_member(source.holder, head, inline);
            }
        }
    }
    unsign(peek::request(document), edits);
    if !target.surface.tool_ids {
        for part in peek::parts(document) {
            for call in ["functionCall", "functionResponse"].iter().filter_map(|name| key::present(part, name)) {
                edits.cut_member(call, "id");
            }
        }
    }
}

/// Leaves parts out that bear a mark: another vendor's thoughts. A turn that holds nothing else goes with them.
fn unsign(request: View<'_>, edits: &mut Edits<'_>) {
    let is_marked = |part: &View<'_>| key::present(*part, "thoughtSignature").is_some_and(mark::is_one);
    let Some(contents) = key::present(request, "contents") else { return };
    let mut empty = Vec::new();
    for content in contents.elements() {
        let Some(parts) = key::present(content, "parts") else { continue };
        let marked: Vec<_> = parts.elements().filter(is_marked).collect();
        if marked.is_empty() {
            continue;
        }
        if marked.len() == parts.elements().count() {
            empty.push(content);
        } else {
            edits.cut_elements(parts, &marked);
        }
    }
    if !empty.is_empty() {
        edits.cut_elements(contents, &empty);
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::GENERATE;
    use super::*;
    use crate::dialect::Surface;
    use crate::image::{Fetched, Inline};
    use crate::json::ScanLimits;

    fn written(body: &str, surface: &Surface, fetched: &Fetched, rewrite: fn(&Document, &Target<'_>) -> Pieces) -> String {
        let document = Document::scan(body.to_owned().into(), &GENERATE, ScanLimits::default()).unwrap();
        let target = Target { model: "gemini-x", surface, fetched };
        String::from_utf8(rewrite(&document, &target).join().to_vec()).unwrap()
    }

    #[test]
    fn what_google_would_refuse_is_left_out_and_all_else_stands() {
        let mark = mark::Mark::Signed("s".to_owned()).written();
        let marked = format!(r#"{{"text":"a","thought":true,"thought_signature":"{mark}"}}"#);
        let body = format!(
            r#"{{ "model":"m","contents":[{{"role":"user","parts":[{{"text":"\u00e9"}}]}}, {{"role":"model","parts":[{marked}]}},{{"parts":[{marked}, {{"functionCall":{{"name":"f" ,"id":"c"}} }}]}}],"fallbacks":[] }}"#
        );
        let kept = r#"{ "model":"models/gemini-x","contents":[{"role":"user","parts":[{"text":"\u00e9"}]}, {"parts":[{"functionCall":{"name":"f" ,"id":"c"} }]}] }"#;
        assert_eq!(written(&body, &Surface::default(), Fetched::NONE, chat), kept);
        let vertex = Surface { tool_ids: false, ..Surface::default() };
        assert_eq!(
            written(&body, &vertex, Fetched::NONE, chat),
            kept.replace(r#" ,"id":"c""#, "").replace(r#""model":"models/gemini-x","#, "")
        );
    }

    #[test]
    fn what_was_fetched_stands_inline() {
        let mut fetched = Fetched::default();
        let png = Inline { media_type: "image/png".into(), base64: "iVBORw0KGgo=".into(), decoded_bytes: 8 };
        fetched.insert("https://h.example/a.png", png);
        let part = r#"{"file_data":{"mime_type":"image/jpeg","file_uri":"https://h.example/a.png"} , "videoMetadata":{}}"#;
        let inline = r#"{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="} , "videoMetadata":{}}"#;
        let within = |part: &str| format!(r#"{{"contents":{{"parts":[{{"functionResponse":{{"name":"f","parts":{part}}}}}, {part}]}}}}"#);
        assert_eq!(written(&within(part), &Surface::default(), &fetched, chat), within(inline));
    }

    #[test]
    fn a_request_that_is_counted_whole_names_its_model() {
        let body = |model: &str| format!(r#"{{"generateContentRequest":{{"model":"{model}","contents":[]}}}}"#);
        assert_eq!(written(&body("models/gemini/gemini-x"), &Surface::default(), Fetched::NONE, count), body("models/gemini-x"));
    }
}
