//! Writes a JSON object, member after member, at the end of a buffer: no line is so rare that a serializer's generality would pay.

/// An object being written.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

/// What can stand as a member's value: small, and copied.
pub(super) trait Value: Copy {
    /// Writes it.
    fn write(self, out: &mut Vec<u8>);
}

impl<'o> Object<'o> {
    /// Writes an object whose members `fill` adds.
    pub(super) fn write(out: &'o mut Vec<u8>, fill: impl FnOnce(&mut Self)) {
        out.push(b'{');
        let mut object = Self { out, empty: true };
        fill(&mut object);
        object.out.push(b'}');
    }

    /// Adds a member.
    pub(super) fn member(&mut self, key: &str, value: impl Value) -> &mut Self {
        value.write(self.key(key));
        self
    }

    /// The same for what may be unknown, and is then left out.
    pub(super) fn known(&mut self, key: &str, value: Option<impl Value>) -> &mut Self {
        if let Some(value) = value {
            self.member(key, value);
        }
        self
    }

    /// Adds members.
    pub(super) fn members<'m, V: Value>(&mut self, members: impl Iterator<Item = (&'m str, V)>) {
        members.for_each(|(key, value)| value.write(self.key(key)));
    }

    /// Adds an object.
    pub(super) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) -> &mut Self {
        Object::write(self.key(key), fill);
        self
    }

    /// Adds a list, unless it is empty.
    pub(super) fn list<T>(&mut self, key: &str, items: impl Iterator<Item = T>, mut each: impl FnMut(T, &mut Vec<u8>)) -> &mut Self {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return self;
        }
        let out = self.key(key);
        out.push(b'[');
        while let Some(item) = items.next() {
            each(item, out);
            out.extend(items.peek().map(|_| b','));
        }
        out.push(b']');
        self
    }

    /// Our own names: nothing in them needs an escape. Names of headers neither: those are tokens.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        let before: &[u8] = if std::mem::take(&mut self.empty) { b"\"" } else { b",\"" };
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

impl Value for &str {
    fn write(self, out: &mut Vec<u8>) {
        // No early exit: the loop runs on many bytes at once.
        let plain = self.bytes().fold(true, |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\'));
        if !plain {
            // Writing to memory does not fail.
            let _ = serde_json::to_writer(out, &self);
            return;
        }
        out.reserve(self.len() + 2);
        out.push(b'"');
        out.extend_from_slice(self.as_bytes());
        out.push(b'"');
    }
}

impl Value for u64 {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
    }
}

impl Value for bool {
    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_a_parser_reads() {
        for text in ["", "plain", "a \"quoted\" \\ word", "two\nlines\u{1}", "größer 😀"] {
            let mut out = Vec::new();
            Object::write(&mut out, |object| {
                object.member("text", text).known("none", None::<u64>).known("some", Some(u64::MAX)).member("yes", true);
                object.list("none", std::iter::empty::<u64>(), |item, out| item.write(out));
                object.list("list", [1_u64, 2].into_iter(), |item, out| item.write(out));
                object.object("empty", |_| {});
            });
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let expected = serde_json::json!({ "text": text, "some": u64::MAX, "yes": true, "list": [1, 2], "empty": {} });
            assert_eq!(read, expected, "{}", String::from_utf8_lossy(&out));
        }
    }
}
