//! The state of a store, through the ports of the roles that write and read it.
//!
//! The suites say what every store does, and do not know on which they run: `super::Place` is where their stores
//! are. So each of them is here once for every kind of store. What is about one kind alone stands beside them.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod folder;
mod server;

/// Ends the test, aloud, where there is no PostgreSQL.
macro_rules! client {
    ($world:expr) => {
        match $world.place.client().await {
            Some(client) => client,
            None => return,
        }
    };
}

#[path = "."]
mod on_sqlite {
    pub(crate) use crate::folder::Folder as Place;

    mod admin_events;
    mod arrivals;
    mod audit;
    mod configuration;
    mod console;
    mod damage;
    mod deliveries;
    mod delivery;
    mod endpoints;
    mod files;
    mod filters;
    #[path = "filters/postgres.rs"]
    mod filters_in_postgres;
    mod host_names;
    mod large;
    mod leases;
    mod long_values;
    mod oauth;
    mod partitions;
    mod portal_links;
    mod projection;
    mod reading;
    mod rebuild;
    mod replica;
    mod requests;
    mod token_ends;
    mod verify;
    mod waiting;
    mod world;
}

#[path = "."]
#[expect(clippy::duplicate_mod, reason = "every suite runs on every kind of store")]
mod on_postgres {
    pub(crate) use crate::server::Server as Place;

    mod admin_events;
    mod arrivals;
    mod audit;
    mod configuration;
    mod console;
    mod deliveries;
    mod delivery;
    mod dispatchers;
    mod endpoints;
    mod filters;
    mod following;
    mod generations;
    mod host_names;
    mod judges;
    mod large;
    mod leases;
    mod long_values;
    mod oauth;
    mod partitions;
    mod plans;
    mod portal_links;
    mod projection;
    mod reading;
    mod rebuild;
    mod replica;
    mod replicas;
    mod requests;
    mod token_ends;
    mod verify;
    mod waiting;
    mod world;
}
