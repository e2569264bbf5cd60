//! Why an image could not be had.

/// Why an image could not be had. The text is for the client, and goes on from "The image could not be downloaded:"; it names no address
/// and shows nothing of an answer but its status. What a variant holds beside that is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It cannot be parsed, or is no web address.
    #[error("its URL is not a valid http or https address")]
    NotAUrl,
    /// `user:password@`.
    #[error("its URL holds a user name or a password, which is never sent: take it out, or send the image as a data URI")]
    Credentials,
    /// Unknown, or not to be connected to. One text for both, or it could be asked which names a private network knows.
    #[error("its host is unknown, or not one that images are fetched from: use a public host, or send the image as a data URI")]
    NoAddress(String),
    /// Nothing could be connected to.
    #[error("its host cannot be reached")]
    Unreachable(String),
    /// The connection broke, or what came is not HTTP.
    #[error("its host broke off the answer")]
    Broken(String),
    /// In a content coding that cannot be undone.
    #[error("its host sends it compressed in a way that was not asked for: send the image as a data URI")]
    Coded(String),
    /// Neither an image nor a redirect.
    #[error("its host answered with status {0}: check that the URL is public and still valid")]
    Status(u16),
    /// A redirect to nowhere.
    #[error("its host redirects to something that is not a web address")]
    BadRedirect,
    /// Too many redirects.
    #[error("its host redirects too often")]
    TooManyRedirects,
    /// It took too long.
    #[error("it did not arrive in time")]
    Timeout,
    /// Longer than `image_fetch.max_bytes`.
    #[error("it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// The request's images together are longer than a body may be.
    #[error("the images of this request are too large together: send fewer or smaller ones")]
    TooMuch,
    /// The process holds as much as it may (`limits.memory_bytes`). Nobody's fault: a moment later it may do.
    #[error("the gateway has no memory left for it: try again in a moment")]
    NoMemory,
    /// A web page, or anything else that its first bytes do not tell to be an image.
    #[error("what is there is not an image of a known type")]
    NotAnImage,
}

impl Fault {
    /// The code of [`Fault::NoMemory`], which is no 400.
    pub const NO_MEMORY: &'static str = "memory_limit";

    /// OpenAI's code for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAUrl | Self::Credentials | Self::NoAddress(_) => "invalid_image_url",
            Self::TooLarge { .. } | Self::TooMuch => "image_too_large",
            Self::NoMemory => Self::NO_MEMORY,
            Self::NotAnImage => "invalid_image_format",
            Self::Unreachable(_) | Self::Broken(_) | Self::Coded(_) | Self::Status(_) => "failed_to_download_image",
            Self::BadRedirect | Self::TooManyRedirects | Self::Timeout => "failed_to_download_image",
        }
    }
}
