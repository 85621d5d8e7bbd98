//! What a key that nobody knows was meant to be.

/// The keys and sections that a config may have, in the order in which they are read.
pub(super) struct Known<'a>(pub &'a [String]);

/// How alike two names must be for one to be offered in place of the other (1: the same).
const ALIKE: f64 = 0.6;

impl Known<'_> {
    fn is_section(&self, key: &str) -> bool {
        self.below(key).next().is_some()
    }

    fn is_known(&self, key: &str) -> bool {
        self.0.iter().any(|known| known == key)
    }

    /// The names directly below a section; below `""`, the sections. A name can come more than once.
    fn below<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |known| {
            let rest = match section {
                "" => known,
                section => known.strip_prefix(section)?.strip_prefix('.')?,
            };
            rest.split('.').next()
        })
    }

    /// The part of `key` that is unknown, or is a value where a section should be or the other way round. The shortest
    /// such part: keys of an unknown section are no news.
    pub(super) fn culprit<'k>(&self, key: &'k str, is_table: bool) -> Option<&'k str> {
        let ends = key.match_indices('.').map(|(end, _)| end);
        for above in ends.map(|end| &key[..end]) {
            if !self.is_section(above) {
                return Some(above);
            }
        }
        let fits = is_table && (self.is_section(key) || self.is_task(key));
        (!fits).then_some(key)
    }

    /// Tasks that are not trained have no keys that were read, and are known all the same.
    fn is_task(&self, key: &str) -> bool {
        key.starts_with("tasks.") && self.is_known(key)
    }

    /// What is wrong with a [`culprit`](Self::culprit), and what would be right.
    pub(super) fn explain(&self, key: &str) -> String {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        if self.is_section(key) {
            return format!("is a section: write [{key}], or {key}.NAME = VALUE");
        }
        if self.is_known(key) {
            return "is a value, and no section".into();
        }
        let what = if section == "tasks" {
            "unknown task"
        } else {
            "unknown key"
        };
        let nearest = self
            .below(section)
            .map(|known| (strsim::normalized_damerau_levenshtein(known, name), known))
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        if let Some((likeness, known)) = nearest
            && likeness >= ALIKE
        {
            let known = if section.is_empty() {
                known.to_owned()
            } else {
                format!("{section}.{known}")
            };
            return format!("{what}; did you mean {known}?");
        }
        let elsewhere = self
            .0
            .iter()
            .find(|known| known.rsplit('.').next() == Some(name));
        if let Some(known) = elsewhere {
            return format!("{what}; did you mean {known}?");
        }
        let mut names: Vec<&str> = Vec::new();
        for known in self.below(section) {
            if !names.contains(&known) {
                names.push(known);
            }
        }
        let names = names.join(", ");
        match section {
            "" => format!("{what}; the sections are {names}"),
            "tasks" => format!(
                "{what}; a name is a small letter, then small letters, digits and _ (the tasks here are {names})"
            ),
            section => format!("{what}; [{section}] has {names}"),
        }
    }
}
