//! A whole reply, read into the pivot.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{self, ErrorBody};
use super::usage::Counts;
use crate::chat::{Choice, FinishReason, Reasoning, Reply, ReplyToolCall};
use crate::dialect::Names;
use crate::fault::Fault;
use crate::json::Literal;
use crate::loss::{LossKind, Losses};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    usage: Option<ReplyUsage>,
    #[serde(borrow)]
    error: Option<ErrorBody<'a>>,
    #[serde(borrow)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_details: Option<&'a RawValue>,
    #[serde(borrow)]
    container: Option<&'a RawValue>,
    #[serde(borrow)]
    context_management: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
struct ReplyUsage {
    #[serde(flatten)]
    counts: Counts,
    #[serde(default)]
    service_tier: Option<String>,
}

/// A content block. Fields are kept raw: blocks of types that we do not know use the same names for other things.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

impl<'a> Block<'a> {
    pub(super) fn text(&self) -> Option<Literal<'a>> {
        self.text.and_then(literal)
    }

    pub(super) fn thinking(&self) -> Option<Literal<'a>> {
        self.thinking.and_then(literal)
    }

    pub(super) fn signature(&self) -> Option<Literal<'a>> {
        self.signature.and_then(literal).filter(|signature| !signature.is_empty())
    }

    pub(super) fn data(&self) -> Option<Literal<'a>> {
        self.data.and_then(literal)
    }

    pub(super) fn id(&self) -> Cow<'a, str> {
        self.id.map_or(Cow::Borrowed(""), string)
    }

    pub(super) fn name(&self) -> Cow<'a, str> {
        self.name.map_or(Cow::Borrowed(""), string)
    }

    /// A call's arguments, as JSON text; `None` if there are none.
    pub(super) fn input(&self) -> Option<&'a str> {
        let input = self.input.map(RawValue::get)?;
        let empty = input.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| inner.trim().is_empty());
        (!empty && input != "null").then_some(input)
    }

    fn cites(&self) -> bool {
        self.citations.is_some_and(|citations| !matches!(citations.get(), "null" | "[]"))
    }
}

pub(super) fn read<'a>(body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
    let message: Message<'a> = serde_json::from_slice(body).map_err(|error| error::unreadable(&error.to_string()))?;
    if let Some(error) = message.error.as_ref().filter(|_| message.kind != "message") {
        return Err(error::of(None, error));
    }
    let Some(blocks) = message.content else { return Err(error::unreadable("it has no content")) };
    let mut losses = Losses::default();
    let mut choice = Choice::default();
    for (index, block) in blocks.into_iter().enumerate() {
        add(&mut choice, &block, names, || format!("content[{index}]"), &mut losses);
    }
    choice.finish = message.stop_reason.as_deref().map(|reason| finish(reason, !choice.tool_calls.is_empty(), &mut losses));
    let unplaced = [
        ("stop_sequence", message.stop_sequence),
        ("stop_details", message.stop_details),
        ("container", message.container),
        ("context_management", message.context_management),
    ];
    for (name, _) in unplaced.iter().filter(|(_, value)| value.is_some()) {
        losses.at(LossKind::Dropped, *name);
    }
    let usage = message.usage.unwrap_or_default();
    Ok(Reply {
        id: message.id,
        model: message.model,
        choices: vec![choice],
        usage: Some(usage.counts.usage()).filter(|usage| usage.prompt_tokens.or(usage.completion_tokens).is_some()),
        service_tier: usage.service_tier.as_deref().and_then(tier),
        losses: losses.0,
    })
}

fn add<'a>(choice: &mut Choice<'a>, block: &Block<'a>, names: &Names, path: impl Fn() -> String, losses: &mut Losses) {
    match block.kind.as_ref() {
        "text" => {
            choice.text.extend(block.text());
            if block.cites() {
                losses.at(LossKind::Dropped, path() + ".citations");
            }
        }
        "thinking" => {
            let text = block.thinking().unwrap_or_else(|| Literal::quote(""));
            choice.reasoning.push(Reasoning::Text { text, signature: block.signature() });
        }
        "redacted_thinking" => choice.reasoning.extend(block.data().map(|data| Reasoning::Encrypted { data })),
        "tool_use" if names.answer_tool.as_deref() == Some(block.name().as_ref()) => {
            choice.text.push(Literal::quote(block.input().unwrap_or("{}")));
        }
        "tool_use" => choice.tool_calls.push(ReplyToolCall {
            id: block.id(),
            name: restored(block.name(), names),
            arguments: Literal::quote(block.input().unwrap_or("{}")),
            thought_signature: None,
        }),
        // Server tools, their results, compactions, fallbacks, and what is yet to come.
        _ => losses.at(LossKind::Dropped, path()),
    }
}

/// The name as the client declared it.
pub(super) fn restored<'a>(sent: Cow<'a, str>, names: &Names) -> Cow<'a, str> {
    let original = names.original(&sent);
    if original == sent { sent } else { Cow::Owned(original.to_owned()) }
}

/// Anthropic's stop reasons in OpenAI's words. `tool_use` without a call for the client (an answer tool, a server tool) is an end.
pub(super) fn finish(reason: &str, called: bool, losses: &mut Losses) -> FinishReason {
    match reason {
        "end_turn" | "stop_sequence" | "compaction" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" if called => FinishReason::ToolCalls,
        "tool_use" => FinishReason::Stop,
        "refusal" => FinishReason::ContentFilter,
        // `pause_turn` (the model would go on if asked), and reasons yet to come.
        _ => {
            losses.at(LossKind::Approximated, "stop_reason");
            FinishReason::Stop
        }
    }
}

/// Anthropic's tiers in OpenAI's words.
fn tier(served: &str) -> Option<Cow<'static, str>> {
    match served {
        "standard" => Some(Cow::Borrowed("default")),
        "priority" => Some(Cow::Borrowed("priority")),
        _ => None,
    }
}

fn literal(raw: &RawValue) -> Option<Literal<'_>> {
    Literal::raw(raw.get())
}

fn string(raw: &RawValue) -> Cow<'_, str> {
    match Literal::raw(raw.get()) {
        Some(literal) => match serde_json::from_str::<&str>(literal.as_json()) {
            Ok(_) => Cow::Borrowed(raw.get().get(1..raw.get().len() - 1).unwrap_or_default()),
            Err(_) => Cow::Owned(literal.text().into_owned()),
        },
        None => Cow::Borrowed(""),
    }
}
