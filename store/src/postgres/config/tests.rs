//! What just this half on PostgreSQL has.
