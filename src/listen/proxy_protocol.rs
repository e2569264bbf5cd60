//! The PROXY protocol, versions 1 and 2: a balancer's word on who is behind it, before the first byte of TLS or HTTP
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What a version 2 header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const LINE_BYTES: usize = 107;
/// The most of version 2 that is read: addresses and TLVs. The protocol would allow 64 KiB.
const REST_BYTES: usize = 4_096;

/// Who a header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// This client.
    Client(SocketAddr),
    /// Nobody: the balancer's own health check (LOCAL), or an address it does not know.
    Nobody,
}

/// Reads a header, and not a byte beyond it.
///
/// # Errors
/// The connection ended, or does not begin with a well-formed header.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Named> {
    let mut start = [0; SIGNATURE.len()];
    stream.read_exact(&mut start).await?;
    let named = if start == *SIGNATURE { read_v2(stream).await? } else { read_v1(stream, &start).await? };
    named.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no well-formed PROXY header"))
}

async fn read_v1(stream: &mut (impl AsyncRead + Unpin), start: &[u8]) -> io::Result<Option<Named>> {
    if !start.starts_with(b"PROXY ") {
        return Ok(None);
    }
    let mut line = start.to_vec();
    // Byte by byte out of the stream's own buffer: what follows the line is not ours.
    while !line.ends_with(b"\r\n") {
        if line.len() == LINE_BYTES {
            return Ok(None);
        }
        line.push(stream.read_u8().await?);
    }
    Ok(parse_v1(&line))
}

async fn read_v2(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Named>> {
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    let [version_command, family, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_BYTES {
        return Ok(None);
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    Ok(parse_v2(version_command, family, &rest))
}

/// `PROXY TCP4 source destination source-port destination-port`, with CRLF.
fn parse_v1(line: &[u8]) -> Option<Named> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = text.split(' ');
    let (_, kind) = (words.next()?, words.next()?);
    if kind == "UNKNOWN" {
        return Some(Named::Nobody);
    }
    let (source, destination): (IpAddr, IpAddr) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (port, _): (u16, u16) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let fits = match kind {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then_some(Named::Client(SocketAddr::new(source, port)))
}

/// Version and command, family and transport, then addresses and TLVs, which are skipped.
fn parse_v2(version_command: u8, family: u8, rest: &[u8]) -> Option<Named> {
    match (version_command, family) {
        (0x20, _) | (0x21, 0x00) => Some(Named::Nobody),
        (0x21, 0x11) => source::<4, 8>(rest).map(|(ip, port)| Named::Client((Ipv4Addr::from(ip), port).into())),
        (0x21, 0x21) => source::<16, 32>(rest).map(|(ip, port)| Named::Client((Ipv6Addr::from(ip), port).into())),
        // A Unix socket behind the balancer.
        (0x21, 0x31) if rest.len() >= 216 => Some(Named::Nobody),
        _ => None,
    }
}

/// The source's address of `N` bytes and its port; the destination's address ends at `PORTS`, where the two ports begin.
fn source<const N: usize, const PORTS: usize>(rest: &[u8]) -> Option<([u8; N], u16)> {
    let ports: &[u8; 4] = rest.get(PORTS..)?.first_chunk()?;
    Some((*rest.first_chunk()?, u16::from_be_bytes([ports[0], ports[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn named(bytes: &[u8]) -> Result<(Named, usize), io::ErrorKind> {
        let mut rest = bytes;
        let named = read(&mut rest).await.map_err(|error| error.kind())?;
        Ok((named, rest.len()))
    }

    fn client(text: &str) -> Named {
        Named::Client(text.parse().unwrap())
    }

    fn v2(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_command, family][..], &length, rest].concat()
    }

    const V4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0xdc, 0x04, 0x1f, 0x90];

    #[tokio::test]
    async fn version_1_names_the_client() {
        assert_eq!(named(b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 8080\r\nGET").await, Ok((client("192.0.2.7:56324"), 3)));
        assert_eq!(named(b"PROXY TCP6 2001:db8::7 ::1 1 8080\r\n").await, Ok((client("[2001:db8::7]:1"), 0)));
        assert_eq!(named(b"PROXY UNKNOWN\r\nGET").await, Ok((Named::Nobody, 3)));
        assert_eq!(named(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n").await, Ok((Named::Nobody, 0)));
    }

    #[tokio::test]
    async fn version_2_names_the_client_and_skips_the_rest() {
        assert_eq!(named(&[&v2(0x21, 0x11, V4)[..], b"GET"].concat()).await, Ok((client("192.0.2.7:56324"), 3)));
        let with_tlv = [V4, &[4, 0, 2, 9, 9][..]].concat();
        assert_eq!(named(&[&v2(0x21, 0x11, &with_tlv)[..], b"GET"].concat()).await, Ok((client("192.0.2.7:56324"), 3)));
        let mut six = Ipv6Addr::LOCALHOST.octets().to_vec();
        six.extend([Ipv6Addr::LOCALHOST.octets().as_slice(), &[0, 80, 0, 81]].concat());
        assert_eq!(named(&v2(0x21, 0x21, &six)).await, Ok((client("[::1]:80"), 0)));
        assert_eq!(named(&v2(0x20, 0x00, b"")).await, Ok((Named::Nobody, 0)));
        assert_eq!(named(&v2(0x20, 0x11, V4)).await, Ok((Named::Nobody, 0)));
        assert_eq!(named(&v2(0x21, 0x00, b"tlv")).await, Ok((Named::Nobody, 0)));
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ", &[b'1'; 200][..]].concat();
        let broken: &[&[u8]] = &[
            b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 99999\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n",
            b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
            &long,
            &v2(0x21, 0x11, &V4[..11]),
            &v2(0x21, 0x12, V4),
            &v2(0x11, 0x11, V4),
            &v2(0x21, 0x11, &[0; 5_000]),
        ];
        for bytes in broken {
            assert_eq!(named(bytes).await, Err(io::ErrorKind::InvalidData), "{bytes:?}");
        }
        assert_eq!(named(b"PROXY TC").await, Err(io::ErrorKind::UnexpectedEof));
    }
}
