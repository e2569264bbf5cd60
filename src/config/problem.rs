//! What is wrong with a configuration, and where.

use std::cell::RefCell;
use std::fmt;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can, but hardly as it was meant.
    Warning,
    /// Something the operator should know.
    Notice,
}

/// One thing to say about a configuration. Its `Display` is one line: `file:line:column: key: what`. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the operator named it.
    pub file: String,
    /// Where in it; `None` where it is about the whole.
    pub at: Option<Position>,
    /// The key's path: `providers.openai.keys[0].weight`; may be empty.
    pub key: String,
    /// What is wrong and what to do.
    pub what: String,
}

/// A place in a text, both counted from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        match self.severity {
            Severity::Error => {}
            Severity::Warning => f.write_str(": warning")?,
            Severity::Notice => f.write_str(": notice")?,
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Gathers every problem of one file, so that one run reports them all.
#[derive(Debug)]
pub(super) struct Sink {
    file: String,
    problems: RefCell<Vec<Problem>>,
}

impl Sink {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), problems: RefCell::default() }
    }

    pub(super) fn report(&self, severity: Severity, at: Option<Position>, key: &str, what: impl Into<String>) {
        let problem = Problem { severity, file: self.file.clone(), at, key: key.to_owned(), what: what.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// All of them in the order of the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.at);
        problems
    }
}
