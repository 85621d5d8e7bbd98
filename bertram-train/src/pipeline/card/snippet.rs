//! Python for a task's predictions: ten lines or so for each architecture.

use bertram_core::data::{Packing, Preprocess};
use bertram_core::encoder::Pooling;
use bertram_core::head::HeadKind;
use bertram_core::loss::{LossKind, OutputKind};
use bertram_core::task::{EncodeSettings, Inputs, LabelKind, TaskConfig, is_sequence_classifier};

/// Vectors by sentence-transformers.
pub(super) const SENTENCES: &str = "\
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(\".\")  # this folder, or its id on the hub
vectors = model.encode([\"a lovely film\", \"the dog runs\"])
";

/// What a task's labels are, in words.
pub(super) fn labels(task: &TaskConfig) -> String {
    match task.spec.label {
        LabelKind::Classes { .. } | LabelKind::Binary => task.spec.labels.join(", "),
        LabelKind::MultiLabel { .. } => format!("any of {}", task.spec.labels.join(", ")),
        LabelKind::Score { min, max } => format!("a score from {min} to {max}"),
    }
}

/// What the task's own folder gives.
pub(super) fn folder_text(task: &TaskConfig) -> String {
    let what = match task.spec.label {
        LabelKind::Classes { .. } => "The softmax of its logits has the probabilities.",
        LabelKind::MultiLabel { .. } => {
            "The sigmoid of each logit is the probability of its label."
        }
        LabelKind::Binary => {
            "It has two labels, and 0 for the first one's logit: the softmax has the probabilities of the head's sigmoid."
        }
        LabelKind::Score { .. } => {
            "Its one output is the score on the label's own scale; `predict` clamps it to the scale."
        }
    };
    format!(
        "The folder `{0}` is a `BertForSequenceClassification` (from the hub: `subfolder=\"{0}\"`). {what}",
        task.task
    )
}

/// A block that defines `predict`.
pub(super) fn of(task: &TaskConfig, encode: &EncodeSettings) -> String {
    let pair = task.spec.inputs == Inputs::Pair;
    let prepare = match (encode.preprocess, pair) {
        (Preprocess::None, _) => None,
        (Preprocess::Cs224n, false) => Some("text.lower().strip()"),
        (Preprocess::Cs224n, true) => {
            Some("\" \".join(re.sub(r\"([.?,'])\", r\" \\1\", text.lower()).split())")
        }
    };
    let mut lines = vec![format!("# task: {}", task.task)];
    if pair && prepare.is_some() {
        lines.push("import re".into());
    }
    lines.push("import torch".into());
    let classifier = is_sequence_classifier(task);
    if classifier {
        lines.extend([
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer".into(),
            String::new(),
            format!("folder = \"{}\"", task.task),
            "tokenizer = AutoTokenizer.from_pretrained(folder)".into(),
            "model = AutoModelForSequenceClassification.from_pretrained(folder)".into(),
        ]);
    } else {
        lines.extend([
            "from safetensors.torch import load_file".into(),
            "from transformers import AutoModel, AutoTokenizer".into(),
            String::new(),
            "tokenizer, encoder = AutoTokenizer.from_pretrained(\".\"), AutoModel.from_pretrained(\".\")"
                .into(),
            "heads = load_file(\"heads.safetensors\")".into(),
        ]);
    }
    lines.push(String::new());
    if let Some(prepare) = prepare {
        lines.push(format!(
            "def prepare(texts):\n    return [{prepare} for text in texts]\n"
        ));
    }
    let texts = |name: &str| match prepare {
        Some(_) => format!("prepare({name})"),
        None => name.to_owned(),
    };
    let batch = |texts: String| {
        format!(
            "    batch = tokenizer({texts}, padding=True, truncation=True, max_length={}, return_tensors=\"pt\")",
            encode.max_length
        )
    };
    let packed = format!("{}, {}", texts("first"), texts("second"));
    let arguments = if pair { "first, second" } else { "texts" };
    if classifier {
        lines.push(format!("def predict({arguments}):"));
        lines.push(batch(if pair { packed } else { texts("texts") }));
        lines.push("    with torch.no_grad():".into());
        lines.push("        logits = model(**batch).logits".into());
        lines.push(match task.spec.label {
            LabelKind::Classes { .. } | LabelKind::Binary => "    return logits.softmax(-1)".into(),
            LabelKind::MultiLabel { .. } => "    return logits.sigmoid()".into(),
            LabelKind::Score { min, max } => {
                format!("    return logits.squeeze(-1).clamp({min}, {max})")
            }
        });
    } else {
        let cross = task.packing() == Packing::CrossEncoder;
        lines.push(format!(
            "def vectors({}):",
            if cross { "first, second" } else { "texts" }
        ));
        lines.push(batch(if cross { packed } else { texts("texts") }));
        lines.extend(pooled(task.pooling, task.layer_mix, task.task.name()));
        lines.push(format!("\ndef predict({arguments}):"));
        lines.extend(head(task));
        lines.extend(output(task));
    }
    lines.join("\n") + "\n"
}

/// The end of `vectors`: from `batch` to a vector for each text. What is learnt is the head's of this task.
fn pooled(pooling: Pooling, layer_mix: bool, task: &str) -> Vec<String> {
    let mut lines = vec!["    with torch.no_grad():".to_owned()];
    let hidden = if layer_mix {
        let name = format!("{task}.layer_mix");
        lines.extend([
            "        output = encoder(**batch, output_hidden_states=True)".to_owned(),
            format!("    shares = heads[\"{name}.scale\"] * heads[\"{name}.weights\"].softmax(0)"),
            "    hidden = sum(share * states for share, states in zip(shares, output.hidden_states))"
                .to_owned(),
        ]);
        "hidden"
    } else {
        lines.push("        output = encoder(**batch)".to_owned());
        "output.last_hidden_state"
    };
    if pooling
        .parts()
        .any(|part| matches!(part, Pooling::Mean | Pooling::Max | Pooling::Attention))
    {
        lines.push("    mask = batch[\"attention_mask\"].unsqueeze(-1)".to_owned());
    }
    if pooling.has(Pooling::Attention) {
        lines.extend([
            format!("    scores = {hidden} @ heads[\"{task}.attention.query\"]"),
            "    weights = scores.masked_fill(mask.squeeze(-1) == 0, -30000).softmax(-1).unsqueeze(-1)"
                .to_owned(),
        ]);
    }
    let part = |part: Pooling| match part {
        Pooling::Cls | Pooling::Several(_) => format!("{hidden}[:, 0]"),
        Pooling::Pooler if layer_mix => "encoder.pooler(hidden).detach()".to_owned(),
        Pooling::Pooler => "output.pooler_output".to_owned(),
        Pooling::Mean => format!("({hidden} * mask).sum(1) / mask.sum(1)"),
        Pooling::Max => format!("{hidden}.masked_fill(mask == 0, -1e9).max(1).values"),
        Pooling::Attention => format!("({hidden} * weights).sum(1)"),
    };
    let parts: Vec<String> = pooling.parts().map(part).collect();
    lines.push(match &parts[..] {
        [only] => format!("    return {only}"),
        _ => format!("    return torch.cat([{}], dim=-1)", parts.join(", ")),
    });
    lines
}

/// A block that defines `vectors` of single sentences, where nothing of it is learnt by a head.
pub(super) fn plain_vectors(encode: &EncodeSettings) -> String {
    let texts = match encode.preprocess {
        Preprocess::None => "texts",
        Preprocess::Cs224n => "[text.lower().strip() for text in texts]",
    };
    let mut lines = vec![
        "import torch".to_owned(),
        "from transformers import AutoModel, AutoTokenizer".to_owned(),
        String::new(),
        "tokenizer, encoder = AutoTokenizer.from_pretrained(\".\"), AutoModel.from_pretrained(\".\")"
            .to_owned(),
        String::new(),
        "def vectors(texts):".to_owned(),
        format!(
            "    batch = tokenizer({texts}, padding=True, truncation=True, max_length={}, return_tensors=\"pt\")",
            encode.max_length
        ),
    ];
    lines.extend(pooled(encode.pooling, false, ""));
    lines.join("\n") + "\n"
}

/// From `vectors` to `logit` (or `logits` of classes).
fn head(task: &TaskConfig) -> Vec<String> {
    let name = task.task;
    let linear = |input: &str, layer: &str| {
        format!("{input} @ heads[\"{name}.{layer}.weight\"] + heads[\"{name}.{layer}.bias\"]")
    };
    // Classes have a logit each, everything else has one.
    let logits = |value: String| match task.spec.label {
        LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } => {
            format!("    logits = {value}")
        }
        LabelKind::Binary | LabelKind::Score { .. } => format!("    logit = ({value}).squeeze(-1)"),
    };
    match task.head {
        HeadKind::Linear => vec![logits(linear("vectors(texts)", "linear"))],
        HeadKind::CrossEncoder => vec![logits(linear(
            "vectors(first, second)",
            "classifier.linear",
        ))],
        HeadKind::Cosine => {
            let cosine = "torch.nn.functional.cosine_similarity(vectors(first), vectors(second))";
            vec![if task.affine() {
                format!("    logit = {cosine} * heads[\"{name}.scale\"] + heads[\"{name}.bias\"]")
            } else {
                format!("    logit = {cosine}")
            }]
        }
        HeadKind::Concat => vec![
            "    u, v = vectors(first), vectors(second)".into(),
            "    features = torch.cat([u, v, (u - v).abs(), u * v], dim=-1)".into(),
            format!(
                "    hidden = torch.nn.functional.gelu({})",
                linear("features", "hidden")
            ),
            logits(linear("hidden", "output")),
        ],
    }
}

/// From logits to probabilities or a score.
fn output(task: &TaskConfig) -> Vec<String> {
    if matches!(task.spec.label, LabelKind::MultiLabel { .. }) {
        return vec!["    return logits.sigmoid()".into()];
    }
    let unit = match (task.output(), task.loss) {
        (OutputKind::Categorical, _) => return vec!["    return logits.softmax(-1)".into()],
        (OutputKind::Bernoulli, _) => "logit.sigmoid()".to_owned(),
        (OutputKind::Real, LossKind::CosineEmbedding) => {
            format!("(logit - {0}) / (1 - {0})", task.margin)
        }
        (OutputKind::Real, _) => "logit".to_owned(),
    };
    match task.spec.label {
        LabelKind::Score { min, max } => vec![format!(
            "    return ({min} + {} * ({unit})).clamp({min}, {max})",
            max - min
        )],
        LabelKind::Classes { .. } | LabelKind::MultiLabel { .. } | LabelKind::Binary => vec![
            format!("    yes = ({unit}).clamp(0, 1)"),
            "    return torch.stack([1 - yes, yes], dim=-1)".into(),
        ],
    }
}
