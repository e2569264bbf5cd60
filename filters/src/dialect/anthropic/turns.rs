//! The conversation: messages of any order and number become alternating turns of user and assistant.
//!
//! Decisions where the two formats differ:
//! - a system message in mid-conversation stays in its place, between tags in a user turn: moving it to the front would change what
//!   the model read before it, and spoil the prompt cache;
//! - results lead their turn, one for each call: a second result of a call is dropped, a result of no call becomes tagged text;
//! - a transcript of system messages alone is asked as the user; one that begins with the assistant gets a short opening;
//! - a document without text beside it gets a short text.

use std::borrow::Cow;

use super::block::{Block, write_all};
use super::content::{self, Place};
use super::replay;
use crate::chat::{Arguments, Message, Role, ToolCall};
use crate::dialect::Target;
use crate::dialect::tool_names::{ToolNames, call_id};
use crate::json::{Literal, Splice, View};
use crate::loss::{LossKind, Losses};
use crate::refusal::Refusal;

/// The tag around a system message in mid-conversation, as Claude Code writes it.
const SYSTEM_TAG: &str = "system-reminder";
/// The tag around a result whose call is not there.
const RESULT_TAG: &str = "tool-result";
/// Said by the user where the assistant would speak first.
const OPENING: &str = "(The assistant begins.)";
/// Said beside a document that comes alone.
const BESIDE_DOCUMENT: &str = "See the attached document.";

/// A conversation as the Messages API has it.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    turns: Vec<Turn<'a>>,
}

#[derive(Debug)]
struct Turn<'a> {
    assistant: bool,
    /// Tool results, which must lead.
    results: Vec<Block<'a>>,
    blocks: Vec<Block<'a>>,
}

/// What reading messages needs beside them.
pub(super) struct Scope<'s> {
    pub(super) target: &'s Target<'s>,
    pub(super) names: &'s ToolNames,
    pub(super) losses: &'s mut Losses,
}

/// Reads all messages; `prefill` says whether the model goes on with an answer that is begun.
pub(super) fn read<'a>(messages: &[Message<'a>], prefill: bool, scope: &mut Scope<'_>) -> Result<Conversation<'a>, Refusal> {
    let mut conversation = Conversation::default();
    for message in messages {
        conversation.add(message, scope)?;
    }
    conversation.settle(messages, scope.losses)?;
    if !prefill {
        conversation.end_with_the_user(messages, scope.losses);
    }
    Ok(conversation)
}

impl<'a> Conversation<'a> {
    /// Cache breakpoints in the order in which the API caches: system, then turns.
    pub(super) fn breakpoints(&mut self) -> impl Iterator<Item = &mut Option<View<'a>>> {
        let turns = self.turns.iter_mut().flat_map(|turn| turn.results.iter_mut().chain(&mut turn.blocks));
        self.system.iter_mut().chain(turns).filter_map(Block::cache)
    }

    /// Whether the model is in the middle of calls that it made without thinking first (or whose thinking the client left out): a
    /// thinking budget is then refused.
    pub(super) fn continues_unthought_calls(&self) -> bool {
        let [.., asked, answered] = self.turns.as_slice() else { return false };
        let thought = asked.blocks.iter().any(|block| matches!(block, Block::Thinking { .. } | Block::Redacted { .. }));
        !answered.results.is_empty() && asked.assistant && !thought
    }

    /// Leaves out an answer that is begun, for a model that refuses to go on with one. Calls without results are no such answer.
    fn end_with_the_user(&mut self, messages: &[Message<'a>], losses: &mut Losses) {
        let begun = |message: &&Message<'_>| message.role == Role::Assistant && message.tool_calls.is_empty();
        let answers = messages.iter().rev().take_while(begun).count();
        let ends = self.turns.last().is_some_and(|turn| turn.assistant) && self.turns.len() > 1;
        if ends && answers > 0 && messages.iter().rev().nth(answers).is_none_or(|before| before.role != Role::Assistant) {
            self.turns.pop();
            losses.dropped(messages.iter().rev().take(answers).map(|message| message.view));
        }
    }

    /// Writes the members `system` and `messages`.
    pub(super) fn write(&self, out: &mut Splice) {
        if !self.system.is_empty() {
            write_all(&self.system, out.key("system"));
        }
        out.key("messages").array();
        for turn in &self.turns {
            out.element().object().key("role").string(if turn.assistant { "assistant" } else { "user" });
            write_all(turn.results.iter().chain(&turn.blocks), out.key("content"));
            out.end_object();
        }
        out.end_array();
    }

    fn add(&mut self, message: &Message<'a>, scope: &mut Scope<'_>) -> Result<(), Refusal> {
        let Message { role, content, tool_calls, tool_call_id, name, refusal, reasoning, cache_control, is_error, others, view } = message;
        scope.losses.dropped(others.iter().copied());
        if !matches!(role, Role::Tool | Role::Function) {
            let id = tool_call_id.as_ref().map(|id| id.view);
            scope.losses.dropped([*name, id, *is_error].into_iter().flatten());
        }
        if *role != Role::Assistant {
            scope.losses.dropped(tool_calls.iter().map(|call| call.view).chain(*refusal));
            replay::lose(reasoning, scope.losses);
        }
        let place = place(*role);
        let mut blocks = Vec::new();
        for part in content {
            blocks.extend(content::block(part, place, scope.target, scope.losses)?);
        }
        match role {
            Role::System | Role::Developer if self.turns.is_empty() => {
                mark_last(&mut blocks, *cache_control, scope.losses);
                self.system.append(&mut blocks);
            }
            Role::System | Role::Developer => {
                if !blocks.is_empty() {
                    scope.losses.note(LossKind::Approximated, *view);
                }
                tag_all(&mut blocks, SYSTEM_TAG);
                self.extend(false, blocks, *cache_control, scope.losses);
            }
            Role::User => {
                accompany_document(&mut blocks, *view, scope.losses);
                self.extend(false, blocks, *cache_control, scope.losses);
            }
            Role::Assistant => {
                let mut said = replay::blocks(reasoning, scope.losses);
                said.append(&mut blocks);
                said.extend(refused(*refusal, scope.losses));
                self.calls(tool_calls, &mut said, scope)?;
                self.extend(true, said, *cache_control, scope.losses);
            }
            Role::Tool | Role::Function => self.result(message, blocks, scope),
        }
        Ok(())
    }

    /// Adds to the turn of the speaker, a new one if the other spoke last. Nothing said is no turn.
    fn extend(&mut self, assistant: bool, mut blocks: Vec<Block<'a>>, breakpoint: Option<View<'a>>, losses: &mut Losses) {
        mark_last(&mut blocks, breakpoint, losses);
        if !blocks.is_empty() {
            self.turn(assistant, |turn| turn.blocks.append(&mut blocks));
        }
    }

    fn turn(&mut self, assistant: bool, add: impl FnOnce(&mut Turn<'a>)) {
        let same = self.turns.pop_if(|turn| turn.assistant == assistant);
        let mut turn = same.unwrap_or(Turn { assistant, results: Vec::new(), blocks: Vec::new() });
        add(&mut turn);
        self.turns.push(turn);
    }

    fn calls(&self, calls: &[ToolCall<'a>], said: &mut Vec<Block<'a>>, scope: &mut Scope<'_>) -> Result<(), Refusal> {
        for call in calls {
            let ToolCall { id, name, arguments, thought_signature, cache_control, others, view: _ } = call;
            scope.losses.dropped(thought_signature.iter().map(|signature| signature.view).chain(others.iter().copied()));
            let made = self.turns.iter().flat_map(|turn| &turn.blocks).chain(said.iter());
            let number = made.filter(|block| matches!(block, Block::ToolUse { .. })).count();
            let id = id.as_ref().map_or_else(|| Cow::Owned(format!("call_{number}")), |id| call_id(id.text.clone(), usize::MAX));
            let name = scope.names.sent(name.text().unwrap_or_default());
            said.push(Block::ToolUse { id, name, input: Arguments::object(*arguments)?, cache: *cache_control });
        }
        Ok(())
    }

    /// Adds the result of a call: by its id, in the legacy form by the function's name.
    fn result(&mut self, message: &Message<'a>, content: Vec<Block<'a>>, scope: &mut Scope<'_>) {
        let id = match (message.tool_call_id.as_ref().map(|id| id.text.clone()), message.name.and_then(View::text)) {
            (Some(id), _) => Some(call_id(id, usize::MAX)).filter(|id| self.open_calls().any(|(open, _)| open == id)),
            (None, Some(name)) => self.unanswered(&scope.names.sent(name)),
            (None, None) => None,
        };
        let Some(id) = id else { return self.orphan(message, content, scope) };
        if self.answers(&id) {
            return scope.losses.note(LossKind::Dropped, message.view);
        }
        let mut content = content;
        let cache = hoisted(&mut content, scope.losses).or(message.cache_control);
        let is_error = message.is_error.and_then(View::boolean).unwrap_or_default();
        self.turn(false, |turn| turn.results.push(Block::ToolResult { id, content, is_error, cache }));
    }

    /// A result of no call that was just made. The API refuses it, so it is told in words.
    fn orphan(&mut self, message: &Message<'a>, mut content: Vec<Block<'a>>, scope: &mut Scope<'_>) {
        scope.losses.note(LossKind::Approximated, message.view);
        tag_all(&mut content, RESULT_TAG);
        self.extend(false, content, message.cache_control, scope.losses);
    }

    /// Ids and names of the calls that the user's turn now answers.
    fn open_calls(&self) -> impl Iterator<Item = (&Cow<'a, str>, &Cow<'a, str>)> {
        let asked = match self.turns.as_slice() {
            [.., asked] if asked.assistant => Some(asked),
            [.., asked, _] => Some(asked),
            _ => None,
        };
        asked.into_iter().flat_map(|turn| &turn.blocks).filter_map(|block| match block {
            Block::ToolUse { id, name, .. } => Some((id, name)),
            _ => None,
        })
    }

    fn unanswered(&self, name: &str) -> Option<Cow<'a, str>> {
        self.open_calls().find(|(id, called)| *called == name && !self.answers(id)).map(|(id, _)| id.clone())
    }

    fn answers(&self, call: &str) -> bool {
        let results = self.turns.last().into_iter().flat_map(|turn| &turn.results);
        results.into_iter().any(|block| matches!(block, Block::ToolResult { id, .. } if id == call))
    }

    /// What the API demands of a conversation as a whole.
    fn settle(&mut self, messages: &[Message<'a>], losses: &mut Losses) -> Result<(), Refusal> {
        let first = messages.first().map(|message| message.view);
        if self.turns.is_empty() && !self.system.is_empty() {
            let blocks = std::mem::take(&mut self.system);
            self.turns.push(Turn { assistant: false, results: Vec::new(), blocks });
            first.iter().for_each(|view| losses.note(LossKind::Approximated, *view));
        }
        if self.turns.is_empty() {
            return Err(Refusal::client("messages", "No message says anything: all content is empty or blank."));
        }
        if self.turns.first().is_some_and(|turn| turn.assistant) {
            let blocks = vec![Block::text(Literal::quote(OPENING))];
            self.turns.insert(0, Turn { assistant: false, results: Vec::new(), blocks });
            first.iter().for_each(|view| losses.note(LossKind::Approximated, *view));
        }
        if let Some(Turn { assistant: true, blocks, .. }) = self.turns.last_mut() {
            trim_end(blocks, messages, losses);
        }
        Ok(())
    }
}

fn place(role: Role) -> Place {
    match role {
        Role::System | Role::Developer => Place::System,
        Role::User => Place::User,
        Role::Assistant => Place::Assistant,
        Role::Tool | Role::Function => Place::ToolResult,
    }
}

/// The breakpoint of a message as a whole stands at its last block.
fn mark_last<'a>(blocks: &mut [Block<'a>], breakpoint: Option<View<'a>>, losses: &mut Losses) {
    let Some(breakpoint) = breakpoint else { return };
    match blocks.last_mut().and_then(Block::cache) {
        Some(cache) => *cache = cache.or(Some(breakpoint)),
        None => losses.note(LossKind::Dropped, breakpoint),
    }
}

/// Takes the breakpoints out of a result's content, where they may not stand, for the result itself: the last one.
fn hoisted<'a>(content: &mut [Block<'a>], losses: &mut Losses) -> Option<View<'a>> {
    let mut found: Vec<_> = content.iter_mut().filter_map(Block::cache).filter_map(Option::take).collect();
    let last = found.pop();
    losses.dropped(found);
    last
}

fn tag_all(blocks: &mut [Block<'_>], with: &'static str) {
    for block in blocks {
        if let Block::Text { tag, .. } = block {
            *tag = Some(with);
        }
    }
}

fn accompany_document<'a>(blocks: &mut Vec<Block<'a>>, message: View<'a>, losses: &mut Losses) {
    let documents = blocks.iter().any(|block| matches!(block, Block::Document { .. }));
    if documents && !blocks.iter().any(|block| matches!(block, Block::Text { .. })) {
        losses.note(LossKind::Approximated, message);
        blocks.push(Block::text(Literal::quote(BESIDE_DOCUMENT)));
    }
}

/// An earlier refusal is told as what the assistant said.
fn refused<'a>(refusal: Option<View<'a>>, losses: &mut Losses) -> Option<Block<'a>> {
    let view = refusal?;
    let text = view.literal().filter(|text| !content::is_blank(text))?;
    losses.note(LossKind::Approximated, view);
    Some(Block::text(text))
}

/// The API refuses a prefilled answer that ends in white space.
fn trim_end(blocks: &mut [Block<'_>], messages: &[Message<'_>], losses: &mut Losses) {
    let Some(Block::Text { text, .. }) = blocks.last_mut() else { return };
    let decoded = text.text();
    let trimmed = Some(decoded.trim_end()).filter(|trimmed| trimmed.len() < decoded.len()).map(Literal::quote);
    if let Some(trimmed) = trimmed {
        *text = trimmed;
        messages.last().iter().for_each(|message| losses.note(LossKind::Approximated, message.view));
    }
}
