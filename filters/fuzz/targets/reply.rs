//! Whatever an upstream answers becomes a reply or an error in OpenAI's shape.

#![no_main]

use bytes::Bytes;
use heliostat_filters::dialect::openai::{fault_body, write_reply};
use heliostat_fuzz::{bounded, context, dialects, names, written};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((options, body)) = data.split_first() else { return };
    let body = Bytes::copy_from_slice(body);
    for dialect in dialects() {
        let out = match dialect.chat_reply(&body, &names(*options)) {
            Ok(reply) => write_reply(&reply, &context(*options)).join(),
            Err(fault) => fault_body(&fault),
        };
        assert!(written(&out).is_object());
        bounded(out.len(), body.len());
    }
});
