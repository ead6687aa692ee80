//! Requests through a proxy: what it is asked for, what it is never asked for, and whose answers are shown.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dispatcher::address::network;
use dispatcher::client::Sender as _;
use dispatcher::egress::Proxy;
use dispatcher::ports::Outcome;
use dispatcher::{Client, Egress, Failure, Policy};
use schemas::Timestamp;
use tokio::io::{AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    Authority, DELIVERED, INWARD, Listening, Names, answer, outcome, permitting, read, request,
    send, strict,
};

/// A proxy that makes a tunnel to `target`, whatever it is asked for, unless that is one of `unreachable`; as one does
/// that resolves every name to there.
struct Tunnels {
    listening: Listening,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tunnels {
    async fn start(target: SocketAddr, unreachable: &'static [&'static str]) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let listening = Listening::start(move |mut socket| {
            let noted = Arc::clone(&noted);
            async move {
                let Some(text) = read(&mut socket, b"\r\n\r\n").await else { return };
                let is_there = !unreachable.iter().any(|one| text.contains(one));
                noted.lock().unwrap().push(text);
                if !is_there {
                    let _ = socket.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await;
                    return;
                }
                socket.write_all(b"HTTP/1.1 200 Established\r\n\r\n").await.unwrap();
                let mut inner = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut socket, &mut inner).await;
            }
        })
        .await;
        Self { listening, asked }
    }

    fn proxy(&self) -> Proxy {
        format!("http://dsync:pw@{}", self.listening.address).parse().unwrap()
    }

    /// What it was asked for.
    fn asked(&self) -> Vec<String> {
        let lines = self.asked.lock().unwrap();
        let target = |text: &String| text.split(' ').nth(1).unwrap().to_owned();
        lines.iter().map(target).collect()
    }
}

fn through(proxy: Proxy, answers: &[&[&str]]) -> Egress {
    Egress { proxy: Some(proxy), resolver: Arc::new(Names::new(answers)), ..strict() }
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_address_that_was_judged() {
    let app = Listening::start(answer).await;
    let tunnels = Tunnels::start(app.address, &[]).await;
    for (host, resolved, asked) in [
        ("app.example", "8.8.8.8", "8.8.8.8:8080"),
        ("app.example", "2606:4700::1111", "[2606:4700::1111]:8080"),
        ("app.example", "::ffff:8.8.4.4", "8.8.4.4:8080"),
        ("9.9.9.9", "8.8.8.8", "9.9.9.9:8080"),
        ("[2620:fe::fe]", "8.8.8.8", "[2620:fe::fe]:8080"),
    ] {
        let egress = through(tunnels.proxy(), &[&[resolved]]);
        assert_eq!(outcome(egress, &format!("http://{host}:8080/")).await, DELIVERED);
        assert_eq!(tunnels.asked().last().unwrap(), asked);
        let said = tunnels.asked.lock().unwrap().last().unwrap().clone();
        assert!(said.contains(&format!("\r\nHost: {asked}\r\n")), "{said}");
        assert!(said.contains("Proxy-Authorization: Basic ZHN5bmM6cHc=\r\n"), "{said}");
    }
    assert_eq!(app.count(), 5);
}

#[tokio::test]
async fn inside_the_tunnel_the_name_is_still_the_name() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("app.example", None);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&heard);
    let app = Listening::start(move |socket| {
        let (acceptor, noted) = (acceptor.clone(), Arc::clone(&noted));
        async move {
            let Ok(socket) = acceptor.accept(socket).await else { return };
            let name = socket.get_ref().1.server_name().map(str::to_owned);
            let mut socket = BufStream::new(socket);
            let text = read(&mut socket, b"{}").await.unwrap();
            noted.lock().unwrap().push((name, text));
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            let _ = socket.flush().await;
        }
    })
    .await;
    let tunnels = Tunnels::start(app.address, &[]).await;
    let names = through(tunnels.proxy(), &[&["8.8.8.8"]]);
    let egress = Egress { extra_ca: authority.roots(), ..names };
    assert_eq!(outcome(egress, "https://app.example/hook").await, DELIVERED);
    assert_eq!(tunnels.asked(), ["8.8.8.8:443"]);
    let heard = heard.lock().unwrap();
    assert_eq!(heard[0].0.as_deref(), Some("app.example"));
    assert!(heard[0].1.contains("\r\nhost: app.example\r\n"), "{}", heard[0].1);
}

#[tokio::test]
async fn a_name_that_changes_between_two_questions_gains_nothing_by_a_proxy() {
    let inside = Listening::start(answer).await;
    // The address that is judged is permitted and leads nowhere. Asked for the name, the proxy would go inside.
    let tunnels = Tunnels::start(inside.address, &["CONNECT 127.0.0.3:"]).await;
    let egress = through(tunnels.proxy(), &[&["127.0.0.3"], &["127.0.0.1"]]);
    let policy = permitting(&["127.0.0.3"]);
    let client = Client::new(Egress { policy, ..egress }).unwrap();
    let url = format!("http://rebinding.example:{}/", inside.address.port());
    assert_eq!(send(&client, request(&url)).await, Outcome::Failed(Failure::Proxy));
    assert_eq!(send(&client, request(&url)).await, Outcome::Failed(Failure::Refused));
    assert_eq!(tunnels.asked(), [format!("127.0.0.3:{}", inside.address.port())]);
    assert_eq!(inside.count(), 0);
}

#[tokio::test]
async fn of_several_addresses_a_proxy_is_asked_for_those_that_are_permitted_and_no_other() {
    let app = Listening::start(answer).await;
    let tunnels = Tunnels::start(app.address, &["[2606:4700::1111]", "1.1.1.1"]).await;
    let addresses: &[&[&str]] =
        &[&["2606:4700::1111", "10.0.0.1", "1.1.1.1", "8.8.8.8", "9.9.9.9"]];
    let egress = through(tunnels.proxy(), addresses);
    assert_eq!(outcome(egress, "http://app.example/").await, DELIVERED);
    assert_eq!(tunnels.asked(), ["[2606:4700::1111]:80", "1.1.1.1:80", "8.8.8.8:80"]);
}

#[tokio::test]
async fn what_must_not_be_called_is_not_called_through_a_proxy_either() {
    let app = Listening::start(answer).await;
    let tunnels = Tunnels::start(app.address, &[]).await;
    let literal = |ip: &&str| if ip.contains(':') { format!("[{ip}]") } else { (*ip).to_owned() };
    let spelled = ["2130706433", "0x7f.1", "localhost", "a.localhost.", "[::ffff:a9fe:a9fe]"];
    let hosts = INWARD.iter().map(literal).chain(spelled.map(str::to_owned));
    // Asked for the last of them, the resolver names one of these after the other.
    let hosts: Vec<String> = hosts.chain(vec!["inward.example".to_owned(); INWARD.len()]).collect();
    let answers: Vec<&[&str]> = INWARD.chunks(1).collect();
    for proxy in [tunnels.proxy(), tunnels.proxy().asked_for_names()] {
        let client = Client::new(through(proxy, &answers)).unwrap();
        for host in &hosts {
            let refused = send(&client, request(&format!("http://{host}/"))).await;
            assert_eq!(refused, Outcome::Failed(Failure::Refused), "{host}");
        }
    }
    assert_eq!(tunnels.listening.count(), 0);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_here_is_left_to_a_proxy_that_is_to_be_asked_for_names() {
    let app = Listening::start(answer).await;
    let tunnels = Tunnels::start(app.address, &[]).await;
    let url = "http://app.example:8080/";
    let unresolved = outcome(through(tunnels.proxy(), &[]), url).await;
    assert_eq!(unresolved, Outcome::Failed(Failure::Dns));
    assert_eq!(tunnels.listening.count(), 0);
    for answers in [&[][..], &[&["8.8.8.8"][..]]] {
        let egress = through(tunnels.proxy().asked_for_names(), answers);
        assert_eq!(outcome(egress, url).await, DELIVERED);
        assert_eq!(tunnels.asked().last().unwrap(), "app.example:8080");
    }
}

#[tokio::test]
async fn whose_answer_is_shown_goes_by_the_endpoints_address_and_not_by_the_proxys() {
    let app = Listening::start(async |mut socket: TcpStream| {
        let _ = read(&mut socket, b"{}").await;
        let _ = socket.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 6\r\n\r\nbecaus").await;
    })
    .await;
    let tunnels = Tunnels::start(app.address, &[]).await;
    let names = || tunnels.proxy().asked_for_names();
    let shown = Some(Bytes::from_static(b"becaus"));
    for (proxy, host, resolved, expected) in [
        (tunnels.proxy(), "app.example", "8.8.8.8", shown.clone()),
        (tunnels.proxy(), "8.8.8.8", "8.8.8.8", shown.clone()),
        (tunnels.proxy(), "app.example", "10.0.0.1", None),
        (names(), "8.8.8.8", "8.8.8.8", shown),
        (names(), "10.0.0.1", "8.8.8.8", None),
        // It may be another one by the time at which the proxy asks.
        (names(), "app.example", "8.8.8.8", None),
    ] {
        let inner =
            Policy { allow_networks: vec![network("10.0.0.0/8").unwrap()], ..strict().policy };
        let egress = Egress { policy: inner, ..through(proxy, &[&[resolved]]) };
        let client = Client::new(egress).unwrap();
        let url = format!("http://{host}/");
        let answer = client.send(request(&url), Timestamp::from_millis(0)).await;
        assert_eq!(answer.outcome, Outcome::Failed(Failure::Status(500)), "{url}");
        assert_eq!(answer.excerpt, expected, "{url} {resolved}");
    }
}

/// An app that answers with so many bytes, of which no two that follow each other are alike.
async fn answering(status: u16, body: Bytes, is_chunked: bool) -> Listening {
    Listening::start(move |mut socket| {
        let body = body.clone();
        async move {
            let _ = read(&mut socket, b"{}").await;
            let head = format!("HTTP/1.1 {status} Done\r\nconnection: close\r\n");
            let _ = socket.write_all(head.as_bytes()).await;
            if is_chunked {
                let _ = socket.write_all(b"transfer-encoding: chunked\r\n\r\n").await;
                for part in body.chunks(1_000) {
                    let size = format!("{:x}\r\n", part.len());
                    let _ = socket.write_all(&[size.as_bytes(), part, b"\r\n"].concat()).await;
                }
                let _ = socket.write_all(b"0\r\n\r\n").await;
            } else {
                let length = format!("content-length: {}\r\n\r\n", body.len());
                let _ = socket.write_all(&[length.as_bytes(), &body].concat()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn of_an_answer_that_is_no_success_the_first_4_kib_are_kept_and_no_more() {
    for (status, size, is_chunked) in [
        (500, 0, false),
        (500, 1, false),
        (404, 4_096, true),
        (500, 4_097, false),
        (503, 16 * 1024, true),
        (500, 200_000, false),
        (200, 100, false),
    ] {
        let body: Bytes = (0..size).map(|at: u32| (at % 251) as u8).collect();
        let app = answering(status, body.clone(), is_chunked).await;
        let tunnels = Tunnels::start(app.address, &[]).await;
        let client = Client::new(through(tunnels.proxy(), &[])).unwrap();
        let request = request("http://8.8.8.8/");
        let kept = client.send(request, Timestamp::from_millis(0)).await.excerpt;
        let expected = body.slice(..body.len().min(4_096));
        let expected = (status != 200 && size > 0).then_some(expected);
        assert!(kept == expected, "{status} {size}: {:?}", kept.map(|kept| kept.len()));
    }
}

#[tokio::test]
async fn a_proxy_that_makes_no_tunnel_is_the_proxys_failure() {
    let refusing = Listening::start(async |mut socket: TcpStream| {
        let _ = read(&mut socket, b"\r\n\r\n").await;
        let _ = socket.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
    })
    .await;
    let endless = Listening::start(async |mut socket: TcpStream| {
        let _ = read(&mut socket, b"\r\n\r\n").await;
        while socket.write_all(&[b'x'; 512]).await.is_ok() {}
    })
    .await;
    for proxy in [refusing.address.to_string(), endless.address.to_string(), closed().await] {
        let at: Proxy = format!("http://{proxy}").parse().unwrap();
        let egress = || through(at.clone(), &[&["8.8.8.8", "9.9.9.9"]]);
        let failed = Outcome::Failed(Failure::Proxy);
        assert_eq!(outcome(egress(), "https://app.example/").await, failed, "{proxy}");
        let by_name = Egress { proxy: Some(at.clone().asked_for_names()), ..egress() };
        assert_eq!(outcome(by_name, "https://app.example/").await, failed, "{proxy}");
    }
}

async fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_proxy_whose_name_does_not_resolve_is_the_proxys_failure() {
    let nowhere = through("http://proxy.invalid:3128".parse().unwrap(), &[]);
    let failed = outcome(nowhere, "http://8.8.8.8/").await;
    assert_eq!(failed, Outcome::Failed(Failure::Proxy));
}
