use std::net::IpAddr;

use url::{Host, Url};

use super::is_refused;

/// Hosts as they may stand in a URL, each one an address that is refused.
const REFUSED: &[&str] = &[
    // Loopback, and its spellings.
    "127.0.0.1",
    "127.0.0.1.",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7F.1",
    "0177.0x0.0.1",
    "127.0.0.0x1",
    "%31%32%37.0.0.1",
    "127%2e0%2E0%2e1",
    "１２７.０.０.１",
    "127。0。0。1",
    "①②⑦.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    // This host.
    "0.0.0.0",
    "0",
    "0x0",
    "0.0.0.1",
    "[::]",
    "[::ffff:0.0.0.0]",
    // Private.
    "10.0.0.1",
    "10.255.255.255",
    "0xa000001",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "3232235521",
    "[::ffff:10.0.0.1]",
    "[::ffff:192.168.1.1]",
    // Link-local and metadata.
    "169.254.169.254",
    "2852039166",
    "0xA9FEA9FE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "168.63.129.16",
    "192.0.0.192",
    "100.100.100.200",
    // Carrier-grade NAT.
    "100.64.0.0",
    "100.127.255.255",
    // Documentation, benchmarking, assignments, relays.
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "198.18.0.1",
    "198.19.255.255",
    "192.0.0.8",
    "192.88.99.1",
    "[2001:db8::1]",
    "[3fff::1]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:20::1]",
    // Multicast, reserved, broadcast.
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "4294967295",
    "[ff02::1]",
    "[ff0e::1]",
    // Tunnels and translations.
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a00:1]",
    "[2a00:1450::5efe:a00:1]",
    "[2a00:1450:0:0:200:5efe:127.0.0.1]",
    // Unique local, site-local, discard, segment routing, IPv4-compatible.
    "[fc00::1]",
    "[fdff::1]",
    "[fec0::1]",
    "[100::1]",
    "[5f00::1]",
    "[::8.8.8.8]",
];

/// Hosts on the public internet, next to the networks above.
const ALLOWED: &[&str] = &[
    "8.8.8.8",
    "1.1.1.1",
    "134744072",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "203.0.112.255",
    "223.255.255.255",
    "[2606:4700:4700::1111]",
    "[2a00:1450:4001:800::200e]",
    "[2001:4860:4860::8888]",
    "[2001:200::1]",
    "[::ffff:8.8.8.8]",
    "[2003::1]",
    "[2400::1]",
];

fn address(host: &str) -> IpAddr {
    let url = Url::parse(&format!("http://{host}/")).unwrap_or_else(|error| panic!("{host}: {error}"));
    match url.host() {
        Some(Host::Ipv4(address)) => address.into(),
        Some(Host::Ipv6(address)) => address.into(),
        other => panic!("{host} is read as {other:?}, not as an address"),
    }
}

#[test]
fn every_address_that_is_not_public_is_refused_however_it_is_written() {
    assert!(REFUSED.len() >= 80);
    for host in REFUSED {
        assert!(is_refused(address(host)), "{host} is {}", address(host));
    }
}

#[test]
fn public_addresses_are_not() {
    for host in ALLOWED {
        assert!(!is_refused(address(host)), "{host} is {}", address(host));
    }
}

/// What the URL standard does not let be a host at all.
#[test]
fn broken_spellings_are_no_hosts() {
    for host in ["256.0.0.1", "127.0.0.0.1", "0x7f.0.0.0.0.1", "[::1", "[fe80::1%25eth0]", "127.0.0.1%00.example", "4294967296", ""] {
        assert!(Url::parse(&format!("http://{host}/")).is_err(), "{host}");
    }
}
