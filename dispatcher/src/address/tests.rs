use super::*;

const STRICT: Policy =
    Policy { allow_private: false, allow_http: false, allow_networks: Vec::new() };
const OPEN: Policy = Policy { allow_private: true, allow_http: true, allow_networks: Vec::new() };

#[test]
fn public_addresses_are_called() {
    for ip in [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450::1",
        "2001:200::1",
        "::ffff:8.8.8.8",
    ] {
        assert_eq!(permit(ip.parse().unwrap(), &STRICT), Ok(()), "{ip}");
    }
}

#[test]
fn private_addresses_are_called_only_if_the_operator_says_so() {
    for ip in [
        "10.0.0.1",
        "10.255.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "::1",
        "fc00::1",
        "fdff::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:192.168.1.1",
    ] {
        assert!(permit(ip.parse().unwrap(), &STRICT).is_err(), "{ip}");
        assert_eq!(permit(ip.parse().unwrap(), &OPEN), Ok(()), "{ip}");
    }
}

#[test]
fn what_can_be_nobodys_app_is_never_called() {
    for ip in [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "169.254.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd20:ce::254",
        "192.0.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::7f00:1",
        "::808:808",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:10::1",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "feff::1",
        "ff02::1",
        "::ffff:0:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
    ] {
        assert!(permit(ip.parse().unwrap(), &OPEN).is_err(), "{ip}");
        assert!(permit(ip.parse().unwrap(), &STRICT).is_err(), "{ip}");
    }
}

#[test]
fn a_literal_is_judged_in_any_spelling() {
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "0x0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "app.localhost",
        "１２７.0.0.1",
        "127。0。0。1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "%31%32%37.0.0.1",
    ] {
        let url = format!("https://{host}/hook");
        assert!(
            matches!(check_url(&url, &STRICT), Err(InvalidEndpoint::Refused(_))),
            "{host}: {:?}",
            check_url(&url, &STRICT),
        );
    }
}

#[test]
fn a_url_is_https_without_user_info() {
    let table = [
        ("https://app.example.com/hook?x=1", Ok(())),
        ("https://8.8.8.8:8443/", Ok(())),
        ("http://app.example.com/", Err(InvalidEndpoint::Scheme)),
        ("ftp://app.example.com/", Err(InvalidEndpoint::Scheme)),
        ("file:///etc/passwd", Err(InvalidEndpoint::Scheme)),
        ("https://user@app.example.com/", Err(InvalidEndpoint::UserInfo)),
        ("https://:pw@app.example.com/", Err(InvalidEndpoint::UserInfo)),
        ("/hook", Err(InvalidEndpoint::Malformed)),
        ("https://", Err(InvalidEndpoint::Malformed)),
        ("", Err(InvalidEndpoint::Malformed)),
    ];
    for (url, expected) in table {
        assert_eq!(check_url(url, &STRICT).map(drop), expected, "{url}");
    }
    assert!(check_url("http://127.0.0.1:4000/hook", &OPEN).is_ok());
    assert!(check_url(&format!("https://a.example/{}", "x".repeat(2048)), &OPEN).is_err());
}

fn allowing(networks: &[&str]) -> Policy {
    let allow_networks = networks.iter().map(|text| network(text).unwrap()).collect();
    Policy { allow_networks, ..STRICT }
}

#[test]
fn a_network_opens_its_private_addresses_and_nothing_else() {
    let policy = allowing(&["10.1.0.0/16", "100.64.0.0/10", "fd00::/8"]);
    let open = ["10.1.0.1", "10.1.255.255", "::ffff:10.1.2.3", "100.64.0.1", "fd12::1", "8.8.8.8"];
    for ip in open {
        assert_eq!(permit(ip.parse().unwrap(), &policy), Ok(()), "{ip}");
    }
    let shut = ["10.2.0.1", "192.168.0.1", "127.0.0.1", "::1", "100.100.100.200", "fd00:ec2::254"];
    for ip in shut {
        assert!(permit(ip.parse().unwrap(), &policy).is_err(), "{ip}");
    }
}

#[test]
fn all_networks_at_once_open_no_loopback_and_no_metadata_service() {
    let policy = allowing(&["0.0.0.0/0", "::/0"]);
    assert_eq!(permit("192.168.0.1".parse().unwrap(), &policy), Ok(()));
    for ip in ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "224.0.0.1", "0.0.0.0"] {
        assert!(permit(ip.parse().unwrap(), &policy).is_err(), "{ip}");
    }
}

#[test]
fn loopback_link_local_and_metadata_open_only_by_their_address() {
    let policy = allowing(&["127.0.0.1", "169.254.10.1/32", "fd00:ec2::254", "::1"]);
    for ip in ["127.0.0.1", "::ffff:127.0.0.1", "169.254.10.1", "fd00:ec2::254", "::1"] {
        assert_eq!(permit(ip.parse().unwrap(), &policy), Ok(()), "{ip}");
    }
    for ip in ["127.0.0.2", "169.254.10.2", "169.254.169.254"] {
        assert!(permit(ip.parse().unwrap(), &policy).is_err(), "{ip}");
    }
    assert!(check_url("https://localhost/", &policy).is_ok());
    assert!(check_url("https://localhost/", &allowing(&["10.0.0.0/8"])).is_err());
}

#[test]
fn what_cannot_take_effect_is_no_network() {
    for (text, why) in [
        ("127.0.0.0/8", "loopback range, which opens only address by address"),
        ("169.254.0.0/16", "link-local range, which opens only address by address"),
        ("fe80::/64", "link-local range, which opens only address by address"),
        ("224.0.0.1", "multicast range, which is never called"),
        ("0.0.0.0/8", "\"this network\" range, which is never called"),
        ("2002::/16", "6to4 range, which is never called"),
        ("64:ff9b::7f00:1", "NAT64 range, which is never called"),
        ("::ffff:10.0.0.1", "neither an address nor a network"),
        ("10.0.0.0/33", "neither an address nor a network"),
        ("10.1", "neither an address nor a network"),
        ("", "neither an address nor a network"),
        ("localhost", "neither an address nor a network"),
    ] {
        let error = network(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
    assert_eq!(network("10.1.2.3/16").unwrap().to_string(), "10.1.0.0/16");
}

#[test]
fn who_is_refused_hears_the_code_and_which_setting_would_allow_it() {
    let cases = [
        ("http://app.example", "allow_http"),
        (
            "https://10.1.2.3",
            "a private range, which is not called unless the setting allow_endpoint_networks names its network",
        ),
        ("https://localhost", "allow_endpoint_networks names this very address"),
        ("https://169.254.169.254", "allow_endpoint_networks names this very address"),
        ("https://224.0.0.1", "multicast range, which is never called"),
    ];
    for (url, told) in cases {
        let refused = check_url(url, &STRICT).unwrap_err().to_string();
        assert!(refused.starts_with("DSYNC-006: ") && refused.contains(told), "{url}: {refused}");
    }
}
