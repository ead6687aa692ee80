//! Deliveries as apps meet them: in order, beside neighbours that are not well, through crashes, and
//! once more when asked for.

mod brake;
mod crash;
mod fairness;
mod lag;
mod operational;
mod order;
mod outage;
mod record;
mod replay;
mod replays_beside;
#[cfg(feature = "kafka")]
mod topics;
pub(crate) mod world;
