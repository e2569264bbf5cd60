//! `contents` and `systemInstruction`: the conversation.

use super::calls::{self, Made};
use super::generation::Detail;
use super::media::{self, Media};
use super::request::Writer;
use super::signature;
use crate::chat::{Message, Part, ReasoningTrace, Role};
use crate::json::{Literal, Splice, View};
use crate::loss::LossKind;
use crate::refusal::Refusal;

/// Google's two roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    User,
    Model,
}

/// The turns being written. Messages of one speaker in a row are one turn.
pub(super) struct Contents<'w, 't> {
    /// The body and what its parts need to know.
    pub writer: &'w mut Writer<'t>,
    /// Calls made so far.
    pub made: Made,
    /// Calls in the open turn: only the first must be signed.
    pub calls_in_turn: usize,
    speaker: Option<Speaker>,
    /// The open turn's next part begins it.
    opens: bool,
    /// All parts of the open turn are media.
    only_media: bool,
    turns: usize,
    /// Media of results, each with the name of its function.
    later: Vec<(String, Vec<Media>)>,
}

/// Writes both members.
pub(super) fn write(writer: &mut Writer<'_>, messages: &[Message<'_>]) -> Result<(), Refusal> {
    let is_talk = messages.iter().any(|message| !instructs(message));
    let apart = writer.model.system && is_talk;
    let mut instructions = Vec::new();
    writer.out.key("contents").array();
    let mut contents = Contents::new(writer);
    for message in messages {
        if instructs(message) {
            let texts = contents.instruction(message)?;
            if !apart || contents.speaker.is_some() {
                contents.writer.losses.note(LossKind::Approximated, message.view);
            }
            if apart {
                instructions.extend(texts);
            } else {
                contents.speak(Speaker::User);
                texts.iter().for_each(|text| contents.text(text));
            }
        } else {
            contents.message(message)?;
        }
    }
    contents.finish();
    writer.out.end_array();
    if !instructions.is_empty() {
        writer.out.key("systemInstruction").raw("{\"parts\":[");
        for text in &instructions {
            writer.out.element().object().key("text").literal(text).end_object();
        }
        writer.out.raw("]}");
    }
    Ok(())
}

/// What the images of a conversation ask for.
pub(super) fn common_detail<'a>(messages: &[Message<'a>]) -> Detail<'a> {
    let parts = messages.iter().flat_map(|message| &message.content);
    let details: Vec<Option<View<'a>>> =
        parts.filter_map(|part| if let Part::Image { detail, .. } = part { Some(*detail) } else { None }).collect();
    let text = |view: &Option<View<'a>>| view.and_then(View::text);
    match details.first() {
        Some(first) if details.iter().any(|detail| text(detail) != text(first)) => Detail::Mixed(details.into_iter().flatten().collect()),
        first => Detail::Common(first.copied().flatten()),
    }
}

fn instructs(message: &Message<'_>) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

impl<'w, 't> Contents<'w, 't> {
    fn new(writer: &'w mut Writer<'t>) -> Self {
        Self {
            writer,
            made: Made::default(),
            calls_in_turn: 0,
            speaker: None,
            opens: false,
            only_media: false,
            turns: 0,
            later: Vec::new(),
        }
    }

    /// Begins the next part of the open turn: the caller writes one object.
    pub(super) fn part(&mut self) -> &mut Splice {
        self.only_media = false;
        self.next()
    }

    /// Keeps media of a result until all results of the turn are written.
    pub(super) fn show_later(&mut self, function: &str, media: Vec<Media>) {
        self.later.push((function.to_owned(), media));
    }

    /// Goes on in the speaker's turn, or begins it.
    fn speak(&mut self, speaker: Speaker) {
        if self.speaker != Some(speaker) {
            self.close();
            self.speaker = Some(speaker);
            self.opens = true;
            self.only_media = true;
            self.calls_in_turn = 0;
        }
    }

    /// A turn is written with its first part: one without parts leaves no trace.
    fn next(&mut self) -> &mut Splice {
        if self.opens {
            self.opens = false;
            let model = self.speaker == Some(Speaker::Model);
            if model && self.turns == 0 {
                // A conversation begins with the user; Google refuses a call that follows nothing.
                self.writer.out.element().raw("{\"role\":\"user\",\"parts\":[{\"text\":\" \"}]}");
            }
            self.turns += 1;
            let role = if model { "model" } else { "user" };
            self.writer.out.element().raw("{\"role\":\"").raw(role).raw("\",\"parts\":[");
        }
        self.writer.out.element()
    }

    fn close(&mut self) {
        self.show();
        if self.speaker.is_none() || self.opens {
            return;
        }
        if self.only_media && self.speaker == Some(Speaker::User) {
            self.writer.out.element().raw("{\"text\":\" \"}");
        }
        self.writer.out.raw("]}");
    }

    /// Writes what results brought along, each under a line that says whose it is.
    fn show(&mut self) {
        for (function, media) in std::mem::take(&mut self.later) {
            self.text(&Literal::quote(&format!("The result of {function} includes:")));
            for medium in media {
                medium.write(self.next());
            }
        }
    }

    fn finish(&mut self) {
        self.close();
        if self.turns == 0 {
            self.writer.losses.at(LossKind::Approximated, "messages");
            self.writer.out.element().raw("{\"role\":\"user\",\"parts\":[{\"text\":\" \"}]}");
        }
    }

    /// An empty text says nothing, and Google refuses it.
    fn text(&mut self, text: &Literal<'_>) {
        if !text.is_empty() {
            self.part().object().key("text").literal(text).end_object();
        }
    }

    fn message(&mut self, message: &Message<'_>) -> Result<(), Refusal> {
        let Message {
            role,
            content: _,
            tool_calls: _,
            tool_call_id,
            name,
            refusal,
            reasoning: _,
            cache_control,
            is_error,
            others,
            view: _,
        } = message;
        let is_result = matches!(role, Role::Tool | Role::Function);
        let id = tool_call_id.as_ref().map(|id| id.view);
        let elsewhere = if is_result { [None; 3] } else { [id, *name, *is_error] };
        self.writer.drop_all(elsewhere);
        self.writer.drop_all([*cache_control]);
        self.writer.losses.dropped(others.iter().copied());
        if is_result {
            self.speak(Speaker::User);
            return calls::result(self, message);
        }
        self.speak(if *role == Role::Assistant { Speaker::Model } else { Speaker::User });
        self.show();
        self.thoughts(message);
        self.parts(&message.content)?;
        if let Some(view) = refusal {
            self.refused(view.literal().as_ref(), *view);
        }
        calls::calls(self, message)
    }

    fn parts(&mut self, parts: &[Part<'_>]) -> Result<(), Refusal> {
        for part in parts {
            match (part, self.writer.medium(part)?) {
                (_, Some(medium)) => medium.write(self.next()),
                (Part::Text { text, .. }, None) => self.text(text),
                (Part::Refusal { text, view, .. }, None) => self.refused(Some(text), *view),
                (part, None) => return Err(media::unknown(part)),
            }
        }
        Ok(())
    }

    /// An earlier refusal is what the model said.
    fn refused(&mut self, text: Option<&Literal<'_>>, view: View<'_>) {
        self.writer.losses.note(LossKind::Approximated, view);
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// Replayed thoughts go back as thoughts. A signature goes along only if Google made it.
    fn thoughts(&mut self, message: &Message<'_>) {
        for trace in &message.reasoning {
            match trace {
                ReasoningTrace::Encrypted { view, .. } if calls::signs_a_call(message, *view) => {}
                ReasoningTrace::Plain { view, .. } | ReasoningTrace::Signed { view, .. } if !self.writer.model.thinks() => {
                    self.writer.drop(*view);
                }
                ReasoningTrace::Encrypted { view, .. } => self.writer.drop(*view),
                ReasoningTrace::Plain { text, .. } => self.thought(text, None),
                ReasoningTrace::Signed { text, signature, view } if signature::is_googles(*view, signature.escaped()) => {
                    self.thought(text, Some(signature));
                }
                ReasoningTrace::Signed { text, view, .. } => {
                    self.writer.drop(view.present("signature").unwrap_or(*view));
                    self.thought(text, None);
                }
            }
        }
    }

    /// A signature without a thought belongs to the answer: Google then sends an empty text with it, and takes it back so.
    fn thought(&mut self, text: &Literal<'_>, signature: Option<&Literal<'_>>) {
        if text.is_empty() && signature.is_none() {
            return;
        }
        let out = self.part().object().key("text").literal(text);
        if !text.is_empty() {
            out.key("thought").raw("true");
        }
        if let Some(signature) = signature {
            out.key("thoughtSignature").literal(signature);
        }
        out.end_object();
    }

    /// The texts of a system or developer message.
    fn instruction<'a>(&mut self, message: &Message<'a>) -> Result<Vec<Literal<'a>>, Refusal> {
        let Message { role: _, content, tool_calls, tool_call_id, name, refusal, reasoning: _, cache_control, is_error, others, view: _ } =
            message;
        self.writer.drop_all([tool_call_id.as_ref().map(|id| id.view), *name, *refusal, *cache_control, *is_error]);
        self.writer.losses.dropped(others.iter().copied());
        self.writer.losses.dropped(tool_calls.iter().map(|call| call.view));
        let mut texts = Vec::new();
        for part in content {
            match part {
                Part::Text { text, cache_control, others, view: _ } => {
                    self.writer.drop_all([*cache_control]);
                    self.writer.losses.dropped(others.iter().copied());
                    texts.extend((!text.is_empty()).then(|| text.clone()));
                }
                other => return Err(media::unknown(other)),
            }
        }
        Ok(texts)
    }
}
