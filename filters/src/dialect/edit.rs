//! A client's own body with a few places changed: everything else byte for byte, and not copied where it is long.

use std::ops::Range;

use crate::image::Inline;
use crate::json::{Document, Literal, Pieces, Splice, View};

/// Places of a document, and what is written there instead.
pub(super) struct Edits<'d> {
    document: &'d Document,
    edits: Vec<(Range<usize>, New<'d>)>,
}

/// What is written in place of something.
enum New<'d> {
    Text(String),
    /// Base64 between two texts.
    Inline(String, &'d Inline),
}

impl<'d> Edits<'d> {
    /// None yet.
    pub(super) fn of(document: &'d Document) -> Self {
        Self { document, edits: Vec::new() }
    }

    /// The model's name at the provider, in place of the one asked for.
    pub(super) fn rename(&mut self, model: &str) {
        if let Some(asked) = self.document.root().get("model").filter(|asked| asked.text().is_none_or(|asked| asked != model)) {
            self.replace(asked, Literal::quote(model).as_json());
        }
    }

    /// JSON text in place of a value.
    pub(super) fn replace(&mut self, view: View<'_>, text: &str) {
        self.edits.push((view.range(), New::Text(text.to_owned())));
    }

    /// JSON that ends in a string which `head` has opened, with base64 in it, in place of a value; `}` closes an object that it has opened.
    pub(super) fn inline(&mut self, view: View<'_>, head: String, inline: &'d Inline) {
        self.edits.push((view.range(), New::Inline(head, inline)));
    }

    /// The same in place of a whole member, whose key `head` begins with.
    pub(super) fn inline_member(&mut self, member: View<'_>, head: String, inline: &'d Inline) {
        self.edits.extend(member.member_range().map(|range| (range, New::Inline(head, inline))));
    }

    /// Another key for a member.
    pub(super) fn rename_key(&mut self, member: View<'_>, key: &str) {
        if let Some(range) = member.member_range() {
            self.edits.push((range.start..member.range().start, New::Text(format!("{}:", Literal::quote(key).as_json()))));
        }
    }

    /// JSON text right behind the brace that opens an object.
    pub(super) fn lead(&mut self, object: View<'_>, members: &str) {
        let at = object.range().start + 1;
        let comma = if object.members().next().is_some() { "," } else { "" };
        self.edits.push((at..at, New::Text(format!("{members}{comma}"))));
    }

    /// Leaves a member out, with one of the commas beside it.
    pub(super) fn cut_member(&mut self, parent: View<'_>, key: &str) {
        if let Some(cut) = parent.get(key) {
            self.cut_members(parent, &[cut]);
        }
    }

    /// Leaves members out, with the commas between them.
    pub(super) fn cut_members(&mut self, parent: View<'_>, cut: &[View<'_>]) {
        let ranges: Vec<_> = parent.members().filter_map(View::member_range).collect();
        let cut: Vec<_> = cut.iter().filter_map(|member| member.member_range()).collect();
        self.cut(&ranges, &cut);
    }

    /// Leaves elements of an array out, with the commas between them.
    pub(super) fn cut_elements(&mut self, array: View<'_>, cut: &[View<'_>]) {
        let ranges: Vec<_> = array.elements().map(View::range).collect();
        let cut: Vec<_> = cut.iter().map(|view| view.range()).collect();
        self.cut(&ranges, &cut);
    }

    /// Cuts to the next one if there is one that stays, else from the end of the last that stays: either way one comma goes too.
    fn cut(&mut self, all: &[Range<usize>], cut: &[Range<usize>]) {
        let mut stays: Option<usize> = None;
        let mut open: Option<Range<usize>> = None;
        for range in all {
            if cut.contains(range) {
                let begun = open.take().map_or(range.start, |open| open.start);
                open = Some(begun..range.end);
            } else {
                if let Some(open) = open.take() {
                    self.edits.push((open.start..range.start, New::Text(String::new())));
                }
                stays = Some(range.end);
            }
        }
        if let Some(open) = open {
            self.edits.push((stays.unwrap_or(open.start)..open.end, New::Text(String::new())));
        }
    }

    /// The body with all edits made; the original where there are none.
    pub(super) fn finish(mut self) -> Pieces {
        if self.edits.is_empty() {
            return Pieces::one(self.document.bytes().clone());
        }
        self.edits.sort_by_key(|(range, _)| range.start);
        let body = self.document.bytes();
        let mut splice = Splice::new();
        let mut kept_to = 0;
        for (range, new) in self.edits {
            // One within another that was already replaced.
            if range.start < kept_to {
                continue;
            }
            splice.kept(body.slice(kept_to..range.start));
            new.write(&mut splice);
            kept_to = range.end;
        }
        splice.kept(body.slice(kept_to..));
        splice.finish()
    }
}

impl New<'_> {
    fn write(self, out: &mut Splice) {
        match self {
            Self::Text(text) => out.raw(&text),
            Self::Inline(head, inline) => {
                let closing = if head.contains('{') { "\"}" } else { "\"" };
                out.raw(&head).kept(inline.base64.clone()).raw(closing)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::Edits;
    use crate::json::{Document, ScanLimits, Shape};

    static ANY: Shape = Shape::Opaque;
    static LIST: Shape = Shape::Open { members: &[], elements: Some(&ANY) };
    static BODY: Shape = Shape::Open { members: &[("a", &ANY), ("b", &ANY), ("l", &LIST)], elements: None };

    fn cut(json: &'static str, keys: &[&str], elements: &[usize]) -> String {
        let document = Document::scan(json.into(), &BODY, ScanLimits::default()).expect("JSON");
        let mut edits = Edits::of(&document);
        keys.iter().for_each(|key| edits.cut_member(document.root(), key));
        if let Some(list) = document.root().get("l") {
            let all: Vec<_> = list.elements().collect();
            let cut: Vec<_> = elements.iter().map(|at| all[*at]).collect();
            edits.cut_elements(list, &cut);
        }
        String::from_utf8(edits.finish().join().to_vec()).expect("UTF-8")
    }

    #[test]
    fn what_is_cut_takes_one_comma_with_it() {
        assert_eq!(cut(r#"{ "a": 1 , "b": 2 }"#, &["a"], &[]), r#"{ "b": 2 }"#);
        assert_eq!(cut(r#"{ "a": 1 , "b": 2 }"#, &["b"], &[]), r#"{ "a": 1 }"#);
        assert_eq!(cut(r#"{ "a": 1 }"#, &["a"], &[]), "{  }");
        assert_eq!(cut(r#"{"l":[1, 2, 3]}"#, &[], &[1]), r#"{"l":[1, 3]}"#);
        assert_eq!(cut(r#"{"l":[1, 2, 3]}"#, &[], &[0, 1]), r#"{"l":[3]}"#);
        assert_eq!(cut(r#"{"l":[1, 2, 3]}"#, &[], &[1, 2]), r#"{"l":[1]}"#);
        assert_eq!(cut(r#"{"l":[1, 2, 3]}"#, &[], &[0, 1, 2]), r#"{"l":[]}"#);
        assert_eq!(cut(r#"{"l":[1, 2, 3]}"#, &[], &[0, 2]), r#"{"l":[2]}"#);
    }
}
