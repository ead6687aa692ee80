//! What the setup page shows.

use api::ports::{Directory, LIVE_TOKENS_MAX, Organization, PortalSession, Secret, Token};
use maud::{DOCTYPE, Markup, html};
use schemas::DirectoryId;
use schemas::wire::DirectoryState;

use super::refusal::Words;
use super::{Connection, Overview, Setup};

/// A token that was just made.
pub(super) struct Made<'a> {
    pub(super) directory: DirectoryId,
    pub(super) token: &'a Secret,
}

/// A link before it is opened.
pub(super) fn invitation(setup: &Setup, organization: &Organization) -> String {
    let content = html! {
        h1 { "Set up directory sync for " (organization.name) }
        p { "You can connect your identity provider here, so that users and groups arrive by themselves." }
        p { "This link works once, in this browser." }
        form method="post" { button type="submit" { "Open the setup page" } }
    };
    whole(&setup.path("/style.css"), "Set up directory sync", &content)
}

/// The directories of an organization.
pub(super) fn home(setup: &Setup, overview: &Overview, made: Option<&Made<'_>>) -> String {
    let Overview { organization, directories, session } = overview;
    let content = html! {
        h1 { "Directory sync for " (organization.name) }
        @if directories.is_empty() {
            p { "There is no directory yet. Ask the company whose product you are setting up to add one." }
        }
        @for connection in directories {
            (directory(setup, connection, made.filter(|made| made.directory == connection.directory.id)))
        }
        (ways_out(session))
    };
    whole(&setup.path("/style.css"), &format!("Directory sync for {}", organization.name), &content)
}

/// Why there is nothing else to see.
pub(super) fn refusal(setup: &Setup, words: Words, back: Option<&str>) -> String {
    let (heading, what, next) = words;
    let content = html! {
        h1 { (heading) }
        p { (what) }
        p { (next) }
        @if let Some(url) = back { p { a href=(url) { "Go back" } } }
    };
    whole(&setup.path("/style.css"), heading, &content)
}

fn directory(setup: &Setup, connection: &Connection, made: Option<&Made<'_>>) -> Markup {
    let Connection { directory, endpoint, tokens } = connection;
    let heading = format!("directory-{}", directory.id);
    html! {
        section aria-labelledby=(heading) {
            h2 id=(heading) { (directory.name) }
            dl {
                dt { "Identity provider" } dd { (directory.kind.slug()) }
                dt { "State" } dd { (state(directory)) }
                dt { "SCIM endpoint" } dd { code { (endpoint) } }
            }
            @if let Some(made) = made { (just_made(made)) }
            @if directory.state != DirectoryState::Deleting { (all_tokens(setup, directory, tokens)) }
        }
    }
}

fn just_made(made: &Made<'_>) -> Markup {
    html! {
        div.made role="status" {
            p { strong { "Your new bearer token" } }
            p { code { (made.token.expose()) } }
            p { "Copy it into your identity provider before you leave this page. It is not shown again." }
        }
    }
}

fn all_tokens(setup: &Setup, directory: &Directory, tokens: &[Token]) -> Markup {
    let path = setup.path(&format!("/directories/{}/tokens", directory.id));
    html! {
        h3 { "Bearer tokens" }
        @if tokens.is_empty() {
            p { "There is none. Your identity provider needs one to connect." }
        } @else {
            ul { @for token in tokens { li {
                "ends with " code { (token.suffix) } ", made at " (time(token.created_at))
                @match token.last_used_at {
                    Some(at) => { ", last used at " (time(at)) }
                    None => { ", not used yet" }
                }
                form method="post" action=(format!("{path}/{}/revoke", token.id)) {
                    button type="submit" { "Revoke " (token.suffix) }
                }
            } } }
        }
        @if tokens.len() < LIVE_TOKENS_MAX {
            form method="post" action=(path) { button type="submit" { "Make a bearer token" } }
        } @else {
            p { "Two tokens are live, as many as may be. Revoke one to make another." }
        }
    }
}

fn ways_out(session: &PortalSession) -> Markup {
    let link = &session.link;
    html! {
        footer {
            p { "This page is open for you until " (time(session.expires_at)) "." }
            @if let Some(url) = &link.success_url { p { a href=(url) { "I have finished" } } }
            @if let Some(url) = &link.return_url { p { a href=(url) { "Go back" } } }
        }
    }
}

const fn state(directory: &Directory) -> &'static str {
    match directory.state {
        DirectoryState::Active => "Connected",
        DirectoryState::Inactive => "Waiting for the first request of your identity provider",
        DirectoryState::Deleting => "Being deleted",
    }
}

fn time(at: schemas::Timestamp) -> Markup {
    html! { time datetime=(at) { (at) } }
}

fn whole(style: &str, title: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href=(style);
            }
            body { main { (content) } }
        }
    };
    page.into_string()
}
