//! The viewer's address behind trusted proxies (R086). Pure: which addresses are proxies is
//! the operator's word, passed in.

use std::net::{IpAddr, SocketAddr};

/// The address the request came from, as far as it can be believed.
///
/// `forwarded_for` holds the `X-Forwarded-For` values in the order of the header lines; each
/// may list several addresses, the nearest last. Walking from the peer outward, a hop is
/// believed only when the one before it is a trusted proxy, and at most `hops` are. Whatever a
/// viewer wrote himself lies beyond the first untrusted address and is never read. An entry
/// that is no address ends the walk. IPv4 mapped into IPv6 is given as IPv4.
pub fn client_address(
    peer: IpAddr,
    forwarded_for: &[&str],
    hops: usize,
    is_trusted_proxy: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let nearest_first = forwarded_for.iter().rev().flat_map(|line| line.rsplit(','));
    let mut address = peer.to_canonical();
    for entry in nearest_first.take(hops) {
        let Some(next) = parse(entry.trim()) else { break };
        if !is_trusted_proxy(address) {
            break;
        }
        address = next;
    }
    address
}

/// An address, with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    entry.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn client(peer: &str, lines: &[&str], hops: usize) -> String {
        let is_proxy = |address: IpAddr| address.to_string().starts_with("10.");
        client_address(peer.parse().unwrap(), lines, hops, is_proxy).to_string()
    }

    #[test]
    fn an_untrusted_peer_speaks_for_itself_only() {
        assert_eq!(client("203.0.113.9", &["1.2.3.4"], 9), "203.0.113.9");
        assert_eq!(client("203.0.113.9", &["10.0.0.1, 10.0.0.2"], 9), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_is_believed_about_its_own_peer_only() {
        assert_eq!(client(PROXY, &["203.0.113.9"], 9), "203.0.113.9");
        assert_eq!(client(PROXY, &["1.2.3.4, 203.0.113.9"], 9), "203.0.113.9", "forged first");
        assert_eq!(client(PROXY, &["1.2.3.4", "203.0.113.9"], 9), "203.0.113.9", "forged line");
        assert_eq!(client(PROXY, &["1.2.3.4,203.0.113.9 , 10.0.0.2"], 9), "203.0.113.9");
    }

    #[test]
    fn no_more_hops_than_configured_are_believed() {
        assert_eq!(client(PROXY, &["203.0.113.9"], 0), PROXY);
        assert_eq!(client(PROXY, &["203.0.113.9, 10.0.0.2"], 1), "10.0.0.2");
        assert_eq!(client(PROXY, &["203.0.113.9, 10.0.0.2"], 2), "203.0.113.9");
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        for junk in ["", "unknown", "_hidden", "1.2.3.4.5", "203.0.113.9:99999", "for=1.2.3.4", ","]
        {
            assert_eq!(client(PROXY, &[junk], 9), PROXY, "{junk:?}");
        }
        assert_eq!(client(PROXY, &["203.0.113.9, junk"], 9), PROXY);
    }

    #[test]
    fn every_way_to_write_an_address_means_the_same() {
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:203.0.113.9"], 9), "203.0.113.9");
        assert_eq!(client(PROXY, &["203.0.113.9:4711"], 9), "203.0.113.9");
        assert_eq!(client(PROXY, &["[2001:db8::1]:4711"], 9), "2001:db8::1");
        assert_eq!(client(PROXY, &["2001:DB8::1"], 9), "2001:db8::1");
    }

    #[test]
    fn an_endless_list_is_walked_no_further_than_the_hops() {
        let list = "10.0.0.2,".repeat(100_000) + "10.0.0.3";
        assert_eq!(client(PROXY, &[&list], 1), "10.0.0.3");
    }
}
