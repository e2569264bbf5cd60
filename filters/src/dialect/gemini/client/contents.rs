//! Reads `systemInstruction` and `contents` into the pivot's messages: what functions gave back becomes messages of its own, in its place.
//! Within a model's turn the pivot tells thoughts, text and calls apart, each in its order.
//!
//! Google's calls need no ids: those without get one that is the same each time, and a response without one is that of the first call
//! of its function which still waits. Contents of the model in a row are one turn: a streamed one is replayed in its pieces.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::mark::{self, Mark};
use super::{key, part};
use crate::chat::field::{self, literal};
use crate::chat::{Arguments, Message, Part, ReasoningTrace, Role, ToolCall, Word};
use crate::dialect::gemini::signature::SKIP;
use crate::json::{Kind, Literal, View};
use crate::refusal::Refusal;

/// Reads the conversation.
pub(super) fn read(root: View<'_>) -> Result<Vec<Message<'_>>, Refusal> {
    let mut turns = Turns::default();
    if let Some(instruction) = key::present(root, "systemInstruction") {
        turns.instruction(instruction)?;
    }
    let before = turns.messages.len();
    for content in key::elements(root, "contents") {
        turns.content(field::expect(content, Kind::Object)?)?;
    }
    turns.close();
    if turns.messages.len() == before {
        return Err(Refusal::client("contents", "contents is not specified").with_code("missing_required_parameter"));
    }
    Ok(turns.messages)
}

/// A conversation that is being put together.
#[derive(Default)]
struct Turns<'a> {
    messages: Vec<Message<'a>>,
    /// The model's turn that may go on.
    open: Option<(Message<'a>, Thoughts<'a>)>,
    /// Calls so far.
    calls: usize,
    /// Those without a response: the function's name, and the id.
    waiting: VecDeque<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Turns<'a> {
    fn instruction(&mut self, view: View<'a>) -> Result<(), Refusal> {
        let view = field::expect(view, Kind::Object)?;
        let parts: Vec<_> = key::elements(view, "parts").map(part::read).collect::<Result<_, _>>()?;
        let content: Vec<_> = parts.into_iter().filter(|part| !is_empty(part)).collect();
        let others: Vec<_> = key::rest(view, &["role", "parts"]).collect();
        if !content.is_empty() || !others.is_empty() {
            self.messages.push(Message { content, others, ..Message::blank(Role::System, view) });
        }
        Ok(())
    }

    fn content(&mut self, view: View<'a>) -> Result<(), Refusal> {
        let role = key::string(view, "role")?;
        match role.and_then(View::text).as_deref() {
            Some("model") => self.model(view),
            // Two older names for who answers calls.
            None | Some("user" | "function" | "tool" | "") => {
                self.close();
                self.user(view)
            }
            Some(_) => Err(field::unknown_value(role.unwrap_or(view), "'user' and 'model'")),
        }
    }

    fn user(&mut self, view: View<'a>) -> Result<(), Refusal> {
        let mut said = Message { others: key::rest(view, &["role", "parts"]).collect(), ..Message::blank(Role::User, view) };
        for each in key::elements(view, "parts") {
            let Some(response) = key::of_kind(each, "functionResponse", Kind::Object)? else {
                said.content.push(part::read(each)?);
                continue;
            };
            if !said.content.is_empty() {
                self.messages.push(std::mem::replace(&mut said, Message::blank(Role::User, view)));
            }
            let message = self.response(response)?;
            self.messages.push(Message { others: key::rest(each, &["functionResponse"]).chain(message.others).collect(), ..message });
        }
        if !said.content.is_empty() || !said.others.is_empty() {
            self.messages.push(said);
        }
        Ok(())
    }

    /// What a function gave back: what stands alone under `output`, as Google advises, or all of it.
    fn response(&mut self, view: View<'a>) -> Result<Message<'a>, Refusal> {
        let name = key::required_string(view, "name")?;
        let id = key::string(view, "id")?.filter(|id| id.range().len() > 2);
        let id = self.answered(name, id)?;
        let mut content = Vec::new();
        if let Some(response) = key::of_kind(view, "response", Kind::Object)? {
            let text = |text, view| Part::Text { text, view, cache_control: None, others: Vec::new() };
            let mut members = response.members();
            content.push(match (members.next().filter(|member| member.key().is_some_and(|key| key == "output")), members.next()) {
                (Some(output), None) if output.kind() == Kind::String => text(literal(output)?, output),
                (Some(output), None) => text(Literal::quote(output.raw()), output),
                _ => text(Literal::quote(response.raw()), response),
            });
        }
        for shown in key::elements(view, "parts") {
            content.push(part::read(shown)?);
        }
        let others = key::rest(view, &["id", "name", "response", "parts"]).collect();
        Ok(Message { content, tool_call_id: Some(id), others, ..Message::blank(Role::Tool, view) })
    }

    /// The id of the call that a response is for: the one it names, else the first of its function that waits, else the first that
    /// waits, as Google itself goes by their number.
    fn answered(&mut self, name: View<'a>, id: Option<View<'a>>) -> Result<Word<'a>, Refusal> {
        let (text, wanted) = (name.text().unwrap_or_default(), id.and_then(View::text));
        let by_id = wanted.and_then(|wanted| self.waiting.iter().position(|(_, id)| *id == wanted));
        let by_name = || self.waiting.iter().position(|(function, _)| *function == text);
        let place = by_id.or_else(by_name).unwrap_or_default();
        let Some((_, text)) = self.waiting.remove(place) else {
            let message = "No functionCall waits for a response. Send the model's turn with the call before it.";
            return Err(Refusal::client(name.path(), message));
        };
        Ok(Word { text, view: id.unwrap_or(name) })
    }

    fn model(&mut self, view: View<'a>) -> Result<(), Refusal> {
        let open = self.open.take();
        let (mut message, mut thoughts) = open.unwrap_or_else(|| (Message::blank(Role::Assistant, view), Thoughts::default()));
        message.others.extend(key::rest(view, &["role", "parts"]));
        for each in key::elements(view, "parts") {
            let each = field::expect(each, Kind::Object)?;
            let signature = key::string(each, "thoughtSignature")?;
            if let Some(call) = key::of_kind(each, "functionCall", Kind::Object)? {
                message.others.extend(key::rest(each, &["functionCall", "thought", "thoughtSignature"]));
                let call = self.call(call, signature)?;
                message.tool_calls.push(call);
            } else if let Some(text) = key::string(each, "text")? {
                message.others.extend(key::rest(each, &["text", "thought", "thoughtSignature"]));
                let is_thought = key::of_kind(each, "thought", Kind::Bool)?.and_then(View::boolean).unwrap_or_default();
                thoughts.add(each, text, is_thought, signature)?;
                if !is_thought && text.range().len() > 2 {
                    let text_part = Part::Text { text: literal(text)?, view: text, cache_control: None, others: Vec::new() };
                    message.content.push(text_part);
                }
            } else if let Some(media) = part::media(each)? {
                message.content.push(media);
                message.others.extend(signature);
            } else {
                // What Google's own tools did, and what is yet to come.
                message.others.push(each);
            }
        }
        self.open = Some((message, thoughts));
        Ok(())
    }

    /// Ends the model's turn.
    fn close(&mut self) {
        if let Some((message, thoughts)) = self.open.take() {
            self.messages.push(Message { reasoning: thoughts.finish(), ..message });
        }
    }

    fn call(&mut self, view: View<'a>, signature: Option<View<'a>>) -> Result<ToolCall<'a>, Refusal> {
        self.calls += 1;
        let name = key::required_string(view, "name")?;
        let id = match key::string(view, "id")?.filter(|id| id.range().len() > 2) {
            Some(id) => Word::of(id),
            None => Word { text: Cow::Owned(format!("function_call_{}", self.calls)), view },
        };
        self.waiting.push_back((name.text().unwrap_or_default(), id.text.clone()));
        Ok(ToolCall {
            id: Some(id),
            name,
            arguments: key::present(view, "args").map(Arguments::Json),
            // What the gateway, or the client, writes in place of a signature says nothing to others.
            thought_signature: signature.map(Word::of).filter(|word| word.text != SKIP && !word.text.is_empty()),
            cache_control: None,
            others: key::rest(view, &["id", "name", "args"]).collect(),
            view,
        })
    }
}

/// The thoughts of one turn. A stream's client replays them in the pieces that they came in, with the signature behind the last.
#[derive(Default)]
struct Thoughts<'a> {
    traces: Vec<ReasoningTrace<'a>>,
    /// Pieces without a signature yet.
    open: Vec<(Literal<'a>, View<'a>)>,
}

impl<'a> Thoughts<'a> {
    fn add(&mut self, part: View<'a>, text: View<'a>, is_thought: bool, signature: Option<View<'a>>) -> Result<(), Refusal> {
        let is_blank = text.range().len() <= 2;
        if is_thought && !is_blank {
            self.open.push((literal(text)?, text));
        }
        let Some(signature) = signature.filter(|signature| signature.range().len() > 2) else { return Ok(()) };
        match mark::read(signature) {
            Some(Mark::Data(data)) => {
                self.close();
                self.traces.push(ReasoningTrace::Encrypted { data: Literal::quote(&data), view: part });
            }
            Some(Mark::Signed(signature)) => self.sign(Literal::quote(&signature), part),
            // Google's own; on a text it is the answer's.
            None if is_thought => {
                let last = self.open.pop_if(|_| !is_blank);
                self.close();
                self.open.extend(last);
                self.sign(literal(signature)?, part);
            }
            None => {
                self.close();
                let text = Literal::quote("");
                self.traces.push(ReasoningTrace::Signed { text, signature: literal(signature)?, view: signature });
            }
        }
        Ok(())
    }

    fn sign(&mut self, signature: Literal<'a>, view: View<'a>) {
        let text = joined(&self.open);
        self.open.clear();
        self.traces.push(ReasoningTrace::Signed { text, signature, view });
    }

    /// What nobody signed.
    fn close(&mut self) {
        self.traces.extend(self.open.drain(..).map(|(text, view)| ReasoningTrace::Plain { text, view }));
    }

    fn finish(mut self) -> Vec<ReasoningTrace<'a>> {
        self.close();
        self.traces
    }
}

fn joined<'a>(pieces: &[(Literal<'a>, View<'a>)]) -> Literal<'a> {
    match pieces {
        [(only, _)] => only.clone(),
        many => Literal::quote(&many.iter().map(|(text, _)| text.text()).collect::<String>()),
    }
}

fn is_empty(part: &Part<'_>) -> bool {
    matches!(part, Part::Text { text, .. } if text.is_empty())
}
