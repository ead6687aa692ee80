//! The data directory: who may look into it, and what the commands that read it say of one that is not as it should be.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tests::Server;
use tests::server::command;

/// What a command said to people, and its exit code.
fn run(folder: &Path, line: &str) -> (Option<i32>, String, String) {
    let output = command(folder).args(line.split_whitespace()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Every file in the folder that others may look into.
fn exposed(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let exposed = files.filter(|file| mode(&file.path()) != 0o600);
    exposed.map(|file| format!("{:?} {:o}", file.file_name(), mode(&file.path()))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_its_owner_looks_into_what_dsync_makes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(folder.path());
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    directory.user("adele@acme.example").await;
    assert_eq!(mode(&data), 0o700);
    assert!(data.join("log.db-wal").exists() && data.join("store.db-wal").exists());
    assert_eq!(exposed(&data), [""; 0]);
    assert!(server.terminate().success());
    assert_eq!(run(folder.path(), "rebuild").0, Some(0));
    assert!(data.join("state-2.db").exists());
    assert_eq!(exposed(&data), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_nobody_knows_is_not_verified() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    directory.user("adele@acme.example").await;
    assert!(server.terminate().success());
    let (code, out, _) = run(folder.path(), &format!("verify --directory {}", directory.id));
    assert!(code == Some(0) && out.starts_with("verified: "), "{out}");
    let unknown = "directory_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let (code, out, err) = run(folder.path(), &format!("verify --directory {unknown}"));
    assert!(code == Some(1) && out.is_empty(), "{out}");
    assert!(err.contains(unknown) && err.contains("dsync directory list"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_missing_is_made_again_by_the_command_that_verify_names() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.api().directory("okta scim v2.0", "Acme").await.user("adele@acme.example").await;
    assert!(server.terminate().success());
    std::fs::remove_file(folder.path().join("data/state-1.db")).unwrap();
    let (code, _, err) = run(folder.path(), "verify");
    assert_eq!(code, Some(1));
    assert!(err.contains("there is no such file") && err.contains("dsync rebuild"), "{err}");
    assert_eq!(run(folder.path(), "rebuild").0, Some(0));
    assert_eq!(run(folder.path(), "verify").0, Some(0));
}

#[test]
fn a_place_without_data_is_named_and_left_without() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("data").display().to_string();
    for line in ["verify", "rebuild", "rebuild --accept-loss"] {
        let (code, _, err) = run(folder.path(), line);
        assert_eq!(code, Some(1), "{line}");
        for told in [&place, "log.db", "store.db", "DSYNC_DATA_DIR"] {
            assert!(err.contains(told), "{line}: {told}: {err}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_first_start_that_came_to_nothing_may_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    Server::start(folder.path()).kill();
    for left in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join("data").join(left));
    }
    // There is nothing in the log that anything of it could be missed of.
    assert!(Server::start(folder.path()).terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_its_store_is_no_first_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(folder.path());
    server.api().directory("okta scim v2.0", "Acme").await;
    assert!(server.terminate().success());
    std::fs::rename(data.join("store.db"), folder.path().join("store.db")).unwrap();
    for line in ["serve", "rebuild", "verify"] {
        let (code, out, err) = run(folder.path(), line);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{line}: {err}");
        assert!(err.contains("no store.db") && err.contains("backup"), "{line}: {err}");
    }
    assert!(!data.join("store.db").exists());
    std::fs::rename(folder.path().join("store.db"), data.join("store.db")).unwrap();
    assert_eq!(
        Server::start(folder.path()).api().get("/directories").await["data"][0]["name"],
        "Acme"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_told_once_with_its_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.api().directory("okta scim v2.0", "Acme").await;
    assert!(server.terminate().success());
    for name in ["log.db", "store.db"] {
        let path = folder.path().join("data").join(name);
        let whole = std::fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[..100].fill(b'x');
        std::fs::write(&path, damaged).unwrap();
        let (code, _, err) = run(folder.path(), "verify");
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(name) && err.contains("bring it back from a backup"), "{err}");
        assert!(!err.contains("Error code") && err.matches("damaged").count() == 1, "{err}");
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(run(folder.path(), "verify").0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_gone_for_good_is_a_loss_to_be_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    server.api().directory("okta scim v2.0", "Acme").await;
    assert!(server.terminate().success());
    std::fs::remove_file(folder.path().join("data/log.db")).unwrap();
    let (code, _, err) = run(folder.path(), "rebuild");
    assert!(code == Some(1) && err.contains("no log.db") && err.contains("DSYNC-003"), "{err}");
    let (code, out, err) = run(folder.path(), "rebuild --accept-loss");
    assert!(code == Some(0) && out.contains("begun anew: 1 streams"), "{out}{err}");
    assert_eq!(run(folder.path(), "verify").0, Some(0));
}
