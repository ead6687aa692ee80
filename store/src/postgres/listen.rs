//! What other processes say has happened: a connection of its own that listens, for as long as the store is open.

use std::future::poll_fn;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, NoTls, Socket};

use super::{CONNECTION_TIMEOUT, Postgres, tls};
use crate::error::DbError;

/// How long it waits before it connects again. Whoever waits for news is served by polling meanwhile.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often it looks although nothing was said: what was said while nobody listened is found this late.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Who hears it.
pub(crate) trait Listener: Send + Sync + 'static {
    /// Something was said.
    fn heard(&self, said: &str);

    /// Looks for itself what may have happened unheard.
    fn look(&self) -> impl Future<Output = Result<(), DbError>> + Send;
}

/// A task that ends with this. It holds nothing that would have to be finished.
#[derive(Debug)]
pub(crate) struct Listening(JoinHandle<()>);

impl Listening {
    pub(crate) fn stop(&self) {
        self.0.abort();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Listens to a channel until it is stopped.
pub(crate) fn listen(
    postgres: Postgres,
    channel: String,
    listener: std::sync::Arc<impl Listener>,
) -> Listening {
    #[expect(clippy::disallowed_methods, reason = "it is aborted when the store is closed")]
    let task = tokio::spawn(async move {
        tokio::join!(hear(&postgres, &channel, &*listener), look(&*listener));
    });
    Listening(task)
}

async fn look(listener: &impl Listener) {
    let mut failing = false;
    loop {
        tokio::time::sleep(POLL_EVERY).await;
        let looked = listener.look().await;
        if let Err(error) = &looked
            && !failing
        {
            tracing::warn!(%error, "PostgreSQL does not say what has happened");
        }
        failing = looked.is_err();
    }
}

async fn hear(postgres: &Postgres, channel: &str, listener: &impl Listener) {
    loop {
        if let Err(error) = once(postgres, channel, listener).await {
            tracing::debug!(%error, "nobody listens to PostgreSQL for the moment");
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn once(postgres: &Postgres, channel: &str, listener: &impl Listener) -> Result<(), DbError> {
    let settings = postgres.settings();
    match settings.tls() {
        Some(roots) => {
            let connector = tls::Connector::new(roots).map_err(DbError::Tls)?;
            connected(postgres, connector, channel, listener).await
        }
        None => connected(postgres, NoTls, channel, listener).await,
    }
}

async fn connected<T>(
    postgres: &Postgres,
    tls: T,
    channel: &str,
    listener: &impl Listener,
) -> Result<(), DbError>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + Unpin,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let settings = postgres.settings().connection();
    let connecting = tokio::time::timeout(CONNECTION_TIMEOUT, settings.connect(tls));
    let (client, mut connection) = connecting.await.map_err(|_| DbError::Silent)??;
    let listen = async {
        client.batch_execute(&format!("LISTEN {channel}")).await?;
        // What was said before is looked up.
        listener.look().await?;
        std::future::pending::<Result<(), DbError>>().await
    };
    let messages = async {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(said) = message? {
                listener.heard(said.payload());
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = listen => ended,
        ended = messages => ended,
        () = postgres.until_cut() => Err(DbError::Silent),
    }
}
