//! What commands say to people and pipes on standard output. Log lines go to standard error.

use std::fmt;
use std::io::{self, Write};

/// Writes a line.
///
/// # Errors
/// When standard output cannot be written. A reader that has gone, as with `dsync … | head`, is
/// [`io::ErrorKind::BrokenPipe`], and the caller ends in peace.
pub fn line(text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes a part of something longer.
///
/// # Errors
/// As for [`line()`].
pub fn bytes(part: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(part)?;
    out.flush()
}

/// Writes a line for the person at the shell to standard error, so that a pipe does not get it.
pub fn note(text: impl fmt::Display) {
    // Where even that cannot be written there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Rows under headings, each column as wide as its widest cell.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| heading.to_uppercase()).collect()] }
    }

    /// A table of names and values, without headings.
    #[must_use]
    pub const fn of_pairs() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max()
        };
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let text = cells.collect::<Vec<_>>().join("  ");
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let mut table = Table::new(&["id", "name"]);
        table.row(vec!["1".to_owned(), "Änne".to_owned()]);
        table.row(vec!["1000".to_owned(), "B".to_owned()]);
        assert_eq!(table.to_string(), "ID    NAME\n1     Änne\n1000  B");
    }
}
