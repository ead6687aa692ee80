//! The check-up in words: what is wrong, and how to mend it there or here.

use api::ports::Directory;
use maud::{Markup, html};

use super::Site;
use super::checkup::{Finding, findings};
use super::connection::{guide_query, own};
use super::facts::{Facts, People};
use super::guide::{Guide, written};
use super::visitor::Admin;
use crate::explain::explain;
use crate::parts::form::hidden;
use crate::parts::{self, number, text, time};

/// What is wrong, the worst first.
pub(super) fn check_up(
    site: &Site,
    admin: &Admin,
    directory: &Directory,
    guide: &Guide,
    facts: &Facts,
) -> Markup {
    let found = findings(facts, guide);
    html! {
        section #check-up aria-labelledby="check-up-title" {
            h2 #check-up-title { "Check-up" }
            @if found.is_empty() { p.all-well { (nothing(facts)) } }
            @for finding in &found {
                article.finding.bad[finding.is_wrong()] {
                    h3 { (title(finding)) }
                    (body(finding, guide))
                    @if let Finding::NoEmails { by_user_name: true, .. } = finding {
                        (remedy(site, admin, directory, guide))
                    }
                }
            }
        }
    }
}

const fn nothing(facts: &Facts) -> &'static str {
    let People { looked_at, .. } = facts.people;
    if looked_at > 0 {
        "Nothing is wrong: users have addresses, and requests are answered well."
    } else if facts.is_connected {
        "Nothing is wrong so far. Users are looked at when they arrive."
    } else {
        "Nothing to check yet. It begins with the first request."
    }
}

fn title(finding: &Finding) -> Markup {
    html! {
        @match finding {
            Finding::NoToken => "There is no token",
            Finding::WrongToken { .. } => "The token is not accepted",
            Finding::Refused { count: 1, .. } => "A request was refused",
            Finding::Refused { count, .. } => { (count) " requests were refused" },
            Finding::NoEmails { .. } => "Users have no e-mail address",
            Finding::NoObjectId { .. } => { code { "objectId" } " is not mapped to " code { "externalId" } },
            Finding::EmptyGroups { empty: 1, .. } => "A group has no members",
            Finding::EmptyGroups { .. } => "Groups have no members",
            Finding::Silence { .. } => "Nothing has arrived for a while",
            Finding::Held => "A large removal is held back",
            Finding::OldTokenInUse { is_soon: false, .. } => "The old token is still used",
            Finding::OldTokenInUse { is_soon: true, .. } => "The token that is used is about to end",
            Finding::LastTokenEnds { is_soon: false, .. } => "The only token ends by itself",
            Finding::LastTokenEnds { is_soon: true, .. } => "The only token is about to end",
            Finding::SpareToken { .. } => "A token is not needed any more",
        }
    }
}

fn body(finding: &Finding, guide: &Guide) -> Markup {
    html! {
        @match finding {
            Finding::NoToken => p { "Nobody can connect. Make one in the guide and enter it in " (guide.called()) "." },
            Finding::WrongToken { at } => p {
                "The request of " (time(*at)) " came with a token that opens nothing: it was copied in part, was revoked, or belongs to another endpoint. Make a new one and enter it in " (guide.called()) ", without spaces around it."
            },
            Finding::Refused { request, goes_well_since, .. } => {
                p { "The last was " code { (request.method) " " (text(&request.path)) } " at " (time(request.at)) ", answered with " (request.status) "." }
                @if let Some(detail) = &request.detail { p { "The answer said: " q { (text(detail)) } } }
                @if let Some(explained) = explain(request.status, request.scim_type.as_deref()) { p { (explained) } }
                @if *goes_well_since { p { "Requests of the same kind were answered well since. If this one was tried again, there is nothing to do: it is told of for a day." } }
            },
            Finding::NoEmails { without, looked_at, example, .. } => {
                p { (share(*without, *looked_at, "user", "users")) " no address" (such_as(*without, example.as_deref())) ". The product may need one to let them sign in." }
                p { (written(guide.mend_emails)) }
            },
            Finding::NoObjectId { without, looked_at, example } => {
                p {
                    (share(*without, *looked_at, "user", "users")) " an " code { "externalId" } " that is no object id"
                    @match example { Some(example) => { ", such as " code { (text(example)) } "." } None => ", or none at all." }
                    " It may change with a name, and then somebody looks like somebody else."
                }
                p { (written("In Entra ID, open *Provisioning*, *Mappings*, *Provision Microsoft Entra ID Users* and map `objectId` to `externalId`, in the place of `mailNickname`.")) }
            },
            Finding::EmptyGroups { empty, looked_at, example, waiting } => {
                p { (share(*empty, *looked_at, "group", "groups")) " no members" (such_as(*empty, example.as_deref())) "." }
                @if *waiting > 0 { p { "Members that were sent and are no users here yet: " (number(*waiting)) ". They join when they arrive." } }
                @if let Some(mend) = guide.mend_groups { p { (written(mend)) } }
            },
            Finding::Silence { since } => {
                p { "The last request came at " (time(*since)) ". " (written(guide.rhythm)) }
                p { (written(guide.mend_silence)) }
            },
            Finding::Held => p { "So many users or memberships were removed at once that the product is not told before somebody has looked. If it was meant, ask the company behind the product to release it. If not, undo it in " (guide.called()) "." },
            Finding::OldTokenInUse { old, new, until, .. } => {
                p {
                    "What arrives comes with the token that ends in " code { "…" (old) } ". Enter the new one, which ends in " code { "…" (new) } ", in " (guide.called()) " before "
                    @match until {
                        None => "you revoke it.",
                        Some(until) => { (time(*until)) ". From then on the old one is turned away, and nothing arrives." }
                    }
                }
            },
            Finding::LastTokenEnds { token, until, .. } => p {
                "The token that ends in " code { "…" (token) } " works until " (time(*until)) ", and there is no other. Make a new one and enter it in " (guide.called()) ", or keep this one: below, behind " em { "Revoke" } "."
            },
            Finding::SpareToken { spare, used, until } => {
                p {
                    "What arrives comes with the token that ends in " code { "…" (used) } ". "
                    @match until {
                        None => { "Revoke the other one, which ends in " code { "…" (spare) } ", below." }
                        Some(until) => { "The other one, which ends in " code { "…" (spare) } ", ends by itself at " (time(*until)) ", or when you revoke it below." }
                    }
                }
            },
        }
    }
}

/// How many of how many; of what was looked at, which may not be all.
fn share(some: u64, all: u64, one: &str, many: &str) -> Markup {
    html! {
        @if all == 1 { "The only " (one) " here has" }
        @else if some == all { "All of the latest " (number(all)) " " (many) " have" }
        @else { (number(some)) " of the latest " (number(all)) " " (many) " " @if some == 1 { "has" } @else { "have" } }
    }
}

fn such_as(some: u64, example: Option<&str>) -> Markup {
    let before = if some == 1 { ": " } else { ", such as " };
    html! { @if let Some(example) = example { (before) strong { (parts::text(example)) } } }
}

/// The same, here and at once.
fn remedy(site: &Site, admin: &Admin, directory: &Directory, guide: &Guide) -> Markup {
    let query = guide_query(Some(guide));
    html! {
        form method="post" action={ (own(site, directory.id)) "/email-from-user-name" (query) } {
            (admin.csrf_field())
            (hidden("made_from", directory.updated_at))
            p { "Or here: where there is no address, take the user name. It works at once, also for users who are here already." }
            button #use-user-name.button type="submit" { "Use the user name as address" }
        }
    }
}
