//! Tables as the original command line draws them: no borders, headers in capitals, two spaces between columns.

use comfy_table::{ContentArrangement, presets};

const COLUMN_GAP: u16 = 2;

/// What stands in a cell that has no value.
pub(crate) const NOTHING: &str = "---";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.cells(cells.into());
    }

    /// A row whose length is not known beforehand.
    pub fn cells(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.header.len(), "a row has as many cells as its header");
        self.rows.push(cells);
    }

    /// By the first column, then by the next.
    pub fn sort(&mut self) {
        self.rows.sort();
    }

    pub fn render(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(&self.header).add_rows(&self.rows).discover_columns();
        for column in table.column_iter_mut() {
            column.set_padding((0, COLUMN_GAP));
        }
        table.trim_fmt()
    }
}

/// At most `chars_max` characters, the last three being dots if something was cut.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max - 3).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_two_spaces_apart_and_lines_end_without_blanks() {
        let mut table = Table::new(&["ID", "TASKS"]);
        table.row(["/web".into(), "3/3".into()]);
        table.row(["/a-longer-one".into(), "".into()]);
        table.sort();
        assert_eq!(table.render(), "ID             TASKS\n/a-longer-one\n/web           3/3");
    }

    #[test]
    fn long_texts_end_in_dots() {
        assert_eq!(shorten("sleep 1", 7), "sleep 1");
        assert_eq!(shorten("sleep 1000", 7), "slee...");
    }
}
