//! The head of a provider's answer.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};

/// Most header fields we accept of a provider.
const FIELDS: usize = 128;

/// Status and header fields, as they were received.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Whether the provider speaks HTTP/1.1 or later (else 1.0).
    pub http_1_1: bool,
    received: Bytes,
    /// Names and values, as places in what was received.
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Head {
    /// Takes a whole head off the front of `buffer`; `None` if it has not all arrived.
    ///
    /// # Errors
    /// `InvalidData` if it is not an HTTP/1 response.
    pub fn take(buffer: &mut BytesMut) -> io::Result<Option<Self>> {
        let mut slots = [const { MaybeUninit::uninit() }; FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, buffer, &mut slots);
        let parsed = parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let start = buffer.as_ptr() as usize;
        let range = |slice: &[u8]| {
            let at = slice.as_ptr() as usize - start;
            at..at + slice.len()
        };
        let status = response.code.unwrap_or_default();
        let http_1_1 = response.version == Some(1);
        let fields = response.headers.iter().map(|field| (range(field.name.as_bytes()), range(field.value))).collect();
        // A copy: a head lives as long as its answer, and would keep all the room it was read into.
        let received = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
        buffer.advance(length);
        Ok(Some(Self { status, http_1_1, received, fields }))
    }

    /// The head of an HTTP/2 answer.
    #[must_use]
    pub fn from_parts(status: http::StatusCode, headers: &http::HeaderMap) -> Self {
        let mut received = BytesMut::with_capacity(1024);
        let mut add = |part: &[u8]| {
            let at = received.len();
            received.extend_from_slice(part);
            at..received.len()
        };
        let fields = headers.iter().map(|(name, value)| (add(name.as_str().as_bytes()), add(value.as_bytes()))).collect();
        Self { status: status.as_u16(), http_1_1: true, received: received.freeze(), fields }
    }

    /// Whether `buffer` begins with a whole head that says the request failed (status 300 and up).
    #[must_use]
    pub fn is_early_failure(buffer: &BytesMut) -> bool {
        let mut slots = [const { MaybeUninit::uninit() }; FIELDS];
        let mut response = httparse::Response::new(&mut []);
        match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, buffer, &mut slots) {
            Ok(httparse::Status::Complete(_)) => response.code.unwrap_or_default() >= 300,
            Ok(httparse::Status::Partial) => false,
            Err(_) => true,
        }
    }

    /// Whether this is a 1xx.
    #[must_use]
    pub fn is_informational(&self) -> bool {
        (100..200).contains(&self.status)
    }

    /// The first field of that name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The first field of that name, if it is visible text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok()).map(str::trim)
    }

    /// Every field of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Whether a field of that name lists a token, in any case: `close` among what `Connection` says.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let listed = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        listed.map(<[u8]>::trim_ascii).any(|listed| listed.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Drops every field of that name.
    pub fn remove(&mut self, name: &str) {
        let Self { received, fields, .. } = self;
        fields.retain(|(field, _)| !received.get(field.clone()).unwrap_or_default().eq_ignore_ascii_case(name.as_bytes()));
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let at = |range: &Range<usize>| self.received.get(range.clone()).unwrap_or_default();
        self.fields.iter().map(move |(name, value)| (at(name), at(value)))
    }
}
