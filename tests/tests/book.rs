//! The book: every page has its place, and every link of it and of the README leads somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the checkout")
}

fn pages() -> Vec<PathBuf> {
    fn below(folder: &Path, pages: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below(&path, pages);
            } else if path.extension().is_some_and(|it| it == "md") {
                pages.push(path);
            }
        }
    }
    let mut pages = Vec::new();
    below(&root().join("docs/src"), &mut pages);
    pages.sort();
    pages
}

/// What a page links to, and the anchors of its headings.
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

fn read(path: &Path) -> Page {
    let text = std::fs::read_to_string(path).expect("a page");
    let mut page = Page {
        links: Vec::new(),
        anchors: BTreeSet::new(),
    };
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let slug = slug(&heading.take().unwrap_or_default());
                // A heading that comes again gets a number.
                let mut anchor = slug.clone();
                let mut number = 0;
                while !page.anchors.insert(anchor.clone()) {
                    number += 1;
                    anchor = format!("{slug}-{number}");
                }
            }
            _ => {}
        }
    }
    page
}

/// A heading's anchor, as mdBook and GitHub make it.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars()
        .filter_map(|it| match it {
            it if it.is_alphanumeric() || it == '_' || it == '-' => Some(it),
            it if it.is_whitespace() => Some('-'),
            _ => None,
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut known: BTreeMap<PathBuf, Page> = BTreeMap::new();
    let mut dead = Vec::new();
    let mut count = 0;
    for path in pages().into_iter().chain([root().join("README.md")]) {
        let page = read(&path);
        for link in &page.links {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().expect("a folder").join(file),
            };
            let Ok(target) = target.canonicalize() else {
                dead.push(format!("{}: {link}", path.display()));
                continue;
            };
            let is_page = target.extension().is_some_and(|it| it == "md");
            if !anchor.is_empty() && is_page {
                let page = known.entry(target.clone()).or_insert_with(|| read(&target));
                if !page.anchors.contains(anchor) {
                    dead.push(format!("{}: {link}", path.display()));
                }
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    assert!(count > 50, "{count} links were found");
}

#[test]
fn every_page_has_its_place() {
    let summary = root().join("docs/src/SUMMARY.md");
    let listed: BTreeSet<PathBuf> = read(&summary)
        .links
        .iter()
        .map(|link| root().join("docs/src").join(link))
        .collect();
    let there: BTreeSet<PathBuf> = pages().into_iter().filter(|it| *it != summary).collect();
    assert_eq!(listed, there);
}
