//! The one table of names: paths in [`Bert`](super::super::Bert) and tensors in a Hugging Face checkpoint.

/// How a tensor lies in the file, seen from the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As in the module.
    Same,
    /// Linear weights: `[in, out]` in the module (Burn), `[out, in]` in the file (PyTorch).
    Transposed,
}

use Layout::{Same, Transposed};

/// Module path, tensor name (without the `bert.` prefix), layout. A `#` stands for the layer's number.
const TABLE: &[(&str, &str, Layout)] = &[
    (
        "embeddings.word.weight",
        "embeddings.word_embeddings.weight",
        Same,
    ),
    (
        "embeddings.position.weight",
        "embeddings.position_embeddings.weight",
        Same,
    ),
    (
        "embeddings.token_type.weight",
        "embeddings.token_type_embeddings.weight",
        Same,
    ),
    ("embeddings.norm.gamma", "embeddings.LayerNorm.weight", Same),
    ("embeddings.norm.beta", "embeddings.LayerNorm.bias", Same),
    (
        "layers.#.attention.query.weight",
        "encoder.layer.#.attention.self.query.weight",
        Transposed,
    ),
    (
        "layers.#.attention.query.bias",
        "encoder.layer.#.attention.self.query.bias",
        Same,
    ),
    (
        "layers.#.attention.key.weight",
        "encoder.layer.#.attention.self.key.weight",
        Transposed,
    ),
    (
        "layers.#.attention.key.bias",
        "encoder.layer.#.attention.self.key.bias",
        Same,
    ),
    (
        "layers.#.attention.value.weight",
        "encoder.layer.#.attention.self.value.weight",
        Transposed,
    ),
    (
        "layers.#.attention.value.bias",
        "encoder.layer.#.attention.self.value.bias",
        Same,
    ),
    (
        "layers.#.attention.output.weight",
        "encoder.layer.#.attention.output.dense.weight",
        Transposed,
    ),
    (
        "layers.#.attention.output.bias",
        "encoder.layer.#.attention.output.dense.bias",
        Same,
    ),
    (
        "layers.#.attention_norm.gamma",
        "encoder.layer.#.attention.output.LayerNorm.weight",
        Same,
    ),
    (
        "layers.#.attention_norm.beta",
        "encoder.layer.#.attention.output.LayerNorm.bias",
        Same,
    ),
    (
        "layers.#.intermediate.weight",
        "encoder.layer.#.intermediate.dense.weight",
        Transposed,
    ),
    (
        "layers.#.intermediate.bias",
        "encoder.layer.#.intermediate.dense.bias",
        Same,
    ),
    (
        "layers.#.output.weight",
        "encoder.layer.#.output.dense.weight",
        Transposed,
    ),
    (
        "layers.#.output.bias",
        "encoder.layer.#.output.dense.bias",
        Same,
    ),
    (
        "layers.#.output_norm.gamma",
        "encoder.layer.#.output.LayerNorm.weight",
        Same,
    ),
    (
        "layers.#.output_norm.beta",
        "encoder.layer.#.output.LayerNorm.bias",
        Same,
    ),
    ("pooler.dense.weight", "pooler.dense.weight", Transposed),
    ("pooler.dense.bias", "pooler.dense.bias", Same),
];

/// Prefixes of task heads that checkpoints carry beside the encoder.
const HEADS: &[&str] = &["cls.", "classifier.", "qa_outputs."];

/// The output embeddings of masked language modelling; with tied embeddings the same matrix as [`WORDS`].
pub(super) const TIED_DECODER: &str = "cls.predictions.decoder.weight";

/// Module path of the word embeddings.
pub(super) const WORDS: &str = "embeddings.word.weight";

/// Module paths of the pooler, the one part that a checkpoint may lack.
pub(super) const POOLER: &str = "pooler.";

/// What a tensor of a checkpoint is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The parameter at this module path.
    Parameter(String),
    /// Nothing the encoder needs: a task head or a buffer.
    Ignored,
    /// Not known.
    Unknown,
}

/// Looks a tensor name of a checkpoint up; takes names with and without `bert.`, and the legacy names of LayerNorm.
pub(super) fn from_hugging_face(name: &str) -> Meaning {
    let bare = name.strip_prefix("bert.").unwrap_or(name);
    if HEADS.iter().any(|head| bare.starts_with(head)) || bare == "embeddings.position_ids" {
        return Meaning::Ignored;
    }
    let modern = match (
        bare.strip_suffix("LayerNorm.gamma"),
        bare.strip_suffix("LayerNorm.beta"),
    ) {
        (Some(stem), _) => format!("{stem}LayerNorm.weight"),
        (_, Some(stem)) => format!("{stem}LayerNorm.bias"),
        _ => bare.to_owned(),
    };
    let (pattern, number) = split_number(&modern);
    match TABLE.iter().find(|(_, theirs, _)| *theirs == pattern) {
        Some((ours, _, _)) => Meaning::Parameter(ours.replace('#', &number)),
        None => Meaning::Unknown,
    }
}

/// Tensor name and layout of the parameter at a module path; `None` for a path that is not a parameter of the encoder.
pub(super) fn to_hugging_face(path: &str) -> Option<(String, Layout)> {
    let (pattern, number) = split_number(path);
    TABLE
        .iter()
        .find(|(ours, _, _)| *ours == pattern)
        .map(|(_, theirs, layout)| (theirs.replace('#', &number), *layout))
}

/// The name with its (only) number replaced by `#`, and the number.
fn split_number(name: &str) -> (String, String) {
    let mut number = "";
    let parts: Vec<&str> = name
        .split('.')
        .map(|part| {
            // Only the plain form of a number, so that no two names mean one layer ("01" and "1").
            let plain = part.bytes().all(|byte| byte.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'));
            if number.is_empty() && !part.is_empty() && plain {
                number = part;
                "#"
            } else {
                part
            }
        })
        .collect();
    (parts.join("."), number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree() {
        for (ours, theirs, layout) in TABLE {
            let (ours, theirs) = (ours.replace('#', "11"), theirs.replace('#', "11"));
            assert_eq!(to_hugging_face(&ours), Some((theirs.clone(), *layout)));
            assert_eq!(from_hugging_face(&theirs), Meaning::Parameter(ours.clone()));
            assert_eq!(
                from_hugging_face(&format!("bert.{theirs}")),
                Meaning::Parameter(ours)
            );
        }
    }

    #[test]
    fn legacy_names_heads_and_strangers() {
        let parameter = |path: &str| Meaning::Parameter(path.into());
        assert_eq!(
            from_hugging_face("bert.encoder.layer.3.output.LayerNorm.gamma"),
            parameter("layers.3.output_norm.gamma")
        );
        assert_eq!(
            from_hugging_face("embeddings.LayerNorm.beta"),
            parameter("embeddings.norm.beta")
        );
        for ignored in [
            "cls.predictions.bias",
            "cls.seq_relationship.weight",
            "classifier.weight",
            "qa_outputs.bias",
            "bert.embeddings.position_ids",
        ] {
            assert_eq!(from_hugging_face(ignored), Meaning::Ignored, "{ignored}");
        }
        for unknown in [
            "encoder.layer.x.output.dense.bias",
            "encoder.layer.01.output.dense.bias",
            "encoder.layer.#.output.dense.bias",
            "decoder.weight",
            "",
        ] {
            // A literal `#` finds the pattern but no number, so it names no layer that exists.
            if unknown.contains('#') {
                assert_eq!(from_hugging_face(unknown), parameter("layers..output.bias"));
            } else {
                assert_eq!(from_hugging_face(unknown), Meaning::Unknown, "{unknown}");
            }
        }
    }
}
