//! What forms are worth.

use super::*;

#[tokio::test]
async fn a_form_is_worth_nothing_without_its_token_and_from_elsewhere() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::signed_in(&server).await;
    let new = "/console/organizations/new";
    let page = visitor.page(new).await;
    let (id, csrf) = (field(&page, "id"), field(&page, "csrf"));
    let other = Visitor::signed_in(&server).await.field(new, "csrf").await;
    for token in ["", "guess", &other] {
        let answer = visitor.post(new, &[("csrf", token), ("id", &id), ("name", "Forged")]).await;
        assert_eq!(answer.status(), 403, "{token}");
    }
    let body = format!("csrf={csrf}&id={id}&name=Forged");
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let form = visitor.request("POST", new).header(name, value).body(body.clone());
        assert_eq!(form.send().await.unwrap().status(), 403, "{name}");
    }
    let elsewhere = visitor.request("POST", "/console/sign-in").header("origin", "null");
    assert_eq!(elsewhere.body("password=black-box").send().await.unwrap().status(), 403);
    assert_eq!(server.api().get("/organizations").await["data"], serde_json::json!([]));

    let nul = [("csrf", csrf.as_str()), ("id", &id), ("name", "a\0b")];
    assert_eq!(visitor.post(new, &nul).await.status(), 400);
    assert_eq!(visitor.get("/console/organizations?search=%00").await.status(), 400);
    for typed in ["org_00000000000000000000000000", "org_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "x"] {
        let fields = [("csrf", csrf.as_str()), ("id", typed), ("name", "Typed")];
        assert_eq!(visitor.post(new, &fields).await.status(), 403, "no form has {typed}");
    }

    // Sent twice, it makes one.
    let fields = [("csrf", csrf.as_str()), ("id", &id), ("name", "Acme")];
    for _ in 0..2 {
        let answer = visitor.post(new, &fields).await;
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.headers()[LOCATION], format!("/console/organizations/{id}"));
    }
    let there = server.api().get("/organizations").await["data"].clone();
    assert_eq!(there.as_array().unwrap().len(), 1, "{there}");
}

#[tokio::test]
async fn a_token_that_is_rotated_is_given_an_end_which_shows_and_is_taken_back() {
    let (_data, server) = server(&[]);
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let visitor = Visitor::signed_in(&server).await;
    let own = format!("/console/directories/{}", directory.id);
    let new = format!("{own}/tokens/new");
    let page = visitor.page(&new).await;
    let (id, csrf) = (field(&page, "id"), field(&page, "csrf"));
    let suffix = &directory.token[directory.token.len() - 4..];
    assert!(page.contains(&format!("The token that ends in …{suffix} works for")), "{page}");
    let typed = |seconds| [("csrf", &*csrf), ("id", &*id), ("overlap_seconds", seconds)];
    assert_eq!(visitor.post(&new, &typed("1")).await.status(), 400, "no form has that");
    assert_eq!(visitor.post(&new, &typed("86400")).await.status(), 200);
    let tokens = server.api().get(&format!("/directories/{}/tokens", directory.id)).await;
    let old = &tokens["data"][1];
    let end = old["expires_at"].as_str().unwrap();
    let page = visitor.page(&own).await;
    assert_eq!(page.matches("works until").count(), 1, "{page}");
    assert!(page.contains(end), "{end}: {page}");
    directory.send("GET", "/Users", None).await.expect(200);

    let token = format!("{own}/tokens/{}", old["id"].as_str().unwrap());
    assert!(visitor.page(&format!("{token}/revoke")).await.contains("Keep it until it is revoked"));
    let keep = format!("{token}/keep");
    assert_eq!(visitor.post(&keep, &[("csrf", "guess")]).await.status(), 403);
    assert_eq!(visitor.post(&keep, &[("csrf", &*csrf)]).await.status(), 303);
    assert!(!visitor.page(&own).await.contains("works until"));
    assert_eq!(visitor.post(&format!("{token}/revoke"), &[("csrf", &*csrf)]).await.status(), 303);
    assert_eq!(visitor.post(&keep, &[("csrf", &*csrf)]).await.status(), 404, "it stays void");
    let revoke = format!("{own}/tokens/{id}/revoke");
    assert_eq!(visitor.post(&revoke, &[("csrf", &*csrf)]).await.status(), 303);
    let again = visitor.post(&new, &typed("86400")).await;
    assert_eq!(again.status(), 303, "the form is used up, and leads to what there is");
    assert_eq!(again.headers()[LOCATION], own);
}

#[tokio::test]
async fn a_client_certificate_goes_in_by_a_form_and_its_key_never_comes_out() {
    let (_data, server) = server(&[]);
    let visitor = Visitor::signed_in(&server).await;
    let (chain, key) = certificate("dsync at Contoso");
    let (_, other_key) = certificate("other");
    let secrets: Vec<&str> = [&key, &other_key].map(|key| key.lines().nth(1).unwrap()).to_vec();
    let shows = async |answer: Response, status: u16, text: &str| {
        assert_eq!(answer.status(), status, "{text}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(text), "{text}: {page}");
        assert!(!secrets.iter().any(|secret| page.contains(secret)), "a key is shown");
    };
    let new = "/console/endpoints/new";
    let page = visitor.page(new).await;
    let (id, csrf) = (field(&page, "id"), field(&page, "csrf"));
    let typed = |chain, key| {
        let to = ("endpoint_url", "https://app.example/");
        [
            ("csrf", &*csrf),
            ("id", &*id),
            to,
            ("client_certificate", chain),
            ("client_certificate_key", key),
        ]
    };
    for (chain, key, wrong) in [
        (&*chain, "", "come together"),
        ("", &*key, "come together"),
        ("none", &key, "client_certificate cannot be used"),
        (&chain, "none", "client_certificate cannot be used"),
        (&chain, &other_key, "client_certificate cannot be used"),
    ] {
        shows(visitor.post(new, &typed(chain, key)).await, 422, wrong).await;
    }
    assert_eq!(server.api().get("/webhook_endpoints").await["data"], serde_json::json!([]));
    shows(visitor.post(new, &typed(&chain, &key)).await, 200, "whsec_").await;
    let path = format!("/webhook_endpoints/{id}");
    assert_eq!(server.api().get(&path).await["client_certificate"], chain.as_str());

    let own = format!("/console/endpoints/{id}");
    let edit = format!("{own}/edit");
    for page in [&own, &edit] {
        shows(visitor.get(page).await, 200, "dsync at Contoso").await;
        shows(visitor.get(page).await, 200, "4096-01-01").await;
    }
    let save = async |more: &[(&str, &str)]| {
        let made_from = visitor.field(&edit, "made_from").await;
        let always = [
            ("csrf", &*csrf),
            ("made_from", &*made_from),
            ("endpoint_url", "https://app.example/"),
        ];
        let all = [("events", "dsync.deleted"), ("order", "resource"), ("format", "webhook")];
        visitor.post(&edit, &[&always[..], &all, more].concat()).await
    };
    // Left empty it stays, another takes its place, and a tick takes it away.
    let shown = async || server.api().get(&path).await["client_certificate"].clone();
    assert_eq!(save(&[]).await.status(), 303);
    assert_eq!(shown().await, chain.as_str());
    let (other, _) = certificate("other");
    let mixed = [("client_certificate", &*other), ("client_certificate_key", &*key)];
    shows(save(&mixed).await, 422, "client_certificate cannot be used").await;
    let none = [("no_client_certificate", "true")];
    shows(save(&[&mixed[..], &none].concat()).await, 422, "Take one of them away").await;
    assert_eq!(shown().await, chain.as_str());
    let (other, other_key) = certificate("other");
    let both = [("client_certificate", &*other), ("client_certificate_key", &*other_key)];
    assert_eq!(save(&both).await.status(), 303);
    assert_eq!(shown().await, other.as_str());
    assert_eq!(save(&none).await.status(), 303);
    assert_eq!(shown().await, serde_json::Value::Null);
    assert!(!visitor.page(&own).await.contains("Client certificate"));
}

/// A certificate with this common name, and its key.
fn certificate(name: &str) -> (String, String) {
    let mut params = rcgen::CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn an_endpoint_changes_by_no_form_without_its_token_and_by_one_that_is_sent_twice_once() {
    let (_data, server) = server(&[]);
    let app = tests::Receiver::start().await;
    let visitor = Visitor::signed_in(&server).await;
    let new = "/console/endpoints/new";
    let page = visitor.page(new).await;
    let (id, csrf) = (field(&page, "id"), field(&page, "csrf"));
    let fields = [("csrf", csrf.as_str()), ("id", &id), ("endpoint_url", app.url())];
    let made = visitor.post(new, &fields).await;
    assert_eq!(made.status(), 200);
    assert!(made.text().await.unwrap().contains("whsec_"));
    let own = format!("/console/endpoints/{id}");
    let again = visitor.post(new, &fields).await;
    assert_eq!(
        (again.status().as_u16(), again.headers()[LOCATION].to_str().unwrap()),
        (303, &*own)
    );
    let path = format!("/webhook_endpoints/{id}");
    let before = server.api().get(&path).await;

    let made_from = before["updated_at"].as_str().unwrap();
    for token in ["", "guess"] {
        for form in ["edit", "disable", "delete", "rotate", "test", "replay"] {
            let typed = [("csrf", token), ("made_from", made_from), ("event", "dsync.deleted")];
            let refused = visitor.post(&format!("{own}/{form}"), &typed).await;
            assert_eq!(refused.status(), 403, "{form}");
        }
    }
    assert_eq!(server.api().get(&path).await["updated_at"], before["updated_at"]);
    assert!(app.arrived().is_empty(), "nothing was sent");

    // A rotation that is sent twice makes one secret: the second is of an older version.
    let rotate = format!("{own}/rotate");
    let typed = [("csrf", csrf.as_str()), ("made_from", made_from), ("overlap_seconds", "60")];
    assert_eq!(visitor.post(&rotate, &typed).await.status(), 200);
    let rotated = server.api().get(&path).await["secret"].clone();
    assert_ne!(rotated, before["secret"]);
    assert_eq!(visitor.post(&rotate, &typed).await.status(), 409);
    assert_eq!(server.api().get(&path).await["secret"], rotated);
    let typed = [("csrf", csrf.as_str()), ("made_from", made_from), ("overlap_seconds", "-1")];
    assert_eq!(visitor.post(&rotate, &typed).await.status(), 422);

    // An event that cannot be sent again does not turn into the whole history.
    let replay = format!("{own}/replay");
    let replay_id = visitor.field(&replay, "id").await;
    let event = "event_00000000000000000000000000";
    let typed = [("csrf", csrf.as_str()), ("id", &replay_id), ("event_id", event)];
    let refused = visitor.post(&replay, &typed).await;
    assert_eq!(refused.status(), 422);
    let page = refused.text().await.unwrap();
    assert!(page.contains("event_id is the id of nothing."), "{page}");
    assert_eq!(field(&page, "event_id"), event);
    assert!(!page.contains("name=\"begin\""), "{page}");
}
