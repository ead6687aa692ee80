//! SCIM errors in words for who has to mend them: what it means, and what to do.

/// What a status and, where there is one, a `scimType` mean (RFC 7644 §3.12).
pub(crate) fn explain(status: u16, scim_type: Option<&str>) -> Option<&'static str> {
    let by_type = scim_type.and_then(by_type);
    by_type.or_else(|| by_status(status))
}

fn by_type(scim_type: &str) -> Option<&'static str> {
    Some(match scim_type {
        "uniqueness" => {
            "Another user or group of this directory has the same name or id. Look for it in the directory: often it was created by hand or by an earlier attempt, and the identity provider should match it instead of creating it. Check the matching attribute in its mappings."
        }
        "invalidFilter" => {
            "The identity provider searched with a filter that cannot be read. Check the matching attribute in its mappings: it has to be a SCIM attribute such as userName or externalId."
        }
        "invalidPath" => {
            "A mapping names an attribute that SCIM does not know. Look at the path in the message and correct the target attribute of that mapping."
        }
        "invalidValue" => {
            "A value is missing or of the wrong type. Look at the attribute in the message, and at what the identity provider maps to it; often its source is empty for this user."
        }
        "invalidSyntax" => {
            "The body is no SCIM message that can be read. If it is a custom client, compare it with RFC 7644; turn on debug_requests to see what was sent."
        }
        "noTarget" => {
            "A change was meant for a value that is not there, such as the work e-mail of a user who has none. Let the identity provider send the user as a whole once more."
        }
        "mutability" => {
            "The identity provider tried to change what never changes, such as an id. Take that attribute out of its mappings."
        }
        "tooMany" => {
            "The request asks for more than one answer may hold. Let the identity provider ask for pages."
        }
        "sensitive" => {
            "The search names personal data in its address, where logs would keep it. Let the client use POST to .search."
        }
        "invalidCursor" | "expiredCursor" => {
            "The client went on with a list whose cursor is not valid any more. It has to begin the list again, which clients do by themselves."
        }
        "invalidCount" => {
            "The client asked for pages of a size that is none. Let it ask for 1 to 100 at a time."
        }
        "invalidVers" => {
            "This version of SCIM is not supported. Set the identity provider to SCIM 2.0."
        }
        _ => return None,
    })
}

fn by_status(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "The request cannot be read. The message says which part of it.",
        401 => {
            "The bearer token is missing, was revoked, or belongs to another directory. Copy a live token of this directory into the identity provider, without spaces around it."
        }
        403 => "The token does not open this. Check that the address is that of this directory.",
        404 => {
            "The user or group is not here: it was deleted, or never arrived. Let the identity provider start its provisioning anew, so that it creates what is missing."
        }
        409 => "Somebody else has the same name or id. Look for it in the directory.",
        412 => {
            "It changed after the identity provider had read it. The next cycle reads it again; nothing is to be done."
        }
        413 => {
            "The request is larger than any user or group should be. Look for pictures or certificates among the mapped attributes, and leave them out."
        }
        429 => {
            "The identity provider sends faster than this directory may. It waits and tries again by itself; scim_rate_limit sets the limit."
        }
        500 => {
            "Something went wrong here. The log of the server has more under the id of this request."
        }
        503 => {
            "The log or the store did not answer. The identity provider tries again by itself; look at the start page whether the pipeline moves."
        }
        507 => {
            "The disk of the server is full. Make room; the identity provider tries again by itself."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use schemas::scim::ScimType;

    use super::*;

    #[test]
    fn every_type_of_error_is_explained() {
        let all = [
            ScimType::InvalidFilter,
            ScimType::TooMany,
            ScimType::Uniqueness,
            ScimType::Mutability,
            ScimType::InvalidSyntax,
            ScimType::InvalidPath,
            ScimType::NoTarget,
            ScimType::InvalidValue,
            ScimType::InvalidVers,
            ScimType::Sensitive,
            ScimType::InvalidCursor,
            ScimType::ExpiredCursor,
            ScimType::InvalidCount,
        ];
        for kind in all {
            assert!(by_type(kind.as_str()).is_some(), "{}", kind.as_str());
        }
    }

    #[test]
    fn the_type_says_more_than_the_status() {
        assert_ne!(explain(400, Some("noTarget")), explain(400, None));
        assert_eq!(explain(200, None), None);
    }
}
