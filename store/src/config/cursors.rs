//! How far apps have been told, beside how far there is anything to tell.

use super::Config;
use crate::error::DbError;
use crate::sqlite::{as_sql, from_sql};

impl Config {
    /// The furthest position of the feed that an endpoint is done with.
    pub(super) async fn told_up_to(&self) -> Result<u64, DbError> {
        let sql = "SELECT coalesce(max(cursor), 0) FROM endpoints WHERE kind <> 'operational'";
        let end: i64 = self
            .read(move |connection| Ok(connection.query_row(sql, [], |row| row.get(0))?))
            .await?;
        Ok(from_sql(end))
    }

    /// Lets every endpoint that is done with more go on from the end of the feed.
    pub(super) async fn tell_from(&self, end: u64) -> Result<(), DbError> {
        let end = as_sql(end);
        self.durable
            .run(move |connection| {
                let transaction = connection.transaction()?;
                transaction.execute(
                    "DELETE FROM blocked_lines WHERE from_position > ?1 AND endpoint IN
                         (SELECT id FROM endpoints WHERE kind <> 'operational')",
                    [end],
                )?;
                transaction.execute(
                    "UPDATE endpoints SET cursor = ?1, done = x''
                     WHERE kind <> 'operational' AND cursor > ?1",
                    [end],
                )?;
                Ok(transaction.commit()?)
            })
            .await
    }
}
