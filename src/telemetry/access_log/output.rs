//! Where lines go: standard output or error, or a file that can be opened anew.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::config::{FILE_MODE, LineLevel, LogOutput};

/// How much is gathered into one write.
const BUFFER_BYTES: usize = 64 << 10;

/// An open output.
pub(super) struct Output {
    /// What is open; `None` is one that was given and stays.
    open: Option<LogOutput>,
    /// What could not be opened: it is said once.
    refused: Option<LogOutput>,
    /// Lines begin with a priority, as journald reads it.
    journal: bool,
    out: BufWriter<Box<dyn Write + Send>>,
}

impl Output {
    /// `given`, or standard output for now.
    pub(super) fn new(given: Option<Box<dyn Write + Send>>) -> Self {
        let open = given.is_none().then_some(LogOutput::Stdout);
        let journal = open.is_some() && is_journal("/proc/self/fd/1");
        Self { open, refused: None, journal, out: BufWriter::with_capacity(BUFFER_BYTES, given.unwrap_or_else(|| Box::new(io::stdout()))) }
    }

    /// Sees to it that lines go where they should: opens another output, or the same file anew.
    ///
    /// # Errors
    /// It cannot be opened; the old one stays.
    pub(super) fn follow(&mut self, wanted: &LogOutput, anew: bool) -> Result<(), String> {
        let Some(open) = &self.open else { return Ok(()) };
        if open == wanted && !(anew && matches!(wanted, LogOutput::File(_))) {
            return Ok(());
        }
        let said = self.refused.replace(wanted.clone()).as_ref() == Some(wanted);
        let (out, journal): (Box<dyn Write + Send>, bool) = match wanted {
            LogOutput::Stdout => (Box::new(io::stdout()), is_journal("/proc/self/fd/1")),
            LogOutput::Stderr => (Box::new(io::stderr()), is_journal("/proc/self/fd/2")),
            LogOutput::File(path) => match append(path) {
                Ok(file) => (Box::new(file), false),
                Err(_) if said => return Ok(()),
                Err(error) => return Err(format!("{}: {error}", path.display())),
            },
        };
        self.refused = None;
        // What cannot be written there any more is lost either way.
        let _ = self.out.flush();
        (self.open, self.journal, self.out) = (Some(wanted.clone()), journal, BufWriter::with_capacity(BUFFER_BYTES, out));
        Ok(())
    }

    /// Writes a line, whose end it has.
    pub(super) fn line(&mut self, line: &[u8], level: LineLevel) -> io::Result<()> {
        if self.journal {
            self.out.write_all(priority(level))?;
        }
        self.out.write_all(line)
    }

    /// Hands on what was written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Opens a file at its end.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)
}

/// The beginning of a line that journald takes for its priority and takes away (sd-daemon).
const fn priority(level: LineLevel) -> &'static [u8] {
    match level {
        LineLevel::Info => b"<6>",
        LineLevel::Warn => b"<4>",
        LineLevel::Error => b"<3>",
    }
}

/// Whether a descriptor leads to journald, which says so in `$JOURNAL_STREAM` by device and inode.
fn is_journal(descriptor: &str) -> bool {
    let named = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fs::metadata(descriptor).is_ok_and(|file| format!("{}:{}", file.dev(), file.ino()) == named)
}
