//! What stands still: partitions that no projector follows any further, and directories that a gap has stopped.
//!
//! A projector that must not go on says so here, and every replica of ingest hears of it: what it appended could not be
//! judged by anybody.

use log::Partition;
use schemas::DirectoryId;

use super::super::query::Moment;
use super::super::rows::Columns;
use super::State;
use crate::error::DbError;
use crate::state::Stops;

/// How much of a reason is kept and said: a notification takes less than 8,000 bytes.
const WHY_CHARACTERS_MAX: usize = 1_000;

/// What a notification begins with that tells why a partition is not followed any further, or that it is. A version that
/// does not know it takes it for nothing.
const STOPS: &str = "stops";
const FOLLOWED: &str = "followed";

/// What a notification says of a partition that stops or goes on, if it does.
pub(super) fn heard(said: &str) -> Option<(Partition, Option<String>)> {
    let mut words = said.splitn(3, ' ');
    let (what, number) = (words.next()?, words.next()?.parse().ok()?);
    match what {
        STOPS => Some((Partition(number), Some(words.next().unwrap_or_default().to_owned()))),
        FOLLOWED => Some((Partition(number), None)),
        _ => None,
    }
}

/// Why partitions are not followed any further, of those that are not.
pub(super) async fn stops(moment: &Moment<'_>) -> Result<Stops, DbError> {
    let sql = "SELECT partition, stopped FROM positions WHERE stopped IS NOT NULL";
    let read = |row: &tokio_postgres::Row| {
        let number = u16::try_from(row.value::<i32>(0)?).unwrap_or(u16::MAX);
        Ok((Partition(number), row.value(1)?))
    };
    moment.all(sql, &[]).await?.iter().map(read).collect()
}

impl State {
    pub(super) async fn stop(
        &self,
        partition: Partition,
        why: Option<String>,
    ) -> Result<(), DbError> {
        let why: Option<String> = why.map(|why| why.chars().take(WHY_CHARACTERS_MAX).collect());
        let mut client = self.client().await?;
        let moment = Moment::writing(&mut client).await?;
        let number = i32::from(partition.0);
        let (sql, said) = match &why {
            Some(why) => (
                "INSERT INTO positions (partition, next, passed, stopped) VALUES ($1, 0, 0, $2)
                 ON CONFLICT (partition) DO UPDATE SET stopped = excluded.stopped
                 WHERE positions.stopped IS DISTINCT FROM excluded.stopped",
                format!("{STOPS} {number} {why}"),
            ),
            None => (
                "UPDATE positions SET stopped = $2 WHERE partition = $1 AND stopped IS NOT NULL",
                format!("{FOLLOWED} {number}"),
            ),
        };
        if moment.execute(sql, &[&number, &why]).await? > 0 {
            moment.execute("SELECT pg_notify($1, $2)", &[&self.channel, &said]).await?;
        }
        moment.commit().await?;
        self.progress.stop(partition, why);
        Ok(())
    }

    pub(super) async fn stopped(&self) -> Result<Vec<DirectoryId>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let sql = "SELECT id FROM directories WHERE stopped ORDER BY key";
        let found = moment.all(sql, &[]).await?;
        found.iter().map(|row| Ok(DirectoryId::from_bytes(row.id(0)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_heard_with_its_reason_and_other_notifications_are_none() {
        let stop = heard("stops 7 DSYNC-003: the log is behind");
        assert_eq!(stop, Some((Partition(7), Some("DSYNC-003: the log is behind".to_owned()))));
        assert_eq!(heard("followed 7"), Some((Partition(7), None)));
        assert_eq!(heard("7 12 90"), None);
    }
}
