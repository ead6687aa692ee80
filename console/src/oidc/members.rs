//! Who of those that a provider knows may sign in, and as what.

use std::str::FromStr;

use crate::ports::{Claims, Role};

/// What stands before the name of a group.
const GROUP: &str = "groups:";

/// Somebody, or everybody of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// Whoever has this address, and the provider has verified it; in lower case.
    Address(String),
    /// Whoever has this value in the claim `groups`, letter for letter.
    Group(String),
}

/// A text that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an e-mail address nor groups: with the value of a group")]
pub struct InvalidMember(String);

impl FromStr for Member {
    type Err = InvalidMember;

    fn from_str(text: &str) -> Result<Self, InvalidMember> {
        let text = text.trim();
        if let Some(group) =
            text.strip_prefix(GROUP).map(str::trim).filter(|group| !group.is_empty())
        {
            return Ok(Self::Group(group.to_owned()));
        }
        let is_address = text.split_once('@').is_some_and(|(name, domain)| {
            !name.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace)
        });
        if is_address {
            Ok(Self::Address(text.to_ascii_lowercase()))
        } else {
            Err(InvalidMember(text.to_owned()))
        }
    }
}

impl Member {
    fn is_group(&self) -> bool {
        match self {
            Self::Group(_) => true,
            Self::Address(_) => false,
        }
    }

    fn is(&self, claims: &Claims) -> bool {
        match self {
            Self::Address(address) => {
                // ASCII alone: other alphabets have letters whose small form is one of ours.
                let email = claims.email.as_ref().filter(|_| claims.email_verified);
                email.is_some_and(|email| email.eq_ignore_ascii_case(address))
            }
            Self::Group(group) => claims.groups.contains(group),
        }
    }
}

/// Who may sign in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// As admins.
    pub admins: Vec<Member>,
    /// As auditors.
    pub auditors: Vec<Member>,
}

impl Members {
    /// As what somebody may: whoever is in both lists is an admin.
    pub(super) fn role(&self, claims: &Claims) -> Option<Role> {
        let in_list = |list: &[Member]| list.iter().any(|member| member.is(claims));
        if in_list(&self.admins) {
            Some(Role::Admin)
        } else {
            in_list(&self.auditors).then_some(Role::Auditor)
        }
    }

    /// Whether groups matter.
    #[must_use]
    pub fn have_groups(&self) -> bool {
        self.admins.iter().chain(&self.auditors).any(Member::is_group)
    }

    /// Whether addresses matter.
    #[must_use]
    pub fn have_addresses(&self) -> bool {
        !self.admins.iter().chain(&self.auditors).all(Member::is_group)
    }
}

#[cfg(test)]
mod tests {
    use schemas::Timestamp;

    use super::*;

    fn claims(email: &str, email_verified: bool, groups: &[&str]) -> Claims {
        Claims {
            issuer: String::new(),
            audience: Vec::new(),
            authorized_party: None,
            expires_at: Timestamp::from_millis(0),
            issued_at: Timestamp::from_millis(0),
            nonce: None,
            email: Some(email.to_owned()),
            email_verified,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    fn members() -> Members {
        let read = |text: &str| text.parse().expect("it names somebody");
        Members {
            admins: vec![read("Ada@Example.com"), read("groups:Platform Team")],
            auditors: vec![read("ada@example.com"), read("groups:audit")],
        }
    }

    #[test]
    fn an_address_counts_only_where_it_is_verified() {
        let members = members();
        assert_eq!(members.role(&claims("ADA@example.com", true, &[])), Some(Role::Admin));
        assert_eq!(members.role(&claims("ada@example.com", false, &[])), None);
        assert_eq!(members.role(&claims("ada@example.com.evil.test", true, &[])), None);
        assert_eq!(members.role(&claims("", true, &[])), None);
        let kelvin = Members { admins: vec!["kim@example.com".parse().unwrap()], ..members };
        assert_eq!(kelvin.role(&claims("KIM@example.com", true, &[])), Some(Role::Admin));
        assert_eq!(kelvin.role(&claims("\u{212a}im@example.com", true, &[])), None);
    }

    #[test]
    fn a_group_counts_letter_for_letter_and_the_higher_role_wins() {
        let members = members();
        assert_eq!(members.role(&claims("x", false, &["audit"])), Some(Role::Auditor));
        assert_eq!(
            members.role(&claims("x", false, &["audit", "Platform Team"])),
            Some(Role::Admin)
        );
        assert_eq!(members.role(&claims("x", false, &["Audit", "platform team"])), None);
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for text in ["", "ada", "@example.com", "ada@", "groups:", "a b@example.com", "role:admin"]
        {
            assert!(text.parse::<Member>().is_err(), "{text}");
        }
    }
}
