//! What a report says, before it is HTML or Markdown.
//!
//! All text is plain: renderings escape it.

use serde::Serialize;

/// A report.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// Title.
    pub title: String,
    /// What a reader should take away, on top.
    pub summary: Vec<Fact>,
    /// Sections under it, in their order.
    pub sections: Vec<Section>,
}

/// A line of the summary.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// What it is about.
    pub term: String,
    /// What it says.
    pub text: String,
}

/// A section with a heading.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Anchor.
    pub id: &'static str,
    /// Heading.
    pub heading: String,
    /// Content.
    pub blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Block {
    /// Text.
    Paragraph {
        /// It.
        text: String,
    },
    /// A table.
    Table {
        /// It.
        table: Table,
    },
    /// Pictures; where there are none, their numbers.
    Figures {
        /// How to read the pictures; for those who see them.
        note: String,
        /// What the colours mean; empty where there is one colour.
        legend: Vec<LegendEntry>,
        /// Pictures side by side.
        figures: Vec<Figure>,
        /// The same as numbers.
        tables: Vec<Table>,
    },
    /// What only some readers want.
    Details {
        /// What it is.
        summary: String,
        /// Content.
        blocks: Vec<Block>,
    },
    /// A file.
    Code {
        /// Its language.
        language: &'static str,
        /// Its text.
        text: String,
    },
}

impl Block {
    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Self {
        Block::Paragraph { text: text.into() }
    }

    /// A table.
    pub fn table(table: Table) -> Self {
        Block::Table { table }
    }
}

/// What a colour means.
#[derive(Clone, Debug, Serialize)]
pub struct LegendEntry {
    /// Number of the colour, and of the line's end in the pictures.
    pub colour: usize,
    /// What is written at the end of its lines; empty for nothing.
    pub tag: String,
    /// What it stands for.
    pub label: String,
}

/// A picture.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// What is shown.
    pub title: String,
    /// A remark below it.
    pub note: String,
    /// An `<svg>` element whose colours are CSS variables.
    pub svg: String,
}

/// A table.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// What the table says.
    pub caption: String,
    /// Columns; the first one names the rows.
    pub columns: Vec<Column>,
    /// Rows.
    pub rows: Vec<Row>,
}

/// A column.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Heading.
    pub title: String,
    /// Whether it holds numbers.
    pub numeric: bool,
}

/// A row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// As many as there are columns.
    pub cells: Vec<String>,
    /// The page that the first cell leads to.
    pub href: Option<String>,
    /// What it stands out by.
    pub mark: Mark,
}

/// What a row stands out by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Nothing.
    Plain,
    /// It is the best.
    Best,
    /// It is what the others are compared with.
    Reference,
}

impl Table {
    /// A table without rows. Columns whose title begins with `#` hold numbers; the `#` is not shown.
    pub fn new<T: AsRef<str>>(
        caption: impl Into<String>,
        columns: impl IntoIterator<Item = T>,
    ) -> Self {
        let columns = columns.into_iter().map(|title| {
            let title = title.as_ref();
            Column {
                numeric: title.starts_with('#'),
                title: title.trim_start_matches('#').to_owned(),
            }
        });
        Self {
            caption: caption.into(),
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.marked(Mark::Plain, cells);
    }

    /// Adds a row whose first cell leads to a page.
    pub fn linked(&mut self, href: String, cells: impl IntoIterator<Item = String>) {
        self.row(cells);
        if let Some(row) = self.rows.last_mut() {
            row.href = Some(href);
        }
    }

    /// Adds a row that stands out.
    pub fn marked(&mut self, mark: Mark, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.columns.len(), "{}", self.caption);
        self.rows.push(Row {
            cells,
            href: None,
            mark,
        });
    }
}
