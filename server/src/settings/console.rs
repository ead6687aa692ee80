//! The settings of the console: how people sign in.

use ::console::oidc::Members;

use super::error::Problem;
use super::sources::Given;
use super::value::{self, Secret};

/// How people sign in to the console.
#[derive(Clone, Debug)]
pub struct ConsoleSettings {
    /// The password of admins.
    pub password: Option<Secret>,
    /// The password of who only reads.
    pub auditor_password: Option<Secret>,
    /// Whether a password lets anybody in.
    pub password_sign_in: bool,
    /// The identity provider.
    pub oidc: Option<OidcSettings>,
}

/// The identity provider of the console.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// Who it is, as its tokens name it.
    pub issuer: String,
    /// What the console is called there.
    pub client_id: String,
    /// What it shows there, if anything.
    pub client_secret: Option<Secret>,
    /// Whom it lets in.
    pub members: Members,
}

pub(super) fn read(given: &Given, problems: &mut Vec<Problem>) -> Option<ConsoleSettings> {
    let password = given.optional("console_password", value::password, problems);
    let auditor_password = given.optional("console_auditor_password", value::password, problems);
    let password_sign_in = given.required("console_password_sign_in", value::flag, problems);
    let oidc = oidc(given, problems);
    let settings = ConsoleSettings {
        password: password?,
        auditor_password: auditor_password?,
        password_sign_in: password_sign_in?,
        oidc: oidc?,
    };
    let by_provider = settings.oidc.as_ref().is_some_and(|oidc| !oidc.members.admins.is_empty());
    if settings.password_sign_in || by_provider {
        return Some(settings);
    }
    let why = "without passwords no admin could sign in: set console_oidc_issuer, \
               console_oidc_client_id and console_oidc_admins";
    problems.push(given.wrong("console_password_sign_in", why));
    None
}

/// They are none or make one whole. The outer none means that a problem was noted.
#[expect(clippy::option_option, reason = "not there and not right are different answers")]
fn oidc(given: &Given, problems: &mut Vec<Problem>) -> Option<Option<OidcSettings>> {
    let issuer = given.optional("console_oidc_issuer", value::issuer, problems);
    let client_id = given.optional("console_oidc_client_id", value::client_id, problems);
    let client_secret = given.optional("console_oidc_client_secret", value::password, problems);
    let admins = given.optional("console_oidc_admins", value::members, problems);
    let auditors = given.optional("console_oidc_auditors", value::members, problems);
    let (issuer, client_id, client_secret) = (issuer?, client_id?, client_secret?);
    let (admins, auditors) = (admins?.unwrap_or_default(), auditors?.unwrap_or_default());
    let members = Members { admins, auditors };
    let (lacks, missing) = match (issuer, client_id) {
        (Some(issuer), Some(client_id)) => {
            return Some(Some(OidcSettings { issuer, client_id, client_secret, members }));
        }
        (None, None) => return Some(None),
        (Some(_), None) => ("console_oidc_issuer", "console_oidc_client_id is missing"),
        (None, Some(_)) => ("console_oidc_client_id", "console_oidc_issuer is missing"),
    };
    problems.push(given.wrong(lacks, missing));
    None
}
