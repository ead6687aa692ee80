//! Memberships: one member more in a small group and in a large one; a thousand in one request.

use serde_json::{Value, json};

use crate::Failure;
use crate::client::Target;
use crate::dsync::Dsync;
use crate::load::{self, Call, round};

const LARGE: usize = 100_000;
const SMALL: usize = 10;

/// How many members are added one by one to each group.
const ADDED: usize = 1_000;

/// How many members one request adds while a group is filled.
const AT_ONCE: usize = 1_000;

pub(crate) async fn run() -> Result<(), Failure> {
    let data = tempfile::tempdir()?;
    let dsync = Dsync::start(data.path())?;
    let target = dsync.directory("Members").await?;
    let users = load::run(&target, load::creates("member", LARGE + ADDED), 64).await?;
    let users = load::ids(&users.bodies)?;
    let (large, small) = (group(&target, "large").await?, group(&target, "small").await?);

    let fill: Vec<Call> = users[..LARGE].chunks(AT_ONCE).map(|ids| add(&large, ids)).collect();
    let filled = load::run(&target, fill, 1).await?;
    load::run(&target, vec![add(&small, &users[..SMALL])], 1).await?;

    // In turns, so that whatever else the machine does hits both alike.
    let (mut to_small, mut to_large) = (Vec::new(), Vec::new());
    for ids in users[LARGE..].chunks(ADDED / 10) {
        let one_by_one = |group: &str| ids.chunks(1).map(|id| add(group, id)).collect::<Vec<_>>();
        to_small.push(load::run(&target, one_by_one(&small), 1).await?.quantile_ms(0.5));
        to_large.push(load::run(&target, one_by_one(&large), 1).await?.quantile_ms(0.5));
    }
    let (small_ms, large_ms) = (middle(to_small), middle(to_large));
    let ratio = large_ms / small_ms;
    println!(
        "{}",
        json!({ "figure": "one member added to a group of 10 and of 100,000",
            "p50_ms": { "10": small_ms, "100000": large_ms }, "ratio": round(ratio),
            "wanted": { "ratio_at_most": 1.3 }, "reached": ratio <= 1.3 })
    );
    println!(
        "{}",
        json!({ "figure": "one PATCH with 1,000 members", "dsync": filled.figures(),
            "wanted": { "p50_ms_below": 100 }, "reached": filled.quantile_ms(0.5) < 100.0 })
    );
    dsync.stop()
}

async fn group(target: &Target, name: &str) -> Result<String, Failure> {
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": name });
    let call = Call { method: "POST", path: "/Groups".into(), body: body.to_string().into_bytes() };
    let created = load::run(target, vec![call], 1).await?;
    Ok(load::ids(&created.bodies)?.remove(0))
}

fn add(group: &str, ids: &[String]) -> Call {
    let members: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "add", "path": "members", "value": members }] });
    Call { method: "PATCH", path: format!("/Groups/{group}"), body: body.to_string().into_bytes() }
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
