//! What a certificate says of itself (RFC 5280), as far as pages show it: whose it is, and until when. Nothing is
//! checked here: the API has done that.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemas::Timestamp;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which the first version has not.
const VERSION: u8 = 0xa0;

/// `id-at-commonName` and `id-at-organizationName`.
const NAMES: [&[u8]; 2] = [&[0x55, 0x04, 0x03], &[0x55, 0x04, 0x0a]];

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
        let (_, rest) = chain.split_once(BEGIN)?;
        let (text, _) = rest.split_once(END)?;
        let text: String = text.chars().filter(|letter| !letter.is_whitespace()).collect();
        Self::read(&STANDARD.decode(text).ok()?)
    }

    fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = Der(der).next()?;
        let (_, told) = Der(certificate).next()?;
        let mut told = Der(told);
        // Version, serial number, signature, issuer, validity, subject: in this order.
        if told.next()?.0 == VERSION {
            told.next()?;
        }
        let (_signature, _issuer) = (told.next()?, told.next()?);
        let ((_, validity), (_, subject)) = (told.next()?, told.next()?);
        let mut validity = Der(validity);
        let (_begin, (kind, end)) = (validity.next()?, validity.next()?);
        let name = NAMES.iter().find_map(|name| attribute(subject, name));
        Some(Self { name, not_after: time(kind, end)? })
    }
}

/// An attribute of a name, if it is there as a text.
fn attribute(name: &[u8], wanted: &[u8]) -> Option<String> {
    Der(name).find_map(|(_, set)| {
        Der(set).find_map(|(_, pair)| {
            let mut pair = Der(pair);
            let (_, kind) = pair.next()?;
            let (tag, value) = pair.next()?;
            let is_text = matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING);
            (kind == wanted && is_text).then(|| String::from_utf8_lossy(value).into_owned())
        })
    })
}

/// RFC 5280, 4.1.2.5: years of two digits are those from 1950 to 2049.
fn time(kind: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
    let text = match kind {
        UTC_TIME => {
            let century = if text.get(..2)? < "50" { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize| text.get(from..from + 2);
    let (year, month, day) = (text.get(..4)?, part(4)?, part(6)?);
    let (hour, minute, second) = (part(8)?, part(10)?, part(12)?);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

/// What is left of a sequence in DER (X.690): each element with its tag and its content.
struct Der<'a>(&'a [u8]);

impl<'a> Iterator for Der<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, length], mut rest) = self.0.split_first_chunk()?;
        let mut length = usize::from(length);
        if length >= 0x80 {
            let (digits, behind) = rest.split_at_checked(length - 0x80)?;
            // More digits than these are of no certificate.
            if digits.len() > 4 {
                return None;
            }
            length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
            rest = behind;
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
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
    fn a_year_of_two_digits_is_one_of_a_hundred() {
        let until = |kind, text: &str| time(kind, text.as_bytes()).map(|at| at.to_string());
        assert_eq!(until(UTC_TIME, "491231235959Z").as_deref(), Some("2049-12-31T23:59:59.000Z"));
        assert_eq!(until(UTC_TIME, "991231235959Z").as_deref(), Some("1999-12-31T23:59:59.000Z"));
        for (kind, text) in
            [(UTC_TIME, "4912312359"), (UTC_TIME, "ü"), (UTF8_STRING, "491231235959Z")]
        {
            assert_eq!(until(kind, text), None, "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_or_no_certificate_says_nothing() {
        assert_eq!(Certificate::first_of(""), None);
        assert_eq!(Certificate::first_of(&format!("{BEGIN}!{END}")), None);
        assert_eq!(Certificate::first_of(&format!("{BEGIN}////{END}")), None);
        let body: String = CHAIN.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).unwrap();
        for length in 0..der.len() {
            assert_eq!(Certificate::read(&der[..length]), None, "{length}");
            let mut other = der.clone();
            other[length] ^= 0xff;
            // Whatever it says, it is read to its end.
            let _ = Certificate::read(&other);
        }
    }
}
