use proptest::prelude::*;
use schemas::ScimId;
use schemas::scim::parse;

use super::*;
use crate::bulk::outcomes::Outcomes;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const BASE: &str = "https://x.test";

fn plan(operations: &str) -> Result<Plan, ScimError> {
    let body = format!(r#"{{"schemas":["{BULK_REQUEST_URN}"],"Operations":[{operations}]}}"#);
    Plan::read(parse(body.as_bytes()).unwrap())
}

fn post(id: &str, refers_to: &str) -> String {
    format!(
        r#"{{"method":"POST","path":"/Users","bulkId":"{id}","data":{{"{ENTERPRISE}":{{"manager":{{"value":"{refers_to}"}}}}}}}}"#
    )
}

fn outcomes(plan: &Plan) -> Outcomes {
    Outcomes::of(&plan.operations, || ScimId::from_bits(7))
}

fn refusal(operation: &Operation) -> Option<(u16, &str)> {
    operation.asked.as_ref().err().map(|error| (error.status, error.detail.as_str()))
}

#[test]
fn what_is_referred_to_comes_first_and_a_circle_ends() {
    let of = |operations: &[String]| plan(&operations.join(",")).unwrap().order();
    let forward = [post("a", "bulkId:b"), post("b", "bulkId:c"), post("c", "x")];
    assert_eq!(of(&forward), [2, 1, 0]);
    let circle = [post("a", "bulkId:b"), post("b", "bulkId:a"), post("c", "")];
    assert_eq!(of(&circle), [1, 0, 2]);
    let itself = [post("a", "bulkId:a")];
    assert_eq!(of(&itself), [0]);
}

#[test]
fn what_refers_forwards_waits_and_everything_else_keeps_its_place() {
    let of = |operations: &[String]| plan(&operations.join(",")).unwrap().order();
    let group = r#"{"method":"POST","path":"/Groups","bulkId":"g","data":{"displayName":"G","members":[{"value":"bulkId:u"}]}}"#.to_owned();
    let delete = format!(r#"{{"method":"DELETE","path":"/Users/{}"}}"#, ScimId::from_bits(1));
    assert_eq!(of(&[group.clone(), delete.clone(), post("u", "")]), [1, 2, 0]);
    let patch =
        r#"{"method":"PATCH","path":"/Groups/bulkId:g","data":{"Operations":[]}}"#.to_owned();
    let last = post("v", "");
    let chain = [patch, group, delete.clone(), post("u", "bulkId:v"), last, post("w", "")];
    assert_eq!(of(&chain), [2, 4, 3, 1, 0, 5]);
    let circle = [post("a", "bulkId:b"), delete.clone(), post("b", "bulkId:a"), delete];
    assert_eq!(of(&circle), [1, 2, 0, 3]);
    let backwards = [post("a", ""), post("b", "bulkId:a"), post("c", "bulkId:nobody")];
    assert_eq!(of(&backwards), [0, 1, 2]);
}

#[test]
fn a_reference_to_what_has_failed_or_never_was_is_a_conflict() {
    let plan = plan(&[post("a", ""), r#"{"bulkId":"broken"}"#.to_owned()].join(",")).unwrap();
    let mut outcomes = outcomes(&plan);
    assert_eq!(outcomes.id("a").unwrap(), ScimId::from_bits(7));
    outcomes.settle("a", None);
    for id in ["a", "nobody", "broken"] {
        assert_eq!(outcomes.id(id).unwrap_err().status, 409);
    }
}

#[test]
fn an_operation_that_cannot_be_read_is_refused_by_itself_and_says_why() {
    for (wrong, why) in [
        (r#"{"method":"GET","path":"/Users"}"#, "must be POST, PUT, PATCH or DELETE"),
        (r#"{"path":"/Users"}"#, "must be POST, PUT, PATCH or DELETE"),
        (r#"{"method":["POST"],"path":"/Users"}"#, "\"method\" of a bulk operation must be a str"),
        (r#"{"method":"POST","path":"/Users","data":{}}"#, "must have a \"bulkId\""),
        (r#"{"method":"POST","path":"/Users","bulkId":"b"}"#, "must have an object \"data\""),
        (r#"{"method":"POST","path":"/Users","bulkId":"","data":{}}"#, "1 to 256 bytes"),
        (r#"{"method":"POST","path":"/Users/7","bulkId":"b","data":{}}"#, "does not fit POST"),
        (r#"{"method":"POST","bulkId":"b","data":{}}"#, "must have a \"path\""),
        (r#"{"method":"PATCH","path":"/Users","data":{}}"#, "does not fit PATCH"),
        (r#"{"method":"DELETE","path":7}"#, "\"path\" of a bulk operation must be a string"),
        (r#"{"method":"DELETE","path":"/Bulk/7"}"#, "does not fit DELETE"),
        ("7", "must be an object"),
    ] {
        let plan = plan(&[post("a", ""), wrong.to_owned()].join(",")).unwrap();
        let (status, detail) = refusal(&plan.operations[1]).unwrap();
        assert!(status == 400 && detail.contains(why), "{wrong}: {status} {detail}");
        assert_eq!(refusal(&plan.operations[0]), None, "{wrong}");
    }
}

#[test]
fn of_two_operations_with_one_bulk_id_the_second_is_refused() {
    let plan = plan(&[post("a", ""), post("a", "")].join(",")).unwrap();
    assert_eq!(refusal(&plan.operations[0]), None);
    let (status, detail) = refusal(&plan.operations[1]).unwrap();
    assert!(status == 400 && detail.contains("\"a\""), "{detail}");
    assert!(outcomes(&plan).id("a").is_ok(), "it stands for the first");
}

#[test]
fn what_is_no_bulk_request_is_refused_whole() {
    let refused = |body: &str| Plan::read(parse(body.as_bytes()).unwrap()).err().unwrap().status;
    let urn = format!(r#""schemas":["{BULK_REQUEST_URN}"]"#);
    for wrong in [
        "{}".to_owned(),
        r#"{"Operations":[{}]}"#.to_owned(),
        format!("{{{urn}}}"),
        format!(r#"{{{urn},"Operations":{{}}}}"#),
        format!(r#"{{{urn},"Operations":[{{}}],"failOnErrors":0}}"#),
    ] {
        assert_eq!(refused(&wrong), 400, "{wrong}");
    }
    let many = vec!["{}"; OPERATIONS_MAX + 1].join(",");
    assert_eq!(refused(&format!(r#"{{{urn},"Operations":[{many}]}}"#)), 413);
}

#[test]
fn the_place_of_what_failed_is_the_one_that_was_named() {
    let location = |operation: &str| {
        let plan = plan(&[post("a", ""), operation.to_owned()].join(",")).unwrap();
        plan.operations[1].label.location(BASE, &outcomes(&plan))
    };
    let at = |method, path| format!(r#"{{"method":"{method}","path":"{path}"}}"#);
    let made = ScimId::from_bits(7);
    for (path, expected) in [
        ("/Users/nobody", "https://x.test/Users/nobody".to_owned()),
        ("/groups/a b%/", "https://x.test/Groups/a%20b%25".to_owned()),
        ("/Users/bulkId:a", format!("https://x.test/Users/{made}")),
        ("/Users/bulkId:b", "https://x.test/Users/bulkId:b".to_owned()),
    ] {
        assert_eq!(location(&at("put", path)).as_ref(), Some(&expected));
    }
    for (method, path) in [("POST", "/Users/nobody"), ("PUT", "/Users"), ("PUT", "/Others/1")] {
        assert_eq!(location(&at(method, path)), None, "{method} {path}");
    }
}

proptest! {
    #[test]
    fn nothing_waits_longer_than_for_what_it_refers_to(needs in prop::collection::vec(prop::option::of(0..8_usize), 1..8)) {
        let operations = needs.iter().enumerate().map(|(at, needed)| {
            let refers_to = needed.map(|needed| format!("bulkId:{needed}"));
            post(&at.to_string(), &refers_to.unwrap_or_default())
        });
        let order = plan(&operations.collect::<Vec<_>>().join(",")).unwrap().order();
        let mut all = order.clone();
        all.sort_unstable();
        prop_assert_eq!(all, (0..needs.len()).collect::<Vec<_>>(), "each has its turn");
        let place = |at: usize| order.iter().position(|one| *one == at).unwrap();
        for at in 0..needs.len() {
            let mut closure = vec![at];
            while let Some(next) = closure.last().and_then(|last| needs[*last]).filter(|next| *next < needs.len() && !closure.contains(next)) {
                closure.push(next);
            }
            let last = *closure.iter().max().unwrap();
            for later in (last + 1)..needs.len() {
                prop_assert!(place(at) < place(later), "{} before {} in {:?}", at, later, order);
            }
            let leads_back = needs[*closure.last().unwrap()].is_some_and(|next| closure.contains(&next));
            if let Some(needed) = needs[at].filter(|needed| *needed < needs.len() && !leads_back) {
                prop_assert!(place(needed) < place(at), "{} before {} in {:?}", needed, at, order);
            }
        }
    }
}
