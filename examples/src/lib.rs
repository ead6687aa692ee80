//! What a program needs that reads the topic of dsync itself: which records of a stream count, and what they make of a
//! directory. It knows no crate of dsync, and nothing but what docs/kafka.md says.

pub mod copy;
pub mod ends;
pub mod stream;
