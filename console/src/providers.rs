//! The identity providers that speak SCIM, by the names that people know them by.

use schemas::wire::DirectoryType;

/// How an identity provider is called.
pub(crate) struct Provider {
    pub(crate) kind: DirectoryType,
    /// Today.
    pub(crate) name: &'static str,
    /// Elsewhere and formerly.
    pub(crate) aliases: &'static [&'static str],
}

/// All of them, the ones that most people have first.
pub(crate) const PROVIDERS: [Provider; 9] = [
    Provider {
        kind: DirectoryType::Azure,
        name: "Microsoft Entra ID",
        aliases: &["Azure AD SCIM v2.0", "Azure Active Directory", "Office 365"],
    },
    Provider { kind: DirectoryType::Okta, name: "Okta", aliases: &["Okta SCIM v2.0"] },
    Provider { kind: DirectoryType::OneLogin, name: "OneLogin", aliases: &["OneLogin SCIM v2.0"] },
    Provider {
        kind: DirectoryType::JumpCloud,
        name: "JumpCloud",
        aliases: &["JumpCloud SCIM v2.0", "Jump Cloud"],
    },
    Provider {
        kind: DirectoryType::PingFederate,
        name: "PingFederate",
        aliases: &["PingFederate SCIM v2.0", "Ping Identity"],
    },
    Provider {
        kind: DirectoryType::CyberArk,
        name: "CyberArk",
        aliases: &["CyberArk SCIM v2.0", "Idaptive", "Centrify"],
    },
    Provider { kind: DirectoryType::Rippling, name: "Rippling", aliases: &["Rippling SCIM v2.0"] },
    Provider {
        kind: DirectoryType::SailPoint,
        name: "SailPoint",
        aliases: &["SailPoint SCIM v2.0", "IdentityNow"],
    },
    Provider {
        kind: DirectoryType::Generic,
        name: "Any other SCIM 2.0 client",
        aliases: &["Custom SCIM v2.0", "Generic SCIM v2.0", "Google Workspace custom app"],
    },
];

/// The name of a type.
pub(crate) fn name(kind: DirectoryType) -> &'static str {
    let found = PROVIDERS.iter().find(|provider| provider.kind == kind);
    found.map_or(kind.slug(), |provider| provider.name)
}

/// What a type is called elsewhere, and was called formerly.
pub(crate) fn aliases(kind: DirectoryType) -> &'static [&'static str] {
    let found = PROVIDERS.iter().find(|provider| provider.kind == kind);
    found.map_or(&[], |provider| provider.aliases)
}

/// Those that are called something that has this in it, whatever the case; all for an empty text.
pub(crate) fn named_like(part: &str) -> Vec<&'static Provider> {
    let part = part.to_lowercase();
    let has = |name: &str| name.to_lowercase().contains(&part);
    let fits = |provider: &&Provider| {
        has(provider.name)
            || has(provider.kind.slug())
            || provider.aliases.iter().any(|alias| has(alias))
    };
    PROVIDERS.iter().filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_name() {
        for kind in DirectoryType::ALL {
            assert_eq!(PROVIDERS.iter().filter(|provider| provider.kind == kind).count(), 1);
        }
    }

    #[test]
    fn entra_is_found_by_the_name_it_had() {
        for part in ["azure ad scim v2.0", "Azure AD", "entra", "active directory"] {
            let found = named_like(part);
            assert_eq!(found.len(), 1, "{part}");
            assert_eq!(found[0].kind, DirectoryType::Azure, "{part}");
        }
        assert_eq!(named_like("").len(), PROVIDERS.len());
        assert!(named_like("no such thing").is_empty());
    }
}
