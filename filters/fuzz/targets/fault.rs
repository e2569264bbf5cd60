//! Any status with any body is a fault that can be told to a client.

#![no_main]

use heliostat_filters::dialect::openai::fault_body;
use heliostat_fuzz::{bounded, dialects, written};
use libfuzzer_sys::fuzz_target;

/// Longest text kept of a provider's error.
const TEXT_BYTES: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let Some((head, body)) = data.split_at_checked(2) else { return };
    let status = u16::from_be_bytes([head[0], head[1]]) % 1000;
    for dialect in dialects() {
        let fault = dialect.fault(status, body);
        assert!(fault.message.len() <= TEXT_BYTES);
        assert!(fault.code.as_ref().is_none_or(|code| code.len() <= TEXT_BYTES));
        assert!(fault.param.as_ref().is_none_or(|param| param.len() <= TEXT_BYTES));
        let out = fault_body(&fault);
        assert!(written(&out)["error"]["message"].is_string());
        bounded(out.len(), body.len());
    }
});
