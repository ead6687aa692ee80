//! Where time and chance come in.

use crate::Timestamp;

/// The world's clock and dice, as a role sees them.
///
/// Below a role's edge nothing asks for the time or rolls: what is decided once is written into the
/// record and read from there ever after, so that every reader agrees. The server implements this;
/// tests bring their own.
pub trait Edge: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// 128 fresh bits for an id, in the layout of UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds,
    /// then chance. Later calls give greater ids, also within a millisecond.
    fn id(&self) -> u128;

    /// 32 bytes for a secret, from the operating system's generator.
    fn secret(&self) -> [u8; 32];

    /// A number from 0.0 up to, not including, 1.0. For jitter, never for secrets.
    fn dice(&self) -> f64;
}
