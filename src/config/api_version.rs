//! `api_version` of Azure's calls.

use super::catalogue::Row;
use super::field::{Field, Section};

/// Stands for no version at all.
const NONE: &str = "none";

/// The version of the API that calls ask for: the key's, else the provider's, else the catalogue's.
pub(super) struct ApiVersion<'k> {
    pub(super) row: &'static Row,
    pub(super) of_provider: Option<Field<'k>>,
}

impl ApiVersion<'_> {
    /// The outer `None` is reported; the inner asks for no version.
    #[expect(clippy::option_option, reason = "as said")]
    pub(super) fn of(&self, key: Option<&Section<'_>>) -> Option<Option<String>> {
        let of_key = key.and_then(|key| key.get("api_version"));
        let usual = self.row.api_version.as_deref();
        let Some(field) = of_key.as_ref().or(self.of_provider.as_ref()) else {
            return Some(usual.filter(|version| *version != NONE).map(str::to_owned));
        };
        let version = field.text()?;
        if usual.is_none() {
            return field.fail("this provider's calls have no api-version");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if version == NONE {
            return Some(None);
        }
        if version.is_empty() || version.len() > 64 || !version.bytes().all(plain) {
            return field.fail("a version is letters, digits, - . and _, such as 2025-04-01-preview");
        }
        Some(Some(version.to_owned()))
    }
}
