//! No cycles among a crate's folders: a module at the top of a crate uses only modules below it.
//!
//! A module's file tree is read as the compiler reads it, from `lib.rs` or `main.rs` on; what only tests compile is left
//! out. A path into another module of the crate (`use crate::...`, `super::...`, or in the middle of an expression) is an
//! edge of the graph.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Stands for what lies in `lib.rs` or `main.rs` itself.
const ROOT: &str = "(root)";

/// What one module uses of another, and the first place where it does.
type Graph = BTreeMap<String, BTreeMap<String, Place>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    file: PathBuf,
    line: usize,
}

/// A path into the crate: the module that it was read in, the names from the crate's root on, and where.
struct Use {
    from: Vec<String>,
    names: Vec<String>,
    place: Place,
    /// In `lib.rs`, what is only handed on: no use of its own.
    handed_on: bool,
}

/// Reads the files of a crate.
struct Reader {
    root: PathBuf,
    file: PathBuf,
    module: Vec<String>,
    modules: BTreeSet<String>,
    uses: Vec<Use>,
    /// What `lib.rs` hands on from its modules, by name.
    handed_on: BTreeMap<String, String>,
}

fn only_in_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|path| path.is_ident("test")))
    })
}

impl Reader {
    fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            file: root.to_owned(),
            module: Vec::new(),
            modules: BTreeSet::new(),
            uses: Vec::new(),
            handed_on: BTreeMap::new(),
        }
    }

    fn read(&mut self, file: PathBuf) {
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let items = syn::parse_file(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            .items;
        let outer = std::mem::replace(&mut self.file, file);
        for item in &items {
            self.visit_item(item);
        }
        self.file = outer;
    }

    /// Where the module's own text lies, if it is not between braces.
    fn file_of(&self, name: &str) -> PathBuf {
        let mut folder = self.root.parent().expect("a file has a folder").to_owned();
        folder.extend(&self.module);
        let flat = folder.join(format!("{name}.rs"));
        match flat.is_file() {
            true => flat,
            false => folder.join(name).join("mod.rs"),
        }
    }

    /// Takes up a path, if it leads into the crate.
    fn add(&mut self, names: Vec<String>, span: Span, handed_on: bool) {
        let mut path = self.module.clone();
        let mut rest = names.into_iter().peekable();
        match rest.peek().map(String::as_str) {
            Some("crate") => path.clear(),
            Some("super" | "self") => {}
            _ => return,
        }
        for name in rest {
            match name.as_str() {
                "crate" | "self" => {}
                "super" => {
                    path.pop();
                }
                _ => path.push(name),
            }
        }
        self.uses.push(Use {
            from: self.module.clone(),
            names: path,
            place: Place {
                file: self.file.clone(),
                line: span.start().line,
            },
            handed_on,
        });
    }

    fn add_tree(&mut self, tree: &syn::UseTree, mut path: Vec<String>, handed_on: bool) {
        match tree {
            syn::UseTree::Path(it) => {
                path.push(it.ident.to_string());
                self.add_tree(&it.tree, path, handed_on);
            }
            syn::UseTree::Name(it) => {
                path.push(it.ident.to_string());
                self.add_use(path, None, it.ident.span(), handed_on);
            }
            syn::UseTree::Rename(it) => {
                path.push(it.ident.to_string());
                self.add_use(
                    path,
                    Some(it.rename.to_string()),
                    it.ident.span(),
                    handed_on,
                );
            }
            syn::UseTree::Glob(it) => self.add(path, it.star_token.spans[0], handed_on),
            syn::UseTree::Group(it) => {
                for tree in &it.items {
                    self.add_tree(tree, path.clone(), handed_on);
                }
            }
        }
    }

    fn add_use(
        &mut self,
        mut path: Vec<String>,
        renamed: Option<String>,
        span: Span,
        handed_on: bool,
    ) {
        // In the root, a path may begin with a module of the crate.
        if self.module.is_empty()
            && path
                .first()
                .is_some_and(|first| self.modules.contains(first))
        {
            path.insert(0, "crate".into());
        }
        if handed_on && let ([.., name], Some(module)) = (&path[..], path.get(1)) {
            let name = renamed.unwrap_or_else(|| name.clone());
            self.handed_on.insert(name, module.clone());
        }
        self.add(path, span, handed_on);
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut begun = Span::call_site();
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if path.last().is_none_or(|last| last != "::") {
                        path.clear();
                        begun = name.span();
                    } else {
                        path.pop();
                    }
                    path.push(name.to_string());
                    let names = path.clone();
                    if names.len() == 2 {
                        self.add(names, begun, false);
                    }
                }
                TokenTree::Punct(colon) if colon.as_char() == ':' => {
                    if path.last().is_some_and(|last| last == ":") {
                        path.pop();
                        path.push("::".into());
                    } else if !path.is_empty() {
                        path.push(":".into());
                    }
                }
                TokenTree::Group(group) => {
                    path.clear();
                    self.add_tokens(group.stream());
                }
                _ => path.clear(),
            }
        }
    }

    /// The module at the top of the crate that a path leads to; `None` where it stays in its own.
    fn target(&self, path: &Use) -> Option<(String, String)> {
        let from = path.from.first().map_or(ROOT, String::as_str);
        let to = match path.names.first() {
            Some(name) if self.modules.contains(name) => name.as_str(),
            Some(name) => self.handed_on.get(name).map_or(ROOT, String::as_str),
            None => ROOT,
        };
        (from != to && !path.handed_on).then(|| (from.to_owned(), to.to_owned()))
    }

    fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for path in &self.uses {
            if let Some((from, to)) = self.target(path) {
                let edges = graph.entry(from).or_default();
                edges.entry(to).or_insert_with(|| path.place.clone());
            }
        }
        graph
    }
}

impl Visit<'_> for Reader {
    fn visit_item(&mut self, item: &syn::Item) {
        let attributes = match item {
            syn::Item::Mod(it) => &it.attrs,
            syn::Item::Fn(it) => &it.attrs,
            syn::Item::Use(it) => &it.attrs,
            syn::Item::Impl(it) => &it.attrs,
            _ => &Vec::new(),
        };
        if !only_in_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        let name = item.ident.to_string();
        if self.module.is_empty() {
            self.modules.insert(name.clone());
        }
        let file = self.file_of(&name);
        self.module.push(name);
        match &item.content {
            Some((_, items)) => items.iter().for_each(|item| self.visit_item(item)),
            None => self.read(file),
        }
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let public = matches!(item.vis, syn::Visibility::Public(_));
        let handed_on = public && self.module.is_empty();
        self.add_tree(&item.tree, Vec::new(), handed_on);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let names: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if let Some(first) = path.segments.first() {
            self.add(names, first.ident.span(), false);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        self.add_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// A shortest cycle of the graph, as the modules on it.
fn cycle(graph: &Graph) -> Option<Vec<String>> {
    let mut shortest: Option<Vec<String>> = None;
    for start in graph.keys() {
        let mut paths = vec![vec![start.clone()]];
        let mut seen = BTreeSet::new();
        while let Some(path) = (!paths.is_empty()).then(|| paths.remove(0)) {
            let last = path.last().expect("a path has its start");
            for next in graph.get(last).into_iter().flat_map(BTreeMap::keys) {
                if next == start && shortest.as_ref().is_none_or(|it| path.len() < it.len()) {
                    shortest = Some(path.clone());
                }
                if seen.insert(next.clone()) {
                    paths.push([path.clone(), vec![next.clone()]].concat());
                }
            }
        }
    }
    shortest
}

/// A sentence that names a cycle, and where each of its modules uses the next; `None` without one. Files are told as they
/// lie in `folder`.
fn complaint(krate: &str, graph: &Graph, folder: &Path) -> Option<String> {
    let cycle = cycle(graph)?;
    let next = |index: usize| &cycle[(index + 1) % cycle.len()];
    let mut text = format!("{krate}: {} -> {}", cycle.join(" -> "), cycle[0]);
    for (index, from) in cycle.iter().enumerate() {
        let Place { file, line } = &graph[from][next(index)];
        let file = file.strip_prefix(folder).unwrap_or(file).display();
        text += &format!("\n  {from} uses {}: {file}:{line}", next(index));
    }
    Some(text)
}

fn read(root: &Path) -> Reader {
    let mut reader = Reader::new(root);
    reader.read(root.to_owned());
    reader
}

#[test]
fn no_crate_has_a_cycle_of_folders() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = workspace.canonicalize().expect("the workspace");
    let mut complaints = Vec::new();
    let mut crates = 0;
    for entry in std::fs::read_dir(&workspace).expect("the workspace") {
        let folder = entry.expect("an entry").path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let roots = ["lib.rs", "main.rs"].map(|root| folder.join("src").join(root));
        if !name.starts_with("bertram-") {
            continue;
        }
        for root in roots.iter().filter(|root| root.is_file()) {
            crates += 1;
            complaints.extend(complaint(&name, &read(root).graph(), &workspace));
        }
    }
    assert!(crates >= 5, "{crates} crates were looked at");
    assert!(
        complaints.is_empty(),
        "modules that use each other; what both need goes to a module below them:\n{}",
        complaints.join("\n")
    );
}

/// Writes a crate of files, and reads it.
fn reader(files: &[(&str, &str)]) -> (tempfile::TempDir, Graph) {
    let dir = tempfile::tempdir().expect("temp dir");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        std::fs::write(path, text).expect("write");
    }
    let graph = read(&dir.path().join("lib.rs")).graph();
    (dir, graph)
}

#[test]
fn a_cycle_is_named_with_the_line_of_each_edge() {
    let (dir, graph) = reader(&[
        ("lib.rs", "mod a;\nmod b;\nmod c;\npub use c::Thing;\n"),
        ("a/mod.rs", "mod deep;\n"),
        (
            "a/deep.rs",
            "//! Not `crate::c`.\n\nuse crate::{\n    b::Other,\n};\n",
        ),
        ("b.rs", "fn f() -> Vec<u8> {\n    vec![crate::Thing.0]\n}\n"),
        ("c.rs", "pub struct Thing(pub super::a::Number);\n"),
    ]);
    let text = complaint("demo", &graph, dir.path()).expect("a cycle");
    assert_eq!(
        text,
        "demo: a -> b -> c -> a\n  a uses b: a/deep.rs:4\n  b uses c: b.rs:2\n  c uses a: c.rs:1"
    );
}

#[test]
fn what_only_tests_use_is_no_edge() {
    let (dir, graph) = reader(&[
        ("lib.rs", "mod a;\nmod b;\n"),
        (
            "a.rs",
            "use crate::b::B;\n#[cfg(test)]\nmod tests { use super::*; }\n",
        ),
        (
            "b.rs",
            "#[cfg(test)]\nuse crate::a::A;\n#[cfg(test)]\nmod tests { use crate::a::A; }\n",
        ),
    ]);
    assert_eq!(complaint("demo", &graph, dir.path()), None);
}
