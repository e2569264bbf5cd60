//! A stream, read into pivot events.

use crate::chat::{StreamEvent, StreamReader};
use crate::dialect::Names;
use crate::sse::Event;

#[derive(Debug)]
pub(super) struct Reader {
    names: Names,
}

impl Reader {
    pub(super) fn new(names: Names) -> Self {
        Self { names }
    }
}

impl StreamReader for Reader {
    fn read<'a>(&mut self, _event: Event<'a>, _report: &mut dyn FnMut(StreamEvent<'a>)) {
        let _ = &self.names;
    }

    fn is_complete(&self) -> bool {
        false
    }
}
