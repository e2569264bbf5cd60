//! Writes pivot events as chunks.

use super::super::error::fault_body;
use super::super::reply::{reason_word, write_encrypted, write_image, write_thought, write_thought_signature, write_usage};
use crate::chat::{CHOICES_MAX, ReplyContext, StreamEvent, StreamWriter};
use crate::fault::Fault;
use crate::json::{Literal, Splice};
use crate::loss::{LossKind, Losses};
use crate::usage::Usage;

/// Longest id and model that are repeated in each chunk; of longer ones the beginning stands.
const REPEATED_BYTES: usize = 256;

/// Longest reasoning that is said once more with its signature. An upstream chooses whether a signature ever comes.
const THOUGHT_BYTES: usize = 8 << 20;

/// Writes pivot events as `data: {chat.completion.chunk}` frames. One per client stream.
#[derive(Debug)]
pub struct ChunkWriter {
    context: ReplyContext,
    /// `{"id":…,"object":…,"created":…,"model":…`: the same in each chunk.
    head: String,
    choices: Vec<Begun>,
    usage: Option<Usage>,
    losses: Losses,
}

/// A choice of which something was written.
#[derive(Debug)]
struct Begun {
    index: u32,
    /// Reasoning since the last signature, escaped: it is said once more together with its signature, so that a client can replay
    /// the element as it received it.
    thought: String,
    /// Elements of `reasoning_details` so far.
    details: u64,
    images: u64,
}

impl StreamWriter for ChunkWriter {
    /// Usage is held for the usage chunk.
    fn write(&mut self, event: &StreamEvent<'_>, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Start { id, model } => self.head = head(&self.context, id, model),
            StreamEvent::Usage(usage) => self.usage.get_or_insert_default().merge(*usage),
            StreamEvent::Lost(loss) => self.losses.at(loss.kind, loss.path.clone()),
            StreamEvent::Ping => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Audio | StreamEvent::Native | StreamEvent::Failed(_) | StreamEvent::Done => {}
            StreamEvent::Finish { choice, reason } => {
                self.begin(*choice, out);
                self.chunk(*choice, "", Some(reason_word(*reason, self.context.legacy_functions)), out);
            }
            StreamEvent::Text { choice, text } => self.string(*choice, "content", text, out),
            StreamEvent::Refusal { choice, text } => self.string(*choice, "refusal", text, out),
            StreamEvent::Reasoning { choice, text } => {
                self.string(*choice, "reasoning_content", text, out);
                if let Some(begun) = self.begun(*choice).filter(|begun| begun.thought.len() <= THOUGHT_BYTES) {
                    begun.thought.push_str(text.escaped());
                }
            }
            StreamEvent::ReasoningSignature { choice, signature } => self.signature(*choice, signature, out),
            StreamEvent::ReasoningEncrypted { choice, data } => {
                self.begin(*choice, out);
                let index = self.begun(*choice).map_or(0, Begun::next_detail);
                self.delta(*choice, out, |delta| in_array(delta, "reasoning_details", |delta| write_encrypted(delta, index, data)));
            }
            StreamEvent::Image { choice, media_type, base64 } => {
                self.begin(*choice, out);
                let index = self.begun(*choice).map_or(0, Begun::next_image);
                self.delta(*choice, out, |delta| in_array(delta, "images", |delta| write_image(delta, index, (media_type, base64))));
            }
            StreamEvent::ToolStart { .. } | StreamEvent::ToolArguments { .. } => self.call(event, out),
        }
    }

    /// Ends a whole stream: the losses as a comment, the usage chunk where it was asked for, `[DONE]`.
    fn finish(&mut self, out: &mut Vec<u8>) {
        self.losses.tell(out);
        if let Some(usage) = self.usage.filter(|_| self.context.include_usage) {
            let mut chunk = Splice::new();
            chunk.raw(&self.head).key("choices").raw("[]").key("usage");
            write_usage(&mut chunk, &usage);
            chunk.end_object();
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&chunk.finish().join());
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// Ends a broken stream: the losses as a comment, `data: {"error":…}` and no `[DONE]`.
    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.losses.tell(out);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&fault_body(fault));
        out.extend_from_slice(b"\n\n");
    }
}

impl ChunkWriter {
    /// A writer for one reply.
    #[must_use]
    pub fn new(context: ReplyContext) -> Self {
        let head = head(&context, "", "");
        Self { context, head, choices: Vec::new(), usage: None, losses: Losses::default() }
    }

    /// Writes a choice's first chunk, which names the role, where it was not written yet. Past [`CHOICES_MAX`] none is named.
    fn begin(&mut self, choice: u32, out: &mut Vec<u8>) {
        if self.begun(choice).is_none() && self.choices.len() < CHOICES_MAX {
            self.chunk(choice, r#""role":"assistant","content":"","refusal":null"#, None, out);
            self.choices.push(Begun { index: choice, thought: String::new(), details: 0, images: 0 });
        }
    }

    fn begun(&mut self, choice: u32) -> Option<&mut Begun> {
        self.choices.iter_mut().find(|begun| begun.index == choice)
    }

    fn string(&mut self, choice: u32, key: &'static str, text: &Literal<'_>, out: &mut Vec<u8>) {
        self.begin(choice, out);
        self.chunk(choice, &["\"", key, "\":", text.as_json()].concat(), None, out);
    }

    fn signature(&mut self, choice: u32, signature: &Literal<'_>, out: &mut Vec<u8>) {
        self.begin(choice, out);
        let Some(begun) = self.begun(choice) else { return };
        let thought = std::mem::take(&mut begun.thought);
        if thought.len() > THOUGHT_BYTES {
            return self.losses.at(LossKind::Dropped, format!("choices[{choice}].delta.reasoning_details"));
        }
        let thought = format!("\"{thought}\"");
        let index = begun.next_detail();
        let Some(text) = Literal::raw(&thought) else { return };
        self.delta(choice, out, |delta| {
            in_array(delta, "reasoning_details", |delta| write_thought(delta, index, (&text, Some(signature))));
        });
    }

    /// A piece of a call. The legacy form holds one call: further ones stand in the newer form rather than nowhere.
    fn call(&mut self, event: &StreamEvent<'_>, out: &mut Vec<u8>) {
        let (choice, index) = match event {
            StreamEvent::ToolStart { choice, index, .. } | StreamEvent::ToolArguments { choice, index, .. } => (*choice, *index),
            _ => return,
        };
        let legacy = self.context.legacy_functions && index == 0;
        self.delta(choice, out, |delta| {
            if legacy {
                delta.key("function_call");
                return write_function(delta, event);
            }
            in_array(delta, "tool_calls", |delta| {
                delta.object().key("index").integer(index.into());
                if let StreamEvent::ToolStart { id, .. } = event {
                    delta.key("id").string(id).key("type").string("function");
                }
                delta.key("function");
                write_function(delta, event);
                if let StreamEvent::ToolStart { thought_signature, .. } = event {
                    write_thought_signature(delta, thought_signature.as_ref());
                }
                delta.end_object();
            });
        });
    }

    /// A chunk whose delta `write` fills.
    fn delta(&mut self, choice: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Splice)) {
        self.begin(choice, out);
        let mut delta = Splice::new();
        write(&mut delta);
        let delta = delta.finish().join();
        self.chunk(choice, std::str::from_utf8(&delta).unwrap_or_default(), None, out);
    }

    /// Straight into `out`, which costs a quarter of writing it value by value: nearly all of a stream is chunks.
    fn chunk(&self, choice: u32, delta: &str, finish: Option<&'static str>, out: &mut Vec<u8>) {
        let mut index = itoa::Buffer::new();
        let quote = if finish.is_some() { "\"" } else { "" };
        let usage = if self.context.include_usage { r#","usage":null"# } else { "" };
        let parts = [
            "data: ",
            &self.head,
            r#","choices":[{"index":"#,
            index.format(choice),
            r#","delta":{"#,
            delta,
            r#"},"logprobs":null,"finish_reason":"#,
            quote,
            finish.unwrap_or("null"),
            quote,
            "}]",
            usage,
            "}\n\n",
        ];
        out.reserve(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    }
}

impl Begun {
    fn next_detail(&mut self) -> u64 {
        self.details += 1;
        self.details - 1
    }

    fn next_image(&mut self) -> u64 {
        self.images += 1;
        self.images - 1
    }
}

fn head(context: &ReplyContext, id: &str, model: &str) -> String {
    let id = Literal::quote(beginning(if id.is_empty() { &context.id } else { id }));
    let model = Literal::quote(beginning(model));
    let (id, model, created_s) = (id.as_json(), model.as_json(), context.created_s);
    format!(r#"{{"id":{id},"object":"chat.completion.chunk","created":{created_s},"model":{model}"#)
}

/// At most [`REPEATED_BYTES`] of `text`, cut between characters.
fn beginning(text: &str) -> &str {
    let end = (0..=REPEATED_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

fn in_array(delta: &mut Splice, key: &str, write: impl FnOnce(&mut Splice)) {
    delta.key(key).array();
    write(delta);
    delta.end_array();
}

fn write_function(delta: &mut Splice, event: &StreamEvent<'_>) {
    delta.object();
    match event {
        StreamEvent::ToolStart { name, .. } => delta.key("name").string(name).key("arguments").string(""),
        StreamEvent::ToolArguments { fragment, .. } => delta.key("arguments").literal(fragment),
        _ => delta,
    }
    .end_object();
}

#[cfg(test)]
mod tests {
    use super::{CHOICES_MAX, ChunkWriter, REPEATED_BYTES, THOUGHT_BYTES};
    use crate::chat::{ReplyContext, StreamEvent, StreamWriter as _};
    use crate::json::Literal;

    fn writer() -> ChunkWriter {
        ChunkWriter::new(ReplyContext { created_s: 1, id: "c".to_owned(), ..ReplyContext::default() })
    }

    #[test]
    fn a_long_id_is_not_repeated_whole_in_each_chunk() {
        let (mut writer, mut out) = (writer(), Vec::new());
        let long = "é".repeat(100_000);
        writer.write(&StreamEvent::Start { id: (&long).into(), model: (&long).into() }, &mut out);
        writer.write(&StreamEvent::Text { choice: 0, text: Literal::quote("x") }, &mut out);
        assert!(out.len() < 8 * REPEATED_BYTES, "{} bytes", out.len());
    }

    #[test]
    fn reasoning_is_not_collected_without_end() {
        let (mut writer, mut out) = (writer(), Vec::new());
        let piece = "x".repeat(1 << 20);
        for _ in 0..20 {
            out.clear();
            writer.write(&StreamEvent::Reasoning { choice: 0, text: Literal::quote(&piece) }, &mut out);
        }
        assert!(writer.choices[0].thought.len() <= THOUGHT_BYTES + piece.len());
        out.clear();
        writer.write(&StreamEvent::ReasoningSignature { choice: 0, signature: Literal::quote("s") }, &mut out);
        writer.finish(&mut out);
        let told = String::from_utf8_lossy(&out);
        assert_eq!(told, ": heliostat-loss [\"choices[0].delta.reasoning_details\"]\n\ndata: [DONE]\n\n");
    }

    #[test]
    fn only_so_many_choices_are_kept_track_of() {
        let (mut writer, mut out) = (writer(), Vec::new());
        (0..CHOICES_MAX as u32 * 2).for_each(|choice| writer.write(&StreamEvent::Text { choice, text: Literal::quote("x") }, &mut out));
        assert_eq!(writer.choices.len(), CHOICES_MAX);
        assert_eq!(out.windows(14).filter(|bytes| bytes == b"\"content\":\"x\"}").count(), CHOICES_MAX * 2, "no text is lost");
    }
}
