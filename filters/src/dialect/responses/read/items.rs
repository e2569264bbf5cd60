//! `instructions` and `input` as the messages of a conversation.
//!
//! An assistant's turn is several items here (what it thought, said and called) and one message in a chat: items in a row are put
//! together, so that calls stay beside what was said with them and their results follow.

use super::item::{self, Thought};
use super::part;
use crate::chat::field::{self, missing, of_kind, required_string, rest};
use crate::chat::{Message, Role, Word};
use crate::json::{Kind, View};
use crate::refusal::Refusal;

static ROLES: &[(&str, Role)] =
    &[("user", Role::User), ("system", Role::System), ("developer", Role::Developer), ("assistant", Role::Assistant)];

/// What a provider's own tools did in earlier turns: the answer that came of it stands after it, and is carried.
static LEFT_OUT: &[&str] =
    &["web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "mcp_list_tools", "mcp_call"];

/// A conversation that is being put together.
struct Turns<'a, 'o> {
    messages: Vec<Message<'a>>,
    /// Google's signature of the next call.
    signature: Option<Word<'a>>,
    /// What no message holds.
    others: &'o mut Vec<View<'a>>,
}

/// Reads the conversation. What no message can hold goes to `others`.
pub(super) fn read<'a>(root: View<'a>, others: &mut Vec<View<'a>>) -> Result<Vec<Message<'a>>, Refusal> {
    let mut turns = Turns { messages: Vec::new(), signature: None, others };
    if let Some(instructions) = of_kind(root, "instructions", Kind::String)? {
        let content = vec![part::of_string(instructions)?];
        turns.messages.push(Message { content, ..Message::blank(Role::System, instructions) });
    }
    let input = root.present("input").ok_or_else(|| missing(root, "input"))?;
    match input.kind() {
        Kind::String => turns.messages.push(Message { content: vec![part::of_string(input)?], ..Message::blank(Role::User, input) }),
        Kind::Array => input.elements().try_for_each(|item| turns.add(field::expect(item, Kind::Object)?))?,
        _ => return Err(field::wrong_kind(input, "a string or an array of items")),
    }
    if turns.messages.is_empty() {
        let message = "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.";
        return Err(Refusal::client("input", message).with_code("empty_array"));
    }
    Ok(turns.messages)
}

impl<'a> Turns<'a, '_> {
    fn add(&mut self, view: View<'a>) -> Result<(), Refusal> {
        let kind = field::string(view, "type")?.and_then(View::text);
        match kind.as_deref() {
            None if view.present("role").is_some() => self.said(view),
            Some("message") => self.said(view),
            Some("function_call" | "custom_tool_call") => {
                let call = item::call(view, self.signature.take())?;
                self.assistant(view, |_| true, |message| message.tool_calls.push(call));
                Ok(())
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                self.messages.push(item::output(view)?);
                Ok(())
            }
            Some("reasoning") => self.thought(view),
            Some(kind) if LEFT_OUT.contains(&kind) => {
                self.others.push(view);
                Ok(())
            }
            // References to what a provider has stored, and what a client did for tools that only such a provider has.
            _ => Err(super::native(view, "Items of this type are for a provider of the Responses API itself")),
        }
    }

    fn said(&mut self, view: View<'a>) -> Result<(), Refusal> {
        let word = required_string(view, "role")?;
        let role = ROLES.iter().find(|(name, _)| word.text().is_some_and(|word| word == *name)).map(|(_, role)| *role);
        let Some(role) = role else {
            return Err(field::unknown_value(word, "'assistant', 'system', 'developer', and 'user'"));
        };
        if view.present("content").is_none() {
            return Err(missing(view, "content"));
        }
        let content = part::content(view, "content")?;
        let others: Vec<_> = rest(view, &["type", "id", "status", "role", "content"]).collect();
        if role == Role::Assistant {
            let add = |message: &mut Message<'a>| {
                message.content = content;
                message.others.extend(others);
            };
            self.assistant(view, |last| last.content.is_empty(), add);
        } else {
            self.messages.push(Message { content, others, ..Message::blank(role, view) });
        }
        Ok(())
    }

    fn thought(&mut self, view: View<'a>) -> Result<(), Refusal> {
        let Thought { traces, of_call, foreign } = item::reasoning(view)?;
        self.signature = of_call.or(self.signature.take());
        if !traces.is_empty() || foreign.is_some() {
            let goes_on = |last: &Message<'a>| last.content.is_empty() || !last.tool_calls.is_empty();
            let add = |message: &mut Message<'a>| {
                message.reasoning.extend(traces);
                message.others.extend(foreign);
            };
            self.assistant(view, goes_on, add);
        }
        Ok(())
    }

    /// Adds to the assistant's message that goes on, if the last one is such a one; else to a new one.
    fn assistant(&mut self, view: View<'a>, goes_on: impl Fn(&Message<'a>) -> bool, add: impl FnOnce(&mut Message<'a>)) {
        let last = self.messages.pop_if(|last| last.role == Role::Assistant && goes_on(last));
        let mut message = last.unwrap_or_else(|| Message::blank(Role::Assistant, view));
        add(&mut message);
        self.messages.push(message);
    }
}
