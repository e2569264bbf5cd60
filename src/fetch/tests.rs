//! Fetches from a host on loopback that stands for a public one: `public.test` alone may be connected to, everything else is as in
//! earnest.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Host;

use super::hosts::{Hosts, System};
use super::{Fault, Room, Terms, all};
use crate::config::{ImageFetch, Limits};
use crate::memory::Memory;
use crate::upstream::pool::Pool;

const GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0;";

/// Names as a name server of the attacker's would give them.
struct Names {
    public: SocketAddr,
}

#[async_trait]
impl Hosts for Names {
    async fn addresses(&self, host: Host<&str>, port: u16) -> Result<Vec<SocketAddr>, Fault> {
        match host {
            Host::Domain("public.test") => Ok(vec![self.public]),
            Host::Domain("rebound.test") => System { allow_private: false }.addresses(Host::Ipv4([10, 0, 0, 1].into()), port).await,
            other => System { allow_private: false }.addresses(other, port).await,
        }
    }
}

/// A host that answers by path: `/ok`, `/to/URL` redirects, anything else is 404. Tells every path it was asked.
async fn host() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (asked, paths) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = socket.read(&mut head).await.unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..length]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let _ = socket.write_all(&answer(&path)).await;
            let _ = asked.send(path);
        }
    });
    (address, paths)
}

fn answer(path: &str) -> Vec<u8> {
    let end = "connection: close\r\n\r\n";
    match (path, path.strip_prefix("/to/")) {
        ("/ok", _) => [format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n{end}").as_bytes(), GIF].concat(),
        (_, Some(target @ ("ok" | "to/ok" | "to/to/ok" | "to/to/to/ok"))) => {
            format!("HTTP/1.1 302 Found\r\nlocation: /{target}\r\n{end}").into_bytes()
        }
        (_, Some(target)) => format!("HTTP/1.1 302 Found\r\nlocation: {target}\r\n{end}").into_bytes(),
        _ => format!("HTTP/1.1 404 Gone\r\n{end}").into_bytes(),
    }
}

async fn fetch(public: SocketAddr, url: &str) -> Result<String, Fault> {
    let terms = Terms {
        pool: Pool::new(),
        hosts: Arc::new(Names { public }),
        rules: ImageFetch::default(),
        room: Room::new(&Limits::default(), Arc::new(Memory::default()).reserve()),
        deadline: Instant::now() + Duration::from_secs(10),
    };
    let mut found = all(Arc::new(terms), vec![url.to_owned()]).await;
    found.pop().expect("one result").1.map(|inline| inline.media_type.into_owned())
}

#[tokio::test]
async fn a_redirect_leads_only_where_the_first_url_could() {
    let (public, mut asked) = host().await;
    let private = format!("127.0.0.1:{}", public.port());
    for target in [
        format!("http://{private}/ok"),
        format!("//{private}/ok"),
        format!("http://localhost:{}/ok", public.port()),
        format!("http://2130706433:{}/ok", public.port()),
        format!("http://[::ffff:127.0.0.1]:{}/ok", public.port()),
        "http://rebound.test/ok".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let found = fetch(public, &format!("http://public.test/to/{target}")).await;
        assert!(matches!(found, Err(Fault::NoAddress(_))), "{target}: {found:?}");
        assert_eq!(asked.recv().await.as_deref(), Some(format!("/to/{target}").as_str()));
        assert!(asked.try_recv().is_err(), "{target} was not asked");
    }
    for target in ["file:///etc/passwd", "gopher://public.test/", "ftp://public.test/ok"] {
        assert_eq!(fetch(public, &format!("http://public.test/to/{target}")).await, Err(Fault::BadRedirect), "{target}");
    }
    let secret = fetch(public, "http://public.test/to/http://user:pass@public.test/ok").await;
    assert_eq!(secret, Err(Fault::Credentials));
}

#[tokio::test]
async fn three_redirects_are_followed_and_no_more() {
    let (public, _asked) = host().await;
    let through = |hops: usize| format!("http://public.test{}/ok", "/to".repeat(hops));
    assert_eq!(fetch(public, &through(0)).await, Ok("image/gif".to_owned()));
    assert_eq!(fetch(public, &through(3)).await, Ok("image/gif".to_owned()));
    assert_eq!(fetch(public, &through(4)).await, Err(Fault::TooManyRedirects));
}

#[tokio::test]
async fn what_is_no_url_of_the_web_is_not_fetched() {
    let (public, _asked) = host().await;
    for (url, fault) in [
        ("http://user@public.test/ok", Fault::Credentials),
        ("http://:pass@public.test/ok", Fault::Credentials),
        ("ftp://public.test/ok", Fault::NotAUrl),
        ("http://", Fault::NotAUrl),
        ("http://public.test:99999/ok", Fault::NotAUrl),
        ("http://public.test/nothing", Fault::Status(404)),
    ] {
        assert_eq!(fetch(public, url).await, Err(fault), "{url}");
    }
}

#[test]
fn no_text_for_the_client_shows_what_is_for_the_log() {
    let secret = "10.1.2.3".to_owned();
    for fault in [Fault::NoAddress(secret.clone()), Fault::Unreachable(secret.clone()), Fault::Broken(secret.clone())] {
        assert!(!fault.to_string().contains(&secret), "{fault}");
    }
}
