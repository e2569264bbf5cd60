//! Bounds on connections: of all, and of one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the connections that are open.
#[derive(Debug, Default)]
pub struct Caps {
    all: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place. Given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    caps: Arc<Caps>,
    address: Option<IpAddr>,
}

impl Caps {
    /// Takes a place, if fewer than `limit` are taken.
    #[must_use]
    pub fn enter(self: &Arc<Self>, limit: usize) -> Option<Place> {
        let place = Place { caps: self.clone(), address: None };
        // The place is counted first: two that come at once cannot both take the last one.
        (self.all.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Counts the connection as one of `address`, if fewer than `limit` are. Call it once.
    #[must_use]
    pub fn claim(&mut self, address: IpAddr, limit: usize) -> bool {
        let address = household(address);
        let mut by_address = self.caps.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = by_address.get(&address).copied().unwrap_or_default();
        if taken >= limit {
            return false;
        }
        by_address.insert(address, taken + 1);
        self.address = Some(address);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.caps.all.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut by_address = self.caps.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let left = by_address.get(&address).copied().unwrap_or_default().saturating_sub(1);
        match left {
            0 => by_address.remove(&address),
            left => by_address.insert(address, left),
        };
    }
}

/// One who has an IPv6 address has the /64 around it.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_end_and_come_back() {
        let caps = Arc::new(Caps::default());
        let first = caps.enter(2).unwrap();
        let second = caps.enter(2).unwrap();
        assert!(caps.enter(2).is_none());
        drop(first);
        assert!(caps.enter(2).is_some());
        drop(second);
        assert_eq!(caps.open(), 0);
    }

    #[test]
    fn an_address_has_its_own_bound_and_leaves_nothing_behind() {
        let caps = Arc::new(Caps::default());
        let claim = |text: &str| {
            let mut place = caps.enter(10).unwrap();
            place.claim(text.parse().unwrap(), 1).then_some(place)
        };
        let held = claim("192.0.2.1").unwrap();
        assert!(claim("192.0.2.1").is_none() && claim("::ffff:192.0.2.1").is_none());
        assert!(claim("192.0.2.2").is_some());
        let six = claim("2001:db8::1").unwrap();
        assert!(claim("2001:db8::2").is_none() && claim("2001:db8:0:1::1").is_some());
        drop((held, six));
        assert!(claim("192.0.2.1").is_some());
        assert!(caps.by_address.lock().unwrap().is_empty() && caps.open() == 0);
    }
}
