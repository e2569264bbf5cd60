//! `listen` and `admin.listen`: where clients and operators connect, and who may without saying who they are.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::cidr::Cidr;
use super::environment::Environment;
use super::field::{Field, Section};
use super::identity;
use super::snapshot::{Door, Listener, Snapshot};

const LISTENER: &[&str] = &["address", "unix", "mode", "tls", "h2", "h2c", "proxy_protocol"];
const TLS: &[&str] = &["cert", "key"];
const PROXY_PROTOCOL: &[&str] = &["from"];
const ADMIN: &[&str] = &["listen", "allow_remote"];

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_ADMIN_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);
/// The owner and the group of a Unix socket may connect.
const DEFAULT_MODE: u32 = 0o660;
/// The path of a Unix socket must fit into the kernel's `sockaddr_un`.
const UNIX_PATH_BYTES: usize = 107;

/// Reads `listen`: an address, a listener, or a list of either.
pub(super) fn listeners(root: &Section<'_>, environment: &dyn Environment) -> Vec<Listener> {
    let Some(field) = root.get("listen") else { return vec![plain(DEFAULT_LISTEN)] };
    if !field.is_list() {
        return listener(&field, environment).into_iter().collect();
    }
    let items = field.items().unwrap_or_default();
    if items.is_empty() {
        let _: Option<()> = field.fail("names no listener");
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for item in &items {
        let Some(listener) = listener(item, environment) else { continue };
        if listeners.iter().any(|earlier| earlier.door == listener.door) {
            let _: Option<()> = item.fail(format!("a second listener on {}", listener.door));
        }
        listeners.push(listener);
    }
    listeners
}

/// Reads `admin.listen`.
pub(super) fn admin(root: &Section<'_>) -> SocketAddr {
    let Some(section) = root.get("admin").and_then(|field| field.section(ADMIN)) else { return DEFAULT_ADMIN_LISTEN };
    let Some(field) = section.get("listen") else { return DEFAULT_ADMIN_LISTEN };
    let listen = address(&field).unwrap_or(DEFAULT_ADMIN_LISTEN);
    let allowed = section.get("allow_remote").and_then(|field| field.boolean()).unwrap_or(false);
    if !listen.ip().is_loopback() {
        let what = format!("{listen} can be reached from other machines, and asks for no key");
        if allowed {
            field.warn(what);
        } else {
            let _: Option<()> = field.fail(format!("{what}: set `admin.allow_remote: true` if that is meant"));
        }
    }
    listen
}

/// A listener that others can reach must say who may call. A Unix socket counts as local: its mode says who may.
pub(super) fn check_reach(snapshot: &Snapshot, root: &Section<'_>) {
    let mut remote = None;
    for listener in &snapshot.listen {
        let Door::Tcp(listen) = listener.door else { continue };
        if listen == snapshot.admin_listen && listen.port() != 0 {
            let _: Option<()> = root.field.fail(format!("`listen` and `admin.listen` are both {listen}"));
        }
        if !listen.ip().is_loopback() {
            remote.get_or_insert(listen);
        }
    }
    let (Some(listen), Some(field), false) = (remote, root.get("listen"), snapshot.allow_anonymous) else { return };
    if root.get("client_keys").is_none_or(|keys| keys.items().is_none_or(|keys| keys.is_empty())) {
        let _: Option<()> = field.fail(format!("{listen} can be reached by others: set `client_keys`, or `allow_anonymous: true`"));
    }
    if snapshot.governance.is_some() {
        let _: Option<()> = field.fail(format!(
            "{listen} can be reached by others, and `governance` is not yet active: set `allow_anonymous: true` if that is meant"
        ));
    }
}

const fn plain(address: SocketAddr) -> Listener {
    Listener { door: Door::Tcp(address), tls: None, http2: false, balancers: Vec::new() }
}

fn listener(field: &Field<'_>, environment: &dyn Environment) -> Option<Listener> {
    if !field.is_map() {
        return address(field).map(plain);
    }
    let section = field.section(LISTENER)?;
    let door = door(&section)?;
    let tls = match section.get("tls") {
        Some(tls) => {
            let section = tls.section(TLS)?;
            Some(identity::read(&section.require("cert")?, &section.require("key")?, environment)?)
        }
        None => None,
    };
    let http2 = http2(&section, tls.is_some());
    let balancers = section.get("proxy_protocol").map(|field| balancers(&field, &door)).unwrap_or_default();
    Some(Listener { door, tls, http2, balancers })
}

fn door(section: &Section<'_>) -> Option<Door> {
    match (section.get("address"), section.get("unix")) {
        (Some(field), None) => {
            if let Some(mode) = section.get("mode") {
                let _: Option<()> = mode.fail("is for a `unix` listener");
            }
            address(&field).map(Door::Tcp)
        }
        (None, Some(field)) => {
            let path = field.text()?;
            if !path.starts_with('/') || path.len() > UNIX_PATH_BYTES {
                return field.fail(format!("must be an absolute path of at most {UNIX_PATH_BYTES} bytes"));
            }
            let mode = section.get("mode").map_or(Some(DEFAULT_MODE), |field| mode(&field))?;
            Some(Door::Unix { path: PathBuf::from(path), mode })
        }
        _ => section.field.fail("needs either `address` or `unix`"),
    }
}

fn mode(field: &Field<'_>) -> Option<u32> {
    let mode = u32::from_str_radix(field.text()?, 8).ok().filter(|mode| *mode <= 0o777);
    mode.or_else(|| field.fail("is not a mode such as \"0660\""))
}

/// Over TLS, HTTP/2 is offered unless `h2: false`. Without, only `h2c: true` takes it, from clients that know beforehand.
fn http2(section: &Section<'_>, tls: bool) -> bool {
    let (own, other, hint) =
        if tls { ("h2", "h2c", "is for listeners without tls; here it is `h2`") } else { ("h2c", "h2", "needs tls; without, it is `h2c`") };
    if let Some(field) = section.get(other) {
        let _: Option<()> = field.fail(hint);
    }
    section.get(own).and_then(|field| field.boolean()).unwrap_or(tls)
}

fn balancers(field: &Field<'_>, door: &Door) -> Vec<Cidr> {
    if matches!(door, Door::Unix { .. }) {
        let _: Option<()> = field.fail("is for TCP listeners");
    }
    let from = field.section(PROXY_PROTOCOL).and_then(|section| section.require("from")).and_then(|field| field.items());
    let Some(items) = from else { return Vec::new() };
    if items.is_empty() {
        let _: Option<()> = field.fail("`from` names no balancer");
    }
    let block = |item: &Field<'_>| Cidr::parse(item.text()?).or_else(|| item.fail("is not an address or a block such as 10.0.0.0/24"));
    items.iter().filter_map(block).collect()
}

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `:8080` (every address of IPv4), or a port alone (this machine).
fn address(field: &Field<'_>) -> Option<SocketAddr> {
    let text = field.text()?;
    if let Ok(port) = text.parse::<u16>() {
        return Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    }
    let address = match text.rsplit_once(':') {
        Some(("localhost", port)) => port.parse().ok().map(|port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        Some(("" | "*", port)) => port.parse().ok().map(|port| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)),
        _ => text.parse().ok(),
    };
    address.or_else(|| field.fail("is not an address with a port, such as 127.0.0.1:8080"))
}
