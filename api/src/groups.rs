//! `/directory_groups`: the groups in the directories.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::GroupId;
use schemas::wire::DirectoryGroup;

use crate::auth::{Caller, Reader};
use crate::body::{Segments, path_id};
use crate::error::Error;
use crate::forgetful::{Forgetful, behind};
use crate::page::{Query, id, list as list_of};
use crate::ports::{GroupFilter, Order};
use crate::router::Api;
use crate::users::{is_all_there_is, no_filter};
use crate::{directories, users};

/// What a group is called in errors.
const WHAT: &str = "directory group";

/// Groups of one directory or of one user, never of all customers.
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(caller): Reader,
    forgetful: Forgetful,
    mut query: Query,
) -> Result<Response, Error> {
    query.is_of_now()?;
    let behind = behind(&mut query);
    let paging = query.paging(caller.reach, Order::Descending)?;
    let of_cursor = behind.other.as_deref().map(|text| id("user", text)).transpose()?;
    let mut filter = GroupFilter {
        directory: directories::filter(&query)?.or(behind.directory),
        user: users::filter(&query)?.or(of_cursor),
    };
    if filter.directory.is_none() && filter.user.is_none() {
        // An SDK leaves the filter out when it asks for the second page.
        let Some(id) = paging.at() else { return Err(no_filter("user")) };
        let directory = api.reading.directory_of_group(caller.reach, id).await?;
        filter.directory = Some(directory.ok_or_else(|| no_filter("user"))?);
    }
    let page = api.reading.groups(paging.request, filter.clone()).await?;
    if is_all_there_is(&paging, &page) {
        directories::must_exist(&api, caller, filter.directory).await?;
        users::must_exist(&api, caller, filter.user).await?;
    }
    let metadata = paging.metadata(&page, |group| group.id);
    // A user is in one directory.
    let limit = filter.user.map(|id| id.to_string());
    let limit = limit.or_else(|| filter.directory.map(|id| id.to_string()));
    Ok(list_of(page.items, forgetful.cursors(metadata, limit)))
}

pub(crate) async fn get(
    State(api): State<Api>,
    Reader(caller): Reader,
    Segments(id): Segments<String>,
) -> Result<Json<DirectoryGroup>, Error> {
    let id = path_id(WHAT, &id)?;
    api.reading.group(caller.reach, id).await.map(Json).map_err(Error::about(WHAT, id))
}

/// The group that a list of users is limited to.
pub(crate) fn filter(group: Option<&str>) -> Result<Option<GroupId>, Error> {
    group.map(|text| id("group", text)).transpose()
}

/// 404 for a group that a list is limited to and that is not there.
pub(crate) async fn must_exist(
    api: &Api,
    caller: Caller,
    group: Option<GroupId>,
) -> Result<(), Error> {
    if let Some(id) = group {
        api.reading.group(caller.reach, id).await.map_err(Error::about(WHAT, id))?;
    }
    Ok(())
}
