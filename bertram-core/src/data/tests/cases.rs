//! Small files that went wrong once, or must not: what is read of each, what is refused, and what is said.

use super::*;

/// A file, and how it is read.
struct Case {
    name: &'static str,
    task: TaskId,
    format: Format,
    /// Whether it is a test file.
    test: bool,
    skip: bool,
    bytes: Vec<u8>,
}

impl Case {
    fn new(name: &'static str, task: TaskId, format: Format, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            task,
            format,
            test: false,
            skip: false,
            bytes: bytes.into(),
        }
    }

    fn test_file(mut self) -> Self {
        self.test = true;
        self
    }

    fn skip(mut self) -> Self {
        self.skip = true;
        self
    }

    fn read(&self) -> Result<(Dataset, Vec<String>), DataError> {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("FILE");
        std::fs::write(&path, &self.bytes).expect("write");
        read_dataset_noting(
            &path,
            &ReadOptions {
                task: self.task,
                spec: &TaskSpec::preset(self.task).expect("a preset"),
                format: self.format,
                columns: &Columns::default(),
                bad_rows: if self.skip {
                    BadRows::Skip
                } else {
                    BadRows::Error
                },
                preprocess: Preprocess::None,
                labels: match self.test {
                    true => LabelColumn::Optional,
                    false => LabelColumn::Required,
                },
                weights: false,
                label_numbers: None,
            },
        )
    }
}

const SST: TaskId = TaskId::SST;
const PARA: TaskId = TaskId::PARA;
const STS: TaskId = TaskId::STS;
const COURSE: Format = Format::Cs224n;
const GLUE: Format = Format::Glue;
const JSON: Format = Format::JsonLines;

/// `count` rows of the course's sentiment format.
fn course_rows(count: usize) -> String {
    (0..count).fold(String::from("\tid\tsentence\tsentiment\n"), |text, row| {
        format!("{text}{row}\tid{row}\tthe film {row}\t{}\n", row % 5)
    })
}

/// `count` JSON lines of a pair task with labels from `label`.
fn json_pairs(count: usize, label: impl Fn(usize) -> String) -> String {
    (0..count)
        .map(|row| {
            format!(
                "{{\"sentence1\": \"a {row}\", \"sentence2\": \"b\", \"label\": {}}}\n",
                label(row)
            )
        })
        .collect()
}

fn json_sentences(labels: &[&str]) -> String {
    labels
        .iter()
        .map(|label| format!("{{\"sentence\": \"a film\", \"label\": {label}}}\n"))
        .collect()
}

const QQP_TEST: &str = "id\tquestion1\tquestion2\n0\ta\tb\n1\ta\tb\n2\ta\tb\n3\ta\tb\n4\tone field only\n5\ta\tb\n6\t\tb\n";

#[test]
fn files_that_are_read() {
    let with_mark = |text: &str| [b"\xEF\xBB\xBF", text.as_bytes()].concat();
    let glue = "sentence\tlabel\nthe film\t1\na cat\t2\na dog\t3\n";
    let quoted = course_rows(4) + "4\tid4\t\"The film\nwas \"\"good\"\"\"\t4\n5\tid5\tthe man\t0\n";
    // For each: rows, ids (if few), and what is said (nothing, if empty).
    let cases: Vec<(Case, usize, &str, &str)> = vec![
        (Case::new("lf-ids", SST, GLUE, glue), 3, "2 3 4", ""),
        (
            Case::new("crlf-ids", SST, GLUE, glue.replace('\n', "\r\n")),
            3,
            "2 3 4",
            "",
        ),
        (
            Case::new("cr-ids", SST, GLUE, glue.replace('\n', "\r")),
            3,
            "2 3 4",
            "",
        ),
        (
            Case::new(
                "jsonl-bom",
                SST,
                JSON,
                with_mark(&json_sentences(&["1", "2", "3"])),
            ),
            3,
            "1 2 3",
            "",
        ),
        (
            Case::new("table-bom", SST, COURSE, with_mark(&course_rows(2))),
            2,
            "id0 id1",
            "",
        ),
        (
            Case::new(
                "label-bools",
                PARA,
                JSON,
                json_pairs(8, |row| row.is_multiple_of(2).to_string()),
            ),
            8,
            "",
            "",
        ),
        (
            Case::new(
                "label-bools in a table",
                PARA,
                GLUE,
                "question1\tquestion2\tis_duplicate\na\tb\tTrue\na\tb\tFalse\n",
            ),
            2,
            "2 3",
            "",
        ),
        (
            Case::new(
                "label-numeric-strings",
                SST,
                JSON,
                json_sentences(&["\"3\"", "3.0", "\" 3.0 \"", "3"]),
            ),
            4,
            "1 2 3 4",
            "",
        ),
        (
            Case::new(
                "sts-unit",
                STS,
                JSON,
                json_pairs(33, |row| format!("{}", (row % 11) as f64 / 10.0)),
            ),
            33,
            "",
            "FILE: every label is between 0 and 1, and the scale is 0 to 5",
        ),
        (
            Case::new("constant-sts", STS, JSON, json_pairs(9, |_| "2.5".into())),
            9,
            "",
            "every label is 2.5",
        ),
        (
            Case::new("quoted-newline", SST, COURSE, quoted),
            6,
            "",
            "FILE: a quoted field opens in line 6 and closes in line 7",
        ),
        (
            Case::new(
                "a quote that swallows rows and closes at another",
                SST,
                COURSE,
                course_rows(2) + "2\tid2\t\"the film\t1\n3\tid3\tx\t1\n4\tid4\ta\" cat\t1\n",
            ),
            3,
            "id0 id1 id2",
            "a quoted field opens in line 4 and closes in line 6",
        ),
        (
            Case::new(
                "dup-ids",
                SST,
                COURSE,
                "\tid\tsentence\n0\tdup\ta\n1\tdup\tthe film\n",
            )
            .test_file(),
            2,
            "dup dup",
            "",
        ),
        (
            Case::new(
                "line-separators",
                SST,
                JSON,
                "{\"sentence\": \"one\u{2028}two\", \"label\": 0}\n{\"sentence\": \"one\u{85}two\", \"label\": 1}\n{\"sentence\": \"one\\rtwo\", \"label\": 2}\n",
            ),
            3,
            "1 2 3",
            "",
        ),
        (
            Case::new(
                "ls-glue",
                SST,
                GLUE,
                "sentence\tlabel\none\u{2028}two\t0\none\u{2029}two\t1\none\u{85}two\t2\none\u{b}two\t3\none\u{c}two\t4\none\u{1c}two\t0\none\u{200b}two\t1\n",
            ),
            7,
            "2 3 4 5 6 7 8",
            "",
        ),
        (
            Case::new(
                "stsb-crlf",
                STS,
                GLUE,
                with_mark(
                    "index\tsentence1\tsentence2\tscore\r\n0\tA man.\t\"A man runs.\t1.0\r\n1\tA man.\t\"A man runs.\t5.0\r\n",
                ),
            ),
            2,
            "0 1",
            "",
        ),
        (
            Case::new(
                "-1 in a whole test file",
                SST,
                JSON,
                json_sentences(&["-1"; 6]),
            )
            .test_file(),
            6,
            "",
            "",
        ),
        (
            Case::new(
                "-1 in a part of a test file",
                SST,
                JSON,
                json_sentences(&["-1", "2", "-1.0", "3"]),
            )
            .test_file(),
            4,
            "",
            "FILE: 2 of 4 rows have a label: the file is predicted and not scored",
        ),
        (
            Case::new("qqp-short-rows, skip", PARA, GLUE, QQP_TEST)
                .test_file()
                .skip(),
            5,
            "0 1 2 3 5",
            "FILE: 2 bad rows (line 6: 2 columns where the header has 3; line 8: no first sentence): kept in the predictions \
             at their places, with the answer 0, and in no score",
        ),
        (
            Case::new(
                "bad rows of a dev file, skip",
                SST,
                COURSE,
                course_rows(2) + "2\tid2\ta cat\t\n",
            )
            .skip(),
            2,
            "id0 id1",
            "FILE: skipped 1 bad row (line 4: no label)",
        ),
    ];
    for (case, rows, ids, said) in cases {
        let name = case.name;
        let (dataset, notes) = case
            .read()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(dataset.examples.len(), rows, "{name}");
        let found: Vec<&str> = dataset.examples.iter().map(|row| row.id.as_str()).collect();
        assert!(
            ids.is_empty() || found.join(" ") == ids,
            "{name}: {found:?}"
        );
        let notes: Vec<String> = notes
            .iter()
            .map(|note| note.split_once("FILE: ").expect("named").1.to_owned())
            .collect();
        let said = said.trim_start_matches("FILE: ");
        assert_eq!(
            notes.len(),
            usize::from(!said.is_empty()),
            "{name}: {notes:?}"
        );
        assert!(notes.concat().contains(said), "{name}: {notes:?}");
    }
}

#[test]
fn truth_values_are_one_and_zero_and_minus_one_is_no_label() {
    let labels = |case: Case| {
        let (dataset, _) = case.read().expect("good rows");
        dataset
            .examples
            .iter()
            .map(|row| row.number())
            .collect::<Vec<_>>()
    };
    let bools = json_pairs(2, |row| (row == 0).to_string());
    assert_eq!(
        labels(Case::new("", PARA, JSON, bools)),
        [Some(1.0), Some(0.0)]
    );
    let some = json_sentences(&["-1", "2"]);
    assert_eq!(
        labels(Case::new("", SST, JSON, some).test_file()),
        [None, Some(2.0)]
    );
}

#[test]
fn files_that_are_refused() {
    let crlf =
        (course_rows(300).replace("the film 249\t4", "the film 249\t9")).replace('\n', "\r\n");
    let blank = course_rows(9) + "\n\n\n9\tid9\tthe film\t9\n";
    let utf16: Vec<u8> = course_rows(3)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let sts = "\tid\tsentence1\tsentence2\tsimilarity\n0\ta\ta cat\ta dog\tnan\n1\tb\ta cat\ta dog\t\n2\tc\ta cat\ta dog\tNULL\n\
               3\td\ta cat\tnan\t3.0\n4\te\ta cat\t \t3.0\n5\tf\ta cat\ta dog\t3,5\n";
    // For each: parts of the message, in their order, and what it must not say.
    let cases: Vec<(Case, &[&str], &str)> = vec![
        (
            Case::new("crlf-line", SST, COURSE, crlf),
            &["FILE: 1 bad row\n", "line 251: label 9"],
            "",
        ),
        (
            Case::new("blank-before-bad", SST, COURSE, blank),
            &["1 bad row\n", "line 14: label 9"],
            "",
        ),
        (
            Case::new(
                "jsonl-other-names",
                SST,
                JSON,
                (0..16)
                    .map(|row| format!("{{\"idx\": {row}, \"text\": \"a\", \"stars\": 3}}\n"))
                    .collect::<String>(),
            ),
            &[
                "FILE: no row has a field \"sentence\", no row has a field \"label\"; the fields are \"idx\", \"text\", \"stars\".",
                "tasks.sst.columns = { text-a = \"...\", label = \"...\" }",
            ],
            "no sentence",
        ),
        (
            Case::new("label-bools of classes", SST, JSON, json_sentences(&["true", "1"])),
            &["1 bad row\n", "line 1: label true is a boolean"],
            "",
        ),
        (
            Case::new(
                "test-bad-row",
                SST,
                COURSE,
                "\tid\tsentence\n0\tt0\ta film\n1\tt1\t\n2\tt2\ta cat\n",
            )
            .test_file(),
            &["1 bad row\n", "line 3: no sentence", "data.bad-rows = \"skip\""],
            "",
        ),
        (
            Case::new("qqp-short-rows", PARA, GLUE, QQP_TEST).test_file(),
            &["2 bad rows\n", "line 6: 2 columns where the header has 3", "line 8: no first sentence"],
            "",
        ),
        (
            Case::new(
                "a test file whose ids stand behind the texts, skip",
                PARA,
                GLUE,
                "question1\tquestion2\tid\na\tb\t0\na\t1\n\tb\t2\n",
            )
            .test_file()
            .skip(),
            &["1 bad row\n", "line 3: 2 columns", "ids cannot be read"],
            "line 4",
        ),
        (
            Case::new(
                "a JSON test file with a broken line, skip",
                SST,
                JSON,
                "{\"id\": \"a\", \"sentence\": \"x\"}\n{\"id\": \"b\", \"sentence\n{\"id\": \"c\", \"sentence\": \" \"}\n",
            )
            .test_file()
            .skip(),
            &["1 bad row\n", "line 2: not a JSON object: EOF while parsing a string at column", "ids cannot be read"],
            "line 3",
        ),
        (
            Case::new("quoted-then-bad", SST, COURSE, "\tid\tsentence\tsentiment\n0\ta\t\"one\ntwo\"\t1\n1\tb\tthree\t9\n"),
            &["1 bad row\n", "line 4: label 9"],
            "",
        ),
        (
            Case::new(
                "an unclosed quote",
                SST,
                COURSE,
                course_rows(3) + "3\tid3\t\"the film\t1\n" + &course_rows(7),
            ),
            &["FILE, line 5: a quote opens a field here and is never closed"],
            "",
        ),
        (
            Case::new(
                "commas",
                SST,
                COURSE,
                course_rows(3).replace('\t', ","),
            ),
            &["FILE, line 1: no column \"sentence\", no column \"sentiment\"; the columns are \",id,sentence,sentiment\"", "separated by commas", "tab-separated"],
            "",
        ),
        (
            Case::new("a table that is JSON lines", SST, COURSE, json_sentences(&["1"])),
            &["data.format = \"json-lines\""],
            "",
        ),
        (
            Case::new("JSON lines that are a table", SST, JSON, course_rows(30)),
            &["FILE, line 1: not a JSON object", "tab-separated"],
            "line 2",
        ),
        (
            Case::new("latin1", SST, COURSE, [course_rows(3).as_bytes(), b"9\tid9\tcaf\xE9 good\t2\n"].concat()),
            &["1 bad row\n", "line 5: broken UTF-8"],
            "",
        ),
        (
            Case::new("utf16", SST, COURSE, [b"\xFF\xFE".to_vec(), utf16.clone()].concat()),
            &["FILE: it looks like UTF-16", "iconv"],
            "",
        ),
        (
            Case::new("utf16 without a mark", SST, JSON, utf16),
            &["FILE: it looks like UTF-16"],
            "",
        ),
        (
            Case::new("json-array", SST, JSON, "[\n {\n  \"sentence\": \"a\",\n  \"label\": 0\n },\n {\"sentence\": \"b\", \"label\": 1}\n]\n"),
            &["FILE, line 1: not a JSON object", "one JSON array", "jq -c '.[]'"],
            "line 2",
        ),
        (
            Case::new(
                "label-null",
                SST,
                JSON,
                json_sentences(&["0", "1", "2", "3", "4", "0"])
                    + "{\"sentence\": \"it\", \"label\": null}\n{\"sentence\": null, \"label\": 1}\n{\"sentence\": 12, \"label\": 1}\n{\"label\": 3}\n",
            ),
            &["3 bad rows\n", "line 7: no label", "line 8: no sentence", "line 10: no sentence"],
            "line 9",
        ),
        (
            Case::new(
                "a sentence that is a list of words",
                SST,
                JSON,
                json_sentences(&["0"]) + "{\"sentence\": [\"a\", \"film\"], \"label\": 1}\n",
            ),
            &["line 2: field \"sentence\" is a list"],
            "",
        ),
        (
            Case::new("label-strings", SST, JSON, json_sentences(&["\"very negative\"", "\"positive\"", "1"])),
            &["2 bad rows\n", "line 1: label \"very negative\" is not a number"],
            "",
        ),
        (
            Case::new("label-nan", STS, JSON, "{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":NaN}\n{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":3}\n"),
            &["1 bad row\n", "line 1: not a JSON object"],
            "",
        ),
        (
            Case::new("sts-nan", STS, COURSE, sts),
            &["5 bad rows\n", "line 2: label nan", "line 3: no label", "line 4: label \"NULL\"", "line 6: no second sentence", "line 7: label \"3,5\""],
            "line 5",
        ),
        (
            Case::new(
                "surrogate",
                SST,
                JSON,
                json_sentences(&["0", "1", "2"]) + "{\"sentence\": \"good film \\ud83d\", \"label\": 3}\n",
            ),
            &["1 bad row\n", "line 4: not a JSON object"],
            "at line 1",
        ),
        (
            Case::new("ls-glue-cr", SST, GLUE, "sentence\tlabel\nthe film was\rgood\t3\na cat runs\t1\n"),
            &["1 bad row\n", "line 2: 1 columns"],
            "",
        ),
        (
            Case::new("stsb-no-header", STS, GLUE, "main\t0000\t2.5\tA man 0.\tA dog 0.\n"),
            &["line 1: no column \"sentence1\", no column \"sentence2\", no column \"score\"; the columns are \"main\""],
            "",
        ),
        (
            Case::new("labels from 1 to 5", SST, JSON, json_sentences(&["1", "2", "3", "4", "5"])),
            &["line 5: label 5 is not a class from 0 to 4", "The labels look like 1 to 5"],
            "",
        ),
        (
            Case::new("-1 in a train file", SST, JSON, json_sentences(&["-1", "2"])),
            &["line 1: label -1 is not a class from 0 to 4 (-1 stands for no label, which only a test file may have)"],
            "",
        ),
        (
            Case::new("every row is bad, skip", SST, JSON, json_sentences(&["9", "8"])).skip(),
            &["2 bad rows\n", "no other row in the file"],
            "skip",
        ),
        (
            Case::new("many bad rows", SST, JSON, json_sentences(&["9"; 12]) + &json_sentences(&["1"])),
            &["12 bad rows\n", "line 10:", "and 2 more"],
            "line 11",
        ),
    ];
    for (case, parts, not) in cases {
        let name = case.name;
        let Err(error) = case.read() else {
            panic!("{name} is read");
        };
        let message = error.to_string();
        let mut rest = message.as_str();
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                panic!("{name}: no {part:?} in {message}");
            };
            rest = after;
        }
        assert!(
            not.is_empty() || !message.contains(not),
            "{name}: {message}"
        );
    }
}
