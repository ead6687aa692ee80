//! Bearer tokens of a directory: made, shown once, revoked.

use std::sync::Arc;

use api::ports::{Conflict, Directory, NewToken, PortError, Reach, Token};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::html;
use schemas::TokenId;

use super::directories::credentials;
use super::organizations::refuse_auditors;
use super::{DIRECTORY, TOKEN, directory_of, directory_path};
use crate::Console;
use crate::error::{Error, conflicting};
use crate::form::path_id;
use crate::layout::{Page, Section};
use crate::parts::form::{form, hidden, send, send_danger};
use crate::parts::{facts, notice, time, time_or};
use crate::rotation;
use crate::session::{Change, SESSION_MAX, Viewer};
use crate::sign_in::to;

pub(crate) async fn new(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path(directory): Path<String>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let directory = directory_of(&console, &directory).await?;
    let id = TokenId::from_bits(console.edge.id());
    let tokens = live(&console, &directory).await?;
    Ok(page_for_new(&viewer, &directory, &tokens, id, None))
}

/// The id is made with the form: one that is sent twice makes one token.
pub(crate) async fn create(
    State(console): State<Arc<Console>>,
    Path(directory): Path<String>,
    Change { viewer, form }: Change,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &directory).await?;
    let id = form.fresh_id(console.edge.now(), SESSION_MAX);
    let id: TokenId = id.ok_or(Error::Forged)?;
    let tokens = live(&console, &directory).await?;
    if tokens.iter().any(|token| token.id == id) {
        return Ok(to(&directory_path(directory.id)));
    }
    let now = console.edge.now();
    let others_until = rotation::others_until(&form, now).map_err(|()| Error::Unreadable)?;
    let minted = api::secrets::token(&*console.edge);
    let new = NewToken { id, digest: minted.digest, suffix: minted.suffix, created_at: now };
    match console.directories.add_token(Reach::Everything, directory.id, new, others_until).await {
        Ok(_) => {}
        Err(PortError::Conflict(conflict @ (Conflict::LiveTokens | Conflict::Deleting))) => {
            let wrong = Some(conflicting(conflict));
            let page = page_for_new(&viewer, &directory, &tokens, id, wrong);
            return Ok((StatusCode::CONFLICT, page).into_response());
        }
        // The form was used before, and its token revoked since, or made just now.
        Err(PortError::Conflict(Conflict::Changed)) => {
            return Ok(to(&directory_path(directory.id)));
        }
        Err(error) => return Err(Error::about(DIRECTORY)(error)),
    }
    console.reconcile(directory.id, &viewer).await;
    Ok(credentials(&console, &viewer, &directory, "Token made", &minted.text))
}

fn page_for_new(
    viewer: &Viewer,
    directory: &Directory,
    tokens: &[Token],
    id: TokenId,
    wrong: Option<&str>,
) -> Response {
    let own = directory_path(directory.id);
    let body = html! {
        @if let Some(wrong) = wrong { (notice::wrong(wrong)) }
        p.lead { "A directory may have two live tokens, so that one can take the place of the other without a gap: make the new one, enter it in the identity provider, and revoke the old one or let it end." }
        (form(viewer, &format!("{own}/tokens/new"), &html! {
            (hidden("id", id))
            (rotation::field("overlap", tokens))
            (send("Make token", &own))
        }))
    };
    Page::new(viewer, Section::Organizations, "Make a token")
        .under(own, &directory.name)
        .show(&body)
}

pub(crate) async fn confirm(
    State(console): State<Arc<Console>>,
    viewer: Viewer,
    Path((directory, token)): Path<(String, String)>,
) -> Result<Response, Error> {
    refuse_auditors(&viewer)?;
    let directory = directory_of(&console, &directory).await?;
    let token = find(&console, &directory, path_id(TOKEN, &token)?).await?;
    let own = directory_path(directory.id);
    let body = html! {
        p.lead { "The identity provider that uses it is turned away from then on. This cannot be undone." }
        (facts(&[
            ("Ends in", html! { code { "…" (token.suffix) } }),
            ("Made", time(token.created_at)),
            ("Last used", time_or(token.last_used_at, "never")),
            ("Works until", time_or(token.expires_at, "it is revoked")),
        ]))
        (form(&viewer, &format!("{own}/tokens/{}/revoke", token.id), &send_danger("Revoke token", &own)))
        @if token.expires_at.is_some() {
            (form(&viewer, &format!("{own}/tokens/{}/keep", token.id), &html! {
                p { "It ends by itself. If the identity provider cannot be given the new one in time, keep it." }
                div.buttons { button.button type="submit" { "Keep it until it is revoked" } }
            }))
        }
    };
    let page = Page::new(&viewer, Section::Organizations, "Revoke a token");
    Ok(page.under(own, &directory.name).show(&body))
}

/// One that was revoked already is no error: two admins may want the same.
pub(crate) async fn revoke(
    State(console): State<Arc<Console>>,
    Path((directory, token)): Path<(String, String)>,
    Change { viewer, .. }: Change,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &directory).await?;
    let token = path_id(TOKEN, &token)?;
    let now = console.edge.now();
    let revoked =
        console.directories.revoke_token(Reach::Everything, directory.id, token, now).await;
    match revoked {
        Ok(()) | Err(PortError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    console.reconcile(directory.id, &viewer).await;
    Ok(to(&directory_path(directory.id)))
}

/// One that was revoked meanwhile stays void.
pub(crate) async fn keep(
    State(console): State<Arc<Console>>,
    Path((directory, token)): Path<(String, String)>,
    _: Change,
) -> Result<Response, Error> {
    let directory = directory_of(&console, &directory).await?;
    let token = path_id(TOKEN, &token)?;
    let kept = console.directories.keep_token(Reach::Everything, directory.id, token).await;
    kept.map_err(Error::about(TOKEN))?;
    Ok(to(&directory_path(directory.id)))
}

async fn find(console: &Console, directory: &Directory, id: TokenId) -> Result<Token, Error> {
    let tokens = live(console, directory).await?;
    tokens.into_iter().find(|token| token.id == id).ok_or(Error::Missing(TOKEN))
}

async fn live(console: &Console, directory: &Directory) -> Result<Vec<Token>, Error> {
    let tokens = console.directories.tokens(Reach::Everything, directory.id).await;
    tokens.map_err(Error::about(DIRECTORY))
}
