//! Where secrets come from: variables and files.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most that is read of a file.
pub(super) const MAX_FILE_BYTES: u64 = 4 << 20;

/// The world around a configuration. [`super::load`] asks it for what `env.NAME`, `file.PATH` and `env_file` name.
pub trait Environment {
    /// A variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// A file's text.
    ///
    /// # Errors
    /// Whatever kept it from being read.
    fn file(&self, path: &str) -> io::Result<String>;

    /// Whether secrets that cannot be found are left empty in silence (`check --without-env`).
    fn skips_missing(&self) -> bool {
        false
    }
}

/// The process's own variables, and the files of this machine.
#[derive(Debug, Clone, Default)]
pub struct ProcessEnvironment {
    folder: PathBuf,
}

impl ProcessEnvironment {
    /// Relative paths start at the folder of the configuration file.
    #[must_use]
    pub fn beside(config_file: &Path) -> Self {
        Self { folder: config_file.parent().unwrap_or(Path::new("")).to_owned() }
    }
}

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        read_bounded(&self.folder.join(path))
    }
}

/// No secrets at all, and none missed: for `check --without-env`.
#[derive(Debug, Clone, Copy, Default)]
pub struct WithoutEnvironment;

impl Environment for WithoutEnvironment {
    fn variable(&self, _name: &str) -> Option<String> {
        None
    }

    fn file(&self, _path: &str) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn skips_missing(&self) -> bool {
        true
    }
}

/// A made-up world, for tests and the demo.
#[derive(Debug, Clone, Default)]
pub struct MapEnvironment {
    /// Variables by name.
    pub variables: HashMap<String, String>,
    /// Files by path.
    pub files: HashMap<String, String>,
}

impl<const N: usize> From<[(&str, &str); N]> for MapEnvironment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self { variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), files: HashMap::new() }
    }
}

impl Environment for MapEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Reads a text file, but no more than [`MAX_FILE_BYTES`] of it.
pub(super) fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}
