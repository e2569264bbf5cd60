//! `observability.access_log`: which requests leave a line, and where.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use super::field::Field;

const ACCESS_LOG: &[&str] = &["output", "level", "sample"];

/// Of a log file: readable for the owner and the group.
pub const FILE_MODE: u32 = 0o640;

/// Which requests leave a line, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessLog {
    /// Where lines go.
    pub output: LogOutput,
    /// The least level that is written; `None` is nothing at all.
    pub level: Option<LineLevel>,
    /// The share of unremarkable lines that are written, from 0 to 1. What failed, fell back or lost something always is.
    pub sample: f64,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// To the end of this file, which SIGUSR1 opens anew.
    File(PathBuf),
}

/// How remarkable a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineLevel {
    /// Answered in full.
    Info,
    /// The client's fault, or it left.
    Warn,
    /// The gateway's fault or a provider's.
    Error,
}

impl Default for AccessLog {
    fn default() -> Self {
        Self { output: LogOutput::Stdout, level: Some(LineLevel::Info), sample: 1.0 }
    }
}

impl LogOutput {
    /// Whether lines can go there: a file is opened, and made if need be.
    ///
    /// # Errors
    /// The key, the path, and what is wrong with it.
    pub fn probe(&self) -> io::Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let opened = OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path);
        let told = |error: io::Error| io::Error::new(error.kind(), format!("observability.access_log.output: {}: {error}", path.display()));
        opened.map(drop).map_err(told)
    }
}

impl LineLevel {
    /// The word in the line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl AccessLog {
    /// Reads the section.
    pub(super) fn read(field: Option<Field<'_>>) -> Self {
        let mut log = Self::default();
        let Some(section) = field.and_then(|field| field.section(ACCESS_LOG)) else { return log };
        if let Some(output) = section.get("output").and_then(|field| output(&field)) {
            log.output = output;
        }
        if let Some(level) = section.get("level").and_then(|field| level(&field)) {
            log.level = level;
        }
        if let Some(sample) = section.get("sample").and_then(|field| field.number(0.0..=1.0)) {
            log.sample = sample;
        }
        log
    }
}

fn output(field: &Field<'_>) -> Option<LogOutput> {
    match field.text()? {
        "stdout" => Some(LogOutput::Stdout),
        "stderr" => Some(LogOutput::Stderr),
        path if path.contains('/') => Some(LogOutput::File(path.into())),
        _ => field.fail("is neither stdout, stderr nor a path with a slash in it"),
    }
}

fn level(field: &Field<'_>) -> Option<Option<LineLevel>> {
    match field.text()? {
        "info" => Some(Some(LineLevel::Info)),
        "warn" => Some(Some(LineLevel::Warn)),
        "error" => Some(Some(LineLevel::Error)),
        "off" => Some(None),
        _ => field.fail("is no level: info, warn, error, off"),
    }
}
