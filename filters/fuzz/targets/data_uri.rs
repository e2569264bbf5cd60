//! An image is read from any string without harm, and inline data is base64 that may stand in a JSON string as it is.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heliostat_filters::image::{self, ImageSource};
use heliostat_filters::json::Shape;
use heliostat_fuzz::{bounded, scan, serde_json, stretched, written};
use libfuzzer_sys::fuzz_target;

static OPAQUE: Shape = Shape::Opaque;

fuzz_target!(|data: &[u8]| {
    let quoted = serde_json::to_vec(&String::from_utf8_lossy(data)).expect("text can be quoted");
    read(&quoted);
    read(&[b"\"", data, b"\""].concat());
    read(&[b"\"", stretched(data).as_slice(), b"\""].concat());
});

fn read(json: &[u8]) {
    let Ok(document) = scan(json, &OPAQUE) else { return };
    match image::read(document.root()) {
        Ok(ImageSource::Inline(inline)) => {
            let literal = written(&[b"\"", &inline.base64[..], b"\""].concat());
            let decoded = STANDARD.decode(literal.as_str().expect("a string")).expect("standard base64");
            assert_eq!(decoded.len(), inline.decoded_bytes);
            assert!(!decoded.is_empty() && !inline.media_type.is_empty());
            bounded(inline.base64.len(), json.len());
        }
        Ok(ImageSource::Url(url)) => assert!(url.contains("://") && !url.chars().any(char::is_control)),
        Err(refusal) => assert!(refusal.message.len() < 1024),
    }
}
