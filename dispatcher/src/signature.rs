//! What proves to an app that a webhook is ours: two signatures over the exact bytes.
//!
//! `WorkOS-Signature` is for the WorkOS SDKs, which read one signature and key with the whole secret.
//! `webhook-signature` is [Standard Webhooks](https://www.standardwebhooks.com), which keys with the
//! decoded secret and carries one signature for each live secret, so that a rotation can overlap.
//!
//! ```text
//!                      rotation            end of the overlap
//!  webhook-signature   old   │  new and old  │  new
//!  WorkOS-Signature    old   │  old          │  new
//! ```
//!
//! An app that checks `webhook-signature` may change its secret at any time of the overlap; one that checks
//! `WorkOS-Signature` changes it at the end.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use schemas::{EventId, Format, Seq, Timestamp};
use sha2::Sha256;

use crate::ports::Secret;

const WORKOS_SIGNATURE: HeaderName = HeaderName::from_static("workos-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const ATTEMPT: HeaderName = HeaderName::from_static("dsync-attempt");
const SEQUENCE: HeaderName = HeaderName::from_static("dsync-sequence");

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("dsync/", env!("CARGO_PKG_VERSION")));

/// How a private key begins.
const PRIVATE_KEY: &str = "whsk_";

/// Secrets come with or without padding, depending on who made them.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Signs for one endpoint. The keys are prepared once and cloned for each use.
#[derive(Clone)]
pub struct Signer {
    /// In the order of the secrets: the current one, then those before it, the newer first.
    shared: Vec<SharedKey>,
    /// For apps that check with a public key.
    private: Option<Arc<Ed25519KeyPair>>,
}

/// A secret that the app has too.
#[derive(Clone)]
struct SharedKey {
    /// Keyed with the text of the secret.
    workos: Hmac<Sha256>,
    /// Keyed with its decoded bytes.
    standard: Hmac<Sha256>,
    until: Option<Timestamp>,
}

impl SharedKey {
    fn new(secret: &Secret) -> Self {
        let text = secret.expose();
        let (workos, standard) = (keyed(text.as_bytes()), keyed(&decoded(text)));
        Self { workos, standard, until: secret.ends() }
    }

    fn is_live(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} secrets)", self.shared.len())
    }
}

/// What is signed and sent.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The id of the event.
    pub id: EventId,
    /// Its number in its directory.
    pub seq: Seq,
    /// 1 for the first attempt.
    pub attempt: u16,
    /// What the bytes are.
    pub format: Format,
    /// The exact bytes.
    pub body: &'a [u8],
}

impl Signer {
    /// Signs with these secrets, the current one first. `None` if there is none without an end, or a
    /// private key that is none.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Option<Self> {
        let is_private = |secret: &&Secret| secret.expose().starts_with(PRIVATE_KEY);
        let (private, shared): (Vec<&Secret>, Vec<&Secret>) = secrets.iter().partition(is_private);
        let private = private.first().map(|secret| key_pair(secret).ok_or(()));
        let private = private.transpose().ok()?.map(Arc::new);
        let shared: Vec<SharedKey> = shared.into_iter().map(SharedKey::new).collect();
        let is_whole = shared.iter().any(|key| key.until.is_none());
        is_whole.then_some(Self { shared, private })
    }

    /// All headers of an HTTP request. Each attempt has its own time, so that receivers can refuse what
    /// is old.
    #[must_use]
    pub fn headers(&self, letter: Letter<'_>, now: Timestamp) -> HeaderMap {
        let mut headers = media_types(letter.format);
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(WORKOS_SIGNATURE, value(&self.workos_signature(letter.body, now)));
        self.add_standard(headers, letter, now)
    }

    /// What a record of Kafka carries of it beside its own headers: what tells who wrote it, and which attempt it is.
    /// No SDK of WorkOS reads a topic.
    #[must_use]
    pub fn record_headers(&self, letter: Letter<'_>, now: Timestamp) -> HeaderMap {
        self.add_standard(HeaderMap::with_capacity(12), letter, now)
    }

    fn add_standard(
        &self,
        mut headers: HeaderMap,
        letter: Letter<'_>,
        now: Timestamp,
    ) -> HeaderMap {
        let id = letter.id.to_string();
        let signatures = self.standard_signatures(&id, letter.body, now);
        headers.insert(WEBHOOK_ID, value(&id));
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds(now)));
        headers.insert(WEBHOOK_SIGNATURE, value(&signatures));
        headers.insert(ATTEMPT, HeaderValue::from(letter.attempt));
        headers.insert(SEQUENCE, HeaderValue::from(letter.seq.0));
        headers
    }

    /// The oldest of the live secrets signs: the app changes it when its overlap ends.
    fn workos_signature(&self, body: &[u8], now: Timestamp) -> String {
        let key = self.shared.iter().rfind(|key| key.is_live(now));
        let mut mac = key.expect("one secret has no end").workos.clone();
        let millis = now.millis().to_string();
        mac.update(millis.as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("t={millis}, v1={:x}", mac.finalize().into_bytes())
    }

    fn standard_signatures(&self, id: &str, body: &[u8], now: Timestamp) -> String {
        let mut signatures = String::with_capacity(self.shared.len() * 48);
        let begin = format!("{id}.{}.", seconds(now));
        for key in self.shared.iter().filter(|key| key.is_live(now)) {
            let mut mac = key.standard.clone();
            mac.update(begin.as_bytes());
            mac.update(body);
            add_signature(&mut signatures, "v1,", &mac.finalize().into_bytes());
        }
        if let Some(pair) = &self.private {
            let signature = pair.sign(&[begin.as_bytes(), body].concat());
            add_signature(&mut signatures, "v1a,", signature.as_ref());
        }
        signatures
    }
}

fn add_signature(signatures: &mut String, version: &str, signature: &[u8]) {
    if !signatures.is_empty() {
        signatures.push(' ');
    }
    signatures.push_str(version);
    STANDARD.encode_string(signature, signatures);
}

const fn seconds(now: Timestamp) -> i64 {
    now.millis() / 1000
}

/// What apps check `v1a` signatures with, in the form of Standard Webhooks, if `secret` is a private key.
#[must_use]
pub fn public_key(secret: &Secret) -> Option<String> {
    let pair = key_pair(secret)?;
    Some(format!("whpk_{}", STANDARD.encode(pair.public_key())))
}

/// The private key that follows from 32 secret bytes, in the form of Standard Webhooks.
#[must_use]
pub fn private_key(seed: &[u8; 32]) -> Secret {
    Secret::new(format!("{PRIVATE_KEY}{}", STANDARD.encode(seed)))
}

fn key_pair(secret: &Secret) -> Option<Ed25519KeyPair> {
    let seed = LENIENT.decode(secret.expose().strip_prefix(PRIVATE_KEY)?).ok()?;
    Ed25519KeyPair::from_seed_unchecked(&seed).ok()
}

/// What a body in this format is.
#[must_use]
pub const fn content_type(format: Format) -> &'static str {
    match format {
        Format::Webhook => "application/json",
        Format::ScimSet => "application/secevent+jwt",
    }
}

fn media_types(format: Format) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(9);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(format)));
    match format {
        Format::Webhook => {}
        // RFC 8935 §2.1: the form of an error that may come back.
        Format::ScimSet => {
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        }
    }
    headers
}

/// The bytes that Standard Webhooks keys with. A secret that is not base64, as an owner may have
/// brought along, keys with its text.
fn decoded(secret: &str) -> Vec<u8> {
    let text = secret.strip_prefix("whsec_").unwrap_or(secret);
    LENIENT.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("made of visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn signer(secrets: &[&str]) -> Signer {
        let secrets: Vec<Secret> = secrets.iter().map(|text| secret(text)).collect();
        Signer::new(&secrets).unwrap()
    }

    #[test]
    fn the_workos_signature_is_the_one_that_the_sdks_check() {
        let body = br#"{"id":"event_01K0ZD0B1C2D3E4F5G6H7J8K9M","event":"dsync.user.created","data":{},"created_at":"2026-03-02T10:15:30.123Z"}"#;
        let signer = signer(&["whsec_0FWAiVGkEfGBqqsJH4aNAGBJ4"]);
        let header = signer.workos_signature(body, Timestamp::from_millis(1_772_446_530_123));
        let v1 = "eb2ddf99ef47ba89cfc8f2ce1ecbb7a20fb5e9887082526035c31684ee58e49a";
        assert_eq!(header, format!("t=1772446530123, v1={v1}"));
    }

    /// The vector that the Standard Webhooks libraries share.
    #[test]
    fn the_standard_signature_is_the_one_of_the_specification() {
        let signer = signer(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
        let body = br#"{"test": 2432232314}"#;
        let at = Timestamp::from_millis(1_614_265_330_000);
        let header = signer.standard_signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", body, at);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    fn alone(secret: &str, now: i64) -> (String, String) {
        signatures(&signer(&[secret]), now)
    }

    fn signatures(signer: &Signer, now: i64) -> (String, String) {
        let now = Timestamp::from_millis(now);
        (signer.standard_signatures("e", b"{}", now), signer.workos_signature(b"{}", now))
    }

    #[test]
    fn every_live_secret_signs_and_the_workos_header_switches_at_the_end_of_the_overlap() {
        let (old, new) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA");
        let end = 1_000_000;
        let secrets = [secret(new), secret(old).until(Timestamp::from_millis(end))];
        let rotating = Signer::new(&secrets).unwrap();
        let (standard, workos) = signatures(&rotating, end - 1);
        let (by_new, by_old) = (alone(new, end - 1), alone(old, end - 1));
        assert_eq!(standard, format!("{} {}", by_new.0, by_old.0));
        assert_eq!(workos, by_old.1);
        assert_eq!(signatures(&rotating, end), alone(new, end));
    }

    #[test]
    fn a_rotation_within_an_overlap_takes_the_workos_header_through_every_secret_in_turn() {
        let until = |text, at| secret(text).until(Timestamp::from_millis(at));
        let rotating =
            Signer::new(&[secret("whsec_CCCC"), until("whsec_BBBB", 20), until("whsec_AAAA", 10)]);
        for (now, oldest) in [(9, "whsec_AAAA"), (10, "whsec_BBBB"), (20, "whsec_CCCC")] {
            let (_, workos) = signatures(rotating.as_ref().unwrap(), now);
            assert_eq!(workos, alone(oldest, now).1, "{now}");
        }
    }

    #[test]
    fn a_private_key_signs_beside_the_secrets_and_its_public_half_checks() {
        let private = private_key(&[7; 32]);
        let text = public_key(&private).unwrap();
        let signer = Signer::new(&[secret("whsec_AAAA"), private]).unwrap();
        let (standard, workos) = signatures(&signer, 5_000);
        assert_eq!(workos, alone("whsec_AAAA", 5_000).1);
        let (shared, v1a) = standard.split_once(" v1a,").unwrap();
        assert_eq!(shared, alone("whsec_AAAA", 5_000).0);
        let key = STANDARD.decode(text.strip_prefix("whpk_").unwrap()).unwrap();
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
        key.verify(b"e.5.{}", &STANDARD.decode(v1a).unwrap()).unwrap();
    }

    #[test]
    fn nobody_signs_without_a_secret_that_stays() {
        let ending = secret("whsec_AAAA").until(Timestamp::from_millis(1));
        assert!(Signer::new(&[]).is_none());
        assert!(Signer::new(&[ending]).is_none());
        assert!(Signer::new(&[private_key(&[7; 32])]).is_none());
        assert!(Signer::new(&[secret("whsec_AAAA"), secret("whsk_AAAA")]).is_none());
        assert!(public_key(&secret("whsec_AAAA")).is_none());
    }

    #[test]
    fn every_attempt_says_what_it_is() {
        let signer = signer(&["whsec_AAAA"]);
        let id = EventId::from_bits(7);
        let format = Format::Webhook;
        let letter = Letter { id, seq: Seq(42), attempt: 3, format, body: b"{}" };
        let headers = signer.headers(letter, Timestamp::from_millis(1_772_446_530_123));
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(text("webhook-id"), id.to_string());
        assert_eq!(text("webhook-timestamp"), "1772446530");
        assert_eq!(text("dsync-attempt"), "3");
        assert_eq!(text("dsync-sequence"), "42");
        assert!(text("user-agent").starts_with("dsync/"));
        assert_eq!(text("content-type"), "application/json");
        assert!(!headers.contains_key("accept"));
    }

    #[test]
    fn a_token_is_announced_as_one_and_signed_like_every_body() {
        let signer = signer(&["whsec_AAAA"]);
        let letter = |format, body| Letter {
            id: EventId::from_bits(7),
            seq: Seq(42),
            attempt: 1,
            format,
            body,
        };
        let now = Timestamp::from_millis(1_772_446_530_123);
        let headers = signer.headers(letter(Format::ScimSet, b"a.b.c"), now);
        assert_eq!(headers["content-type"], "application/secevent+jwt");
        assert_eq!(headers["accept"], "application/json");
        let webhook = signer.headers(letter(Format::Webhook, b"a.b.c"), now);
        for name in ["webhook-id", "webhook-signature", "workos-signature", "dsync-sequence"] {
            assert_eq!(headers[name], webhook[name]);
        }
    }

    #[test]
    fn neither_secrets_nor_signers_show_themselves() {
        let secret = Secret::new("whsec_c2VjcmV0".to_owned());
        let signer = Signer::new(std::slice::from_ref(&secret)).unwrap();
        assert!(!format!("{secret:?}{signer:?}").contains("c2Vj"));
    }
}
