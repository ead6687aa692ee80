//! Groups that have come or changed.

use directory::resource::text;
use schemas::{Change, ScimId};

use super::super::super::super::lookup::key;
use super::super::super::super::query::Moment;
use super::super::super::super::rows::as_sql;
use super::super::fold::Put;
use crate::error::DbError;
use crate::state::apply::columns_of;

const PUT_GROUPS: &str =
    "INSERT INTO groups (directory, scim_id, group_id, idp_id, name_key, external_id,
        display, created_at, updated_at, modified_at, version, attributes)
    SELECT directory, scim_id, group_id, idp_id, name_key, external_id, display, created_at,
        updated_at, modified_at, version, attributes::json
    FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[])
        WITH ORDINALITY
    AS new (directory, scim_id, group_id, idp_id, name_key, external_id, display, created_at,
        updated_at, modified_at, version, attributes, place)
    ORDER BY place
    ON CONFLICT (scim_id) DO UPDATE SET name_key = excluded.name_key,
        external_id = excluded.external_id, display = excluded.display,
        updated_at = excluded.updated_at, modified_at = excluded.modified_at,
        version = excluded.version, attributes = excluded.attributes";

pub(super) async fn groups(
    moment: &Moment<'_>,
    puts: &[(&ScimId, &Put<'_>)],
) -> Result<(), DbError> {
    if puts.is_empty() {
        return Ok(());
    }
    let (mut directory, mut scim_id, mut group_id) = (Vec::new(), Vec::new(), Vec::new());
    let (mut idp_id, mut name_key, mut external_id) = (Vec::new(), Vec::new(), Vec::new());
    let (mut display, mut created_at, mut updated_at) = (Vec::new(), Vec::new(), Vec::new());
    let (mut modified_at, mut version, mut attributes) = (Vec::new(), Vec::new(), Vec::new());
    for (id, put) in puts {
        let Change::Group {
            group_id: api_id,
            idp_id: idp,
            name_key: name,
            created_at: at,
            attributes: json,
            ..
        } = put.change
        else {
            continue;
        };
        let columns = columns_of(json)?;
        directory.push(put.directory);
        scim_id.push(id.to_bytes().to_vec());
        group_id.push(api_id.to_bytes().to_vec());
        idp_id.push(idp.as_str());
        name_key.push(key(name));
        external_id.push(text(&columns, "externalId").map(|id| key(id).into_owned()));
        display.push(text(&columns, "displayName").map(str::to_owned));
        created_at.push(at.millis());
        updated_at.push(put.updated_at.millis());
        modified_at.push(put.modified_at.millis());
        version.push(as_sql(put.version.0));
        attributes.push(json.json());
    }
    moment
        .execute(
            PUT_GROUPS,
            &[
                &directory,
                &scim_id,
                &group_id,
                &idp_id,
                &name_key,
                &external_id,
                &display,
                &created_at,
                &updated_at,
                &modified_at,
                &version,
                &attributes,
            ],
        )
        .await?;
    Ok(())
}
