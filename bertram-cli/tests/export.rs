//! What a trained model says of itself, and who takes it from there: encode, predict, evaluate, export.

mod common;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use common::{bertram, copy_folder, finish, stderr, stdout, with_sets};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// A run of one epoch over a few generated rows.
fn train(out: &Path, sets: &[&str]) {
    let mut command = bertram();
    command
        .args(["train", "--dashboard", "none", "--out"])
        .arg(out);
    let tiny = [
        "data.demo.sst=48",
        "data.demo.para=48",
        "data.demo.sts=48",
        "data.demo.dev=20",
        "data.max-length=40",
        "model.random.hidden-size=32",
        "model.random.layers=1",
        "model.random.heads=2",
        "model.random.intermediate-size=64",
        "train.epochs=1",
    ];
    finish(with_sets(&mut command, tiny.iter().chain(sets)));
}

fn run(args: &[&str], input: &str) -> Output {
    let dir = tempfile::tempdir().expect("temp dir");
    let file = dir.path().join("in.txt");
    std::fs::write(&file, input).expect("written");
    let mut command = bertram();
    command.args(args);
    if matches!(args[0], "encode" | "predict") {
        command.arg("--input").arg(&file);
    }
    command.output().expect("starts")
}

const TEXTS: &str = "A Lovely film .\nthe dog\n\nthe plot is dull , and the cast is not good\n";

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn vectors(args: &[&str]) -> Vec<Vec<f64>> {
    let output = run(args, TEXTS);
    assert!(output.status.success(), "{}", stderr(&output));
    let vector = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let numbers = line["embedding"].as_array().expect("a vector");
        numbers
            .iter()
            .map(|number| number.as_f64().expect("a number"))
            .collect()
    };
    stdout(&output).lines().map(vector).collect()
}

fn refused(args: &[&str], parts: &[&str]) {
    let output = run(args, TEXTS);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(
        !said.contains("panicked") && !said.contains("internal error"),
        "{said}"
    );
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(path).expect("there")).expect("JSON");
    change(&mut value);
    std::fs::write(path, value.to_string()).expect("written");
}

/// A safetensors file with changed names and bytes.
fn rewrite(path: &Path, change: impl Fn(&str, &mut Vec<u8>) -> String) {
    let bytes = std::fs::read(path).expect("there");
    let tensors: Vec<_> = SafeTensors::deserialize(&bytes)
        .expect("whole")
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let mut data = view.data().to_vec();
            let name = change(&name, &mut data);
            (name, view.dtype(), view.shape().to_vec(), data)
        })
        .collect();
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data).expect("a tensor");
        (name.as_str(), view)
    });
    safetensors::serialize_to_file(views, None::<HashMap<String, String>>, path).expect("written");
}

/// Makes a run's model what bertram 0.1.0 wrote.
fn make_old(run: &Path) {
    edit(&run.join("model/heads.json"), |heads| {
        let mut tasks = heads["tasks"].take();
        for task in tasks.as_array_mut().expect("a list") {
            task.as_object_mut().expect("a task").remove("label");
        }
        *heads = tasks;
    });
    rewrite(&run.join("model/heads.safetensors"), |name, _| {
        let (task, rest) = name.split_once('.').expect("a task's name");
        match task {
            "sst" => format!("0.head.Linear.{rest}"),
            "para" => format!("1.head.CrossEncoder.{rest}"),
            _ => format!("2.head.Cosine.{rest}"),
        }
    });
    for file in ["modules.json", "README.md"] {
        std::fs::remove_file(run.join("model").join(file)).expect("removed");
    }
    std::fs::remove_dir_all(run.join("model/sst")).expect("removed");
    std::fs::remove_dir_all(run.join("model/para")).expect("removed");
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What a command says of lines that come through a pipe.
fn piped(args: &[&str], input: &str) -> Output {
    let mut child = bertram()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A command that ends before its input closes the pipe.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().expect("ends");
    writer.join().expect("written");
    output
}

/// Longer inputs than a window of rows, which are sorted by length within it.
#[test]
fn a_stream_gives_in_order_what_its_lines_give_alone() {
    const LINES: usize = 10_000;
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("run");
    train(&path, &[]);
    let path = text(&path);
    let words = ["the", "film", "is", "a", "dog", "good", "plot", "cast"];
    let line = |row: usize| -> String {
        let word = |place: usize| words[(row * 31 + place * row) % words.len()];
        (0..row * 7 % 9).map(word).collect::<Vec<_>>().join(" ")
    };
    let lines: Vec<String> = (0..LINES).map(line).collect();
    let input = format!("{}\n", lines.join("\n"));
    let values = |output: Output| -> Vec<Value> {
        assert!(output.status.success(), "{}", stderr(&output));
        let lines = stdout(&output);
        let lines = lines.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("JSON")
    };
    let near = |one: &Value, other: &Value| {
        let far = one.as_f64().expect("a number") - other.as_f64().expect("a number");
        assert!(far.abs() < 1e-6, "{one} and {other}");
    };
    let some = [0, 1, 2, 8191, 8192, 8193, LINES - 1];

    let encode = ["encode", "--model", &path];
    let vectors = values(piped(&encode, &input));
    assert_eq!(vectors.len(), LINES);
    let same_text = |(line, vector): (&String, &Value)| vector["text"] == line.as_str();
    assert!(lines.iter().zip(&vectors).all(same_text));
    let (few, many) = (["--batch-size", "1"], ["--batch-size", "9000"]);
    for row in some {
        let alone = values(piped(
            &[&encode[..], &few].concat(),
            &format!("{}\n", lines[row]),
        ));
        let numbers = |value: &Value| value["embedding"].as_array().expect("a vector").clone();
        let (alone, own) = (numbers(&alone[0]), numbers(&vectors[row]));
        assert_eq!(alone.len(), 32);
        alone
            .iter()
            .zip(&own)
            .for_each(|(one, other)| near(one, other));
    }
    // A file is the same, and so are windows of another size.
    let file = dir.path().join("vectors.jsonl");
    let (input_file, output_file) = (dir.path().join("in.txt"), text(&file));
    std::fs::write(&input_file, &input).expect("written");
    let input_path = text(&input_file);
    let to_file = ["--input", &input_path, "--output", &output_file];
    let output = bertram()
        .args([&encode[..], &many, &to_file].concat())
        .output();
    assert!(output.expect("starts").status.success());
    let written = std::fs::read_to_string(&file).expect("written");
    assert_eq!(written.lines().count(), LINES);
    for (row, line) in written.lines().enumerate().step_by(997) {
        let value: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(value["text"], lines[row].as_str());
        near(&value["embedding"][3], &vectors[row]["embedding"][3]);
    }

    let predict = ["predict", "--run", &path, "--task", "sst"];
    let said = values(piped(&predict, &input));
    assert_eq!(said.len(), LINES);
    for (line, said) in lines.iter().zip(&said) {
        match line.is_empty() {
            true => assert_eq!(said, &Value::Null),
            false => assert_eq!(said["sentence"], line.as_str()),
        }
    }
    for row in some.into_iter().filter(|row| !lines[*row].is_empty()) {
        let alone = values(piped(&predict, &lines[row]));
        near(&alone[0]["confidence"], &said[row]["confidence"]);
    }

    // A fault in a file's last line is found first; a stream gives what it gave before it.
    let pair = ["predict", "--run", &path, "--task", "para"];
    let faulty = format!("{}no pair\n", "a dog\ta cat\n".repeat(LINES));
    for (output, before) in [(run(&pair, &faulty), 0), (piped(&pair, &faulty), 8192)] {
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("line 10001"),
            "{}",
            stderr(&output)
        );
        assert_eq!(stdout(&output).lines().count(), before);
    }
}

/// One run for all that follows: training is what takes time.
#[test]
fn a_run_and_its_model_say_the_same() {
    let dir = tempfile::tempdir().expect("temp dir");
    let original = dir.path().join("run");
    train(
        &original,
        &[
            "model.pooling=cls",
            "tasks.para.head=cross-encoder",
            "tasks.sts.loss=bce",
        ],
    );
    let path = text(&original);

    // encode takes the run's pooling and its longest text, and says so.
    let own = vectors(&["encode", "--model", &path]);
    assert_eq!(
        own,
        vectors(&[
            "encode",
            "--model",
            &path,
            "--pooling",
            "cls",
            "--max-length",
            "40"
        ])
    );
    assert_ne!(
        own,
        vectors(&["encode", "--model", &path, "--pooling", "mean"])
    );
    let said = stderr(&run(&["encode", "--model", &path], TEXTS));
    assert!(
        said.contains("cls pooling (from heads.json), at most 40 tokens (from heads.json)"),
        "{said}"
    );
    assert_eq!(
        stderr(&run(&["encode", "--quiet", "--model", &path], TEXTS)),
        ""
    );
    let said = stderr(&run(
        &["encode", "--model", &path, "--pooling", "mean"],
        TEXTS,
    ));
    assert!(said.contains("mean pooling (--pooling)"), "{said}");

    // As a sentence-transformers folder, and copied to another place.
    let moved = dir.path().join("moved");
    copy_folder(&original.join("model"), &moved);
    std::fs::remove_file(moved.join("heads.json")).expect("removed");
    assert_eq!(own, vectors(&["encode", "--model", &text(&moved)]));

    // The task's folder is a checkpoint, too.
    for task in ["sst", "para"] {
        assert!(
            original
                .join("model")
                .join(task)
                .join("model.safetensors")
                .is_file(),
            "{task}"
        );
    }
    assert!(
        !original.join("model/sts").exists(),
        "a cosine is no sequence classifier"
    );

    let predict = |run_folder: &Path, task: &str| {
        let input = match task {
            "sst" => "A lovely film\nthe dog\n",
            _ => "the dog\tA dog .\nhow\twhat is it ?\n",
        };
        let output = run(
            &["predict", "--run", &text(run_folder), "--task", task],
            input,
        );
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };

    // A model of bertram 0.1.0: the config says what the folder does not, and export brings it up to date.
    let old = dir.path().join("old");
    copy_folder(&original, &old);
    make_old(&old);
    assert_eq!(own, vectors(&["encode", "--model", &text(&old)]));
    for task in ["sst", "para", "sts"] {
        assert_eq!(predict(&original, task), predict(&old, task), "{task}");
    }
    let to = dir.path().join("exported");
    let output = run(&["export", "--run", &text(&old), "--to", &text(&to)], "");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("hf upload USER/NAME"),
        "{}",
        stdout(&output)
    );
    let model = original.join("model");
    let names = |dir: &Path| -> Vec<PathBuf> {
        let inside = |path: PathBuf| path.strip_prefix(dir).expect("inside").to_owned();
        files(dir).into_iter().map(inside).collect()
    };
    assert_eq!(names(&model), names(&to));
    for name in names(&model) {
        let read = |dir: &Path| std::fs::read(dir.join(&name)).expect("there");
        // The card has the run's name, which is its folder's.
        if name != Path::new("README.md") {
            assert!(read(&model) == read(&to), "{name:?} differs");
        }
    }
    assert_eq!(own, vectors(&["encode", "--model", &text(&to)]));
    refused(
        &["export", "--run", &text(&old), "--to", &text(&to)],
        &["is not empty", "--to"],
    );
    refused(
        &["export", "--run", &text(&to), "--to", "x"],
        &["config.toml"],
    );

    let card = std::fs::read_to_string(model.join("README.md")).expect("a card");
    assert!(
        card.starts_with("---\nlibrary_name: sentence-transformers\n"),
        "{card}"
    );
    assert!(!card.contains(&text(dir.path())), "no path of this machine");

    // Faults of what can be edited.
    let fresh = |name: &str| {
        let copy_of = dir.path().join(name);
        copy_folder(&original, &copy_of);
        copy_of
    };
    let evaluate_and_predict = |run_folder: &Path, parts: &[&str]| {
        let path = text(run_folder);
        refused(&["predict", "--run", &path, "--task", "sst"], parts);
        refused(&["evaluate", "--run", &path], parts);
    };
    let edited = fresh("long");
    edit(&edited.join("model/heads.json"), |heads| {
        heads["max-length"] = json!(400)
    });
    evaluate_and_predict(
        &edited,
        &["heads.json", "`max-length` is 400", "64 positions"],
    );
    refused(
        &["encode", "--model", &text(&edited)],
        &["heads.json", "400", "64 positions"],
    );

    let edited = fresh("config");
    let config = std::fs::read_to_string(edited.join("config.toml")).expect("there");
    let config = config
        .replace("max-length = 40", "max-length = 400")
        .replace("max-positions = 64", "max-positions = 400");
    std::fs::write(edited.join("config.toml"), config).expect("written");
    evaluate_and_predict(&edited, &["data.max-length = 400", "64 positions"]);
}

/// Takes the second token type from a model.
fn one_token_type(model: &Path) {
    edit(&model.join("config.json"), |config| {
        config["type_vocab_size"] = json!(1);
    });
    let path = model.join("model.safetensors");
    let bytes = std::fs::read(&path).expect("there");
    let file = SafeTensors::deserialize(&bytes).expect("whole");
    let tensors: Vec<_> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let mut shape = view.shape().to_vec();
            let mut data = view.data().to_vec();
            if name == "embeddings.token_type_embeddings.weight" {
                shape[0] = 1;
                data.truncate(data.len() / 2);
            }
            (name, view.dtype(), shape, data)
        })
        .collect();
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data).expect("a tensor");
        (name.as_str(), view)
    });
    safetensors::serialize_to_file(views, None::<HashMap<String, String>>, &path).expect("written");
}

#[test]
fn one_token_type_and_packed_pairs_do_not_go_together() {
    let dir = tempfile::tempdir().expect("temp dir");
    let base = dir.path().join("base");
    train(&base, &["tasks.sts.head=cross-encoder"]);
    one_token_type(&base.join("model"));
    let path = text(&base);
    let parts = ["tasks.sts.head", "`type_vocab_size` 1"];
    for task in ["sst", "sts"] {
        refused(&["predict", "--run", &path, "--task", task], &parts);
    }
    refused(&["evaluate", "--run", &path], &parts);
    // Single sentences have one segment.
    assert_eq!(vectors(&["encode", "--model", &path]).len(), 4);

    let (config, model) = (path_of_config(dir.path()), text(&base.join("model")));
    let out = text(&dir.path().join("run"));
    let train = [
        "train",
        "--dashboard",
        "none",
        "--config",
        &config,
        "--model",
        &model,
        "--out",
        &out,
        "--set",
        "train.epochs=1",
        "--set",
    ];
    refused(
        &[&train[..], &["tasks.sts.head=cross-encoder"]].concat(),
        &parts,
    );
    assert!(!Path::new(&out).exists(), "no run is begun");
    let output = run(&[&train[..], &["tasks.sts.head=cosine"]].concat(), "");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn weights_that_are_not_finite_stop_every_command() {
    let dir = tempfile::tempdir().expect("temp dir");
    let run_folder = dir.path().join("run");
    train(&run_folder, &[]);
    let path = text(&run_folder);
    let spoil = |file: &str, tensor: &str| {
        rewrite(&run_folder.join(file), |name, data| {
            if name == tensor {
                data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
            }
            name.to_owned()
        });
    };
    spoil("model/heads.safetensors", "sst.linear.bias");
    refused(
        &["predict", "--run", &path, "--task", "sst"],
        &["`sst.linear.bias` (1 of 5 values)"],
    );
    spoil(
        "model/model.safetensors",
        "encoder.layer.0.output.dense.weight",
    );
    let name = "encoder.layer.0.output.dense.weight";
    refused(&["encode", "--model", &path], &[name, "not finite"]);
    refused(&["evaluate", "--run", &path], &[name]);
    let out = text(&dir.path().join("new"));
    refused(
        &[
            "train",
            "--model",
            &text(&run_folder.join("model")),
            "--config",
            &path_of_config(dir.path()),
            "--out",
            &out,
        ],
        &[name],
    );
}

fn path_of_config(dir: &Path) -> String {
    let path = dir.join("sts.toml");
    std::fs::write(
        &path,
        "[data]\nmax-length = 40\n[data.demo]\nsts = 8\ndev = 8\n[tasks.sts]\n",
    )
    .expect("written");
    text(&path)
}

#[test]
fn a_sentence_transformers_folder_is_taken_by_what_it_says() {
    let dir = tempfile::tempdir().expect("temp dir");
    let run_folder = dir.path().join("run");
    train(&run_folder, &["model.pooling=pooler"]);
    let own = vectors(&["encode", "--model", &text(&run_folder)]);

    // Another's folder: the dense layer is the pooler, whatever the encoder's own is.
    let theirs = dir.path().join("theirs");
    copy_folder(&run_folder.join("model"), &theirs);
    std::fs::remove_file(theirs.join("heads.json")).expect("removed");
    rewrite(&theirs.join("model.safetensors"), |name, data| {
        if name.starts_with("pooler") {
            data.fill(0);
        }
        name.to_owned()
    });
    assert_eq!(own, vectors(&["encode", "--model", &text(&theirs)]));

    // The old layout.
    let old = dir.path().join("old");
    copy_folder(&theirs, &old.join("0_Transformer"));
    for (from, to) in [("1_Pooling", "1_Pooling"), ("2_Dense", "2_Dense")] {
        copy_folder(&old.join("0_Transformer").join(from), &old.join(to));
    }
    std::fs::rename(
        old.join("0_Transformer/modules.json"),
        old.join("modules.json"),
    )
    .expect("moved");
    edit(&old.join("modules.json"), |modules| {
        modules[0]["path"] = json!("0_Transformer")
    });
    assert_eq!(own, vectors(&["encode", "--model", &text(&old)]));

    // Training takes the weights from there, and tells of another pooling.
    let out = text(&dir.path().join("new"));
    let config = path_of_config(dir.path());
    let args = [
        "train",
        "--dashboard",
        "none",
        "--set",
        "train.epochs=1",
        "--config",
        &config,
    ];
    let output = run(
        &[&args[..], &["--model", &text(&old), "--out", &out]].concat(),
        "",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("made for pooler pooling, and this run takes cls"),
        "{}",
        stderr(&output)
    );

    edit(&old.join("1_Pooling/config.json"), |pooling| {
        pooling["pooling_mode"] = json!("lasttoken")
    });
    refused(
        &["encode", "--model", &text(&old)],
        &["modules.json asks for pooling by lasttoken", "--pooling"],
    );
    assert_eq!(
        vectors(&["encode", "--model", &text(&old), "--pooling", "mean"]).len(),
        4
    );
}
