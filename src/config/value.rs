//! Secrets as they are written: `env.NAME`, `file.PATH`, `credential.NAME`, or the secret itself.

use std::collections::HashMap;
use std::io;

use super::Secret;
use super::environment::Environment;
use super::field::Field;

/// How the credentials of known providers begin. Only to advise against writing them into a file.
const CREDENTIAL_PREFIXES: &[&str] = &["sk-", "AIza", "AQ.", "gsk_", "xai-", "pplx-", "r8_", "hf_", "ghp_", "github_pat_"];

/// Where systemd puts a service's credentials (systemd.exec(5), "Credentials").
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Finds secrets: `env_file` first, for it can change while the process runs, then the environment.
pub(super) struct Vault<'e> {
    environment: &'e dyn Environment,
    env_file: HashMap<String, String>,
}

/// A secret, and the variable or credential it came from: what it is called where nothing else names it.
pub(super) struct Found {
    pub(super) secret: Secret,
    pub(super) variable: Option<String>,
}

impl<'e> Vault<'e> {
    /// Reads the `env_file`, if one is named.
    pub(super) fn open(environment: &'e dyn Environment, env_file: Option<&Field<'_>>) -> Self {
        let env_file = env_file.and_then(|field| read_env_file(field, environment)).unwrap_or_default();
        Self { environment, env_file }
    }

    /// A variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = self.env_file.get(name).cloned().or_else(|| self.environment.variable(name));
        value.filter(|value| !value.trim().is_empty())
    }

    /// Whether secrets may be missing.
    pub(super) fn skips_missing(&self) -> bool {
        self.environment.skips_missing()
    }

    /// Reads a secret that is put into a header; where it cannot be found or is not fit for one, reports that.
    pub(super) fn secret(&self, field: &Field<'_>) -> Option<Found> {
        self.find(field).filter(|found| is_sendable(field, &found.secret))
    }

    /// Reads a secret of any kind; where it cannot be found, reports what was looked for.
    pub(super) fn find(&self, field: &Field<'_>) -> Option<Found> {
        let text = field.text()?;
        if let Some(name) = text.strip_prefix("env.") {
            return self.variable_secret(field, name);
        }
        if let Some(path) = text.strip_prefix("file.") {
            return self.file_secret(field, path);
        }
        if let Some(name) = text.strip_prefix("credential.") {
            return self.credential(field, name);
        }
        if text.starts_with('$') {
            return field.fail("to read a variable, write env.NAME");
        }
        if looks_like_credential(text) {
            field.notice("a credential is written in this file; env.NAME or file.PATH keeps it out");
        }
        Some(Found { secret: Secret::new(text), variable: None })
    }

    fn variable_secret(&self, field: &Field<'_>, name: &str) -> Option<Found> {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return field.fail("env. must be followed by a variable's name: letters, digits and _");
        }
        let secret = match self.variable(name) {
            Some(value) => Secret::new(value.trim()),
            None if self.skips_missing() => Secret::new(""),
            None => return field.fail(format!("the variable {name} is not set, or empty")),
        };
        Some(Found { secret, variable: Some(name.to_owned()) })
    }

    /// A credential of systemd's (`LoadCredential=NAME:…`): a file in a folder that only the service sees. Its name is the key's.
    fn credential(&self, field: &Field<'_>, name: &str) -> Option<Found> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return field.fail("credential. must be followed by a credential's name, as in LoadCredential=NAME:PATH");
        }
        match self.environment.variable(CREDENTIALS_DIRECTORY) {
            Some(folder) => {
                let found = self.file_secret(field, &format!("{folder}/{name}"))?;
                Some(Found { variable: Some(name.to_owned()), ..found })
            }
            None if self.skips_missing() => Some(Found { secret: Secret::new(""), variable: Some(name.to_owned()) }),
            None => field.fail(format!("{CREDENTIALS_DIRECTORY} is not set: systemd sets it for a unit with LoadCredential={name}:PATH")),
        }
    }

    fn file_secret(&self, field: &Field<'_>, path: &str) -> Option<Found> {
        let secret = match self.environment.file(path) {
            Ok(text) if text.trim().is_empty() => return field.fail(format!("the file {path} is empty")),
            Ok(text) => Secret::new(text.trim()),
            Err(_) if self.skips_missing() => Secret::new(""),
            Err(error) => return field.fail(format!("cannot read {path}: {error}")),
        };
        Some(Found { secret, variable: None })
    }
}

/// A name as it may be printed: one that looks like a credential in the wrong place is not.
pub(super) fn shown(name: &str) -> String {
    if looks_like_credential(name) { "(a credential?)".to_owned() } else { name.chars().take(64).collect() }
}

fn looks_like_credential(text: &str) -> bool {
    text.len() >= 16 && CREDENTIAL_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// Whether a secret can be put into a header; reports if not.
pub(super) fn is_sendable(field: &Field<'_>, secret: &Secret) -> bool {
    let fit = secret.expose().bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if !fit {
        let _: Option<()> = field.fail("holds a character that cannot stand in a header (a line break, or not ASCII)");
    }
    fit
}

fn read_env_file(field: &Field<'_>, environment: &dyn Environment) -> Option<HashMap<String, String>> {
    let path = field.text()?;
    let text = match environment.file(path) {
        Ok(text) => text,
        Err(_) if environment.skips_missing() => return None,
        Err(error) => return field.fail(format!("cannot read {path}: {error}")),
    };
    match parse_env_file(&text) {
        Ok(variables) => Some(variables),
        Err(error) => field.fail(format!("{path}: {error}")),
    }
}

/// Lines `NAME=value`, with `export`, quotes around the whole value, blank lines and `#` lines as shells and systemd read them.
fn parse_env_file(text: &str) -> io::Result<HashMap<String, String>> {
    let mut variables = HashMap::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.strip_prefix("export ").unwrap_or(line).split_once('=') else {
            return Err(io::Error::other(format!("line {} is not NAME=value", index + 1)));
        };
        variables.insert(name.trim().to_owned(), unquoted(value.trim()).to_owned());
    }
    Ok(variables)
}

fn unquoted(value: &str) -> &str {
    let inside = |quote| value.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}
