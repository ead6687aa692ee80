//! The pages, one file a subject.

pub(crate) mod api_keys;
pub(crate) mod attribute_map;
pub(crate) mod audit;
pub(crate) mod directories;
pub(crate) mod directory;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod hold;
pub(crate) mod host_names;
pub(crate) mod organization_deletion;
pub(crate) mod organizations;
pub(crate) mod portal_links;
pub(crate) mod requests;
pub(crate) mod roles;
pub(crate) mod settings;
pub(crate) mod start;
pub(crate) mod tokens;
pub(crate) mod users;

use api::ports::{Cursor, Directory, Order, Page, PageRequest, PortError, Reach};
use schemas::id::Kind;
use schemas::{DirectoryId, Id};

use crate::Console;
use crate::error::Error;
use crate::form::{Form, path_id};
use crate::session::Viewer;

/// What things are called when there is none.
const ORGANIZATION: &str = "organization";
const DIRECTORY: &str = "directory";
const USER: &str = "user";
const GROUP: &str = "group";
const EVENT: &str = "event";
const REQUEST: &str = "SCIM request";
const TOKEN: &str = "token";
const ENDPOINT: &str = "webhook endpoint";
const ATTEMPT: &str = "delivery attempt";
const REPLAY: &str = "replay";

/// How many items a list shows at once: two screens.
const PAGE_LEN: u32 = 25;

/// An address that leads to no page.
pub(crate) async fn nowhere(_: Viewer) -> Error {
    Error::Missing("page")
}

/// The page of a list that an address asks for, newest first.
fn paging<K: Kind>(query: &Form) -> PageRequest<Id<K>> {
    let after = query.id("after").map(Cursor::After);
    let cursor = after.or_else(|| query.id("before").map(Cursor::Before));
    PageRequest { reach: Reach::Everything, limit: PAGE_LEN, order: Order::Descending, cursor }
}

/// The first few of a list, newest first.
pub(crate) fn first_few<I>(limit: u32) -> PageRequest<I> {
    PageRequest { reach: Reach::Everything, limit, order: Order::Descending, cursor: None }
}

/// As many as are shown of what was asked for with one more, and whether there is more.
fn shown<T>(items: &[T], limit: u32) -> (&[T], bool) {
    let limit = limit as usize;
    (&items[..items.len().min(limit)], items.len() > limit)
}

/// An address with a query of these pairs; those without a value are left out.
fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let given: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    if given.is_empty() {
        return path.to_owned();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(given);
    format!("{path}?{}", query.finish())
}

/// A page without items whose cursor is at fault leads back to the first.
fn is_first<T, I>(page: &Page<T>, request: &PageRequest<I>) -> bool {
    page.items.is_empty() && request.cursor.is_none()
}

async fn directory_of(console: &Console, text: &str) -> Result<Directory, Error> {
    let id = path_id(DIRECTORY, text)?;
    console.directories.get(Reach::Everything, id).await.map_err(Error::about(DIRECTORY))
}

/// The name of a directory; its id, if it is gone.
pub(crate) async fn directory_name(console: &Console, id: DirectoryId) -> Result<String, Error> {
    match console.directories.get(Reach::Everything, id).await {
        Ok(directory) => Ok(directory.name),
        Err(PortError::NotFound) => Ok(id.to_string()),
        Err(error) => Err(error.into()),
    }
}

fn directory_path(id: DirectoryId) -> String {
    format!("/console/directories/{id}")
}
