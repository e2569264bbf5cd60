//! What is counted: a scan, a request on its way to an upstream, a reply on its way back.

use std::hint::black_box;

use bytes::Bytes;
use heliostat_filters::chat::ReplyContext;
use heliostat_filters::dialect::{self, Address, CLIENTS, Client, Dialect, Names, Surface, Target};
use heliostat_filters::image::Fetched;
use heliostat_filters::json::{Document, ScanLimits};

use super::bodies::{self, Size};
use super::table;

/// One case, made ready.
pub enum Work {
    Scan { client: &'static dyn Client, body: Bytes },
    Request { client: &'static dyn Client, upstream: &'static dyn Dialect, document: Document, surface: Box<Surface>, same: bool },
    Reply { client: &'static dyn Client, upstream: &'static dyn Dialect, body: Bytes },
}

impl Work {
    /// `what` is `scan:`, `request:` or `reply:` and the client's dialect.
    pub fn new(what: &str, upstream: &str, size: &Size) -> Self {
        let (what, client) = what.split_once(':').expect("work and client");
        let client = *CLIENTS.iter().find(|known| known.name() == client).expect("a client dialect");
        let body = bodies::request(client.name(), size);
        if what == "scan" {
            return Self::Scan { client, body };
        }
        let same = client.name() == upstream;
        let upstream = dialect::by_name(upstream).expect("an upstream dialect");
        match what {
            "request" => Self::Request { client, upstream, document: scanned(client, &body), surface: Box::new(table::surface()), same },
            _ => Self::Reply { client, upstream, body: bodies::reply(upstream.name(), size) },
        }
    }

    pub fn run(&self, times: usize) {
        for _ in 0..times {
            match self {
                Self::Scan { client, body } => scan(*client, body),
                Self::Request { client, upstream, document, surface, same } => request(*client, *upstream, (document, surface), *same),
                Self::Reply { client, upstream, body } => reply(*client, *upstream, body),
            }
        }
    }
}

/// Scans a body as the gateway does.
pub fn scan(client: &dyn Client, body: &Bytes) {
    black_box(scanned(client, body));
}

fn scanned(client: &dyn Client, body: &Bytes) -> Document {
    Document::scan(body.clone(), client.shape(), ScanLimits::default()).expect("JSON")
}

fn request(client: &dyn Client, upstream: &dyn Dialect, (document, surface): (&Document, &Surface), same: bool) {
    let target = Target { model: bodies::model(upstream.name()), surface, fetched: Fetched::NONE };
    if same {
        black_box(client.rewrite(document, &target));
        return;
    }
    let address = Address { model: Some("m".to_owned()), stream: Some(false), array: false };
    let request = client.read(document, &address).expect("a request");
    black_box(upstream.chat_request(&request, &target).expect("a translation"));
}

fn reply(client: &dyn Client, upstream: &dyn Dialect, body: &Bytes) {
    let reply = upstream.chat_reply(body, &Names::default()).expect("a reply");
    let context = ReplyContext { id: "id-1".to_owned(), model: "m".to_owned(), ..ReplyContext::default() };
    black_box(client.write_reply(&reply, &context));
}
