//! Bearer tokens: made when they are asked for, shown once, and revoked once it is sure which.

use api::ports::{Conflict, NewToken, PortError, SESSION_LIFETIME, Token};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use schemas::{DirectoryId, TokenId};

use super::connection::{self, Shown, directory_of, guide_query};
use super::frame::Page;
use super::guide::{self, Guide};
use super::refusal::Refusal;
use super::visitor::{Admin, Pressed};
use super::{Site, see_other};
use crate::form::Query;
use crate::parts::list::{column, minor, table};
use crate::parts::{self, facts, notice, time, time_or};
use crate::rotation::{self, suffix};

/// Shows the token this once. It is the answer itself, so that it stands in no address and no cookie.
pub(super) async fn make(
    State(site): State<Site>,
    Path(id): Path<String>,
    Query(query): Query,
    Pressed { admin, form }: Pressed,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &id).await?;
    let guide = query.text("guide").and_then(guide::named);
    // The id is made with the form: sent twice, it makes one token.
    let id = form.fresh_id(site.edge.now(), SESSION_LIFETIME);
    let id: TokenId = id.ok_or(Refusal::Forged)?;
    let tokens = site.directories.tokens(admin.reach(), directory.id).await?;
    if tokens.iter().any(|token| token.id == id) {
        return Ok(see_other(connection::path(&site, directory.id, guide)));
    }
    let (new, text) = api::bearer_token(&*site.edge);
    let new = NewToken { id, ..new };
    let until = rotation::others_until(&form, new.created_at).map_err(|()| Refusal::Forged)?;
    match site.directories.add_token(admin.reach(), directory.id, new, until).await {
        Ok(_) => {}
        Err(PortError::Conflict(Conflict::LiveTokens)) => return Err(Refusal::TwoTokens),
        // The form was used before, and its token revoked since, or made just now.
        Err(PortError::Conflict(Conflict::Changed)) => {
            return Ok(see_other(connection::path(&site, directory.id, guide)));
        }
        Err(PortError::Conflict(_) | PortError::NotFound) => return Err(Refusal::NoDirectory),
        Err(error @ (PortError::Unavailable(_) | PortError::Unsure(_) | PortError::Full(_))) => {
            return Err(error.into());
        }
    }
    api::reconcile_by(&*site.streams, directory.id, admin.actor.clone()).await;
    let done = match until {
        Some(_) => "Token made. The other one ends by itself: the list of tokens below says when.",
        None => "Token made. The other one, if there is one, works until you revoke it.",
    };
    let made = Shown { token: Some(&text), done: Some(done) };
    connection::page(&site, &admin, &directory, guide, StatusCode::CREATED, made).await
}

pub(super) async fn confirm(
    State(site): State<Site>,
    Path((directory, token)): Path<(String, String)>,
    Query(query): Query,
    admin: Admin,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &directory).await?;
    let tokens = site.directories.tokens(admin.reach(), directory.id).await?;
    let id: Option<TokenId> = token.parse().ok();
    let token = tokens.iter().find(|token| Some(token.id) == id).ok_or(Refusal::NoToken)?;
    let guide = query.text("guide").and_then(guide::named);
    let own = connection::path(&site, directory.id, guide);
    let body = html! {
        p.lead { "Whoever uses this token is turned away from then on. This cannot be undone." }
        @if is_in_use(token, &tokens) {
            (notice::wrong("This is the token that your identity provider uses. Make a new one and enter it there first, or nothing arrives any more."))
        }
        (facts(&[
            ("Ends in", html! { code { "…" (token.suffix) } }),
            ("Made", time(token.created_at)),
            ("Last used", time_or(token.last_used_at, "never")),
            ("Works until", time_or(token.expires_at, "it is revoked")),
        ]))
        form.stack method="post" action={ (connection::own(&site, directory.id)) "/tokens/" (token.id) "/revoke" (guide_query(guide)) } {
            (admin.csrf_field())
            div.buttons {
                button.button.danger type="submit" { "Revoke token" }
                a.button href=(own) { "Cancel" }
            }
        }
        @if token.expires_at.is_some() {
            form.stack method="post" action={ (connection::own(&site, directory.id)) "/tokens/" (token.id) "/keep" (guide_query(guide)) } {
                (admin.csrf_field())
                p { "It ends by itself. If you cannot enter the new one in time, keep it." }
                div.buttons { button.button type="submit" { "Keep it until it is revoked" } }
            }
        }
    };
    let page = Page::new(&site, &admin, format!("Revoke the token that ends in {}", token.suffix));
    Ok(page.under(own, &directory.name).show(StatusCode::OK, &body))
}

/// Whether it was used, and no other later.
fn is_in_use(token: &Token, tokens: &[Token]) -> bool {
    let last = tokens.iter().filter_map(|token| token.last_used_at).max();
    token.last_used_at.is_some() && token.last_used_at == last
}

/// One that was revoked already is no error: somebody was faster.
pub(super) async fn revoke(
    State(site): State<Site>,
    Path((directory, token)): Path<(String, String)>,
    Query(query): Query,
    Pressed { admin, .. }: Pressed,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &directory).await?;
    let token = token.parse().map_err(|_| Refusal::NoToken)?;
    let now = site.edge.now();
    match site.directories.revoke_token(admin.reach(), directory.id, token, now).await {
        Ok(()) | Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    api::reconcile_by(&*site.streams, directory.id, admin.actor.clone()).await;
    let guide = query.text("guide").and_then(guide::named);
    Ok(see_other(connection::path(&site, directory.id, guide)))
}

/// One that was revoked or has ended meanwhile stays void.
pub(super) async fn keep(
    State(site): State<Site>,
    Path((directory, token)): Path<(String, String)>,
    Query(query): Query,
    Pressed { admin, .. }: Pressed,
) -> Result<Response, Refusal> {
    let directory = directory_of(&site, &admin, &directory).await?;
    let token = token.parse().map_err(|_| Refusal::NoToken)?;
    match site.directories.keep_token(admin.reach(), directory.id, token).await {
        Ok(()) => {}
        Err(PortError::NotFound) => return Err(Refusal::NoToken),
        Err(error) => return Err(error.into()),
    }
    let guide = query.text("guide").and_then(guide::named);
    Ok(see_other(connection::path(&site, directory.id, guide)))
}

/// The live tokens, with what can be done to each.
pub(super) fn listed(
    site: &Site,
    directory: DirectoryId,
    guide: &Guide,
    tokens: &[Token],
) -> Markup {
    let (own, query) = (connection::own(site, directory), guide_query(Some(guide)));
    let row = |token: &Token| {
        [
            suffix(token),
            time(token.created_at),
            time_or(token.last_used_at, "never"),
            html! { a.whole href={ (own) "/tokens/" (token.id) "/revoke" (query) } { "Revoke" span.sr { " the token that ends in " (token.suffix) } } },
        ]
    };
    html! {
        @if tokens.is_empty() {
            (parts::empty("No live token", &html! { p { "Your identity provider needs one to connect." } }))
        } @else {
            (table("Bearer tokens", [column("Ends in"), minor("Made"), column("Last used"), column("Action")], tokens.iter().map(row)))
        }
    }
}
