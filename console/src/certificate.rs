//! What a certificate says of itself (RFC 5280), as far as pages show it: whose it is, and until when. Nothing is
//! checked here: the API has done that.

use schemas::Timestamp;
use x509_parser::pem::parse_x509_pem;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The common name of its subject, or else its organization.
    pub(crate) name: Option<String>,
    /// When it ends.
    pub(crate) not_after: Timestamp,
}

impl Certificate {
    /// The first of a chain in PEM form.
    pub(crate) fn first_of(chain: &str) -> Option<Self> {
        let (_, pem) = parse_x509_pem(chain.as_bytes()).ok()?;
        let certificate = pem.parse_x509().ok()?;
        let subject = certificate.subject();
        let mut names = subject.iter_common_name().chain(subject.iter_organization());
        let name = names.find_map(|name| name.as_str().ok()).map(str::to_owned);
        let seconds = certificate.validity().not_after.timestamp();
        Some(Self { name, not_after: Timestamp::from_millis(seconds.checked_mul(1_000)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `O = Contoso, CN = dsync at Contoso`, until `Nov 3 02:35:15 2126 GMT`.
    const CHAIN: &str = include_str!("certificate/sample.pem");

    #[test]
    fn a_certificate_says_whose_it_is_and_until_when() {
        let said = Certificate::first_of(CHAIN).unwrap();
        assert_eq!(said.name.as_deref(), Some("dsync at Contoso"));
        assert_eq!(said.not_after.to_string(), "2126-11-03T02:35:15.000Z");
        let windows = CHAIN.replace('\n', "\r\n") + CHAIN;
        assert_eq!(Certificate::first_of(&windows), Some(said));
    }

    #[test]
    fn what_is_cut_off_or_no_certificate_says_nothing() {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
        const END: &str = "\n-----END CERTIFICATE-----\n";
        for text in ["", "!", "////"] {
            assert_eq!(Certificate::first_of(&format!("{BEGIN}{text}{END}")), None);
        }
        for length in 0..CHAIN.find("-----END").unwrap() {
            assert_eq!(Certificate::first_of(&CHAIN[..length]), None, "{length}");
        }
    }
}
