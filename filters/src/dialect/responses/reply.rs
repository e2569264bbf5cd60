//! A whole response, read from an upstream.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::openai::string;
use super::error::fault_of;
use super::wire::{self, Item, ItemKind, Response, Said};
use crate::chat::{Choice, FinishReason, Reasoning, Reply, ReplyImage, ReplyToolCall};
use crate::dialect::Names;
use crate::fault::Fault;
use crate::loss::{LossKind, Losses};

pub(super) fn read<'a>(body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
    let unreadable = |why: &dyn std::fmt::Display| Fault::malformed(&format!("the upstream's reply is no response: {why}"));
    let text = simdutf8::basic::from_utf8(body).map_err(|why| unreadable(&why))?;
    let response: Response<'_> = serde_json::from_str(text).map_err(|why| unreadable(&why))?;
    if let Some(error) = response.error {
        return Err(fault_of(error.get()));
    }
    let mut losses = Losses::default();
    let mut choice = Choice::default();
    let Some(output) = &response.output else { return Err(unreadable(&"it has no output")) };
    for (index, item) in output.iter().enumerate() {
        read_item(index, item, &mut choice, &mut losses);
    }
    for call in &mut choice.tool_calls {
        call.name = original(std::mem::take(&mut call.name), names);
    }
    choice.finish = finish(&response, !choice.tool_calls.is_empty(), &mut losses)?;
    Ok(Reply {
        id: response.id.and_then(string).unwrap_or_default(),
        model: response.model.and_then(string).unwrap_or_default(),
        choices: vec![choice],
        usage: response.usage.and_then(wire::usage),
        service_tier: response.service_tier.and_then(string),
        losses: losses.0,
    })
}

/// Why it ended; `None` where it has not (a response in the background). Imitators leave the status out: then it is whole.
///
/// # Errors
/// A response that failed.
pub(super) fn finish(response: &Response<'_>, calls: bool, losses: &mut Losses) -> Result<Option<FinishReason>, Fault> {
    match response.status().as_ref() {
        "failed" => Err(response.error.map_or_else(|| fault_of("null"), |error| fault_of(error.get()))),
        "queued" | "in_progress" | "cancelled" => Ok(None),
        "incomplete" => Ok(Some(match response.incomplete_reason().as_ref() {
            "max_output_tokens" => FinishReason::Length,
            "content_filter" => FinishReason::ContentFilter,
            _ => {
                losses.at(LossKind::Approximated, "incomplete_details.reason");
                FinishReason::Length
            }
        })),
        _ => Ok(Some(if calls { FinishReason::ToolCalls } else { FinishReason::Stop })),
    }
}

/// The client's name of a tool.
pub(super) fn original<'a>(sent: Cow<'a, str>, names: &Names) -> Cow<'a, str> {
    let original = names.original(&sent);
    if original == sent { sent } else { Cow::Owned(original.to_owned()) }
}

fn read_item<'a>(index: usize, item: &Item<'a>, choice: &mut Choice<'a>, losses: &mut Losses) {
    match item.kind() {
        ItemKind::Message => read_message(index, item, choice, losses),
        ItemKind::Reasoning => {
            let parts = item.summary.iter().chain(&item.content).flatten();
            choice.reasoning.extend(parts.filter_map(|part| Some(Reasoning::Text { text: part.text()?, signature: None })));
            choice.reasoning.extend(item.encrypted().map(|data| Reasoning::Encrypted { data }));
        }
        ItemKind::Call => choice.tool_calls.push(ReplyToolCall {
            id: item.call_id(),
            name: item.name(),
            arguments: item.arguments().unwrap_or_else(|| crate::json::Literal::quote("")),
            thought_signature: None,
        }),
        ItemKind::Image => match item.image() {
            Some((media_type, base64)) => choice.images.push(ReplyImage { media_type, base64 }),
            None => losses.at(LossKind::Dropped, format!("output[{index}]")),
        },
        ItemKind::Other => losses.at(LossKind::Dropped, format!("output[{index}]")),
    }
}

fn read_message<'a>(index: usize, item: &Item<'a>, choice: &mut Choice<'a>, losses: &mut Losses) {
    for (place, part) in item.content.iter().flatten().enumerate() {
        match part.said() {
            Said::Text(text) => choice.text.push(text),
            // A second refusal in one answer has no place of its own.
            Said::Refusal(text) if choice.refusal.is_none() => choice.refusal = Some(text),
            Said::Refusal(_) | Said::Nothing => losses.at(LossKind::Dropped, format!("output[{index}].content[{place}]")),
        }
        for member in part.unplaced() {
            losses.at(LossKind::Dropped, format!("output[{index}].content[{place}].{member}"));
        }
    }
}
