//! What is read as a chat request becomes JSON in each dialect, or a refusal, and not many times as long.

#![no_main]

use heliostat_filters::chat::{self, CHAT, ChatRequest};
use heliostat_filters::dialect::Target;
use heliostat_filters::image::Fetched;
use heliostat_fuzz::{MODELS, bounded, dialects, scan, surfaces, written};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(document) = scan(data, &CHAT) else { return };
    let _ = (chat::model(&document), chat::wants_stream(&document), chat::fallbacks(&document), chat::image_views(&document).count());
    let Ok(request) = ChatRequest::read(&document) else { return };
    for dialect in dialects() {
        for surface in &surfaces() {
            for model in MODELS {
                let Ok(translated) = dialect.chat_request(&request, &Target { model, surface, fetched: Fetched::NONE }) else { continue };
                let body = translated.body.join();
                assert_eq!(translated.body.len_bytes, body.len());
                assert!(written(&body).is_object());
                bounded(body.len(), data.len());
                bounded(translated.losses.iter().map(|loss| loss.path.len()).sum(), data.len());
            }
        }
    }
});
