//! What can be wrong with an image, in words for the client. No text of the payload stands in them.

use std::borrow::Cow;

/// A code of OpenAI's and a message that says what to do.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

pub(super) const NOT_A_STRING: Flaw =
    flaw("invalid_image_url", "expected a string: a URL, or a data URI such as `data:image/png;base64,…`");

pub(super) const NEITHER_URL_NOR_DATA: Flaw =
    flaw("invalid_image_url", "neither a URL nor a data URI: write `https://…`, or `data:image/png;base64,…` for inline data");

pub(super) const CONTROL_IN_URL: Flaw = flaw("invalid_image_url", "a control character stands in the URL: percent-encode or remove it");

pub(super) const NO_COMMA: Flaw =
    flaw("invalid_image_url", "the data URI has no comma before its payload: write `data:image/png;base64,…`");

pub(super) const NOT_BASE64: Flaw = flaw(
    "invalid_base64_image",
    "the payload is not base64: encode the file's bytes with the standard alphabet (RFC 4648) and send it whole",
);

pub(super) const EMPTY: Flaw = flaw("empty_image_file", "the payload is empty: check that the file was read before it was encoded");

pub(super) const NOT_AN_IMAGE: Flaw = flaw(
    "invalid_image_format",
    "the payload is markup or JSON, not an image: check that the download it came from did not answer with an error page",
);

pub(super) const UNKNOWN_TYPE: Flaw = flaw(
    "invalid_image_format",
    "the type is neither declared nor told by the first bytes: declare it, such as in `data:image/png;base64,…`",
);

impl Flaw {
    /// `mailto:x`, `https:`. A scheme is echoed up to 32 characters.
    pub(super) fn no_address(scheme: &str) -> Self {
        let scheme: String = scheme.chars().take(32).collect();
        let message = format!("no address follows `{scheme}:`: write `https://…`, or `data:image/png;base64,…` for inline data");
        Self { code: "invalid_image_url", message: Cow::Owned(message) }
    }
}

const fn flaw(code: &'static str, message: &'static str) -> Flaw {
    Flaw { code, message: Cow::Borrowed(message) }
}
