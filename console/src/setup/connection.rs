//! A connection: its guide, what has arrived, what is wrong, and its tokens. The parts that change are fetched anew
//! while the page is open; what was made just now and shown once stays where it is.

use api::ports::{Directory, LIVE_TOKENS_MAX, PortError, Secret, Token};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use schemas::wire::DirectoryState;
use schemas::{DirectoryId, TokenId};

use super::arrived;
use super::checkup::findings;
use super::facts::{Facts, facts};
use super::frame::Page;
use super::guide::{self, Guide, guides_for, written};
use super::guide_page::{self, Credentials, ticks};
use super::refusal::Refusal;
use super::steps::{Milestone, standings};
use super::visitor::Admin;
use super::{Site, findings_page, tokens};
use crate::form::Query;
use crate::live::{self, Door};
use crate::parts::form::hidden;
use crate::parts::{directory_state, notice};
use crate::rotation;

/// What a page shows this once.
#[derive(Default)]
pub(super) struct Shown<'a> {
    /// A token that was just made.
    pub(super) token: Option<&'a Secret>,
    /// What was just done.
    pub(super) done: Option<&'a str>,
}

pub(super) async fn show(
    State(site): State<Site>,
    Path(id): Path<String>,
    Query(query): Query,
    admin: Admin,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &id).await?;
    let guide = query.text("guide").and_then(guide::named);
    page(&site, &admin, &directory, guide, StatusCode::OK, Shown::default()).await
}

pub(super) async fn changes(
    State(site): State<Site>,
    Path(id): Path<String>,
    admin: Admin,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &id).await?;
    let seat = site.seats.take(admin.session.link.organization_id);
    let _seat = seat.ok_or(Refusal::TooManyWatch)?;
    let door = Door::Setup { portal: site.portal.clone(), digest: admin.digest, _seat };
    Ok(live::directory_changes(&site.console, door, directory.id)?)
}

/// A directory of the organization. One that is on its way out is gone for its administrators.
pub(super) async fn directory_of(
    site: &Site,
    admin: &Admin,
    id: &str,
) -> Result<Directory, Refusal> {
    let id: DirectoryId = id.parse().map_err(|_| Refusal::NoDirectory)?;
    match site.directories.get(admin.reach(), id).await {
        Ok(directory) if directory.state == DirectoryState::Deleting => Err(Refusal::NoDirectory),
        Ok(directory) => Ok(directory),
        Err(PortError::NotFound) => Err(Refusal::NoDirectory),
        Err(error) => Err(error.into()),
    }
}

/// The address of a connection, without what a guide adds.
pub(super) fn own(site: &Site, id: DirectoryId) -> String {
    site.path(&format!("/directories/{id}"))
}

/// The address of a connection with this guide; the usual one of its type needs no word.
pub(super) fn path(site: &Site, id: DirectoryId, guide: Option<&Guide>) -> String {
    own(site, id) + &guide_query(guide)
}

pub(super) fn guide_query(guide: Option<&Guide>) -> String {
    let chosen = guide.filter(|guide| {
        guides_for(guide.kind).first().is_some_and(|usual| usual.slug != guide.slug)
    });
    chosen.map_or_else(String::new, |guide| format!("?guide={}", guide.slug))
}

/// All that is put on the page of a connection.
struct Connection<'a> {
    site: &'a Site,
    admin: &'a Admin,
    directory: &'a Directory,
    guide: &'static Guide,
    tokens: Vec<Token>,
    facts: Facts,
}

pub(super) async fn page(
    site: &Site,
    admin: &Admin,
    directory: &Directory,
    guide: Option<&'static Guide>,
    status: StatusCode,
    shown: Shown<'_>,
) -> Result<Response, Refusal> {
    let usual = guides_for(directory.kind);
    let guide = guide.filter(|guide| guide.kind == directory.kind);
    let guide = guide.or_else(|| usual.first().copied()).ok_or(Refusal::NoPage)?;
    let tokens = site.directories.tokens(admin.reach(), directory.id).await?;
    let facts = facts(site, admin.reach(), directory, &tokens).await?;
    let connection = Connection { site, admin, directory, guide, tokens, facts };
    let here = path(site, directory.id, Some(guide));
    let body = html! {
        div.connection data-now-at=[shown.token.map(|_| &here)] {
            (connection.head(&here))
            (connection.guide(&shown, &usual))
            (connection.side())
            div.below {
                (connection.tokens())
                (connection.map())
            }
        }
    };
    let page = Page::new(site, admin, &directory.name)
        .under(site.path(""), "All connections")
        .following(own(site, directory.id) + "/changes");
    Ok(page.show(status, &body))
}

impl Connection<'_> {
    /// The milestones. This part fetches the page anew, and the other parts that change come along.
    fn head(&self, here: &str) -> Markup {
        let others: Vec<String> = ["side".to_owned(), "token-list".to_owned()]
            .into_iter()
            .chain(ticks(self.guide))
            .map(|id| format!("#{id}"))
            .collect();
        html! {
            div #milestones hx-get=(here) hx-select="#milestones" hx-select-oob=(others.join(","))
                hx-target="this" hx-swap="outerHTML" hx-trigger="changed from:body, every 60s" hx-sync="this:queue last" {
                p.status { (directory_state(self.directory.state)) " " (self.guide.name) }
                (arrived::milestones(self.guide, &self.facts))
                (self.way_to_check_up())
            }
        }
    }

    /// Where the page is narrow, the check-up stands below the guide.
    fn way_to_check_up(&self) -> Markup {
        let found = findings(&self.facts, self.guide).len();
        html! { @if found > 0 { p.to-check-up { a href="#check-up-title" { "Look at what the check-up has found (" (found) ")" } } } }
    }

    /// What has arrived, and what is wrong.
    fn side(&self) -> Markup {
        let Self { site, admin, directory, guide, facts, .. } = self;
        html! {
            div #side {
                (arrived::progress(guide, facts))
                (findings_page::check_up(site, admin, directory, guide, facts))
                @if let Some(url) = admin.session.link.success_url.as_ref().filter(|_| Milestone::Users.is_reached(facts)) {
                    p { a.button.primary href=(url) { "I have finished" } }
                }
            }
        }
    }

    fn guide(&self, shown: &Shown<'_>, usual: &[&'static Guide]) -> Markup {
        let Self { site, directory, guide, facts, .. } = self;
        let milestones: Vec<Milestone> = guide.steps.iter().map(|step| step.done_when).collect();
        let credentials = Credentials {
            endpoint: &site.console.scim_endpoint(directory),
            token: shown.token,
            instead: self.instead_of_token(),
        };
        html! {
            section.guide aria-labelledby="guide-title" {
                @if let Some(done) = shown.done { (notice::done(done)) }
                h2 #guide-title { "Set up " (guide.called()) }
                @if usual.len() > 1 {
                    p.hint { "Guides for: "
                        @for (index, other) in usual.iter().enumerate() {
                            @if index > 0 { " · " }
                            @if other.slug == guide.slug { strong { (other.name) } }
                            @else { a href=(path(site, directory.id, Some(other))) { (other.name) } }
                        }
                    }
                }
                p.lead { (written(guide.needs)) }
                (guide_page::steps(guide, &standings(facts, &milestones), &credentials))
                @if !guide.good_to_know.is_empty() {
                    h3 { "Good to know" }
                    ul.good-to-know { @for text in guide.good_to_know { li { (written(text)) } } }
                }
            }
        }
    }

    /// What stands in the place of a token that is not shown any more.
    fn instead_of_token(&self) -> Markup {
        html! {
            @if self.tokens.len() < LIVE_TOKENS_MAX {
                @if let Some(token) = self.tokens.first() {
                    p.hint { "The one that ends in " code { "…" (token.suffix) } " works, and cannot be shown again. Make another if you do not have it." }
                }
                (self.form_for_token("Make a token", "overlap-in-guide"))
                @if self.tokens.is_empty() { p.hint { "It is shown once, here." } }
            } @else {
                p.hint { "Two tokens are live, as many as may be. " a href="#tokens-title" { "Revoke one" } " to make another." }
            }
        }
    }

    fn form_for_token(&self, label: &str, overlap: &str) -> Markup {
        let Self { site, admin, directory, guide, .. } = self;
        let query = guide_query(Some(guide));
        html! {
            form.stack method="post" action={ (own(site, directory.id)) "/tokens" (query) "#credentials" } {
                (admin.csrf_field())
                (hidden("id", TokenId::from_bits(site.edge.id())))
                (rotation::field(overlap, &self.tokens))
                div.buttons { button.button type="submit" { (label) } }
            }
        }
    }

    fn map(&self) -> Markup {
        html! {
            section aria-labelledby="map-title" {
                h2 #map-title { "Attribute map" }
                p.hint { "What becomes of the attributes that arrive, on the way to the product. Most need none." }
                p { a.button href={ (own(self.site, self.directory.id)) "/map" } { "Edit the map" } }
            }
        }
    }

    fn tokens(&self) -> Markup {
        html! {
            section aria-labelledby="tokens-title" {
                h2 #tokens-title { "Bearer tokens" }
                p.hint { "Replace a token without a gap: make a new one, enter it in the identity provider, wait until it is used, and revoke the old one, which goes on working until then, or let it end by itself." }
                div #token-list { (tokens::listed(self.site, self.directory.id, self.guide, &self.tokens)) }
                @if self.tokens.len() < LIVE_TOKENS_MAX { (self.form_for_token("Rotate the token", "overlap")) }
            }
        }
    }
}
