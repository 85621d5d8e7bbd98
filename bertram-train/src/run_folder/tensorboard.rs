//! TensorBoard event files: the numbers of `metrics.jsonl`, for whoever looks at runs there.
//!
//! A file is records of TFRecord's form (length, its masked CRC-32C, data, its masked CRC-32C), and the data of each is a
//! protocol buffer `Event`. Both are documented, and small enough to be written without TensorFlow's schema:
//! <https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details> and
//! <https://github.com/tensorflow/tensorboard/blob/2.20.0/tensorboard/compat/proto/event.proto>.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc};
use serde_json::Value;

use super::{RunError, numbers_by_path};

/// Writes an event file of a run.
pub struct TensorBoardLog {
    path: PathBuf,
    file: File,
}

impl TensorBoardLog {
    /// Begins another event file in `folder`. Whatever earlier files say beyond update `update` is not of the run: a killed
    /// process wrote it after its last checkpoint.
    ///
    /// # Errors
    /// Those of writing.
    pub fn create(folder: &Path, update: usize) -> Result<Self, RunError> {
        std::fs::create_dir_all(folder).map_err(RunError::io(folder))?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = seconds.map_or(0, |since| since.as_secs());
        // TensorBoard reads the files of a folder in the order of their names.
        let name = format!(
            "events.out.tfevents.{seconds:010}.bertram.{}",
            std::process::id()
        );
        let path = folder.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(RunError::io(&path))?;
        let mut log = Self { path, file };
        log.event(0, |event| event.text(3, "brain.Event:2"))?;
        if update > 0 {
            // SessionLog.START: events of later steps in earlier files are dropped.
            log.event(update as u64 + 1, |event| {
                event.message(7, |session| session.number(1, 1));
            })?;
        }
        Ok(log)
    }

    /// The numbers of a line of `metrics.jsonl`, each under its path behind the line's kind: `train/loss/sst`.
    ///
    /// # Errors
    /// Those of writing.
    pub fn line(&mut self, line: &Value) -> Result<(), RunError> {
        let kind = line["kind"].as_str().unwrap_or("run");
        let step = line["update"].as_u64().unwrap_or(0);
        let mut numbers = numbers_by_path(line, '/');
        numbers.retain(|(path, _)| !is_place(path));
        if numbers.is_empty() {
            return Ok(());
        }
        self.event(step, |event| {
            event.message(5, |summary| {
                for (path, number) in &numbers {
                    summary.message(1, |value| {
                        value.text(1, &format!("{kind}/{path}"));
                        value.float(2, number.as_f64().map_or(f32::NAN, |it| it as f32));
                    });
                }
            });
        })
    }

    /// A text in Markdown.
    ///
    /// # Errors
    /// Those of writing.
    pub fn text(&mut self, tag: &str, step: usize, text: &str) -> Result<(), RunError> {
        self.event(step as u64, |event| {
            event.message(5, |summary| {
                summary.message(1, |value| {
                    value.text(1, tag);
                    value.message(8, |tensor| {
                        // DT_STRING, of one element.
                        tensor.number(1, 7);
                        tensor.message(2, |shape| shape.message(2, |size| size.number(1, 1)));
                        tensor.text(8, text);
                    });
                    value.message(9, |metadata| {
                        metadata.message(1, |plugin| plugin.text(1, "text"));
                    });
                });
            });
        })
    }

    /// What a run was begun with, for TensorBoard's table of hyperparameters: a session of the settings that are said.
    ///
    /// # Errors
    /// Those of writing.
    pub fn hyperparameters(&mut self, settings: &[(String, String)]) -> Result<(), RunError> {
        self.event(0, |event| {
            event.message(5, |summary| {
                summary.message(1, |value| {
                    value.text(1, "_hparams_/session_start_info");
                    value.message(9, |metadata| {
                        metadata.message(1, |plugin| {
                            plugin.text(1, "hparams");
                            plugin.message(2, |data| {
                                data.message(3, |session| {
                                    for (key, setting) in settings {
                                        session.message(1, |entry| {
                                            entry.text(1, key);
                                            entry
                                                .message(2, |value| hyperparameter(value, setting));
                                        });
                                    }
                                });
                            });
                        });
                    });
                });
            });
        })
    }

    fn event(&mut self, step: u64, fill: impl FnOnce(&mut Message)) -> Result<(), RunError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mut event = Message::default();
        event.double(1, now.map_or(0.0, |since| since.as_secs_f64()));
        event.number(2, step);
        fill(&mut event);
        let length = (event.0.len() as u64).to_le_bytes();
        let mut record = Vec::new();
        for part in [&length[..], &event.0] {
            record.extend(part);
            record.extend(masked_checksum(part).to_le_bytes());
        }
        self.file
            .write_all(&record)
            .map_err(RunError::io(&self.path))
    }
}

/// A value as `google.protobuf.Value`: a number, a truth value or a text.
fn hyperparameter(value: &mut Message, setting: &str) {
    match (setting.parse::<f64>(), setting.parse::<bool>()) {
        (Ok(number), _) => value.double(2, number),
        (_, Ok(truth)) => value.number(4, u64::from(truth)),
        _ => value.text(3, setting.trim_matches('"')),
    }
}

/// What of a line is its place and no number of its own.
fn is_place(path: &str) -> bool {
    matches!(path, "update" | "updates" | "epoch")
}

fn masked_checksum(bytes: &[u8]) -> u32 {
    const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
    CRC.checksum(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// A protocol buffer that is written field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn variable(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn tag(&mut self, field: u64, wire: u64) {
        self.variable(field << 3 | wire);
    }

    fn number(&mut self, field: u64, number: u64) {
        self.tag(field, 0);
        self.variable(number);
    }

    fn double(&mut self, field: u64, number: f64) {
        self.tag(field, 1);
        self.0.extend(number.to_le_bytes());
    }

    fn float(&mut self, field: u64, number: f32) {
        self.tag(field, 5);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.tag(field, 2);
        self.variable(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn checksums_are_those_of_tfrecord() {
        // The CRC-32C of "123456789" is 0xe3069283 (RFC 3720), which is masked as TFRecord has it.
        let masked = 0xe306_9283_u32.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(masked_checksum(b"123456789"), masked);
        // The length of the first record of every event file that TensorFlow writes: 24 bytes.
        assert_eq!(
            masked_checksum(&24_u64.to_le_bytes()).to_le_bytes(),
            [0xa3, 0x7f, 0x4b, 0x22]
        );
    }

    #[test]
    fn lines_become_records_that_are_whole() {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut log = TensorBoardLog::create(dir.path(), 7).expect("creates");
        log.line(
            &json!({"kind": "train", "epoch": 1, "update": 8, "loss": {"sst": 1.5, "sts": null}}),
        )
        .expect("writes");
        log.line(&json!({"kind": "train", "epoch": 1, "update": 9}))
            .expect("nothing to write");
        log.text("config", 0, "    seed = 1").expect("writes");
        log.hyperparameters(&[("train.seed".into(), "1".into())])
            .expect("writes");
        let mut rest = &std::fs::read(&log.path).expect("reads")[..];
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let size = u64::from_le_bytes(length.try_into().expect("8 bytes")) as usize;
            assert_eq!(after[..4], masked_checksum(length).to_le_bytes());
            let data = &after[4..4 + size];
            assert_eq!(
                after[4 + size..8 + size],
                masked_checksum(data).to_le_bytes()
            );
            records.push(data.to_vec());
            rest = &after[8 + size..];
        }
        assert_eq!(records.len(), 5);
        let has = |record: &[u8], text: &str| {
            let text = text.as_bytes();
            record.windows(text.len()).any(|window| window == text)
        };
        assert!(has(&records[0], "brain.Event:2"));
        assert!(has(&records[2], "train/loss/sst") && !has(&records[2], "train/loss/sts"));
        assert!(!has(&records[2], "epoch"));
        assert!(has(&records[3], "seed = 1") && has(&records[4], "session_start_info"));
    }
}
