//! A disk without room, or one that cannot be written: writes are refused with a reason, reads go
//! on, and it recovers by itself.

use std::path::Path;
use std::process::Command;

use tests::Server;
use tests::scim::user_body;
use tests::server::{eventually, http_client};

/// A small file system of its own, if this machine lets us mount one.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("SKIPPED: a file system cannot be mounted here (it takes root)");
        }
        mounted.then_some(Self(path))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let output = Command::new("mount").args(["-o", &options]).arg(self.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_with_a_reason_and_recovers_by_itself() {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("data")).unwrap();
    let folder = data.path().join("data");
    let Some(disk) = SmallDisk::mount(&folder) else { return };
    let server = Server::start(data.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let first = directory.user("ada@acme.example").await;

    let mut acknowledged = vec![first.clone()];
    let refused = loop {
        let name = format!("ada.{}@acme.example", acknowledged.len());
        let answer = directory.send("POST", "/Users", Some(user_body(&name))).await;
        if answer.status != 201 {
            break answer;
        }
        acknowledged.push(answer.id());
        assert!(acknowledged.len() < 20_000, "the disk never fills");
    };
    assert!(matches!(refused.status, 503 | 507), "{}", refused.body);
    assert!(refused.body["detail"].as_str().unwrap().contains("disk"), "{}", refused.body);
    directory.send("GET", &format!("/Users/{first}"), None).await.expect(200);
    let ready = http_client().get(format!("{}/healthz", server.base())).send().await.unwrap();
    assert_eq!(ready.status(), 200, "the process is up");

    disk.remount("size=64m");
    eventually("recovery", || async {
        let answer = directory.send("POST", "/Users", Some(user_body("late@acme.example"))).await;
        (answer.status == 201 || answer.status == 409).then_some(())
    })
    .await;
    for user in &acknowledged {
        directory.send("GET", &format!("/Users/{user}"), None).await.expect(200);
    }
    server.kill();
}

#[test]
fn a_read_only_data_directory_is_refused_with_its_name() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    let Some(disk) = SmallDisk::mount(&folder) else { return };
    disk.remount("ro");
    let output = tests::server::command(data.path()).arg("serve").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains(folder.to_str().unwrap()), "{said}");
}
