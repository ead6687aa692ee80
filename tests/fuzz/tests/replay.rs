//! Every input that was worth keeping, again.

use std::path::Path;

/// How many inputs there are at least of each kind. It only grows.
const INPUTS_MIN: usize = 20;

fn replay(kind: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(kind);
    let mut inputs: Vec<_> = std::fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| entry.expect("a file").path())
        .collect();
    inputs.sort();
    assert!(inputs.len() >= INPUTS_MIN, "{} inputs", inputs.len());
    for input in inputs {
        let data = std::fs::read(&input).expect("an input");
        if let Err(panic) = std::panic::catch_unwind(|| target(&data)) {
            eprintln!("the input is {}", input.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn filters_keep_their_promises() {
    replay("filter", fuzz::filter);
}

#[test]
fn paths_keep_their_promises() {
    replay("path", fuzz::path);
}

#[test]
fn patch_bodies_keep_their_promises() {
    replay("patch", fuzz::patch);
}

#[test]
fn requests_keep_their_promises() {
    replay("request", fuzz::request);
}
