//! A body rewritten for its own dialect differs in `model` and `fallbacks`, and in nothing else.

#![no_main]

use heliostat_filters::chat::CHAT;
use heliostat_filters::dialect::openai::rewrite;
use heliostat_filters::embeddings::EMBEDDINGS;
use heliostat_filters::image::Fetched;
use heliostat_fuzz::{scan, value, written};
use libfuzzer_sys::fuzz_target;

const MODEL: &str = "provider's \"model\"\n";

fuzz_target!(|data: &[u8]| {
    for shape in [&CHAT, &EMBEDDINGS] {
        let Ok(document) = scan(data, shape) else { continue };
        let mut expected = value(std::str::from_utf8(data).expect("UTF-8")).expect("JSON");
        if let Some(object) = expected.as_object_mut() {
            object.entry("model").and_modify(|model| *model = MODEL.into());
            object.remove("fallbacks");
        }
        let pieces = rewrite(&document, MODEL, Fetched::NONE, &heliostat_filters::dialect::Surface::default());
        let body = pieces.join();
        assert_eq!(pieces.len_bytes, body.len());
        assert_eq!(written(&body), expected);
    }
});
