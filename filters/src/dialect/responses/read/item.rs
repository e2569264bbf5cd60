//! Single items: calls, what came of them, reasoning.

use super::super::replay::{self, Kept};
use super::part;
use crate::chat::field::{elements, literal, required_string, rest, string};
use crate::chat::{Arguments, Message, ReasoningTrace, Role, ToolCall, Word};
use crate::json::{Literal, View};
use crate::refusal::Refusal;

/// A call of a function; one of a tool that takes free text has no arguments that another dialect knows.
pub(super) fn call<'a>(view: View<'a>, signature: Option<Word<'a>>) -> Result<ToolCall<'a>, Refusal> {
    let mut others: Vec<_> = rest(view, &["type", "id", "status", "call_id", "name", "arguments", "input"]).collect();
    others.extend(view.present("input"));
    Ok(ToolCall {
        id: Some(Word::of(required_string(view, "call_id")?)),
        name: required_string(view, "name")?,
        arguments: string(view, "arguments")?.map(Arguments::Text),
        thought_signature: signature,
        cache_control: None,
        others,
        view,
    })
}

/// What came of a call.
pub(super) fn output(view: View<'_>) -> Result<Message<'_>, Refusal> {
    let id = Word::of(required_string(view, "call_id")?);
    let content = part::content(view, "output")?;
    let others = rest(view, &["type", "id", "status", "call_id", "output"]).collect();
    Ok(Message { content, tool_call_id: Some(id), others, ..Message::blank(Role::Tool, view) })
}

/// What a reasoning item turned out to hold.
pub(super) struct Thought<'a> {
    pub(super) traces: Vec<ReasoningTrace<'a>>,
    /// Google's signature of the next call.
    pub(super) of_call: Option<Word<'a>>,
    /// What is of use to its own maker alone.
    pub(super) foreign: Option<View<'a>>,
}

/// Reads a reasoning item: another vendor's, which the gateway put there, or one of a Responses API's own.
pub(super) fn reasoning(view: View<'_>) -> Result<Thought<'_>, Refusal> {
    let mut texts = Vec::new();
    for key in ["summary", "content"] {
        for part in elements(view, key)? {
            let text = required_string(part, "text")?;
            texts.push((literal(text)?, text));
        }
    }
    let mut thought = Thought { traces: Vec::new(), of_call: None, foreign: None };
    let encrypted = string(view, "encrypted_content")?.and_then(|place| Some((place.literal()?, place)));
    match encrypted.as_ref().and_then(|(content, _)| replay::kept(content)) {
        Some((Kept::Signature, signature)) => {
            let text = match texts.as_slice() {
                [(only, _)] => only.clone(),
                many => Literal::quote(&many.iter().map(|(text, _)| text.text()).collect::<String>()),
            };
            thought.traces.push(ReasoningTrace::Signed { text, signature, view });
            return Ok(thought);
        }
        Some((Kept::Opaque, data)) => thought.traces.push(ReasoningTrace::Encrypted { data, view }),
        Some((Kept::Call, signature)) => thought.of_call = Some(Word { text: signature.text().into_owned().into(), view }),
        None => thought.foreign = encrypted.filter(|(content, _)| !content.is_empty()).map(|(_, place)| place),
    }
    thought.traces.extend(texts.into_iter().map(|(text, view)| ReasoningTrace::Plain { text, view }));
    Ok(thought)
}
