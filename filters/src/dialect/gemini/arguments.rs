//! A call's arguments: Google's object, or its pieces, as the text that OpenAI's clients parse.

use super::wire::PartialArg;

/// The arrays of one call have no more items than this together: a short path could otherwise ask for any amount of memory.
const ITEMS: usize = 10_000;

/// Longest path that is followed: arguments are written, and dropped, one call deeper a step.
const STEPS: usize = 128;

/// JSON without the whitespace between its tokens: Google indents its replies.
pub(super) fn compact(json: &str) -> String {
    let mut quoted = false;
    let mut escaped = false;
    json.chars()
        .filter(|&c| {
            let keep = quoted || !c.is_ascii_whitespace();
            quoted ^= c == '"' && !escaped;
            escaped = quoted && c == '\\' && !escaped;
            keep
        })
        .collect()
}

/// Arguments that arrive in pieces, each under its JSON path (RFC 9535, of which Google uses names and indexes).
#[derive(Debug, Default)]
pub(super) struct Pieces {
    root: Node,
    /// Items of its arrays so far.
    items: usize,
}

#[derive(Debug, Default)]
enum Node {
    #[default]
    Unset,
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// The inside of a string, escaped.
    Text(String),
    /// Any other scalar.
    Scalar(String),
}

enum Step {
    Name(String),
    Index(usize),
}

impl Pieces {
    /// Adds a piece: text is appended, anything else set. `None` for a path that cannot be followed.
    pub(super) fn add(&mut self, piece: &PartialArg<'_>) -> Option<()> {
        let mut node = &mut self.root;
        for step in steps(&piece.json_path)? {
            node = node.child(step, &mut self.items)?;
        }
        match (node, &piece.string_value) {
            (Node::Text(text), Some(more)) => text.push_str(more.escaped()),
            (node, Some(text)) => *node = Node::Text(text.escaped().to_owned()),
            (node, None) => *node = Node::Scalar(scalar(piece)),
        }
        Some(())
    }

    /// The object put together so far.
    pub(super) fn json(&self) -> String {
        let mut out = String::new();
        match &self.root {
            Node::Unset => out.push_str("{}"),
            node => node.write(&mut out),
        }
        out
    }
}

fn scalar(piece: &PartialArg<'_>) -> String {
    let number = piece.number_value.map(|number| number.get().to_owned());
    number.or_else(|| piece.bool_value.map(|value| value.to_string())).unwrap_or_else(|| "null".to_owned())
}

impl Node {
    fn child(&mut self, step: Step, all_items: &mut usize) -> Option<&mut Self> {
        match step {
            Step::Name(name) => {
                if !matches!(self, Self::Object(_)) {
                    *self = Self::Object(Vec::new());
                }
                let Self::Object(members) = self else { return None };
                let at = members.iter().position(|(known, _)| *known == name).unwrap_or(members.len());
                if at == members.len() {
                    members.push((name, Self::Unset));
                }
                members.get_mut(at).map(|(_, node)| node)
            }
            Step::Index(index) => {
                if !matches!(self, Self::Array(_)) {
                    *self = Self::Array(Vec::new());
                }
                let Self::Array(items) = self else { return None };
                let missing = index.saturating_add(1).saturating_sub(items.len());
                *all_items = all_items.checked_add(missing).filter(|all| *all <= ITEMS)?;
                items.resize_with(items.len() + missing, Self::default);
                items.get_mut(index)
            }
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Unset => out.push_str("null"),
            Self::Scalar(text) => out.push_str(text),
            Self::Text(escaped) => {
                out.push('"');
                out.push_str(escaped);
                out.push('"');
            }
            Self::Array(items) => {
                out.push('[');
                for (position, item) in items.iter().enumerate() {
                    out.push_str(if position > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (position, (name, value)) in members.iter().enumerate() {
                    out.push_str(if position > 0 { "," } else { "" });
                    out.push_str(crate::json::Literal::quote(name).as_json());
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// `$.recipe.steps[0]['a b']` in steps.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() == STEPS {
            return None;
        }
        if let Some(named) = rest.strip_prefix('.') {
            let end = named.find(['.', '[']).unwrap_or(named.len());
            let (name, after) = named.split_at_checked(end)?;
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else {
            let inside = rest.strip_prefix('[')?;
            let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
            let close = quote.map_or_else(|| "]".to_owned(), |quote| format!("{quote}]"));
            let (step, after) = inside.get(quote.map_or(0, char::len_utf8)..)?.split_once(&close)?;
            steps.push(if quote.is_some() { Step::Name(step.to_owned()) } else { Step::Index(step.parse().ok()?) });
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whitespace_between_tokens_goes() {
        assert_eq!(compact("{\n  \"a b\": [1, 2 ],\t\"q\\\" \\\\\": \" x \"\n}"), r#"{"a b":[1,2],"q\" \\":" x "}"#);
    }

    #[test]
    fn pieces_make_an_object_in_their_order() {
        let pieces = [
            r#"{"jsonPath":"$.b.list[1].x","stringValue":"caf\u00e9","willContinue":true}"#,
            r#"{"jsonPath":"$.b.list[1].x","stringValue":" \"au\" lait"}"#,
            r#"{"jsonPath":"$.b.list[0].n","numberValue":0.50}"#,
            r#"{"jsonPath":"$['a b']","boolValue":true}"#,
            r#"{"jsonPath":"$.z","nullValue":"NULL_VALUE"}"#,
        ];
        let mut arguments = Pieces::default();
        for piece in pieces {
            assert!(arguments.add(&serde_json::from_str(piece).unwrap()).is_some());
        }
        assert_eq!(arguments.json(), r#"{"b":{"list":[{"n":0.50},{"x":"caf\u00e9 \"au\" lait"}]},"a b":true,"z":null}"#);
        assert!(arguments.add(&serde_json::from_str(r#"{"jsonPath":"$.l[99999999]","boolValue":true}"#).unwrap()).is_none());
        assert_eq!(Pieces::default().json(), "{}");
    }

    #[test]
    fn a_short_path_does_not_ask_for_much() {
        let mut arguments = Pieces::default();
        let mut add = |path: &str| arguments.add(&serde_json::from_str(&format!(r#"{{"jsonPath":"{path}","boolValue":true}}"#)).unwrap());
        assert!(add(&format!("$.a{}", "[9999]".repeat(3))).is_none(), "arrays in arrays count together");
        assert!(add("$.b[9999]").is_none(), "and so do all of a call");
        assert!(add(&format!("${}", ".a".repeat(STEPS))).is_some());
        assert!(add(&format!("${}", ".a".repeat(STEPS + 1))).is_none());
    }
}
