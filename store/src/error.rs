//! What can go wrong with a database, before each port says it in its own terms.

use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

use crate::postgres::PostgresSettings;
use crate::sqlite::is_full;

/// Why a database did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    /// SQLite said no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL said no, or did not answer.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// No connection to PostgreSQL was to be had.
    #[error(transparent)]
    Pool(#[from] deadpool_postgres::PoolError),
    /// A connection to PostgreSQL cannot be secured.
    #[error("connections to PostgreSQL cannot be secured")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// PostgreSQL says nothing at all.
    #[error("PostgreSQL does not answer")]
    Silent,
    /// A stored value is not what this version writes.
    #[error("the stored {what} cannot be read")]
    Unreadable {
        /// Of what.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// It may have been done: the connection was lost during the commit, or what came of it could not be read.
    #[error("whether it was done is not known")]
    Unsure(#[source] Box<DbError>),
    /// A port's own refusal that has to pass through a job.
    #[error("refused")]
    Refused(Box<dyn std::any::Any + Send + Sync>),
}

impl DbError {
    /// Whether there is no room on the disk.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Sqlite(error) => is_full(error),
            Self::Postgres(error) => error.code() == Some(&SqlState::DISK_FULL),
            Self::Pool(_) | Self::Tls(_) | Self::Silent => false,
            Self::Unreadable { .. } | Self::Closed | Self::Unsure(_) | Self::Refused(_) => false,
        }
    }

    /// Of what is done behind a commit: the commit was done whatever has become of this.
    pub(crate) fn behind_commit(self) -> Self {
        match self {
            Self::Refused(_) | Self::Unsure(_) => self,
            Self::Sqlite(_) | Self::Postgres(_) | Self::Pool(_) | Self::Tls(_) | Self::Silent => {
                Self::Unsure(Box::new(self))
            }
            Self::Unreadable { .. } | Self::Closed => Self::Unsure(Box::new(self)),
        }
    }

    /// Whether others use what was to be changed. They will not for ever.
    pub(crate) fn is_in_the_way(&self) -> bool {
        let states = [SqlState::LOCK_NOT_AVAILABLE, SqlState::T_R_DEADLOCK_DETECTED];
        match self {
            Self::Postgres(error) => error.code().is_some_and(|state| states.contains(state)),
            Self::Sqlite(_) | Self::Pool(_) | Self::Tls(_) | Self::Silent => false,
            Self::Unreadable { .. } | Self::Closed | Self::Unsure(_) | Self::Refused(_) => false,
        }
    }

    /// Whether the database took offence at the data: it would again. A server that is away, overloaded or shutting
    /// down says something else.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
            ),
            // Data exceptions, broken constraints, limits of the program.
            Self::Postgres(error) => {
                error.code().is_some_and(|state| ["22", "23", "54"].contains(&&state.code()[..2]))
            }
            Self::Unreadable { .. } => true,
            Self::Pool(_) | Self::Tls(_) | Self::Silent => false,
            Self::Closed | Self::Unsure(_) | Self::Refused(_) => false,
        }
    }
}

/// Why a file of the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite cannot open it.
    #[error("the store {} cannot be opened: {why}", .path.display())]
    Sqlite {
        /// The file.
        path: std::path::PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// It holds something that this version does not write.
    #[error("the store {} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was written by a later version.
    #[error("the store {} has version {found}, this program knows {known}", .path.display())]
    Version {
        /// The file.
        path: std::path::PathBuf,
        /// What it says.
        found: i32,
        /// The latest that is known.
        known: i32,
    },
    /// PostgreSQL does not answer, or does not let us in.
    #[error("the store in PostgreSQL ({server}) cannot be opened")]
    Server {
        /// Where it is.
        server: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is nowhere to put tables.
    #[error(
        "the search_path of the store in PostgreSQL ({server}) leads to no schema; create it, or name another"
    )]
    NoSchema {
        /// Where it is.
        server: String,
    },
    /// A later version has changed the tables in a way that this one cannot live with.
    #[error(
        "the store in PostgreSQL ({server}) has schema version {found}, and this program, which knows {known}, \
         is too old for it"
    )]
    Schema {
        /// Where it is.
        server: String,
        /// The version of the tables.
        found: i32,
        /// The latest that is known.
        known: i32,
    },
    /// A later version has changed the tables, which a state that this one makes would not have.
    #[error(
        "the store in PostgreSQL ({server}) has schema version {found}, and a state made by this program, which knows \
         {known}, would lack what came since: rebuild with the version that the replicas run"
    )]
    Outgrown {
        /// Where it is.
        server: String,
        /// The version of the tables.
        found: i32,
        /// The latest that is known.
        known: i32,
    },
    /// Somebody else rebuilds.
    #[error(
        "another rebuild of the store in PostgreSQL ({server}) is under way; wait for its end, or end it"
    )]
    Rebuilding {
        /// Where it is.
        server: String,
    },
    /// Secrets could not be sealed.
    #[error(
        "the store in PostgreSQL ({server}) needs a master key that all replicas share: give each the same one as \
         master_key (DSYNC_MASTER_KEY), 32 bytes in base64"
    )]
    NoMasterKey {
        /// Where it is.
        server: String,
    },
    /// Secrets could not be opened.
    #[error(
        "DSYNC-013: the secrets of the store {} are sealed under another master key: put back the one that it was made \
         with",
        .path.display()
    )]
    OtherMasterKey {
        /// The file.
        path: std::path::PathBuf,
    },
    /// Secrets could not be opened.
    #[error(
        "DSYNC-013: the secrets of the store in PostgreSQL ({server}) are sealed under another master key: give this replica \
         the one that the others have"
    )]
    MasterKey {
        /// Where it is.
        server: String,
    },
    /// The system starts no more threads.
    #[error("the threads of the store cannot be started")]
    Thread(#[from] std::io::Error),
}

impl OpenError {
    pub(crate) fn at(path: &std::path::Path) -> impl Fn(rusqlite::Error) -> Self {
        move |error| Self::Sqlite { path: path.to_owned(), why: log::file::words(path, &error) }
    }

    pub(crate) fn server(settings: &PostgresSettings, error: DbError) -> Self {
        Self::Server { server: settings.to_string(), source: Box::new(error) }
    }
}

/// A stored value that cannot be read, told with what it should be.
pub(crate) fn unreadable<E>(what: &'static str) -> impl Fn(E) -> DbError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |error| DbError::Unreadable { what, source: error.into() }
}
