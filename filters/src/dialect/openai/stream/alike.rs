//! Events of a stream that differ from a known one in nothing but what is said. Nearly all do: to know them again takes a comparison,
//! where to look for all that might be of interest in them takes a search for each.

/// What stands before a string that differs from event to event. Such a string holds nothing of interest, whatever it says: quotes are
/// escaped in it.
const SAID: [&[u8]; 5] = [b"\"content\":\"", b"\"reasoning_content\":\"", b"\"reasoning\":\"", b"\"arguments\":\"", b"\"obfuscation\":\""];

/// A longer event is not worth being kept.
const LENGTH_MAX: usize = 4096;
/// So many events of a stream are tried: where most differ, there is nothing to be gained.
const LESSONS: u32 = 16;

/// An event that holds nothing of interest, without what is said in it.
#[derive(Debug, Default)]
pub(super) struct Alike {
    /// What stands before, between and behind the strings that differ; with the blank line. None known: empty.
    parts: Vec<Vec<u8>>,
    lessons: u32,
}

impl Alike {
    /// The length of the events at the front of `events` that are like the known one.
    pub(super) fn length(&self, events: &[u8]) -> usize {
        let mut rest = events;
        while let Some(behind) = self.behind(rest) {
            rest = behind;
        }
        events.len() - rest.len()
    }

    /// Learns the first of these events, if all of it has come and `is_dull` says that it holds nothing of interest. Tells its length.
    pub(super) fn learn(&mut self, events: &[u8], is_dull: impl Fn(&[u8]) -> bool) -> Option<usize> {
        if self.lessons == LESSONS {
            return None;
        }
        self.lessons += 1;
        let event = events.get(..memchr::memmem::find(events, b"\n\n")? + 2)?;
        if event.len() > LENGTH_MAX || event.contains(&b'\r') || !is_dull(event) {
            return None;
        }
        self.parts.clear();
        let mut rest = event;
        while let Some(at) = SAID.iter().filter_map(|key| Some(memchr::memmem::find(rest, key)? + key.len())).min() {
            let (part, said) = rest.split_at_checked(at)?;
            self.parts.push(part.to_vec());
            rest = behind_string(said)?;
        }
        self.parts.push(rest.to_vec());
        Some(event.len())
    }

    /// What follows the first event, if that is like the known one.
    fn behind<'b>(&self, events: &'b [u8]) -> Option<&'b [u8]> {
        let (last, before) = self.parts.split_last()?;
        let mut rest = events;
        for part in before {
            rest = behind_string(rest.strip_prefix(&part[..])?)?;
        }
        rest.strip_prefix(&last[..])
    }
}

/// What follows a string of which the beginning is behind, from its closing quote on. `None` where it does not end, or is no JSON.
fn behind_string(said: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    loop {
        match said.get(at)? {
            b'"' => return said.get(at..),
            b'\\' if *said.get(at + 1)? >= b' ' => at += 2,
            b'\\' | ..b' ' => return None,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content: &str, end: &str) -> String {
        format!("data: {{\"id\":\"c\",\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":{end}}}]}}\n\n")
    }

    fn known(event: &str) -> Alike {
        let mut alike = Alike::default();
        assert_eq!(alike.learn(event.as_bytes(), |_| true), Some(event.len()));
        alike
    }

    #[test]
    fn events_are_alike_that_differ_in_what_is_said() {
        let alike = known(&event("a", "null"));
        for said in ["", "word", r#"a \"b\" \\"#, r#"\"finish_reason\":\"stop\""#, "caf\u{e9}", &"long ".repeat(2000)] {
            assert_eq!(alike.length(event(said, "null").as_bytes()), event(said, "null").len(), "{said}");
        }
        for said in ["\",\"finish_reason\":\"stop", "\"", "\\", "a\nb", "a\rb", "\\\n", "\n\n"] {
            assert_eq!(alike.length(event(said, "null").as_bytes()), 0, "{said:?}");
        }
        assert_eq!(alike.length(event("a", "\"stop\"").as_bytes()), 0);
        assert_eq!(alike.length(b"data: [DONE]\n\n"), 0);
    }

    #[test]
    fn a_run_ends_where_an_event_differs_or_has_not_all_come() {
        let alike = known(&event("a", "null"));
        let (one, two) = (event("b", "null"), event("c", "null"));
        let both = format!("{one}{two}");
        for cut in 0..=both.len() {
            let whole = [both.len(), one.len(), 0].into_iter().find(|end| *end <= cut);
            assert_eq!(Some(alike.length(&both.as_bytes()[..cut])), whole, "{cut}");
        }
        assert_eq!(alike.length(format!("{both}{}", event("", "\"stop\"")).as_bytes()), both.len());
    }

    #[test]
    fn several_strings_may_differ() {
        let padded = |said: &str, padding: &str| format!("data: {{\"content\":\"{said}\",\"obfuscation\":\"{padding}\"}}\n\n");
        let alike = known(&padded("a", "xyz"));
        assert_eq!(alike.length(padded("word", "q").as_bytes()), padded("word", "q").len());
    }

    #[test]
    fn what_is_of_interest_or_unusual_is_not_learned() {
        for (event, is_dull) in [("data: 1\n\n", false), ("data: 1\r\n\n", true), ("data: 1\n", true), ("data: {\"content\":\"a\n\n", true)]
        {
            let mut alike = Alike::default();
            assert_eq!(alike.learn(event.as_bytes(), |_| is_dull), None, "{event:?}");
        }
        let mut alike = Alike::default();
        let lessons = (0..100).filter(|_| alike.learn(b"data: 1\n\n", |_| true).is_some()).count();
        assert_eq!(lessons, LESSONS as usize);
    }
}
