use super::*;
use proptest::prelude::*;

const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn control(text: &str) -> Option<String> {
    let url = HttpUrl::parse("http://192.0.2.1:5000/igd/root.xml").ok()?;
    described(text, &url, GATEWAY).map(|device| device.control_url)
}

fn service(kind: &str, control: &str) -> String {
    format!("<service><serviceType>{kind}</serviceType><controlURL>{control}</controlURL></service>")
}

#[test]
fn the_first_service_that_maps_ports_is_asked_where_it_says() {
    let other = service("urn:schemas-upnp-org:service:Layer3Forwarding:1", "/other");
    let wan = |control| format!("<root>{other}{}</root>", service(SERVICES[1], control));
    assert_eq!(control(&other), None);
    for (said, asked) in [
        ("/ctl?a=1&amp;b=2", "http://192.0.2.1:5000/ctl?a=1&b=2"),
        ("ctl", "http://192.0.2.1:5000/igd/ctl"),
        ("\n http://192.0.2.1:49152/ctl ", "http://192.0.2.1:49152/ctl"),
    ] {
        assert_eq!(control(&wan(said)).as_deref(), Some(asked));
    }
    let base = "<URLBase>http://192.0.2.1:49152/</URLBase>";
    assert_eq!(control(&(base.to_owned() + &wan("/ctl"))).as_deref(), Some("http://192.0.2.1:49152/ctl"));
}

#[test]
fn nobody_but_the_gateway_is_asked() {
    for elsewhere in [
        "http://192.0.2.2/ctl",
        "https://192.0.2.1/ctl",
        "http://router.example/ctl",
        "//192.0.2.2/ctl",
        "file:///etc/passwd",
    ] {
        assert_eq!(control(&service(SERVICES[1], elsewhere)), None, "{elsewhere}");
    }
    let whole = control(&service(SERVICES[1], "http://192.0.2.1//192.0.2.2/ctl"));
    assert_eq!(whole.as_deref(), Some("http://192.0.2.1//192.0.2.2/ctl"));
    let base = "<URLBase>http://192.0.2.2/</URLBase>".to_owned() + &service(SERVICES[1], "ctl");
    assert_eq!(control(&base).as_deref(), Some("http://192.0.2.1:5000/igd/ctl"));
}

#[test]
fn an_answer_with_entities_or_many_namespaces_is_not_read() {
    assert!(is_plain("<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"x\"/>"));
    assert!(!is_plain("<!DOCTYPE a><a/>"));
    assert!(!is_plain(&"xmlns:a=\"b\" ".repeat(17)));
}

#[test]
fn a_search_is_answered_by_a_location() {
    let found = location(b"HTTP/1.1 200 OK\r\nST: x\r\nLOCATION: http://192.0.2.1:5000/root.xml\r\n\r\n");
    assert_eq!(found.map(|url| url.text()).as_deref(), Some("http://192.0.2.1:5000/root.xml"));
    for nothing in
        [&b""[..], b"HTTP/1.1 200 OK\r\n\r\n", b"NOTIFY * HTTP/1.1\r\nLocation: http://192.0.2.1/\r\n"]
    {
        assert_eq!(location(nothing), None);
    }
}

proptest! {
    #[test]
    fn any_description_is_read_without_harm(text in "(<service>|<serviceType>|</service>|<controlURL>|[a-z:/<>&]{0,9}){0,40}") {
        prop_assert_eq!(control(&text), None);
    }

    #[test]
    fn any_datagram_is_read_without_harm(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = location(&[b"HTTP/1.1 200 OK\r\nLocation: ".as_slice(), &datagram].concat());
    }
}
