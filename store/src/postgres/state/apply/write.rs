//! What a batch comes to, written: a statement for each kind of row, whatever its number.

use projector::Batch;
use schemas::{ScimId, StoredChange};

use super::super::super::query::Moment;
use super::super::super::rows::{Columns, as_sql};
use super::Directories;
use super::fold::{Delta, Last, Put, key_of};
use crate::error::DbError;

mod groups;
mod users;

use groups::groups;
use users::{Users, forget_addresses};

/// Goes before comes: what goes may leave its name or its place to what comes.
pub(super) async fn write(
    moment: &Moment<'_>,
    delta: &Delta<'_>,
    directories: &mut Directories,
) -> Result<(), DbError> {
    if !delta.gone.is_empty() {
        // With this, nobody sees their rows any more; they are swept out later.
        let sql = "UPDATE directories SET gone = true WHERE key = ANY($1)";
        moment.execute(sql, &[&delta.gone]).await?;
    }
    if !delta.activated.is_empty() {
        let sql = "UPDATE directories SET activated = true WHERE key = ANY($1)";
        moment.execute(sql, &[&delta.activated]).await?;
    }
    users_gone(moment, &delta.users_gone).await?;
    groups_gone(moment, &delta.groups_gone, directories).await?;
    let users = in_order(&delta.users);
    if !users.is_empty() {
        let there = users.iter().filter(|(id, _)| delta.was_there(**id));
        let there = there.map(|(id, _)| id.to_bytes().to_vec()).collect();
        forget_addresses(moment, there).await?;
        for some in chunks(&users) {
            Users::of(some)?.put(moment).await?;
        }
    }
    for some in chunks(&in_order(&delta.groups)) {
        groups(moment, some).await?;
    }
    memberships(moment, delta).await?;
    pending_members(moment, delta, directories).await?;
    touched(moment, delta).await?;
    tokens(moment, delta).await
}

async fn users_gone(moment: &Moment<'_>, keys: &Vec<i64>) -> Result<(), DbError> {
    if keys.is_empty() {
        return Ok(());
    }
    moment.execute("DELETE FROM memberships WHERE user_key = ANY($1)", &[keys]).await?;
    moment.execute("DELETE FROM emails WHERE user_key = ANY($1)", &[keys]).await?;
    moment.execute("DELETE FROM users WHERE key = ANY($1)", &[keys]).await?;
    Ok(())
}

async fn groups_gone(
    moment: &Moment<'_>,
    keys: &Vec<i64>,
    directories: &mut Directories,
) -> Result<(), DbError> {
    if keys.is_empty() {
        return Ok(());
    }
    moment.execute("DELETE FROM memberships WHERE group_key = ANY($1)", &[keys]).await?;
    let sql = "DELETE FROM pending_members WHERE group_key = ANY($1) RETURNING directory";
    count_pending(&moment.all(sql, &[keys]).await?, -1, directories)?;
    moment.execute("DELETE FROM groups WHERE key = ANY($1)", &[keys]).await?;
    Ok(())
}

/// Counts rows of pending members that have come or gone.
fn count_pending(
    rows: &[tokio_postgres::Row],
    by: i64,
    directories: &mut Directories,
) -> Result<(), DbError> {
    for row in rows {
        let key: i64 = row.value(0)?;
        let touched = directories.values_mut().find(|touched| touched.key == key);
        touched.into_iter().for_each(|touched| touched.pending_members += by);
    }
    Ok(())
}

fn in_order<'d>(
    puts: &'d std::collections::BTreeMap<ScimId, Put<'d>>,
) -> Vec<(&'d ScimId, &'d Put<'d>)> {
    let mut puts: Vec<_> = puts.iter().collect();
    puts.sort_unstable_by_key(|(_, put)| put.order);
    puts
}

/// How many bytes of resources go in one statement. The server takes no message beyond 1 GiB, and a commit may be
/// large.
pub(super) const STATEMENT_BYTES: usize = 16 << 20;

/// Resources in their order, as many at a time as one statement takes.
fn chunks<'s, 'd>(
    puts: &'s [(&'d ScimId, &'d Put<'d>)],
) -> impl Iterator<Item = &'s [(&'d ScimId, &'d Put<'d>)]> {
    let mut bytes = 0;
    puts.chunk_by(move |(_, before), (_, _)| {
        bytes += bytes_of(before.change);
        let fits = bytes < STATEMENT_BYTES;
        if !fits {
            bytes = 0;
        }
        fits
    })
}

/// What is long of a resource.
fn bytes_of(change: &StoredChange) -> usize {
    change.attributes().map_or(0, |attributes| attributes.json().len())
}

/// The two ids of each pair that is wanted.
fn pairs(delta: &Delta<'_>, wanted: impl Fn(Last) -> bool) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let found = delta.memberships.iter().filter(|(_, last)| wanted(**last));
    found.map(|((group, user), _)| (group.to_bytes().to_vec(), user.to_bytes().to_vec())).unzip()
}

async fn memberships(moment: &Moment<'_>, delta: &Delta<'_>) -> Result<(), DbError> {
    let (group, user) = pairs(delta, |last| last.taken_back);
    if !group.is_empty() {
        let sql = "DELETE FROM memberships
            USING unnest($1::bytea[], $2::bytea[]) AS old (group_id, user_id), groups, users
            WHERE groups.scim_id = old.group_id AND users.scim_id = old.user_id
              AND memberships.group_key = groups.key AND memberships.user_key = users.key";
        moment.execute(sql, &[&group, &user]).await?;
    }
    let (group, user) = pairs(delta, |last| last.is_there);
    if !group.is_empty() {
        let sql = "INSERT INTO memberships (group_key, user_key, user_id)
            SELECT groups.key, users.key, CASE WHEN NOT users.hidden THEN users.user_id END
            FROM unnest($1::bytea[], $2::bytea[]) AS new (group_id, user_id)
            JOIN groups ON groups.scim_id = new.group_id
            JOIN users ON users.scim_id = new.user_id ON CONFLICT DO NOTHING";
        moment.execute(sql, &[&group, &user]).await?;
    }
    Ok(())
}

async fn pending_members(
    moment: &Moment<'_>,
    delta: &Delta<'_>,
    directories: &mut Directories,
) -> Result<(), DbError> {
    let (mut group, mut value) = (Vec::new(), Vec::new());
    let (mut new_group, mut new_value, mut new_name, mut directory) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((of, named), (last, name, key)) in &delta.pending {
        if last.taken_back {
            group.push(of.to_bytes().to_vec());
            value.push(named.as_str());
        }
        if last.is_there {
            new_group.push(of.to_bytes().to_vec());
            new_value.push(named.as_str());
            new_name.push(name.as_str());
            directory.push(*key);
        }
    }
    if !group.is_empty() {
        let sql = "DELETE FROM pending_members
            USING unnest($1::bytea[], $2::text[]) AS old (group_id, value), groups
            WHERE groups.scim_id = old.group_id AND pending_members.group_key = groups.key
              AND pending_members.value = old.value RETURNING pending_members.directory";
        count_pending(&moment.all(sql, &[&group, &value]).await?, -1, directories)?;
    }
    if !new_group.is_empty() {
        let sql = "INSERT INTO pending_members (group_key, value, name_key, directory)
            SELECT groups.key, new.value, new.name_key, new.directory
            FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bigint[])
                AS new (group_id, value, name_key, directory)
            JOIN groups ON groups.scim_id = new.group_id
            ON CONFLICT DO NOTHING RETURNING directory";
        let rows = moment.all(sql, &[&new_group, &new_value, &new_name, &directory]).await?;
        count_pending(&rows, 1, directories)?;
    }
    Ok(())
}

async fn touched(moment: &Moment<'_>, delta: &Delta<'_>) -> Result<(), DbError> {
    if delta.touched.is_empty() {
        return Ok(());
    }
    let keys: Vec<i64> = delta.touched.keys().copied().collect();
    let times: Vec<i64> = delta.touched.values().map(|(at, _)| at.millis()).collect();
    let versions: Vec<i64> = delta.touched.values().map(|(_, seq)| as_sql(seq.0)).collect();
    let sql = "UPDATE groups SET modified_at = new.modified_at, version = new.version
        FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS new (key, modified_at, version)
        WHERE groups.key = new.key";
    moment.execute(sql, &[&keys, &times, &versions]).await?;
    Ok(())
}

async fn tokens(moment: &Moment<'_>, delta: &Delta<'_>) -> Result<(), DbError> {
    if delta.tokens.is_empty() {
        return Ok(());
    }
    let directories: Vec<i64> = delta.tokens.keys().map(|(directory, _)| *directory).collect();
    let ids: Vec<Vec<u8>> = delta.tokens.keys().map(|(_, id)| id.to_bytes().to_vec()).collect();
    let revoked: Vec<bool> = delta.tokens.values().copied().collect();
    let sql = "INSERT INTO tokens (directory, id, revoked)
        SELECT directory, id, revoked FROM unnest($1::bigint[], $2::bytea[], $3::boolean[])
            AS new (directory, id, revoked)
        ON CONFLICT (directory, id) DO UPDATE SET revoked = excluded.revoked";
    moment.execute(sql, &[&directories, &ids, &revoked]).await?;
    Ok(())
}

/// Heads, counts and stops.
pub(super) async fn directories(
    moment: &Moment<'_>,
    directories: &Directories,
    batch: &Batch,
) -> Result<(), DbError> {
    let changed: Vec<_> = directories.values().filter(|one| one.head.seq.0 > 0).collect();
    if !changed.is_empty() {
        heads(moment, &changed).await?;
    }
    // Of a directory that was accepted of and then stopped, the stop is what is left.
    if !batch.stopped.is_empty() {
        let keys: Vec<i64> = batch.stopped.iter().map(|id| key_of(directories, *id)).collect();
        let sql = "UPDATE directories SET stopped = true WHERE key = ANY($1)";
        moment.execute(sql, &[&keys]).await?;
    }
    Ok(())
}

async fn heads(moment: &Moment<'_>, changed: &[&super::Touched]) -> Result<(), DbError> {
    let numbers = |number: fn(&super::Touched) -> i64| -> Vec<i64> {
        changed.iter().map(|touched| number(touched)).collect()
    };
    let hashes: Vec<&[u8]> = changed.iter().map(|touched| &touched.head.hash.0[..]).collect();
    let sql = "UPDATE directories SET seq = new.seq, hash = new.hash, active_users = new.active,
            inactive_users = new.inactive, hidden_users = new.hidden, groups = new.groups,
            pending_members = new.pending, stopped = false
        FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bigint[], $8::bigint[])
        AS new (key, seq, hash, active, inactive, hidden, groups, pending)
        WHERE directories.key = new.key";
    moment
        .execute(
            sql,
            &[
                &numbers(|one| one.key),
                &numbers(|one| as_sql(one.head.seq.0)),
                &hashes,
                &numbers(|one| one.active_users),
                &numbers(|one| one.inactive_users),
                &numbers(|one| one.hidden_users),
                &numbers(|one| one.groups),
                &numbers(|one| one.pending_members),
            ],
        )
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use schemas::{Seq, Timestamp};

    use super::*;

    #[test]
    fn resources_go_in_order_and_as_many_at_a_time_as_a_statement_takes() {
        let large = format!(r#"{{"photo":"{}"}}"#, "x".repeat(STATEMENT_BYTES / 3));
        let group = |number: u128| -> StoredChange {
            serde_json::from_value(serde_json::json!({"group": {
                "id": ScimId::from_bits(number), "group_id": schemas::GroupId::from_bits(number),
                "idp_id": "x", "name_key": "x", "created_at": Timestamp::from_millis(1),
                "attributes": serde_json::from_str::<serde_json::Value>(&large).unwrap(),
            }}))
            .unwrap()
        };
        let changes: Vec<StoredChange> = (0..10).map(group).collect();
        let put = |change| Put {
            directory: 1,
            change,
            updated_at: Timestamp::from_millis(1),
            modified_at: Timestamp::from_millis(1),
            version: Seq(1),
            order: 0,
        };
        let ids: Vec<ScimId> = (0..10).map(ScimId::from_bits).collect();
        let puts: Vec<_> = changes.iter().map(put).collect();
        let puts: Vec<_> = ids.iter().zip(&puts).collect();
        let sizes: Vec<usize> = chunks(&puts).map(<[_]>::len).collect();
        assert_eq!(sizes, [3, 3, 3, 1]);
        let all: Vec<_> = chunks(&puts).flatten().map(|(id, _)| **id).collect();
        assert_eq!(all, ids);
        assert_eq!(chunks(&[]).count(), 0);
    }
}
