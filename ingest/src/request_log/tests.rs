use super::*;

fn request(number: u128, directory: u128) -> Requested {
    Requested {
        id: RequestId::from_bits(number),
        directory: DirectoryId::from_bits(directory),
        at: Timestamp::from_millis(0),
        method: "GET".to_owned(),
        path: "/Users".to_owned(),
        status: 200,
        scim_type: None,
        detail: None,
        duration: Duration::ZERO,
        events: 0,
        tolerated: Vec::new(),
        request_body: None,
        response_body: None,
    }
}

#[test]
fn of_a_path_what_is_behind_the_endpoint_is_kept_and_of_a_long_one_its_beginning() {
    for (path, kept) in [
        ("/scim/v2.0/abc/Users/7", "/Users/7"),
        ("/scim/v2.0/abc/", "/"),
        ("/scim/v2.0/abc", "/"),
        ("/scim/v2.0/abc//", "//"),
    ] {
        assert_eq!(behind_endpoint(path), kept, "{path}");
    }
    assert_eq!((beginning("äöü", 2), beginning("äöü", 3)), ("äö".into(), "äöü".into()));
}

#[test]
fn of_a_busy_directory_only_the_latest_are_written_and_of_a_quiet_one_all() {
    let mut requests: Vec<_> = (1..=1_500).map(|number| request(number, 1)).collect();
    requests.push(request(7, 2));
    let kept = latest(requests);
    let of = |directory| {
        let id = DirectoryId::from_bits(directory);
        kept.iter().filter(move |request| request.directory == id).count()
    };
    assert_eq!((of(1), of(2)), (KEPT, 1));
    assert_eq!(kept.last().map(|last| last.id), Some(RequestId::from_bits(1_500)));
    assert!(kept.is_sorted_by_key(|request| request.id));
}

#[test]
fn a_flood_of_requests_without_a_right_token_pushes_out_no_others() {
    let mut requests: Vec<_> = (1..=20).map(|number| request(number, 1)).collect();
    requests.extend((21..=5_000).map(|number| Requested { status: 401, ..request(number, 1) }));
    let kept = latest(requests);
    let unauthorized = kept.iter().filter(|request| request.is_unauthorized()).count();
    assert_eq!((kept.len() - unauthorized, unauthorized), (20, UNAUTHORIZED_KEPT));
    assert_eq!(kept.last().map(|last| last.id), Some(RequestId::from_bits(5_000)));
}
