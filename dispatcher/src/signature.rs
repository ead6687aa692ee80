//! What proves to an app that a webhook is ours: two signatures over the exact bytes.
//!
//! `WorkOS-Signature` is for the WorkOS SDKs, which read one signature and key with the whole secret.
//! `webhook-signature` is [Standard Webhooks](https://www.standardwebhooks.com), which keys with the
//! decoded secret and carries one signature for each live secret, so that a rotation can overlap.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, header};
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

/// Secrets come with or without padding, depending on who made them.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Signs for one endpoint. The keys are prepared once and cloned for each use.
#[derive(Clone)]
pub struct Signer {
    /// Keyed with the text of the current secret.
    workos: Hmac<Sha256>,
    /// Keyed with the decoded bytes of each live secret.
    standard: Vec<Hmac<Sha256>>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} secrets)", self.standard.len())
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
    /// Signs with these secrets, the current one first. `None` if there is none.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Option<Self> {
        let current = secrets.first()?;
        Some(Self {
            workos: keyed(current.expose().as_bytes()),
            standard: secrets.iter().map(|secret| keyed(&decoded(secret.expose()))).collect(),
        })
    }

    /// All headers of an attempt. Each attempt has its own time, so that receivers can refuse what
    /// is old.
    #[must_use]
    pub fn headers(&self, letter: Letter<'_>, now: Timestamp) -> HeaderMap {
        let id = letter.id.to_string();
        let seconds = now.millis() / 1000;
        let mut headers = media_types(letter.format);
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(WORKOS_SIGNATURE, value(&self.workos_signature(letter.body, now)));
        let signatures = self.standard_signatures(&id, seconds, letter.body);
        headers.insert(WEBHOOK_ID, value(&id));
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
        headers.insert(WEBHOOK_SIGNATURE, value(&signatures));
        headers.insert(ATTEMPT, HeaderValue::from(letter.attempt));
        headers.insert(SEQUENCE, HeaderValue::from(letter.seq.0));
        headers
    }

    fn workos_signature(&self, body: &[u8], now: Timestamp) -> String {
        let mut mac = self.workos.clone();
        let millis = now.millis().to_string();
        mac.update(millis.as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("t={millis}, v1={:x}", mac.finalize().into_bytes())
    }

    fn standard_signatures(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut signatures = String::with_capacity(self.standard.len() * 48);
        for key in &self.standard {
            let mut mac = key.clone();
            mac.update(format!("{id}.{seconds}.").as_bytes());
            mac.update(body);
            if !signatures.is_empty() {
                signatures.push(' ');
            }
            signatures.push_str("v1,");
            STANDARD.encode_string(mac.finalize().into_bytes(), &mut signatures);
        }
        signatures
    }
}

fn media_types(format: Format) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(9);
    let json = HeaderValue::from_static("application/json");
    match format {
        Format::Webhook => {
            headers.insert(header::CONTENT_TYPE, json);
        }
        // RFC 8935 §2.1: what is sent, and the form of an error that may come back.
        Format::ScimSet => {
            let token = HeaderValue::from_static("application/secevent+jwt");
            headers.insert(header::CONTENT_TYPE, token);
            headers.insert(header::ACCEPT, json);
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

    fn signer(secrets: &[&str]) -> Signer {
        let secrets: Vec<Secret> =
            secrets.iter().map(|text| Secret::new((*text).to_owned())).collect();
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
        let header =
            signer.standard_signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_live_secret_signs() {
        let (old, new) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA");
        let both = signer(&[new, old]).standard_signatures("e", 1, b"{}");
        let each = [new, old].map(|secret| signer(&[secret]).standard_signatures("e", 1, b"{}"));
        assert_eq!(both, each.join(" "));
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
