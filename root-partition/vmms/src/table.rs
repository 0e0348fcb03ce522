//! Tables for a person: left-aligned columns, two spaces between them.

use alloc::string::String;
use alloc::vec::Vec;

/// Rows of cells beneath a row of headings.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings and nothing else.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: alloc::vec![headings.iter().map(|&heading| heading.into()).collect()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Adds a row of as many cells as there are headings.
    pub fn row_of(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let width = cell.chars().count();
                match widths.get_mut(column) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let line = |row: &Vec<String>| {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(core::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + 2));
            }
            line.truncate(line.trim_end().len());
            line
        };
        self.rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "STATE", "DISKS"]);
        table.row(["demo".into(), "off".into(), "data:/disks/demo.vhd".into()]);
        table.row(["longer-name".into(), "running".into(), String::new()]);
        assert_eq!(
            table.lines(),
            [
                "NAME         STATE    DISKS",
                "demo         off      data:/disks/demo.vhd",
                "longer-name  running"
            ]
        );
    }
}
