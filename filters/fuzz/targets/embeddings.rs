//! Embeddings, both ways: a request becomes JSON or a refusal, a reply becomes a list of vectors or a fault.

#![no_main]

use bytes::Bytes;
use heliostat_filters::dialect::openai::{fault_body, write_embeddings};
use heliostat_filters::dialect::{Dialect, Target};
use heliostat_filters::embeddings::{EMBEDDINGS, EmbeddingsRequest, Encoding, Wanted, count_inputs};
use heliostat_filters::image::Fetched;
use heliostat_fuzz::{bounded, dialects, scan, surfaces, written};
use libfuzzer_sys::fuzz_target;

const MODELS: &[&str] = &["gemini-embedding-001", "text-embedding-005", "embed-v4.0", "m"];

fuzz_target!(|data: &[u8]| {
    request(data);
    let body = Bytes::copy_from_slice(data);
    dialects().for_each(|dialect| reply(dialect, &body));
});

fn request(data: &[u8]) {
    let Ok(document) = scan(data, &EMBEDDINGS) else { return };
    let _ = count_inputs(&document);
    let Ok(request) = EmbeddingsRequest::read(&document) else { return };
    for (dialect, surface) in dialects().flat_map(|dialect| surfaces().map(|surface| (dialect, surface))) {
        for model in MODELS {
            let target = Target { model, surface: &surface, fetched: Fetched::NONE };
            dialect.embeddings_path(&target, request.inputs.len());
            let Ok(translated) = dialect.embeddings_request(&request, &target) else { continue };
            let body = translated.body.join();
            assert!(written(&body).is_object());
            bounded(body.len(), data.len());
        }
    }
}

fn reply(dialect: &dyn Dialect, body: &Bytes) {
    let Ok(reply) = dialect.embeddings_reply(body) else { return };
    for encoding in [Encoding::Float, Encoding::Base64] {
        let wanted = Wanted { model: "m".to_owned(), inputs: reply.vectors.len(), encoding };
        let out = write_embeddings(&reply, &wanted).map_or_else(|fault| fault_body(&fault), |(list, _)| list.join());
        assert!(written(&out).is_object());
        bounded(out.len(), body.len());
    }
}
