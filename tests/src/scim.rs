//! A SCIM client, as an identity provider is one.

use serde_json::{Value, json};

use crate::server::{http_client, json_of};

/// A directory, as its configuration showed it when it was made.
#[derive(Clone, Debug)]
pub struct Directory {
    /// `directory_…`.
    pub id: String,
    /// Where the identity provider sends its requests.
    pub endpoint: String,
    /// The token it sends along.
    pub token: String,
    http: reqwest::Client,
}

/// An answer of the SCIM service.
#[derive(Clone, Debug)]
pub struct Scim {
    /// The status code.
    pub status: u16,
    /// The body; `null` if there was none.
    pub body: Value,
    /// The `Content-Type`, if there was one.
    pub content_type: Option<String>,
    /// The `Location`, if there was one.
    pub location: Option<String>,
    /// The `ETag`, if there was one.
    pub etag: Option<String>,
    /// The `Retry-After`, if there was one.
    pub retry_after: Option<String>,
}

impl Directory {
    /// The directory that `POST /directories` answered with. A server on another port than the one
    /// that made it is reached through `base`.
    #[must_use]
    pub fn new(directory: &Value, base: &str) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let endpoint = text(&directory["scim"]["endpoint"]);
        let path = endpoint.find("/scim/").expect("the endpoint is under /scim/");
        Self {
            id: text(&directory["id"]),
            endpoint: format!("{base}{}", &endpoint[path..]),
            token: text(&directory["scim"]["bearer_token"]),
            http: http_client(),
        }
    }

    /// The same directory at a server that was started again.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        let path = self.endpoint.find("/scim/").expect("the endpoint is under /scim/");
        Self { endpoint: format!("{base}{}", &self.endpoint[path..]), ..self.clone() }
    }

    /// The same place with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The same token at another place.
    #[must_use]
    pub fn with_endpoint(&self, endpoint: String) -> Self {
        Self { endpoint, ..self.clone() }
    }

    /// Sends a request; fails the test if there is no answer.
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Scim {
        self.try_send(method, path, body).await.expect("the server answers")
    }

    /// Sends a request to a server that may be gone.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Scim, reqwest::Error> {
        let body = body.map(|body| body.to_string().into_bytes());
        self.send_raw(method, path, body, "application/scim+json").await
    }

    /// Sends a request with one more header; fails the test if there is no answer.
    pub async fn send_with(
        &self,
        header: (&str, &str),
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Scim {
        let body = body.map(|body| body.to_string().into_bytes());
        let headers = [("content-type", "application/scim+json"), header];
        self.send_headers(method, path, body, &headers).await.expect("the server answers")
    }

    /// Sends any bytes.
    pub async fn send_raw(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        content_type: &str,
    ) -> Result<Scim, reqwest::Error> {
        let headers: &[_] = if body.is_some() { &[("content-type", content_type)] } else { &[] };
        self.send_headers(method, path, body, headers).await
    }

    /// Sends any bytes with these headers beside those that every request has; with an `accept`
    /// among them, with these alone.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn send_headers(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
        headers: &[(&str, &str)],
    ) -> Result<Scim, reqwest::Error> {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.endpoint));
        if !headers.iter().any(|(name, _)| *name == "accept") {
            let token = format!("Bearer {}", self.token);
            request =
                request.header("authorization", token).header("accept", "application/scim+json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await?;
        let header = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (content_type, location) = (header("content-type"), header("location"));
        let (etag, retry_after) = (header("etag"), header("retry-after"));
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await?;
        let body = if bytes.is_empty() { Value::Null } else { json_of(&bytes) };
        Ok(Scim { status, body, content_type, location, etag, retry_after })
    }

    /// Creates a user with this name and answers its id.
    pub async fn user(&self, user_name: &str) -> String {
        let created = self.send("POST", "/Users", Some(user_body(user_name))).await;
        created.expect(201).id()
    }

    /// Creates an empty group with this name and answers its id.
    pub async fn group(&self, display_name: &str) -> String {
        let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": display_name });
        self.send("POST", "/Groups", Some(body)).await.expect(201).id()
    }

    /// PATCHes with these operations.
    pub async fn patch(&self, path: &str, operations: Value) -> Scim {
        self.send("PATCH", path, Some(patch_body(&operations))).await
    }
}

impl Scim {
    /// This answer, which has to have this status.
    #[expect(clippy::must_use_candidate, reason = "often the status is all that matters")]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// The id in the body.
    #[must_use]
    pub fn id(&self) -> String {
        self.body["id"].as_str().expect("the resource has an id").to_owned()
    }

    /// Checks that it is a SCIM error with this status and type (RFC 7644 §3.12).
    pub fn expect_error(&self, status: u16, scim_type: Option<&str>) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.content_type.as_deref(), Some("application/scim+json"));
        let urn = "urn:ietf:params:scim:api:messages:2.0:Error";
        assert_eq!(self.body["schemas"], json!([urn]), "{}", self.body);
        assert_eq!(self.body["status"], status.to_string(), "{}", self.body);
        assert_eq!(self.body["scimType"].as_str(), scim_type, "{}", self.body);
        assert!(self.body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{}", self.body);
    }
}

/// A user of about 900 bytes, as Entra ID sends one.
#[must_use]
pub fn user_body(user_name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": format!("ext-{user_name}"), "userName": user_name, "active": true,
        "displayName": "Adele Vance", "title": "Retail Manager", "preferredLanguage": "en-US",
        "name": { "formatted": "Adele Vance", "givenName": "Adele", "familyName": "Vance" },
        "emails": [{ "primary": true, "type": "work", "value": user_name }],
        "phoneNumbers": [{ "type": "work", "value": "+1 425 555 0109" }],
        "addresses": [{ "type": "work", "streetAddress": "18/2111", "locality": "Bellevue",
            "region": "WA", "postalCode": "98004", "country": "US" }],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":
            { "employeeNumber": "E-1001", "department": "Retail" }
    })
}

/// A PATCH body.
#[must_use]
pub fn patch_body(operations: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}
