//! Style, script and picture: compiled in, and kept by browsers for ever under a name that changes with
//! what is in them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// The style of every page.
pub(crate) static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("console.css", "text/css; charset=utf-8", include_bytes!("../assets/console.css"))
});

/// What htmx cannot do.
pub(crate) static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let bytes = include_bytes!("../assets/console.js");
    Asset::new("console.js", "text/javascript; charset=utf-8", bytes)
});

/// htmx 2.0.11 as its release has it, with the smaller file of that release.
pub(crate) static HTMX: LazyLock<Asset> = LazyLock::new(|| {
    let bytes = include_bytes!("../assets/htmx.min.js");
    let mut htmx = Asset::new("htmx.js", "text/javascript; charset=utf-8", bytes);
    htmx.gzipped = Some(include_bytes!("../assets/htmx.min.js.gz"));
    htmx
});

/// The picture in a browser's tab.
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")));

/// How many characters of the hash stand in an address: as many as keep two versions apart.
const HASH_LEN: usize = 16;

/// A file that pages load.
pub(crate) struct Asset {
    path: String,
    kind: &'static str,
    bytes: &'static [u8],
    gzipped: Option<&'static [u8]>,
}

impl Asset {
    fn new(name: &str, kind: &'static str, bytes: &'static [u8]) -> Self {
        let hash = hex::encode(Sha256::digest(bytes));
        let path = format!("/console/assets/{}-{name}", &hash[..HASH_LEN]);
        Self { path, kind, bytes, gzipped: None }
    }

    /// Where pages load it from.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Its name in any folder of assets.
    pub(crate) fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    fn answer(&self, headers: &HeaderMap) -> Response {
        let zip = self.gzipped.filter(|_| takes_gzip(headers));
        let mut response = zip.unwrap_or(self.bytes).into_response();
        let set = response.headers_mut();
        set.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let for_ever = HeaderValue::from_static("public, max-age=31536000, immutable");
        set.insert(CACHE_CONTROL, for_ever);
        if self.gzipped.is_some() {
            set.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if zip.is_some() {
            set.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// Whether the browser says so without a weight; every browser does.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|list| list.split(',').any(|one| one.trim() == "gzip"))
}

pub(crate) async fn show(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    named(&name, &headers).ok_or(Error::Missing("page"))
}

/// The asset of this name, as an answer.
pub(crate) fn named(name: &str, headers: &HeaderMap) -> Option<Response> {
    let all = [&*STYLE, &*SCRIPT, &*HTMX, &*ICON];
    let found = all.into_iter().find(|asset| asset.file() == name);
    found.map(|asset| asset.answer(headers))
}
