//! Where everything that a command says goes: answers to standard output, remarks to standard error.

use std::fmt;
use std::io::{self, Read, Write};

use anyhow::Result;
use serde::Serialize;

use crate::table::Table;

/// The three standard streams, handed in so that a test can read what was printed.
pub struct Screen<'a> {
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    pub input: &'a mut dyn Read,
    /// Somebody would have to type the input.
    pub typed: bool,
}

impl fmt::Debug for Screen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("typed", &self.typed).finish_non_exhaustive()
    }
}

impl Screen<'_> {
    pub fn line(&mut self, text: impl fmt::Display) -> Result<()> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Four spaces deep, as the original prints it.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut printer = serde_json::Serializer::with_formatter(&mut *self.out, indent);
        // As what it is to the terminal: a reader that went away is no failure.
        value.serialize(&mut printer).map_err(io::Error::from)?;
        Ok(writeln!(self.out)?)
    }

    pub fn table(&mut self, table: &Table) -> Result<()> {
        self.line(table.render())
    }

    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        Ok(self.out.flush()?)
    }

    /// For the human beside the script: never part of an answer.
    pub fn remark(&mut self, text: impl fmt::Display) -> Result<()> {
        Ok(writeln!(self.err, "{text}")?)
    }

    /// What a command in a container wrote to its standard error.
    pub(crate) fn remark_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.err.write_all(bytes)?;
        Ok(self.err.flush()?)
    }
}
