//! The items of a response, as a client gets them: in a whole response, and in the events of a stream.

use std::borrow::Cow;

use super::replay::{self, Kept};
use crate::chat::{Choice, Reasoning};
use crate::json::{Literal, Splice};

/// The longest seed of an item's id; OpenAI takes ids back that are at most 64 characters long.
const SEED_CHARS: usize = 44;

/// One item of the output. All texts are escaped already.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// Its id: unique in the response.
    pub(super) id: String,
    /// What it is.
    pub(super) body: Body<'a>,
}

/// What an item is.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// What the assistant says.
    Message(Vec<Part<'a>>),
    /// What it thought, and what proves it.
    Reasoning { text: Cow<'a, str>, encrypted: Option<Cow<'a, str>> },
    /// A function it calls. Id and name are plain text.
    Call { call_id: Cow<'a, str>, name: Cow<'a, str>, arguments: Cow<'a, str> },
    /// An image it made.
    Image { format: String, base64: Cow<'a, str> },
}

/// One part of a message.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// A refusal, else text.
    pub(super) refusal: bool,
    /// What it says.
    pub(super) text: Cow<'a, str>,
}

/// The beginning of every item's id in a response: plain characters, and not many.
pub(super) fn seed(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(SEED_CHARS).collect()
}

impl<'a> Item<'a> {
    /// An item at a place of the output.
    pub(super) fn new(seed: &str, place: usize, body: Body<'a>) -> Self {
        let kind = match body {
            Body::Message(_) => "msg",
            Body::Reasoning { .. } => "rs",
            Body::Call { .. } => "fc",
            Body::Image { .. } => "ig",
        };
        Self { id: format!("{kind}_{seed}_{place}"), body }
    }

    /// Writes it as it is announced: nothing in it yet.
    pub(super) fn write_begun(&self, out: &mut Splice) {
        out.object().key("id").string(&self.id);
        match &self.body {
            Body::Message(_) => write_message(out, "in_progress", &[]),
            Body::Reasoning { .. } => write_reasoning(out, "", None),
            Body::Call { call_id, name, .. } => write_call(out, "in_progress", (call_id, name), ""),
            Body::Image { .. } => {
                out.key("type").string("image_generation_call").key("status").string("in_progress").key("result").raw("null")
            }
        };
        out.end_object();
    }

    /// Writes it whole. `status` is `completed`, or `incomplete` where the answer was cut within it.
    pub(super) fn write(&self, status: &str, out: &mut Splice) {
        out.object().key("id").string(&self.id);
        match &self.body {
            Body::Message(parts) => write_message(out, status, parts),
            Body::Reasoning { text, encrypted } => write_reasoning(out, text, encrypted.as_deref()),
            Body::Call { call_id, name, arguments } => write_call(out, status, (call_id, name), arguments),
            Body::Image { format, base64 } => {
                out.key("type").string("image_generation_call").key("status").string("completed").key("output_format").string(format);
                out.key("result").raw("\"").raw(base64).raw("\"")
            }
        };
        out.end_object();
    }
}

impl Part<'_> {
    /// Writes it with this text in place of its own.
    pub(super) fn write(&self, text: &str, out: &mut Splice) {
        out.object();
        if self.refusal {
            out.key("type").string("refusal").key("refusal");
        } else {
            out.key("type").string("output_text").key("annotations").raw("[]").key("logprobs").raw("[]").key("text");
        }
        out.raw("\"").raw(text).raw("\"").end_object();
    }
}

/// Writes the only part of a summary.
pub(super) fn write_summary(text: &str, out: &mut Splice) {
    out.object().key("type").string("summary_text").key("text").raw("\"").raw(text).raw("\"").end_object();
}

fn write_message<'s>(out: &'s mut Splice, status: &str, parts: &[Part<'_>]) -> &'s mut Splice {
    out.key("type").string("message").key("status").string(status).key("content").array();
    for part in parts {
        part.write(&part.text, out.element());
    }
    out.end_array().key("role").string("assistant")
}

fn write_reasoning<'s>(out: &'s mut Splice, text: &str, encrypted: Option<&str>) -> &'s mut Splice {
    out.key("type").string("reasoning").key("summary").array();
    if !text.is_empty() {
        write_summary(text, out.element());
    }
    out.end_array();
    if let Some(encrypted) = encrypted {
        out.key("encrypted_content").raw("\"").raw(encrypted).raw("\"");
    }
    out
}

fn write_call<'s>(out: &'s mut Splice, status: &str, (call_id, name): (&str, &str), arguments: &str) -> &'s mut Splice {
    out.key("type").string("function_call").key("status").string(status).key("arguments").raw("\"").raw(arguments).raw("\"");
    out.key("call_id").string(call_id).key("name").string(name)
}

/// `png` of `image/png`.
pub(super) fn format_of(media_type: &str) -> String {
    media_type.strip_prefix("image/").unwrap_or(media_type).to_owned()
}

/// The items of a whole answer: what was thought, what is said, images, calls.
pub(super) fn of_choice<'a>(choice: &'a Choice<'_>, seed: &str) -> Vec<Item<'a>> {
    let mut bodies: Vec<Body<'a>> = choice.reasoning.iter().map(reasoning).collect();
    let said = joined(&choice.text).map(|text| Part { refusal: false, text });
    let refused = choice.refusal.as_ref().map(|text| Part { refusal: true, text: text.escaped().into() });
    let parts: Vec<_> = said.into_iter().chain(refused).collect();
    if !parts.is_empty() {
        bodies.push(Body::Message(parts));
    }
    for image in &choice.images {
        bodies.push(Body::Image { format: format_of(&image.media_type), base64: image.base64.escaped().into() });
    }
    for call in &choice.tool_calls {
        bodies.extend(call.thought_signature.as_ref().map(|signature| call_signature(signature)));
        let (call_id, name) = (Cow::Borrowed(call.id.as_ref()), Cow::Borrowed(call.name.as_ref()));
        bodies.push(Body::Call { call_id, name, arguments: call.arguments.escaped().into() });
    }
    bodies.into_iter().enumerate().map(|(place, body)| Item::new(seed, place, body)).collect()
}

/// The item that holds the signature of the call after it.
pub(super) fn call_signature(signature: &Literal<'_>) -> Body<'static> {
    Body::Reasoning { text: Cow::Borrowed(""), encrypted: Some(replay::keep(Kept::Call, signature).into()) }
}

fn reasoning<'a>(reasoning: &'a Reasoning<'_>) -> Body<'a> {
    match reasoning {
        Reasoning::Text { text, signature } => {
            let encrypted = signature.as_ref().map(|signature| replay::keep(Kept::Signature, signature).into());
            Body::Reasoning { text: text.escaped().into(), encrypted }
        }
        Reasoning::Encrypted { data } => Body::Reasoning { text: "".into(), encrypted: Some(replay::keep(Kept::Opaque, data).into()) },
    }
}

fn joined<'a>(pieces: &'a [Literal<'_>]) -> Option<Cow<'a, str>> {
    match pieces {
        [] => None,
        [one] => Some(one.escaped().into()),
        many => Some(many.iter().map(Literal::escaped).collect::<String>().into()),
    }
}
