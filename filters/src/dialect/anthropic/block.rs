//! Content blocks of the Messages API, and how they are written.

use std::borrow::Cow;

use crate::image::Inline;
use crate::json::{Literal, Splice, View};

/// One content block.
#[derive(Debug)]
pub(super) enum Block<'a> {
    /// Text, perhaps between tags.
    Text {
        text: Literal<'a>,
        tag: Option<&'static str>,
        cache: Option<View<'a>>,
    },
    Image {
        source: Source<'a>,
        cache: Option<View<'a>>,
    },
    Document {
        source: Source<'a>,
        title: Option<Literal<'a>>,
        cache: Option<View<'a>>,
    },
    Thinking {
        text: Literal<'a>,
        signature: Literal<'a>,
    },
    Redacted {
        data: Literal<'a>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        /// An object, as JSON text.
        input: Cow<'a, str>,
        cache: Option<View<'a>>,
    },
    ToolResult {
        id: Cow<'a, str>,
        content: Vec<Block<'a>>,
        is_error: bool,
        cache: Option<View<'a>>,
    },
}

/// Where an image's or a document's bytes are.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Base64(Inline),
    Url(Cow<'a, str>),
    Text(Literal<'a>),
}

impl<'a> Block<'a> {
    pub(super) fn text(text: Literal<'a>) -> Self {
        Self::Text { text, tag: None, cache: None }
    }

    /// The block's cache breakpoint; thinking has no place for one.
    pub(super) fn cache(&mut self) -> Option<&mut Option<View<'a>>> {
        match self {
            Self::Text { cache, .. }
            | Self::Image { cache, .. }
            | Self::Document { cache, .. }
            | Self::ToolUse { cache, .. }
            | Self::ToolResult { cache, .. } => Some(cache),
            Self::Thinking { .. } | Self::Redacted { .. } => None,
        }
    }

    /// Writes the block as the next element.
    pub(super) fn write(&self, out: &mut Splice) {
        out.element().object();
        match self {
            Self::Text { text, tag, cache: _ } => write_text(text, *tag, out),
            Self::Image { source, cache: _ } => {
                out.key("type").string("image");
                source.write(out);
            }
            Self::Document { source, title, cache: _ } => {
                out.key("type").string("document");
                source.write(out);
                if let Some(title) = title {
                    out.key("title").literal(title);
                }
            }
            Self::Thinking { text, signature } => {
                out.key("type").string("thinking").key("thinking").literal(text).key("signature").literal(signature);
            }
            Self::Redacted { data } => {
                out.key("type").string("redacted_thinking").key("data").literal(data);
            }
            Self::ToolUse { id, name, input, cache: _ } => {
                out.key("type").string("tool_use").key("id").string(id).key("name").string(name).key("input").raw(input);
            }
            Self::ToolResult { id, content, is_error, cache: _ } => {
                out.key("type").string("tool_result").key("tool_use_id").string(id);
                if !content.is_empty() {
                    write_all(content, out.key("content"));
                }
                if *is_error {
                    out.key("is_error").raw("true");
                }
            }
        }
        if let Some(cache) = self.breakpoint() {
            out.key("cache_control").view(cache);
        }
        out.end_object();
    }

    fn breakpoint(&self) -> Option<View<'a>> {
        match self {
            Self::Text { cache, .. }
            | Self::Image { cache, .. }
            | Self::Document { cache, .. }
            | Self::ToolUse { cache, .. }
            | Self::ToolResult { cache, .. } => *cache,
            Self::Thinking { .. } | Self::Redacted { .. } => None,
        }
    }
}

impl Source<'_> {
    fn write(&self, out: &mut Splice) {
        out.key("source").object();
        match self {
            Self::Base64(inline) => {
                out.key("type").string("base64").key("media_type").string(&inline.media_type);
                out.key("data").raw("\"").kept(inline.base64.clone()).raw("\"");
            }
            Self::Url(url) => {
                out.key("type").string("url").key("url").string(url);
            }
            Self::Text(text) => {
                out.key("type").string("text").key("media_type").string("text/plain").key("data").literal(text);
            }
        }
        out.end_object();
    }
}

/// Writes blocks as an array.
pub(super) fn write_all<'b, 'a: 'b>(blocks: impl IntoIterator<Item = &'b Block<'a>>, out: &mut Splice) {
    out.array();
    blocks.into_iter().for_each(|block| block.write(out));
    out.end_array();
}

fn write_text(text: &Literal<'_>, tag: Option<&str>, out: &mut Splice) {
    out.key("type").string("text").key("text");
    match tag {
        None => out.literal(text),
        Some(tag) => {
            let (open, close) = (format!("\"<{tag}>\\n"), format!("\\n</{tag}>\""));
            out.raw(&open).raw(text.escaped()).raw(&close)
        }
    };
}
