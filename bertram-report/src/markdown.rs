//! A document as Markdown (GitHub's, which mdBook reads too): tables, no pictures.

use std::fmt::Write as _;

use super::document::{Block, Document, Table};

/// A document as Markdown.
pub(super) fn text(document: &Document) -> String {
    let mut out = format!("# {}\n\n", escaped(&document.title));
    for fact in &document.summary {
        line(
            &mut out,
            &format!("- **{}**: {}", escaped(&fact.term), escaped(&fact.text)),
        );
    }
    for section in &document.sections {
        line(&mut out, &format!("\n## {}", escaped(&section.heading)));
        blocks(&mut out, &section.blocks);
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn blocks(out: &mut String, blocks: &[Block]) {
    for block in blocks {
        match block {
            Block::Paragraph { text } => line(out, &format!("\n{}", escaped(text))),
            Block::Table { table: it } => table(out, it),
            Block::Figures { tables, .. } => tables.iter().for_each(|it| table(out, it)),
            Block::Details {
                summary,
                blocks: inner,
            } => {
                line(
                    out,
                    &format!("\n<details><summary>{}</summary>", escaped(summary)),
                );
                self::blocks(out, inner);
                line(out, "\n</details>");
            }
            Block::Code { language, text } => {
                // Longer than any run of backticks in the text.
                let mut fence = "```".to_owned();
                while text.contains(&fence) {
                    fence.push('`');
                }
                line(
                    out,
                    &format!("\n{fence}{language}\n{}\n{fence}", text.trim_end()),
                );
            }
        }
    }
}

fn table(out: &mut String, table: &Table) {
    line(out, &format!("\n{}\n", escaped(&table.caption)));
    let mut row = |cells: &mut dyn Iterator<Item = String>| {
        for cell in cells {
            // Writing to a string does not fail.
            let _ = write!(out, "| {cell} ");
        }
        out.push_str("|\n");
    };
    row(&mut table.columns.iter().map(|column| escaped(&column.title)));
    row(
        &mut table.columns.iter().map(|column| match column.numeric {
            true => "---:".into(),
            false => "---".into(),
        }),
    );
    for cells in &table.rows {
        let mut href = cells.href.as_ref();
        row(&mut cells.cells.iter().map(|cell| match href.take() {
            Some(href) => format!("[{}]({href})", escaped(cell)),
            None => escaped(cell),
        }));
    }
}

/// Text that Markdown takes for nothing but text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous = ' ';
    for character in text.chars() {
        match character {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '`' | '[' | ']' | '\\' => out.extend(['\\', character]),
            // Inside words an underscore is one.
            '_' if !previous.is_alphanumeric() => out.push_str("\\_"),
            other => out.push(other),
        }
        previous = character;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            escaped("<b> a|b *c* my_run _d_ [e]\n"),
            "&lt;b&gt; a\\|b \\*c\\* my_run \\_d_ \\[e\\] "
        );
    }
}
