//! Models and data by hub id, against a server on loopback that answers as the Hugging Face hub does.

mod common;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use common::{bertram, shown, stderr, stdout, tiny_bert};
use safetensors::SafeTensors;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const WEIGHTS: &str = "model.safetensors";

#[derive(Clone, Debug)]
struct Request {
    path: String,
    headers: HashMap<String, String>,
}

type Files = HashMap<String, Vec<u8>>;

/// A hub with one model, `org/tiny`, and one data set of the same files, `org/rows`. Large files (`*.safetensors`) live behind a redirect, as the hub's do.
struct Hub {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hub {
    fn start(files: Files, answer: fn(&Request, &Files, &str) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (requests, stop, address) = (requests.clone(), stop.clone(), address.clone());
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut stream = stream.expect("connection");
                    let Some(request) = read_request(&stream) else {
                        continue;
                    };
                    requests.lock().expect("lock").push(request.clone());
                    // A client that has read enough may be gone.
                    let _ = stream.write_all(&answer(&request, &files, &address));
                }
            }
        });
        Self {
            address,
            requests,
            stop,
            thread: Some(thread),
        }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("lock").clone()
    }

    /// Names of the files that were asked for, each once, in order.
    fn asked(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for request in self.requests() {
            let name = request.path.rsplit('/').next().unwrap_or_default();
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread up; after this the port is closed.
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the server panicked"
            );
        }
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut headers = HashMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some(Request {
        path: first.split(' ').nth(1)?.to_owned(),
        headers,
    })
}

fn response(status: &str, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [head.as_bytes(), body].concat()
}

/// What the hub answers.
fn answer(request: &Request, files: &Files, address: &str) -> Vec<u8> {
    let repos = [
        "/org/tiny/resolve/main/",
        "/datasets/org/rows/resolve/main/",
    ];
    let in_repo = repos
        .into_iter()
        .find_map(|repo| request.path.strip_prefix(repo));
    let name = in_repo.or_else(|| request.path.strip_prefix("/storage/"));
    let Some((name, body)) = name.and_then(|name| Some((name, files.get(name)?))) else {
        return response(
            "404 Not Found",
            &[("X-Error-Code", "EntryNotFound".into())],
            b"Entry not found",
        );
    };
    // The cache makes a file name of it.
    let etag = format!("\"etag-of-{}\"", name.replace('/', "-"));
    let commit = ("X-Repo-Commit", COMMIT.to_owned());
    if in_repo.is_some() && name.ends_with(".safetensors") {
        return response(
            "302 Found",
            &[
                commit,
                ("X-Linked-ETag", etag),
                ("X-Linked-Size", body.len().to_string()),
                ("Location", format!("{address}/storage/{name}")),
            ],
            b"",
        );
    }
    let range = &request.headers["range"];
    let (start, end) = range
        .trim_start_matches("bytes=")
        .split_once('-')
        .expect("a range");
    let start: usize = start.parse().expect("start");
    let end = end.parse().map_or(body.len(), |end: usize| end + 1);
    response(
        "206 Partial Content",
        &[
            commit,
            ("ETag", etag),
            (
                "Content-Range",
                format!("bytes {start}-{}/{}", end - 1, body.len()),
            ),
        ],
        &body[start..end],
    )
}

/// `org/tiny`: the tiny BERT with a vocabulary of letters, and no tokenizer.json.
fn tiny_files() -> Files {
    let mut vocab = vec![
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "film",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<_>>();
    vocab.extend((vocab.len()..120).map(|id| format!("word{id}")));
    let read = |name: &str| std::fs::read(tiny_bert().join(name)).expect(name);
    HashMap::from([
        ("config.json".to_owned(), read("config.json")),
        (
            "tokenizer_config.json".to_owned(),
            br#"{"do_lower_case": true}"#.to_vec(),
        ),
        (
            "vocab.txt".to_owned(),
            (vocab.join("\n") + "\n").into_bytes(),
        ),
        (WEIGHTS.to_owned(), read(WEIGHTS)),
    ])
}

/// The same, with its weights in two shards.
fn sharded_files() -> Files {
    let mut files = tiny_files();
    let weights = files.remove(WEIGHTS).expect("weights");
    let tensors = SafeTensors::deserialize(&weights)
        .expect("safetensors")
        .tensors();
    let (first, second) = tensors.split_at(tensors.len() / 2);
    let mut map = serde_json::Map::new();
    for (number, tensors) in [(1, first), (2, second)] {
        let shard = format!("model-0000{number}-of-00002.safetensors");
        for (name, _) in tensors {
            map.insert(name.clone(), shard.clone().into());
        }
        let views = tensors.iter().map(|(name, view)| (name, view));
        let bytes = safetensors::serialize(views, None).expect("shard");
        files.insert(shard, bytes);
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    files.insert(
        "model.safetensors.index.json".to_owned(),
        index.to_string().into_bytes(),
    );
    files
}

/// `encode` of two sentences with a model.
fn encode(model: &str, dir: &Path) -> Command {
    let texts = dir.join("texts.txt");
    std::fs::write(&texts, "a good film\n\n").expect("texts");
    let mut command = bertram();
    command.args(["encode", "--pooling", "mean", "--model", model, "--input"]);
    command.arg(texts);
    command
}

fn run(mut command: Command) -> Output {
    command.output().expect("bertram-cli starts")
}

fn vectors(command: Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 2);
    stdout(&output)
}

/// A folder with the same model, to compare with.
fn local_vectors(dir: &Path) -> String {
    let folder = dir.join("local");
    std::fs::create_dir(&folder).expect("folder");
    for (name, bytes) in tiny_files() {
        std::fs::write(folder.join(name), bytes).expect("file");
    }
    vectors(encode(folder.to_str().expect("UTF-8"), dir))
}

#[test]
fn a_hub_id_is_downloaded_once_and_then_needs_no_hub() {
    let dir = tempfile::tempdir().expect("temp dir");
    let home = dir.path().join("home");
    let hub = Hub::start(tiny_files(), answer);
    let command = || {
        let mut command = encode("org/tiny", dir.path());
        command
            .env("HF_HOME", &home)
            .env("HF_TOKEN", "secret")
            .env("HF_ENDPOINT", format!("{}/", hub.address));
        command
    };
    let online = vectors(command());
    assert_eq!(
        online,
        local_vectors(dir.path()),
        "the files are those of the hub"
    );
    assert_eq!(
        hub.asked(),
        [
            "config.json",
            "tokenizer.json",
            "vocab.txt",
            "tokenizer_config.json",
            "added_tokens.json",
            "special_tokens_map.json",
            "modules.json",
            WEIGHTS
        ]
    );
    assert!(hub.requests().iter().all(|request| {
        request.headers.get("authorization").map(String::as_str) == Some("Bearer secret")
    }));
    // The cache is laid out as Python's huggingface_hub lays it out.
    let cache = home.join("hub/models--org--tiny");
    let commit = std::fs::read_to_string(cache.join("refs/main")).expect("refs/main");
    assert_eq!(commit, COMMIT);
    assert!(cache.join("snapshots").join(COMMIT).join(WEIGHTS).is_file());

    let asked = hub.requests().len();
    let mut logged = command();
    logged.env("RUST_LOG", "trace").env_remove("NO_COLOR");
    let output = run(logged);
    assert_eq!(stdout(&output), online);
    let log = stderr(&output);
    assert!(
        !log.is_empty() && !log.contains('\x1b'),
        "no colours in a pipe: {log}"
    );
    assert_eq!(vectors(command()), online);
    assert_eq!(
        hub.requests().len(),
        asked,
        "what is cached is not asked for"
    );

    let mut after = command();
    drop(hub);
    assert_eq!(vectors(after), online);
    after = encode("org/tiny", dir.path());
    after.env("HF_HOME", &home).env("HF_HUB_OFFLINE", "1");
    assert_eq!(vectors(after), online);
    // HF_HUB_CACHE is the cache itself, and goes before HF_HOME.
    let mut elsewhere = encode("org/tiny", dir.path());
    elsewhere
        .env("HF_HOME", dir.path().join("nowhere"))
        .env("HF_HUB_CACHE", home.join("hub"))
        .env("HF_HUB_OFFLINE", "1");
    assert_eq!(vectors(elsewhere), online);
}

/// Files that say something where a repository has them.
const OPTIONAL: [(&str, &str); 6] = [
    ("added_tokens.json", r#"{"good": 6}"#),
    ("special_tokens_map.json", r#"{"cls_token": "[CLS]"}"#),
    (
        "modules.json",
        r#"[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "../../outside", "type": "sentence_transformers.models.Dense"}]"#,
    ),
    ("sentence_bert_config.json", r#"{"max_seq_length": 16}"#),
    (
        "config_sentence_transformers.json",
        r#"{"__version__": {"sentence_transformers": "5.0.0"}}"#,
    ),
    (
        "1_Pooling/config.json",
        r#"{"word_embedding_dimension": 32, "pooling_mode_mean_tokens": true}"#,
    ),
];

#[test]
fn optional_files_are_downloaded_where_the_repository_has_them() {
    let dir = tempfile::tempdir().expect("temp dir");
    let home = dir.path().join("home");
    let mut files = tiny_files();
    for (name, text) in OPTIONAL {
        files.insert(name.to_owned(), text.as_bytes().to_vec());
    }
    let hub = Hub::start(files, answer);
    let mut command = encode("org/tiny", dir.path());
    command
        .env("HF_HOME", &home)
        .env("HF_ENDPOINT", &hub.address);
    // The last module's path leads out of the folder: nothing is asked for there, and nothing read.
    let output = run(command);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("leads out of the folder"), "{text}");
    let snapshot = home.join("hub/models--org--tiny/snapshots").join(COMMIT);
    for (name, text) in OPTIONAL {
        let read = std::fs::read_to_string(snapshot.join(name)).expect(name);
        assert_eq!(read, text);
    }
    assert!(
        hub.requests()
            .iter()
            .all(|request| !request.path.contains("..")),
        "modules.json leads out of the repository"
    );
}

/// A cache that another tool, or an earlier version, filled: what it left out is looked for where the hub can be asked.
#[test]
fn a_cache_without_optional_files_is_completed_or_used_as_it_is() {
    let dir = tempfile::tempdir().expect("temp dir");
    let home = dir.path().join("home");
    let command = |address: &str| {
        let mut command = encode("org/tiny", dir.path());
        command.env("HF_HOME", &home).env("HF_ENDPOINT", address);
        command
    };
    let hub = Hub::start(tiny_files(), answer);
    let address = hub.address.clone();
    let expected = vectors(command(&address));
    let cache = home.join("hub/models--org--tiny");
    let notes = cache.join(".no_exist");
    assert!(notes.join(COMMIT).join("added_tokens.json").is_file());
    std::fs::remove_dir_all(&notes).expect("notes");

    drop(hub);
    let mut offline = command(&address);
    offline.env("HF_HUB_OFFLINE", "1");
    assert_eq!(vectors(offline), expected);
    assert_eq!(vectors(command(&address)), expected, "nobody answers");

    let mut files = tiny_files();
    let (name, text) = OPTIONAL[1];
    files.insert(name.to_owned(), text.as_bytes().to_vec());
    let hub = Hub::start(files, answer);
    assert_eq!(vectors(command(&hub.address)), expected);
    let added = cache.join("snapshots").join(COMMIT).join(name);
    assert_eq!(std::fs::read_to_string(added).expect("added"), text);
    let asked = hub.requests().len();
    assert_eq!(vectors(command(&hub.address)), expected);
    assert_eq!(hub.requests().len(), asked, "complete now");
}

#[test]
fn sharded_weights_are_downloaded_by_their_index() {
    let dir = tempfile::tempdir().expect("temp dir");
    let hub = Hub::start(sharded_files(), answer);
    let mut command = encode("org/tiny", dir.path());
    command
        .env("HF_HOME", dir.path().join("home"))
        .env("HF_ENDPOINT", &hub.address);
    assert_eq!(vectors(command), local_vectors(dir.path()));
    assert!(
        hub.requests()
            .iter()
            .all(|request| !request.headers.contains_key("authorization")),
        "no token, no header"
    );
}

#[test]
fn a_download_that_was_cut_off_is_taken_up_again() {
    let dir = tempfile::tempdir().expect("temp dir");
    let home = dir.path().join("home");
    let mut files = tiny_files();
    files.remove("vocab.txt");
    let command = |hub: &Hub| {
        let mut command = encode("org/tiny", dir.path());
        command
            .env("HF_HOME", &home)
            .env("HF_ENDPOINT", &hub.address);
        command
    };
    let broken = Hub::start(files, answer);
    let output = run(command(&broken));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let whole = Hub::start(tiny_files(), answer);
    vectors(command(&whole));
    assert!(
        !whole.asked().contains(&"config.json".to_owned()),
        "already there: {:?}",
        whole.asked()
    );
}

/// What a failed `encode` shows, without what differs from run to run.
fn failure(command: Command, dir: &Path, hub: &str) -> String {
    shown(&run(command))
        .replace(hub, "HUB")
        .replace(dir.to_str().expect("UTF-8"), "DIR")
}

#[test]
fn messages() {
    let dir = tempfile::tempdir().expect("temp dir");
    let hub = Hub::start(tiny_files(), answer);
    let address = hub.address.clone();
    let command = |model: &str| {
        let mut command = encode(model, dir.path());
        command
            .env("HF_HOME", dir.path().join("empty"))
            .env("HF_ENDPOINT", &address);
        command
    };
    let show = |command: Command| failure(command, dir.path(), &address);
    insta::assert_snapshot!("no_such_model", show(command("org/other")));
    insta::assert_snapshot!("neither_folder_nor_id", show(command("./no/such/folder")));
    let file = dir.path().join("texts.txt");
    insta::assert_snapshot!("a_file", show(command(file.to_str().expect("UTF-8"))));
    let mut offline = command("org/tiny");
    offline.env("HF_HUB_OFFLINE", "1");
    insta::assert_snapshot!("offline", show(offline));

    drop(hub);
    let text = show(command("org/tiny"));
    assert!(text.starts_with("exit code: 2\n"), "{text}");
    // What follows is the system's.
    let (ours, _) = text.split_once("cannot be downloaded:").expect("our part");
    insta::assert_snapshot!("unreachable", ours);
}

#[test]
fn a_model_that_is_not_public_asks_for_a_token() {
    let dir = tempfile::tempdir().expect("temp dir");
    let hub = Hub::start(tiny_files(), |_, _, _| {
        response("401 Unauthorized", &[], b"Invalid username or password.")
    });
    let mut command = encode("org/private", dir.path());
    command
        .env("HF_HOME", dir.path().join("home"))
        .env("HF_ENDPOINT", &hub.address);
    insta::assert_snapshot!("not_public", failure(command, dir.path(), &hub.address));
}

/// hf-hub panics at a redirect to nowhere; whatever panics, a person sees one line and no backtrace.
#[test]
fn a_panic_is_one_line_and_exit_code_1() {
    let dir = tempfile::tempdir().expect("temp dir");
    let hub = Hub::start(tiny_files(), |_, _, _| {
        response(
            "302 Found",
            &[("X-Repo-Commit", COMMIT.into()), ("ETag", "\"x\"".into())],
            b"",
        )
    });
    let mut command = encode("org/tiny", dir.path());
    command
        .env("HF_HOME", dir.path().join("home"))
        .env("HF_ENDPOINT", &hub.address);
    let output = run(command);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("this is a bug in bertram"), "{text}");
}

#[test]
fn data_files_of_the_hub_are_downloaded_once_and_noted_by_their_url() {
    const URL: &str = "hf://datasets/org/rows";
    let dir = tempfile::tempdir().expect("temp dir");
    let rows = |count: usize| -> Vec<u8> {
        let row = |row: usize| match row % 2 {
            0 => format!("{{\"text\": \"a good film {row}\", \"label\": \"yes\"}}\n"),
            _ => format!("{{\"text\": \"a bad film {row}\", \"label\": \"no\"}}\n"),
        };
        (0..count).map(row).collect::<String>().into_bytes()
    };
    let hub = Hub::start(
        Files::from([
            ("data/train.jsonl".to_owned(), rows(24)),
            ("data/dev.jsonl".to_owned(), rows(8)),
        ]),
        answer,
    );
    let config = format!(
        "[model.random]\nhidden-size = 16\nlayers = 1\nheads = 2\nintermediate-size = 16\nvocab-size = 60\n\
         [tasks.mine]\ninputs = \"single\"\nbinary = [\"no\", \"yes\"]\n\
         train = \"{URL}/data/train.jsonl\"\ndev = \"{URL}/data/dev.jsonl\"\n"
    );
    std::fs::write(dir.path().join("mine.toml"), config).expect("config");
    let command = |arguments: &str| {
        let mut command = bertram();
        command
            .current_dir(dir.path())
            .args(arguments.split(' '))
            .env("HF_HOME", dir.path().join("home"))
            .env("HF_ENDPOINT", &hub.address);
        command
    };
    let train = "train --dashboard none --config mine.toml --out";
    let output = run(command(&format!("{train} first")));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(hub.asked(), ["train.jsonl", "dev.jsonl"]);
    let cache = dir.path().join("home/hub/datasets--org--rows");
    assert!(
        cache
            .join("snapshots")
            .join(COMMIT)
            .join("data/dev.jsonl")
            .is_file()
    );

    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect(name);
    let summary: serde_json::Value =
        serde_json::from_str(&read("first/summary.json")).expect("JSON");
    let files: Vec<&str> = summary["data"]
        .as_array()
        .expect("files")
        .iter()
        .filter_map(|file| file["path"].as_str())
        .collect();
    let url = |name: &str| format!("{URL}/data/{name}.jsonl");
    assert_eq!(files, [url("train"), url("dev")]);
    assert!(
        read("first/config.toml").contains(&url("train")),
        "a run can be made again elsewhere"
    );

    // The cache is enough from here on.
    let asked = hub.requests().len();
    let mut again = command(&format!("{train} second"));
    again.env("HF_HUB_OFFLINE", "1");
    assert!(run(again).status.success());
    assert_eq!(hub.requests().len(), asked);

    for (set, offline, parts) in [
        (
            format!("{URL}/none.jsonl"),
            "0",
            &[
                "the hub has no file none.jsonl in datasets/org/rows at main",
                "tasks.mine.dev names it",
            ][..],
        ),
        (
            format!("{URL}/none.jsonl"),
            "1",
            &["not in the cache", "HF_HUB_OFFLINE is set"],
        ),
        (
            "hf://datasets/rows.jsonl".to_owned(),
            "0",
            &["write hf://datasets/OWNER/NAME/PATH"],
        ),
        (
            "s3://bucket/rows.jsonl".to_owned(),
            "0",
            &["nothing here fetches s3:// files, but hf://"],
        ),
    ] {
        let set = format!("tasks.mine.dev={set}");
        let mut command = command(&format!("{train} third --set {set}"));
        command.env("HF_HUB_OFFLINE", offline);
        let output = run(command);
        assert_eq!(output.status.code(), Some(2), "{set}");
        for part in parts {
            let said = stderr(&output);
            assert!(said.contains(part), "{set}: {part}: {said}");
        }
    }
    let output = run(command(&format!("{train} third --data {URL}")));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("a data folder is on this machine"),
        "{}",
        stderr(&output)
    );
}
