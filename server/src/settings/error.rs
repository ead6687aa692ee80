//! What can be wrong with settings, in words that say where to look and what to write.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line.
    Flag(String),
    /// An environment variable.
    Env(String),
    /// A line of the configuration file, counted from 1.
    File(PathBuf, usize),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag --{flag}"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::File(path, line) => write!(f, "{} line {line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong. None of them ever shows the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file has a key, or the environment a variable, that means nothing.
    #[error("DSYNC-002: unknown setting {name} ({at}), did you mean {nearest}?")]
    Unknown {
        /// The name as it was written.
        name: String,
        /// Where it stands.
        at: Source,
        /// The name that comes closest.
        nearest: String,
    },
    /// A value that cannot be read.
    #[error("{setting} ({at}): {why}; expected {expects}")]
    WrongValue {
        /// The key of the setting.
        setting: &'static str,
        /// Where the value stands.
        at: Source,
        /// What is wrong with it.
        why: String,
        /// What a right value looks like.
        expects: &'static str,
    },
    /// The file is no TOML.
    #[error("{}: not valid TOML: {why}", Source::File(path.clone(), *line))]
    NotToml {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser says.
        why: String,
    },
    /// The file cannot be read.
    #[error("{}: {why}", path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// A setting of librdkafka that is wrong, or must stay as it is.
    #[error("{table}.{key} ({at}): {why}")]
    Kafka {
        /// The table of the file in which it stands.
        table: &'static str,
        /// Its name at librdkafka.
        key: String,
        /// Where it stands.
        at: Source,
        /// What is wrong with it. Never its value.
        why: String,
    },
    /// A right value that asks for what this build has not.
    #[error(
        "{setting}: it asks for Kafka, and this build has none; build dsync with `--features kafka`, or {instead}"
    )]
    WithoutKafka {
        /// The key of the setting.
        setting: &'static str,
        /// What to do in a build without it.
        instead: &'static str,
    },
}

/// All that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// At least one problem.
    pub problems: Vec<Problem>,
}

impl SettingsError {
    pub(super) fn of(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}
