//! Which part of a list is meant.

/// The page of a list.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Page {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// Go on behind this one
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
    /// The oldest first, or the newest
    #[arg(long, value_name = "ORDER", value_parser = ["asc", "desc"])]
    pub order: Option<String>,
}
