//! `image_fetch`: what becomes of images that a request names by URL.

use super::field::Section;
use super::snapshot::Limits;

const IMAGE_FETCH: &[&str] = &["mode", "allow_private", "timeout_ms", "max_bytes", "max_redirects", "max_parallel"];
const MODES: &[(&str, ImageFetchMode)] =
    &[("auto", ImageFetchMode::Auto), ("always", ImageFetchMode::Always), ("never", ImageFetchMode::Never)];

/// Whether the gateway fetches images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImageFetchMode {
    /// For providers that do not fetch the URL themselves.
    #[default]
    Auto,
    /// For every provider.
    Always,
    /// For none: a provider that does not fetch a URL itself cannot take the request.
    Never,
}

/// How the gateway fetches images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageFetch {
    /// For whom.
    pub mode: ImageFetchMode,
    /// Addresses that are not on the public internet may be fetched from.
    pub allow_private: bool,
    /// One image, redirects included.
    pub timeout_ms: u64,
    /// One image, as it is fetched.
    pub max_bytes: usize,
    /// How often one image may be elsewhere.
    pub max_redirects: usize,
    /// Images of one request at the same time.
    pub max_parallel: usize,
}

impl Default for ImageFetch {
    fn default() -> Self {
        Self {
            mode: ImageFetchMode::Auto,
            allow_private: false,
            timeout_ms: 10_000,
            max_bytes: Limits::default().image_bytes,
            max_redirects: 3,
            max_parallel: 8,
        }
    }
}

/// Reads the section. Without `max_bytes` an image may be as large as one that a client sends.
pub(super) fn image_fetch(root: &Section<'_>, image_bytes: usize) -> ImageFetch {
    let mut fetch = ImageFetch { max_bytes: image_bytes, ..ImageFetch::default() };
    let Some(section) = root.get("image_fetch").and_then(|field| field.section(IMAGE_FETCH)) else { return fetch };
    fetch.mode = mode(&section).unwrap_or_default();
    fetch.allow_private = section.get("allow_private").and_then(|field| field.boolean()).unwrap_or(false);
    section.milliseconds("timeout_ms", 1, &mut fetch.timeout_ms);
    section.size("max_bytes", 1..=1 << 30, &mut fetch.max_bytes);
    section.size("max_redirects", 0..=20, &mut fetch.max_redirects);
    section.size("max_parallel", 1..=64, &mut fetch.max_parallel);
    fetch
}

fn mode(section: &Section<'_>) -> Option<ImageFetchMode> {
    let field = section.get("mode")?;
    let asked = field.text()?;
    let known = MODES.iter().find(|(name, _)| *name == asked).map(|(_, mode)| *mode);
    known.or_else(|| field.fail("must be auto, always or never"))
}
