//! What the tests of the whole share: starting the real `dsync` binary and talking to it as an identity provider or a
//! customer's app would.
//!
//! Not a home for tests (they are modules of the one binary, `it/main.rs`) and not for code of the product: what is
//! checked here is checked from outside, with code of its own.
