//! How requests to an endpoint leave, and the secrets that sign beside the current one.

use std::collections::BTreeMap;
use std::time::Duration;

use api::ports::{
    ClientCertificate, Conflict, Endpoint, KeyPair, Outward, SIGNING_SECRETS_MAX, Secret,
    SecretRotation,
};
use dispatcher::egress::Identity;
use dispatcher::ports as lanes;
use rusqlite::{Connection, params};
use schemas::{EndpointId, Timestamp};

use super::organizations::{after, is_made_from};
use super::sealed::{Sealer, What};
use super::{Config, endpoints};
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::conflicted;
use crate::state::rows::all;

/// The columns, in the order in which [`Sealed::read`] wants them.
pub(crate) const COLUMNS: &str =
    "timeout_ms, client_certificate, client_key, public_key, private_key";

/// The same with the keys still sealed.
#[derive(Debug, Default)]
pub(crate) struct Sealed {
    timeout: Option<Duration>,
    pub(crate) client_certificate: Option<(String, Vec<u8>)>,
    pub(crate) key_pair: Option<(String, Vec<u8>)>,
}

/// A secret that signs on for a while, sealed.
#[derive(Debug)]
pub(crate) struct Retired {
    sealed: Vec<u8>,
    until: Timestamp,
}

impl Sealed {
    pub(crate) fn seal(outward: Outward, id: EndpointId, sealer: &Sealer) -> Self {
        let owner = id.to_bytes();
        let certificate = outward
            .client_certificate
            .map(|ours| (ours.chain, sealer.seal_as(What::ClientKey, owner, ours.key.expose())));
        let key_pair = outward.key_pair.map(|pair| {
            (pair.public, sealer.seal_as(What::PrivateKey, owner, pair.private.expose()))
        });
        Self { timeout: outward.timeout, client_certificate: certificate, key_pair }
    }

    pub(crate) fn open(self, id: EndpointId, sealer: &Sealer) -> Result<Outward, DbError> {
        let open =
            |what, sealed: &[u8]| sealer.open_as(what, id.to_bytes(), sealed).map(Secret::new);
        let certificate = self.client_certificate.map(|(chain, sealed)| {
            open(What::ClientKey, &sealed).map(|key| ClientCertificate { chain, key })
        });
        let key_pair = self.key_pair.map(|(public, sealed)| {
            open(What::PrivateKey, &sealed).map(|private| KeyPair { private, public })
        });
        Ok(Outward {
            timeout: self.timeout,
            client_certificate: certificate.transpose()?,
            key_pair: key_pair.transpose()?,
        })
    }

    /// From the columns that begin at `first`.
    pub(crate) fn read(row: &impl Columns, first: usize) -> Result<Self, DbError> {
        let timeout = row.integer_if(first)?;
        let both = |public: Option<String>, sealed: Option<Vec<u8>>| public.zip(sealed);
        Ok(Self {
            timeout: timeout.map(|millis| Duration::from_millis(millis.unsigned_abs())),
            client_certificate: both(row.text_if(first + 1)?, row.bytes_if(first + 2)?),
            key_pair: both(row.text_if(first + 3)?, row.bytes_if(first + 4)?),
        })
    }

    pub(crate) fn timeout_millis(&self) -> Result<Option<i64>, DbError> {
        let millis = self.timeout.map(|timeout| i64::try_from(timeout.as_millis()));
        millis.transpose().map_err(unreadable("timeout"))
    }

    pub(super) fn write(&self, connection: &Connection, id: EndpointId) -> Result<(), DbError> {
        let millis = self.timeout_millis()?;
        let certificate = self.client_certificate.as_ref();
        let key_pair = self.key_pair.as_ref();
        connection.execute(
            "UPDATE endpoints SET timeout_ms = ?2, client_certificate = ?3, client_key = ?4,
                 public_key = ?5, private_key = ?6 WHERE id = ?1",
            params![
                id.to_bytes(),
                millis,
                certificate.map(|(chain, _)| chain),
                certificate.map(|(_, key)| key),
                key_pair.map(|(public, _)| public),
                key_pair.map(|(_, private)| private),
            ],
        )?;
        Ok(())
    }
}

impl Config {
    /// The secret before signs until its overlap ends, and so do those before it, if not for less.
    pub(crate) async fn rotate_secret(
        &self,
        id: EndpointId,
        rotation: SecretRotation,
    ) -> Result<Endpoint, DbError> {
        let sealed = self.sealer.seal(id.to_bytes(), rotation.secret.expose());
        self.change_beside(move |connection| retire(connection, id, &sealed, &rotation)).await?;
        self.endpoints_changed();
        self.endpoint(id).await.map_err(DbError::behind_commit)
    }

    /// All secrets that still sign beside the current ones, by endpoint, the latest first.
    pub(super) async fn retired_secrets(
        &self,
    ) -> Result<BTreeMap<EndpointId, Vec<Retired>>, DbError> {
        let now = self.now();
        self.read(move |connection| retired_secrets(connection, now)).await
    }
}

fn retire(
    connection: &Connection,
    id: EndpointId,
    sealed: &[u8],
    rotation: &SecretRotation,
) -> Result<(), DbError> {
    let before = endpoints::get(connection, id)?.updated_at;
    is_made_from(rotation.made_from, before)?;
    let (owner, end, at) = (id.to_bytes(), rotation.until.millis(), rotation.at);
    connection.execute(
        "INSERT INTO retired_secrets (endpoint, secret, until)
         SELECT id, secret, ?2 FROM endpoints WHERE id = ?1",
        params![owner, end],
    )?;
    connection.execute(
        "UPDATE retired_secrets SET until = min(until, ?2) WHERE endpoint = ?1",
        params![owner, end],
    )?;
    connection.execute("DELETE FROM retired_secrets WHERE until <= ?1", [at.millis()])?;
    let retired: i64 = connection.query_row(
        "SELECT count(*) FROM retired_secrets WHERE endpoint = ?1",
        [owner],
        |row| row.get(0),
    )?;
    if retired >= SIGNING_SECRETS_MAX {
        return Err(conflicted(Conflict::SigningSecrets));
    }
    connection.execute(
        "UPDATE endpoints SET secret = ?2, updated_at = ?3 WHERE id = ?1",
        params![owner, sealed, after(before, at).millis()],
    )?;
    Ok(())
}

fn retired_secrets(
    connection: &Connection,
    now: Timestamp,
) -> Result<BTreeMap<EndpointId, Vec<Retired>>, DbError> {
    let sql = "SELECT endpoint, secret, until FROM retired_secrets WHERE until > ?1
        ORDER BY key DESC";
    let rows = all(connection, sql, [now.millis()], |row| retired(row))?;
    Ok(by_endpoint(rows))
}

/// A secret that signs on, of its endpoint, itself and its end.
pub(crate) fn retired(row: &impl Columns) -> Result<(EndpointId, Retired), DbError> {
    let retired = Retired { sealed: row.bytes(1)?, until: row.time(2)? };
    Ok((EndpointId::from_bytes(row.id(0)?), retired))
}

pub(crate) fn by_endpoint(rows: Vec<(EndpointId, Retired)>) -> BTreeMap<EndpointId, Vec<Retired>> {
    let mut found = BTreeMap::<_, Vec<Retired>>::new();
    for (endpoint, retired) in rows {
        found.entry(endpoint).or_default().push(retired);
    }
    found
}

/// Until when the latest of them signs.
pub(super) fn until(retired: &[Retired]) -> Option<Timestamp> {
    retired.first().map(|latest| latest.until)
}

/// All that signs for an endpoint, in the order in which the dispatcher wants it.
pub(super) fn signing(
    id: EndpointId,
    current: &[u8],
    retired: &[Retired],
    outward: &Outward,
    sealer: &Sealer,
) -> Result<Vec<lanes::Secret>, DbError> {
    let open = |sealed| sealer.open(id.to_bytes(), sealed).map(lanes::Secret::new);
    let mut secrets = vec![open(current)?];
    for one in retired {
        secrets.push(open(&one.sealed)?.until(one.until));
    }
    let private = outward.key_pair.as_ref().map(|pair| pair.private.expose().to_owned());
    secrets.extend(private.map(lanes::Secret::new));
    Ok(secrets)
}

/// What we show to an endpoint.
pub(super) fn identity(outward: &Outward) -> Result<Option<Identity>, DbError> {
    let ours = outward.client_certificate.as_ref();
    let read = ours.map(|ours| Identity::from_pem(&ours.chain, ours.key.expose()));
    read.transpose().map_err(unreadable("client certificate"))
}
