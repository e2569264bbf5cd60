//! Images that tests send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Value, json};

/// A whole PNG of one pixel.
pub const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// The head of a JPEG, with filler.
pub const JPEG: &str = "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4n";
/// A whole GIF of one pixel.
pub const GIF: &str = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
/// The head of a WebP.
pub const WEBP: &str = "UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAwA0JaQAA3AA/vuUAAA=";
/// The head of a BMP, which nobody takes.
pub const BMP: &str = "Qk06AAAAAAAAADYAAAAoAAAAAQAAAAEAAAABABgAAAAAAAQAAAATCwAAEwsAAAAAAAAAAAAA////AA==";

/// `data:image/png;base64,…`
pub fn data_uri(media_type: &str, base64: &str) -> String {
    format!("data:{media_type};base64,{base64}")
}

/// A content part with an image.
pub fn image(url: &str) -> Value {
    json!({"type": "image_url", "image_url": {"url": url}})
}

/// A content part with text.
pub fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// A chat request whose one message has these parts.
pub fn ask_parts(model: &str, parts: &[Value]) -> Value {
    json!({"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": parts}]})
}

/// Bytes that begin like a PNG, as base64; `seed` makes them differ.
pub fn big_png(bytes: usize, seed: u8) -> String {
    let mut image = b"\x89PNG\r\n\x1a\n".to_vec();
    image.extend((image.len()..bytes).map(|i| u8::try_from(i % 251).unwrap_or_default() ^ seed));
    STANDARD.encode(image)
}
