//! Addresses, found free and handed to Pingora.

use std::fs::Permissions;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::services::listening::Service;

use crate::config::{Door, Listener};

/// Joined into one write: the head of an answer and a small body. Pingora's own 1,460 take two for most.
const WRITE_BYTES: usize = 4 * 1024;

/// Pingora ends the process without a word on an address it cannot have, and takes a Unix socket from whoever has it: find out before.
///
/// # Errors
/// The address cannot be had; `key` is what it is called in the configuration.
pub fn probe(key: &str, door: &Door) -> io::Result<()> {
    let free = match door {
        Door::Tcp(address) => TcpListener::bind(address).map(drop),
        Door::Unix { path, .. } => probe_unix(path),
    };
    free.map_err(|error| io::Error::new(error.kind(), format!("{key}: cannot listen on {door}: {error}")))
}

/// Listens there. What is read goes straight to who reads it, who has room for a whole head; TLS reads in small pieces, and so do we
/// what a balancer says: there a buffer saves more than the 64 KiB that it costs each connection.
pub fn add<A>(service: &mut Service<A>, listener: &Listener) {
    let endpoint = match &listener.door {
        Door::Tcp(address) => ListenerConfig::tcp(address.to_string()),
        Door::Unix { path, mode } => ListenerConfig::uds(path.to_string_lossy()).permissions(Permissions::from_mode(*mode)),
    };
    let buffers = L4BufferSettings::default().write(WRITE_BYTES);
    let in_pieces = listener.tls.is_some() || !listener.balancers.is_empty();
    service.add_listener(endpoint.l4_buffer(if in_pieces { buffers } else { buffers.read(0) }));
}

/// A socket nobody listens on may be replaced; anything else may not.
fn probe_unix(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            std::fs::metadata(folder).map(drop)
        }
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is not a socket")),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
            Err(_) => Ok(()),
        },
    }
}
