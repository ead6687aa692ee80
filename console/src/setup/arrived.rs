//! What has arrived: milestones, which are reached once, and numbers, which go on.

use maud::{Markup, html};

use super::facts::Facts;
use super::guide::{Guide, written};
use super::guide_page::{class_of, sign};
use super::steps::{Milestone, Standing, standings};
use crate::parts::{number, time_or};

/// The way from the first connection to the first member of a group.
pub(super) fn milestones(guide: &Guide, facts: &Facts) -> Markup {
    let milestones: &[Milestone] = if guide.has_groups() {
        &[Milestone::Connected, Milestone::Users, Milestone::Groups, Milestone::Members]
    } else {
        &[Milestone::Connected, Milestone::Users]
    };
    html! {
        div {
            ol.milestones aria-label="How far it has come" {
                @for (milestone, standing) in milestones.iter().zip(standings(facts, milestones)) {
                    li.milestone {
                        span class=(class_of(standing)) { (sign(standing, &html! {})) }
                        span data-say { (words(*milestone, standing)) }
                    }
                }
            }
        }
    }
}

const fn words(milestone: Milestone, standing: Standing) -> &'static str {
    match (milestone, standing) {
        (Milestone::Connected, Standing::Done) => "Connection test received",
        (Milestone::Connected, Standing::Next | Standing::Later) => "Waiting for a connection test",
        (Milestone::Users, Standing::Done) => "First user arrived",
        (Milestone::Users, Standing::Next) => "Waiting for the first user",
        (Milestone::Users, Standing::Later) => "First user",
        (Milestone::Groups, Standing::Done) => "Groups are arriving",
        (Milestone::Groups, Standing::Next) => "Waiting for groups",
        (Milestone::Groups, Standing::Later) => "Groups",
        (Milestone::Members, Standing::Done) => "Groups have members",
        (Milestone::Members, Standing::Next) => "Waiting for members of groups",
        (Milestone::Members, Standing::Later) => "Members of groups",
    }
}

/// How much there is by now.
pub(super) fn progress(guide: &Guide, facts: &Facts) -> Markup {
    let is_all = facts.counts_all_memberships();
    html! {
        section aria-labelledby="arrived-title" {
            h2 #arrived-title { "What has arrived" }
            ul.tiles {
                li { span.figure #users { (number(facts.users)) } span.unit { "users" } }
                @if guide.has_groups() {
                    li { span.figure #groups { (number(facts.groups)) } span.unit { "groups" } }
                    li { span.figure #memberships { (number(facts.memberships)) @if !is_all { "+" span.sr { " or more" } } } span.unit { "memberships" } }
                }
            }
            p.hint {
                "Last request: " (time_or(facts.requests.first().map(|request| request.at), "none yet")) ". "
                (written(guide.rhythm))
            }
        }
    }
}
