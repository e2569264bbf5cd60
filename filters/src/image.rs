//! Images in requests: data URIs, media types by magic bytes, without decoding the payload.

use std::borrow::Cow;

use bytes::Bytes;

use crate::json::View;
use crate::refusal::Refusal;

/// Where an image is, as the client said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource<'a> {
    /// Inline.
    Inline(Inline),
    /// `http://`, `https://`, `gs://`, `s3://` … : a reference that the gateway has not resolved.
    Url(Cow<'a, str>),
}

/// Bytes carried as base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// The type by the magic bytes; by the declaration where the bytes say nothing; canonical spelling (`image/jpeg`).
    pub media_type: Cow<'static, str>,
    /// Standard base64 with padding, ready to stand between the quotes of a JSON string. A slice of the client's body wherever that
    /// is already canonical (`\/` escapes included); else rewritten.
    pub base64: Bytes,
    /// Length of what it decodes to.
    pub decoded_bytes: usize,
}

/// Reads the string at `view`: a data URI in any of its forms, bare base64, or a URL.
///
/// # Errors
/// A [`Refusal`] of the client's fault naming the view's path: `invalid_base64_image`, `empty_image_file`, `invalid_image_url`,
/// `invalid_image_format` (the payload is text or HTML, not an image).
pub fn read(view: View<'_>) -> Result<ImageSource<'_>, Refusal> {
    Err(Refusal::client(view.path(), "skeleton"))
}
