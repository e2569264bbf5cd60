//! Where the configuration comes from, and how it is loaded again.

use std::path::{Path, PathBuf};

use crate::config::{self, MapEnvironment, Problem, ProcessEnvironment, Snapshot};

/// The file looked for where none is named.
pub const USUAL_FILE: &str = "/etc/heliostat/heliostat.yaml";

/// Where the configuration comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The providers whose usual variables are set.
    Environment,
    /// Text made by the program itself (the demo).
    Text(String),
}

impl Source {
    /// The file named, else the usual one, else the environment.
    #[must_use]
    pub fn find(named: Option<PathBuf>) -> Self {
        match named {
            Some(path) => Self::File(path),
            // One that is there and cannot be looked at is reported when it is loaded, not passed over.
            None if Path::new(USUAL_FILE).try_exists().unwrap_or(true) => Self::File(USUAL_FILE.into()),
            None => Self::Environment,
        }
    }

    /// Loads it. Runs at start and at every SIGHUP; files of secrets are read anew each time.
    ///
    /// # Errors
    /// Every problem found.
    pub fn load(&self) -> Result<Snapshot, Vec<Problem>> {
        match self {
            Self::File(path) => config::load_file(path, &ProcessEnvironment::beside(path)),
            Self::Environment => config::from_environment(&ProcessEnvironment::default()),
            Self::Text(text) => config::load(text, "built-in", &MapEnvironment::default()),
        }
    }

    /// What to call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Environment => "the environment".to_owned(),
            Self::Text(_) => "built-in".to_owned(),
        }
    }
}
