//! Prefixes that wrappers leave before the names of a checkpoint: `DistributedDataParallel`, `torch.compile`,
//! sentence-transformers, models that hold a BERT.

use super::remap::{Meaning, from_hugging_face};

/// What a wrapper puts before every name of what it wraps. They nest in any order.
const WRAPPERS: &[&str] = &["module.", "_orig_mod.", "0.auto_model.", "model.", "bert."];

/// The part of a name that wrappers made, and the rest.
fn split(name: &str) -> (&str, &str) {
    let mut rest = name;
    while let Some(inner) = WRAPPERS
        .iter()
        .find_map(|wrapper| rest.strip_prefix(wrapper))
    {
        rest = inner;
    }
    name.split_at(name.len() - rest.len())
}

/// The prefix before every tensor of an encoder among these names, without the `bert.` that ends it; empty where there is
/// none, and where they do not agree: then the names are taken as they stand.
pub(super) fn common<'a>(names: impl Iterator<Item = &'a str>) -> &'a str {
    let mut shared: Option<&str> = None;
    for name in names {
        let (prefix, rest) = split(name);
        if !matches!(from_hugging_face(rest), Meaning::Parameter(_)) {
            continue;
        }
        // `bert.` alone is no wrapper: names with and without it are taken side by side.
        let prefix = prefix.strip_suffix("bert.").unwrap_or(prefix);
        match shared {
            Some(other) if other != prefix => return "",
            _ => shared = Some(prefix),
        }
    }
    shared.unwrap_or_default()
}

/// What a name means in a checkpoint whose encoder lies under `prefix`, and the name without it.
pub(super) fn meaning<'a>(prefix: &str, name: &'a str) -> (Meaning, &'a str) {
    if let Some(rest) = name.strip_prefix(prefix) {
        return (from_hugging_face(rest), rest);
    }
    // A head lies beside the encoder, or beside one of its wrappers.
    let (own, rest) = split(name);
    match from_hugging_face(rest) {
        Meaning::Ignored if prefix.starts_with(own) => (Meaning::Ignored, rest),
        _ => (Meaning::Unknown, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off_where_all_names_agree() {
        const BIAS: &str = "encoder.layer.0.output.dense.bias";
        const WORD: &str = "embeddings.word_embeddings.weight";
        for (before, taken) in [
            ("", ""),
            ("bert.", ""),
            ("model.", "model."),
            ("module.", "module."),
            ("module.bert.", "module."),
            ("_orig_mod.bert.", "_orig_mod."),
            ("_orig_mod.module.bert.", "_orig_mod.module."),
            ("module.module.", "module.module."),
            ("module.model.bert.", "module.model."),
            ("0.auto_model.", "0.auto_model."),
            ("bert.bert.", "bert."),
            ("encoder.", ""),
        ] {
            let names = [format!("{before}{BIAS}"), format!("{before}{WORD}")];
            assert_eq!(common(names.iter().map(String::as_str)), taken, "{before}");
        }
        for other in ["", "bert.", "model.", "module.module."] {
            let names = [format!("module.{BIAS}"), format!("{other}{WORD}")];
            assert_eq!(common(names.iter().map(String::as_str)), "", "{other}");
        }
    }

    #[test]
    fn heads_lie_beside_the_encoder_or_its_wrappers() {
        let ignored = |prefix, name| meaning(prefix, name).0 == Meaning::Ignored;
        assert!(ignored("module.", "module.cls.predictions.bias"));
        assert!(ignored("module.model.", "module.classifier.weight"));
        assert!(ignored("model.", "classifier.weight"));
        assert!(!ignored("model.", "module.classifier.weight"));
        assert!(!ignored("module.", "embeddings.LayerNorm.bias"));
        assert_eq!(meaning("", "score.weight").0, Meaning::Unknown);
    }
}
