//! Rows on their way into a table by COPY, in its text format.

use std::fmt::Write as _;

use bytes::Bytes;
use deadpool_postgres::ClientWrapper;
use futures_util::SinkExt;

use crate::error::DbError;

/// How much is gathered before it is sent.
const SEND_BYTES: usize = 1 << 20;

/// Rows of one table.
#[derive(Debug)]
pub(super) struct Rows {
    /// The table and its columns, as COPY names them.
    into: &'static str,
    text: String,
    is_first: bool,
}

impl Rows {
    pub(super) const fn new(into: &'static str) -> Self {
        Self { into, text: String::new(), is_first: true }
    }

    /// Whether it is time to send what is there.
    pub(super) const fn is_full(&self) -> bool {
        self.text.len() >= SEND_BYTES
    }

    /// Ends the row.
    pub(super) fn end(&mut self) {
        self.text.push('\n');
        self.is_first = true;
    }

    fn next(&mut self) {
        if !self.is_first {
            self.text.push('\t');
        }
        self.is_first = false;
    }

    pub(super) fn number(&mut self, number: impl Into<i64>) {
        self.next();
        // Writing to a text does not fail.
        let _ = write!(self.text, "{}", number.into());
    }

    pub(super) fn truth(&mut self, is: bool) {
        self.next();
        self.text.push(if is { 't' } else { 'f' });
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.next();
        self.text.push_str("\\\\x");
        self.text.push_str(&hex::encode(bytes));
    }

    pub(super) fn bytes_if_any(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None => self.nothing(),
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.next();
        for letter in text.chars() {
            match letter {
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                letter => self.text.push(letter),
            }
        }
    }

    pub(super) fn text_if_any(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.nothing(),
        }
    }

    fn nothing(&mut self) {
        self.next();
        self.text.push_str("\\N");
    }

    /// Sends what is there.
    pub(super) async fn send(&mut self, client: &ClientWrapper) -> Result<(), DbError> {
        if self.text.is_empty() {
            return Ok(());
        }
        let sink = client.copy_in(&format!("COPY {} FROM STDIN", self.into)).await?;
        let mut sink = std::pin::pin!(sink);
        sink.send(Bytes::from(std::mem::take(&mut self.text))).await?;
        sink.finish().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_leave_its_column() {
        let mut rows = Rows::new("t (a, b, c, d)");
        rows.number(-1);
        rows.text("a\tb\\N\nc\r");
        rows.bytes(&[0, 255]);
        rows.text_if_any(None);
        rows.end();
        assert_eq!(rows.text, "-1\ta\\tb\\\\N\\nc\\r\t\\\\x00ff\t\\N\n");
    }
}
