//! The commands that talk to a server: the same as calls of the API, for people at a shell.

use serde_json::Value;

use crate::cli::{Command, EventsCommand};
use crate::print;
use crate::settings::Settings;

mod connection;
mod events;
mod plan;
mod request;
mod show;

pub use connection::{ClientError, Connection};
use request::{Request, Shown};

/// Runs a command that talks to a server, and prints what it answers.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn run(command: Command, settings: &Settings, as_json: bool) -> Result<(), ClientError> {
    let server = Connection::new(settings)?;
    if let Command::Events(command) = command {
        return events(&server, command, as_json).await;
    }
    match plan::plan(command) {
        Some(request) => call(&server, &request, as_json).await,
        None => unreachable!("the binary gives these to others"),
    }
}

async fn events(
    server: &Connection,
    command: EventsCommand,
    as_json: bool,
) -> Result<(), ClientError> {
    match command {
        EventsCommand::Tail { follow } => events::tail(server, follow, as_json).await,
        EventsCommand::Export { directory, since, format: _ } => {
            events::export(server, directory, since).await
        }
    }
}

async fn call(server: &Connection, request: &Request, as_json: bool) -> Result<(), ClientError> {
    if let Shown::Stream(form) = request.shown {
        return server.stream(request, form).await;
    }
    let answer = server.send(request).await?;
    if as_json && !answer.is_null() {
        print::line(format_args!("{answer:#}"))?;
    }
    match request.shown {
        Shown::Done(done) => print::note(format_args!("{} {done}.", request.subject())),
        Shown::Table(columns) if !as_json => table(&answer, columns)?,
        Shown::Object | Shown::Once(_) | Shown::Verdict if !as_json => {
            print::line(show::pairs(&answer))?;
        }
        Shown::Table(_) | Shown::Object | Shown::Once(_) | Shown::Verdict | Shown::Stream(_) => {}
    }
    match request.shown {
        Shown::Verdict if answer.get("verified") != Some(&Value::Bool(true)) => {
            Err(ClientError::NotVerified)
        }
        Shown::Once(secret) if !as_json => {
            print::note(format_args!("Keep the {secret} now: it is not shown again."));
            Ok(())
        }
        Shown::Once(_)
        | Shown::Verdict
        | Shown::Done(_)
        | Shown::Table(_)
        | Shown::Object
        | Shown::Stream(_) => Ok(()),
    }
}

/// Prints a list, and on standard error how it goes on.
fn table(answer: &Value, columns: &[&str]) -> Result<(), ClientError> {
    print::line(show::table(answer, columns))?;
    if let Some(after) = answer.pointer("/list_metadata/after").and_then(Value::as_str) {
        print::note(format_args!("There are more: --after {after}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
