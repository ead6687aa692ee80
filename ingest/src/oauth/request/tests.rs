use axum::http::HeaderValue;

use super::*;

const GRANT: &str = "grant_type=client_credentials";

fn ask(authorization: Option<&str>, body: &str) -> Result<Client, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
    }
    read(&headers, body.as_bytes())
}

fn basic(joined: &str) -> String {
    format!("Basic {}", STANDARD.encode(joined))
}

fn client(id: &str, secret: &str) -> Result<Client, Refusal> {
    Ok(Client { id: id.to_owned(), secret: digest(secret) })
}

fn malformed(answer: &Result<Client, Refusal>) -> bool {
    matches!(answer, Err(Refusal::Malformed(_)))
}

#[test]
fn a_client_authenticates_in_the_body() {
    let body = format!("{GRANT}&client_id=abc&client_secret=s%2B+t&scope=a+b&unknown=x");
    assert_eq!(ask(None, &body), client("abc", "s+ t"));
}

#[test]
fn a_client_authenticates_in_the_header_with_both_parts_encoded() {
    assert_eq!(ask(Some(&basic("abc:secret")), GRANT), client("abc", "secret"));
    assert_eq!(ask(Some(&basic("a%3Ab:s%2B+t:u")), GRANT), client("a:b", "s+ t:u"));
    let lower = basic("abc:secret").replacen("Basic", "bAsIc", 1);
    assert_eq!(ask(Some(&lower), GRANT), client("abc", "secret"));
}

#[test]
fn the_media_type_may_have_parameters_and_must_be_that_of_forms() {
    let ask = |kind: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        read(&headers, format!("{GRANT}&client_id=a&client_secret=b").as_bytes())
    };
    assert!(ask(Some("Application/X-WWW-Form-Urlencoded; charset=utf-8")).is_ok());
    for kind in [None, Some("application/json"), Some("multipart/form-data"), Some("")] {
        assert!(malformed(&ask(kind)), "{kind:?}");
    }
}

#[test]
fn what_is_missing_repeated_or_broken_is_an_invalid_request() {
    for body in [
        "",
        "client_id=a&client_secret=b",
        "grant_type=&client_id=a&client_secret=b",
        "grant_type=client_credentials&client_secret=b",
        "grant_type=client_credentials&grant_type=client_credentials&client_id=a&client_secret=b",
        "grant_type=client_credentials&client_id=a&client_id=a&client_secret=b",
        "grant_type=client_credentials&client_id=a&client_secret=b&client_secret=",
        "grant_type=client_credentials&client_id=a&client_secret=b&scope=x&scope=x",
        "grant_type=client_credentials&client_id=%4&client_secret=b",
        "grant_type=client_credentials&client_id=%ff&client_secret=b",
    ] {
        assert!(malformed(&ask(None, body)), "{body}");
    }
    let bytes = [GRANT.as_bytes(), b"&client_id=\xff&client_secret=b"].concat();
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(FORM))]);
    assert!(malformed(&read(&headers, &bytes)));
}

#[test]
fn only_a_resource_may_be_repeated() {
    let body = format!("{GRANT}&client_id=a&client_secret=b&resource=x&resource=y");
    assert_eq!(ask(None, &body), client("a", "b"));
}

#[test]
fn without_credentials_that_can_be_read_the_client_is_invalid() {
    let refused = Err(Refusal::Unauthenticated);
    assert_eq!(ask(None, GRANT), refused);
    assert_eq!(ask(None, &format!("{GRANT}&client_id=a")), refused);
    assert_eq!(ask(None, &format!("{GRANT}&client_id=a&client_secret=")), refused);
    let schemes = ["Bearer abc", "Basic", "Basic ***", "Digest username=a"];
    for header in schemes.map(str::to_owned).into_iter().chain([
        basic("no colon"),
        basic("%zz:b"),
        basic("a:%"),
        format!("Basic {}", STANDARD.encode(b"\xff:b")),
    ]) {
        assert_eq!(ask(Some(&header), GRANT), refused, "{header}");
    }
}

#[test]
fn a_client_authenticates_once() {
    let header = basic("abc:secret");
    let ask = |body: &str| ask(Some(&header), &format!("{GRANT}&{body}"));
    assert!(malformed(&ask("client_id=abc&client_secret=secret")));
    assert!(malformed(&ask("client_secret=secret")));
    assert!(malformed(&ask("client_id=other")));
    assert_eq!(ask("client_id=abc"), client("abc", "secret"));

    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    for _ in 0..2 {
        headers.append(AUTHORIZATION, HeaderValue::from_str(&header).unwrap());
    }
    assert!(malformed(&read(&headers, GRANT.as_bytes())));
}

#[test]
fn other_grants_are_unsupported_whoever_asks() {
    for grant in ["authorization_code", "password", "Client_Credentials", "refresh_token"] {
        let answer = ask(None, &format!("grant_type={grant}"));
        assert_eq!(answer, Err(Refusal::UnsupportedGrant), "{grant}");
    }
}
