//! The commands that talk to a server: the same as calls of the API, for people at a shell.

use schemas::wire::DirectoryType;
use serde_json::{Value, json};

use crate::cli::{
    Command, DirectoryCommand, EndpointCommand, EventsCommand, KeyCommand, OauthCommand,
    OrgCommand, Scope, SecretCommand, TokenCommand,
};
use crate::print;
use crate::settings::Settings;

mod connection;
mod events;
mod show;

pub use connection::{ClientError, Connection};

/// Runs a command that talks to a server, and prints what it answers.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn run(command: Command, settings: &Settings, as_json: bool) -> Result<(), ClientError> {
    let server = Connection::new(settings)?;
    match command {
        Command::Org(OrgCommand::Create { name }) => {
            created(&server.post("/organizations", &json!({"name": name})).await?, None, as_json)
        }
        Command::Directory(command) => directory(&server, command, as_json).await,
        Command::Endpoint(EndpointCommand::Create(endpoint)) => {
            created(&server.post("/webhook_endpoints", &endpoint.body()).await?, None, as_json)
        }
        Command::Key(KeyCommand::Create { name, scope }) => {
            let body = json!({"name": name, "scope": scope_name(scope)});
            created(&server.post("/api_keys", &body).await?, Some("key"), as_json)
        }
        Command::Events(EventsCommand::Tail { follow }) => {
            events::tail(&server, follow, as_json).await
        }
        Command::Events(EventsCommand::Export { directory, since, format: _ }) => {
            events::export(&server, directory, since).await
        }
        Command::Serve(_)
        | Command::Demo
        | Command::Verify { .. }
        | Command::Rebuild
        | Command::Config(_) => unreachable!("the binary gives these to others"),
    }
}

async fn directory(
    server: &Connection,
    command: DirectoryCommand,
    as_json: bool,
) -> Result<(), ClientError> {
    match command {
        DirectoryCommand::Create { organization, kind, name } => {
            let kind = full_slug(&kind);
            let body = json!({"organization_id": organization, "type": kind, "name": name});
            let answer = server.post("/directories", &body).await?;
            created(&answer, Some("bearer token"), as_json)
        }
        DirectoryCommand::Token(TokenCommand::Create { directory }) => {
            let path = format!("/directories/{directory}/tokens");
            created(&server.post(&path, &json!({})).await?, Some("token"), as_json)
        }
        DirectoryCommand::Oauth(command) => oauth(server, command, as_json).await,
    }
}

async fn oauth(
    server: &Connection,
    command: OauthCommand,
    as_json: bool,
) -> Result<(), ClientError> {
    let path = |directory| format!("/directories/{directory}/oauth_client");
    match command {
        OauthCommand::Show { directory } => {
            answered(&server.get(&path(directory), &[]).await?, as_json)
        }
        OauthCommand::Secret(SecretCommand::Create { directory }) => {
            let path = format!("{}/secrets", path(directory));
            created(&server.post(&path, &json!({})).await?, Some("client secret"), as_json)
        }
        OauthCommand::Secret(SecretCommand::Delete { directory, secret }) => {
            server.delete(&format!("{}/secrets/{secret}", path(directory))).await?;
            print::note(format_args!("Deleted {secret}; its access tokens open nothing any more."));
            Ok(())
        }
    }
}

/// Prints a thing that was created, and on standard error what is not shown again.
fn created(answer: &Value, once: Option<&str>, as_json: bool) -> Result<(), ClientError> {
    answered(answer, as_json)?;
    if let Some(secret) = once.filter(|_| !as_json) {
        print::note(format_args!("Keep the {secret} now: it is not shown again."));
    }
    Ok(())
}

fn answered(answer: &Value, as_json: bool) -> Result<(), ClientError> {
    if as_json {
        print::line(format_args!("{answer:#}"))?;
    } else {
        print::line(show::pairs(answer))?;
    }
    Ok(())
}

/// `okta` stands for `okta scim v2.0`.
fn full_slug(kind: &str) -> String {
    let long = format!("{kind} scim v2.0");
    if DirectoryType::from_slug(&long).is_some() { long } else { kind.to_owned() }
}

const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Full => "full",
        Scope::Read => "read",
        Scope::Audit => "audit",
    }
}

#[cfg(test)]
mod tests;
