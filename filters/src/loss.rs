//! What a translation could not carry, by JSON path. Never silent: a request's losses stand in `x-heliostat-loss`, a stream's in a
//! comment, all in log and metric; in strict mode they are a 400.

use std::borrow::Cow;
use std::fmt;

use crate::json::View;

/// One loss. Renames of equal meaning are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Where, in the document that lost it: `messages[0].name`, `logit_bias`.
    pub path: Cow<'static, str>,
    /// In what way.
    pub kind: LossKind,
}

/// In what way something was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossKind {
    /// Left out.
    Dropped,
    /// Brought into the range the upstream accepts.
    Clamped,
    /// Said in another way with nearly the same meaning.
    Approximated,
    /// A number worked out by us, not said by the upstream.
    Estimated,
}

impl LossKind {
    /// The word in headers, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Clamped => "clamped",
            Self::Approximated => "approximated",
            Self::Estimated => "estimated",
        }
    }
}

impl fmt::Display for Loss {
    /// `dropped logit_bias`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.path)
    }
}

/// The most losses that are told one by one. A client, or an upstream, chooses how many there are, and each path costs a walk.
const TOLD: usize = 1000;

/// Stands for all losses after the first [`TOLD`].
const MORE: &str = "(more)";

/// Collects losses while a request or a stream is translated.
#[derive(Debug, Default)]
pub struct Losses(pub Vec<Loss>);

impl Losses {
    /// Notes a loss at a place of the client's document.
    pub fn note(&mut self, kind: LossKind, view: View<'_>) {
        if self.has_room(kind) {
            self.push(Loss { path: view.path().into(), kind });
        }
    }

    /// Notes a loss at a path.
    pub fn at(&mut self, kind: LossKind, path: impl Into<Cow<'static, str>>) {
        if self.has_room(kind) {
            self.push(Loss { path: path.into(), kind });
        }
    }

    /// Notes every view of `views` as dropped.
    pub fn dropped<'a>(&mut self, views: impl IntoIterator<Item = View<'a>>) {
        for view in views {
            self.note(LossKind::Dropped, view);
        }
    }

    /// Notes every view of `views` as approximated.
    pub fn approximated<'a>(&mut self, views: impl IntoIterator<Item = View<'a>>) {
        for view in views {
            self.note(LossKind::Approximated, view);
        }
    }

    /// Tells them in a stream, once: the comment `: heliostat-loss ["path",…]`. JSON keeps line ends out of it.
    pub fn tell(&mut self, out: &mut Vec<u8>) {
        if self.0.is_empty() {
            return;
        }
        let paths: Vec<_> = self.0.drain(..).map(|loss| loss.path).collect();
        out.extend_from_slice(b": heliostat-loss ");
        // Writing to memory cannot fail, and text can always be quoted.
        let _ = serde_json::to_writer(&mut *out, &paths);
        out.extend_from_slice(b"\n\n");
    }

    /// Whether another loss is told by its path; if not, one row says that there are more.
    fn has_room(&mut self, kind: LossKind) -> bool {
        if self.0.len() == TOLD {
            self.0.push(Loss { path: MORE.into(), kind });
        }
        self.0.len() < TOLD
    }

    fn push(&mut self, loss: Loss) {
        if !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LossKind, Losses, MORE, TOLD};

    #[test]
    fn so_many_are_told_and_the_rest_is_hinted_at() {
        let mut losses = Losses::default();
        (0..TOLD * 3).for_each(|number| losses.at(LossKind::Dropped, number.to_string()));
        assert_eq!(losses.0.len(), TOLD + 1);
        assert_eq!(losses.0.last().map(|loss| loss.path.as_ref()), Some(MORE));
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut losses = Losses::default();
        (0..3).for_each(|_| losses.at(LossKind::Clamped, "temperature"));
        assert_eq!(losses.0.len(), 1);
    }
}
