//! What a test left out, said where it is heard.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;

/// Names the file that `./test` reads at its end. Of a test that passes, what it prints is not shown.
const SETTING: &str = "DSYNC_TEST_NOT_CHECKED";

/// Says aloud that something was not checked, and why.
#[expect(clippy::print_stderr, reason = "what is left out is said aloud")]
pub fn not_checked(why: &dyn Display) {
    eprintln!("NOT CHECKED: {why}");
    let Some(path) = std::env::var_os(SETTING) else { return };
    let mut said = OpenOptions::new().create(true).append(true).open(path).expect("it opens");
    // In one write, so that lines of several tests stay lines.
    said.write_all(format!("{why}\n").as_bytes()).expect("there is room");
}
