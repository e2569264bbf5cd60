//! Names a value by its way from the root.

use super::document::Node;
use super::literal::decode;

/// Longest key spelled out in a path, in characters; a client chooses its keys, and paths go into headers and logs.
const KEY_CHARS: usize = 64;

/// The path of a node, such as `messages[2].content[1].image_url.url`; empty for the root.
///
/// A key that is not a plain word stands in brackets as its JSON text, `metadata["a b"]`, and a long one is cut. O(depth + siblings).
pub(super) fn path(bytes: &[u8], nodes: &[Node], node: u32) -> String {
    let mut way = Vec::new();
    let mut at = node;
    while let Some(node) = nodes.get(at as usize).filter(|node| node.parent != Node::NONE) {
        way.push(at);
        at = node.parent;
    }
    let mut path = String::new();
    for step in way.into_iter().rev() {
        push_step(&mut path, bytes, nodes, step);
    }
    path
}

fn push_step(path: &mut String, bytes: &[u8], nodes: &[Node], at: u32) {
    let Some(node) = nodes.get(at as usize) else { return };
    let literal = bytes.get(node.key.range()).and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
    if literal.is_empty() {
        path.push_str(&format!("[{}]", index_among_siblings(nodes, at, node.parent)));
        return;
    }
    let key = decode(literal);
    if is_plain(&key) {
        path.push_str(if path.is_empty() { "" } else { "." });
        path.push_str(&key);
    } else if literal.chars().nth(KEY_CHARS).is_some() {
        path.push_str(&format!("[{}…]", literal.chars().take(KEY_CHARS).collect::<String>()));
    } else {
        path.push_str(&format!("[{literal}]"));
    }
}

fn is_plain(key: &str) -> bool {
    (1..=KEY_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$'))
}

fn index_among_siblings(nodes: &[Node], at: u32, parent: u32) -> usize {
    let after = |sibling: &u32| nodes.get(*sibling as usize).map(|node| node.next);
    std::iter::successors(Some(parent + 1), after).take_while(|sibling| *sibling < at).count()
}
