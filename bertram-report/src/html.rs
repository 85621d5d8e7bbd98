//! A document as one HTML page without scripts and without anything from the network.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::ReportError;
use super::document::Document;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

#[derive(Serialize)]
struct Page<'a> {
    document: &'a Document,
    style: &'static str,
    made: &'a str,
}

/// The page. Text is escaped by the template engine, since the template's name ends in `.html`.
pub(super) fn page(document: &Document, made: &str) -> Result<String, ReportError> {
    let error = |error: minijinja::Error| ReportError::Page(error.to_string());
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build().map_err(error)?);
    environment.add_template("page.html", PAGE).map_err(error)?;
    environment
        .get_template("page.html")
        .and_then(|template| {
            template.render(Serde(Page {
                document,
                style: STYLE,
                made,
            }))
        })
        .map_err(error)
}
