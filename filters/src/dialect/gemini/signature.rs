//! Whose signature it is. A vendor refuses a thought that another one signed, and clients replay whatever a conversation holds.

use crate::json::View;

/// What Google accepts in place of a signature that got lost, on the first call of a turn.
pub(super) const SKIP: &str = "skip_thought_signature_validator";

/// Whether Google signed the thought at `view`: by its `format`, where the client keeps one (`google-gemini-v1`), else by its shape.
pub(in crate::dialect) fn is_googles(view: View<'_>, signature: &str) -> bool {
    match view.present("format").and_then(View::text) {
        Some(format) => format.starts_with("google"),
        None => looks_like_googles(signature),
    }
}

/// Google's signatures are a blob that begins with version 1, bare or inside one or two length-delimited fields; Anthropic's hold a
/// message there. Seen in recorded traffic, documented by neither: what it misjudges is reported as a loss.
pub(in crate::dialect) fn looks_like_googles(signature: &str) -> bool {
    /// Base64 of the first bytes: two fields of at most 4 bytes of header each, and the version.
    const HEAD: usize = 16;
    let Some(head) = signature.get(..HEAD) else { return false };
    let standard = head.replace('-', "+").replace('_', "/");
    let Ok(bytes) = base64_simd::STANDARD.decode_to_vec(standard) else { return false };
    let mut rest = bytes.as_slice();
    for tag in [0x12, 0x0a] {
        if let Some(inside) = rest.strip_prefix(&[tag]) {
            let length = inside.iter().position(|byte| byte & 0x80 == 0).map_or(inside.len(), |last| last + 1);
            rest = inside.get(length..).unwrap_or_default();
        }
    }
    rest.first() == Some(&1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_recorded_traffic_are_told_apart() {
        let google =
            ["EsoBCscBARFNMg87ZmsM", "CuwBAb4+9vtZI+lrRvvl", "EpAICo0IAb4+9vuku3oD", "AY89a18a8/Loc2wl5oft", "CpEDARFNMg9f55m3HJzu"];
        let others = ["EtoBCkgIDhABGAIqQLKq2DhhKi8e", "ErUBCkYIARgCIkDabcdefghijklm", "short", "not base64 at all, is it"];
        for signature in google {
            assert!(looks_like_googles(signature), "{signature}");
        }
        for signature in others {
            assert!(!looks_like_googles(signature), "{signature}");
        }
    }
}
