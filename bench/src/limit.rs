//! The bare limit: parse the body, commit it durably together with what else has come, answer.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::Failure;
use crate::client::Target;
use crate::dsync::first_line;

/// The argument that makes this program the bare limit.
pub(crate) const COMMAND: &str = "bare-limit";

/// How many bodies may wait for the next commit.
pub(crate) const WAITING_MAX: usize = 4_096;

/// A body that is to be committed, and who waits for that.
pub(crate) type Waiting = (Bytes, oneshot::Sender<()>);

/// The bare limit in a process of its own, as `dsync` is.
pub(crate) struct Limit {
    child: Child,
    pub(crate) target: Target,
}

impl Limit {
    pub(crate) fn start(folder: &Path) -> Result<Self, Failure> {
        Self::started(Command::new(std::env::current_exe()?).arg(COMMAND).arg(folder))
    }

    /// One that this command starts.
    pub(crate) fn started(command: &mut Command) -> Result<Self, Failure> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let authority = first_line(&mut child)?;
        let target =
            Target { authority, prefix: String::new(), token: "none".into(), cookie: None };
        Ok(Self { child, target })
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) async fn serve(folder: &str) -> Result<(), Failure> {
    let database = Connection::open(Path::new(folder).join("limit.db"))?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch("CREATE TABLE bodies (id INTEGER PRIMARY KEY, value BLOB NOT NULL)")?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    std::thread::spawn(move || commit(database, receiver));
    listen(sender).await
}

/// Takes requests, each of which waits until its body is committed.
pub(crate) async fn listen(sender: mpsc::Sender<Waiting>) -> Result<(), Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let app = Router::new().route("/Users", post(create)).with_state(sender);
    Ok(axum::serve(listener, app).await?)
}

async fn create(State(commits): State<mpsc::Sender<Waiting>>, body: Bytes) -> (StatusCode, Bytes) {
    if serde_json::from_slice::<serde_json::Value>(&body).is_err() {
        return (StatusCode::BAD_REQUEST, Bytes::new());
    }
    let (done, committed) = oneshot::channel();
    let sent = commits.send((body.clone(), done)).await.is_ok();
    if sent && committed.await.is_ok() {
        (StatusCode::CREATED, body)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Bytes::new())
    }
}

fn commit(mut database: Connection, mut receiver: mpsc::Receiver<Waiting>) {
    while let Some(first) = receiver.blocking_recv() {
        let mut waiting = vec![first];
        while let Ok(next) = receiver.try_recv() {
            waiting.push(next);
        }
        let written = (|| {
            let transaction = database.transaction()?;
            {
                let mut insert =
                    transaction.prepare_cached("INSERT INTO bodies (value) VALUES (?1)")?;
                for (body, _) in &waiting {
                    insert.execute([&body[..]])?;
                }
            }
            transaction.commit()
        })();
        if written.is_ok() {
            for (_, done) in waiting {
                // Who asked may have gone away.
                let _ = done.send(());
            }
        }
    }
}
