//! `/directory_users`: the people in the directories.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::wire::DirectoryUserWithGroups;

use crate::auth::{Caller, Reader};
use crate::body::{Segments, path_id};
use crate::error::Error;
use crate::forgetful::{Forgetful, behind};
use crate::page::{Paging, Query, list as list_of};
use crate::ports::{Order, Page, UserFilter};
use crate::router::Api;
use crate::{directories, groups};

/// What a user is called in errors.
pub(crate) const WHAT: &str = "directory user";

/// Users of one directory or of one group, never of all customers.
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    forgetful: Forgetful,
    mut query: Query,
) -> Result<Response, Error> {
    query.is_of_now()?;
    let behind = behind(&mut query);
    let paging = query.paging(caller.reach, Order::Descending)?;
    let mut filter = UserFilter {
        directory: directories::filter(&query)?.or(behind.directory),
        group: groups::filter(query.one("group").or(behind.other.as_deref()))?,
        idp_id: query.text("idp_id"),
        email: query.text("email"),
    };
    if filter.directory.is_none() && filter.group.is_none() {
        // An SDK leaves the filter out when it asks for the second page.
        let Some(id) = paging.at() else { return Err(no_filter("group")) };
        let directory = api.reading.directory_of_user(caller.reach, id).await?;
        filter.directory = Some(directory.ok_or_else(|| no_filter("group"))?);
    }
    let page = api.reading.users(paging.request, filter.clone()).await?;
    if is_all_there_is(&paging, &page) {
        directories::must_exist(&api, caller, filter.directory).await?;
        groups::must_exist(&api, caller, filter.group).await?;
    }
    let metadata = paging.metadata(&page, |found| found.user.id);
    // A group is in one directory.
    let limit = filter.group.map(|id| id.to_string());
    let limit = limit.or_else(|| filter.directory.map(|id| id.to_string()));
    Ok(list_of(page.items, forgetful.cursors(metadata, limit)))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<DirectoryUserWithGroups>, Error> {
    let id = path_id(WHAT, &id)?;
    api.reading.user(caller.reach, id).await.map(Json).map_err(Error::about(WHAT, id))
}

/// The user that a list of groups is limited to.
pub(crate) fn filter(query: &Query) -> Result<Option<schemas::UserId>, Error> {
    query.id("user")
}

/// 404 for a user that a list is limited to and that is not there.
pub(crate) async fn must_exist(
    api: &Api,
    caller: Caller,
    user: Option<schemas::UserId>,
) -> Result<(), Error> {
    if let Some(id) = user {
        api.reading.user(caller.reach, id).await.map_err(Error::about(WHAT, id))?;
    }
    Ok(())
}

/// Only an empty list asks whether what it is limited to exists: the usual case costs one read.
pub(crate) fn is_all_there_is<K, T>(paging: &Paging<K>, page: &Page<T>) -> bool {
    page.items.is_empty() && paging.request.cursor.is_none()
}

/// The answer to a list that would show every customer's.
pub(crate) fn no_filter(other: &str) -> Error {
    let message = format!("directory or {other} is required.");
    Error::parameter("directory", "required", message)
}
