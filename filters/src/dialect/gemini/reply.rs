//! A whole reply, read into the pivot: a stream of one event, collected.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::stream::{Reader, unreadable};
use super::wire::{Response, UsageMetadata};
use crate::chat::{Choice, Reasoning, Reply, ReplyImage, ReplyToolCall, StreamEvent};
use crate::dialect::Names;
use crate::fault::Fault;
use crate::json::Literal;

/// Choices by their index.
type Choices<'a> = BTreeMap<u32, Choice<'a>>;

pub(super) fn read<'a>(body: &'a Bytes, names: &Names) -> Result<Reply<'a>, Fault> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| Fault::malformed("The provider's answer is not UTF-8."))?;
    let responses = Response::read_all(text).map_err(|error| unreadable(&error))?;
    let mut reader = Reader::new(names.clone());
    let mut reply = Reply::default();
    let mut choices = BTreeMap::new();
    let mut fault = None;
    for response in responses {
        let tier = response.usage_metadata.as_ref().and_then(UsageMetadata::tier);
        reply.service_tier = tier.or(reply.service_tier);
        reader.take(response, &mut |event| {
            if let Some(failed) = collect(&mut reply, &mut choices, event) {
                fault = Some(failed);
            }
        });
    }
    match fault {
        Some(fault) => Err(fault),
        None if choices.is_empty() => Err(Fault::malformed("The provider's answer holds no candidate.")),
        None => {
            reply.choices = choices.into_values().map(settled).collect();
            Ok(reply)
        }
    }
}

/// Adds what happened to the reply; hands back a failure.
fn collect<'a>(reply: &mut Reply<'a>, choices: &mut Choices<'a>, event: StreamEvent<'a>) -> Option<Fault> {
    match event {
        StreamEvent::Start { id, model } => (reply.id, reply.model) = (id, model),
        StreamEvent::Text { choice, text } => of(choices, choice).text.push(text),
        StreamEvent::Reasoning { choice, text } => of(choices, choice).reasoning.push(Reasoning::Text { text, signature: None }),
        StreamEvent::ReasoningSignature { choice, signature } => sign(of(choices, choice), signature),
        StreamEvent::ReasoningEncrypted { choice, data } => of(choices, choice).reasoning.push(Reasoning::Encrypted { data }),
        StreamEvent::ToolStart { choice, index: _, id, name, thought_signature } => {
            let arguments = Literal::quote("{}");
            of(choices, choice).tool_calls.push(ReplyToolCall { id, name, arguments, thought_signature });
        }
        StreamEvent::ToolArguments { choice, index: _, fragment } => {
            if let Some(call) = of(choices, choice).tool_calls.last_mut() {
                call.arguments = fragment;
            }
        }
        StreamEvent::Image { choice, media_type, base64 } => of(choices, choice).images.push(ReplyImage { media_type, base64 }),
        StreamEvent::Finish { choice, reason } => of(choices, choice).finish = Some(reason),
        StreamEvent::Usage(usage) => reply.usage = Some(usage),
        StreamEvent::Lost(loss) => reply.losses.push(loss),
        StreamEvent::Failed(fault) => return Some(fault),
        // This dialect has none of these.
        StreamEvent::Refusal { .. } | StreamEvent::Audio | StreamEvent::Native | StreamEvent::Ping | StreamEvent::Done => {}
    }
    None
}

/// A signature belongs to the thought before it; one without a thought stands alone.
fn sign<'a>(choice: &mut Choice<'a>, signed: Literal<'a>) {
    match choice.reasoning.last_mut() {
        Some(Reasoning::Text { signature, .. }) if signature.is_none() => *signature = Some(signed),
        _ => choice.reasoning.push(Reasoning::Text { text: Literal::quote(""), signature: Some(signed) }),
    }
}

/// An answer without text, calls and images is an empty text, not none.
fn settled(mut choice: Choice<'_>) -> Choice<'_> {
    if choice.text.is_empty() && choice.tool_calls.is_empty() && choice.images.is_empty() {
        choice.text.push(Literal::quote(""));
    }
    choice
}

fn of<'c, 'a>(choices: &'c mut Choices<'a>, index: u32) -> &'c mut Choice<'a> {
    choices.entry(index).or_insert_with(|| Choice { index, ..Choice::default() })
}
