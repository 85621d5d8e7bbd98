//! What is gathered between two logged steps.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bertram_core::task::{TaskId, TaskMap};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde_json::{Map, Value, json};

use super::surgery::Surgery;
use crate::measure::{MeasuredNumbers, OverUpdates};
use crate::read::read_scalars;
use crate::run_folder::{SumState, WindowState};
use crate::step::{GRADIENT_NOISE, GRADIENT_SIGNAL, NOISE_SCALE, UpdateOutput};

/// A number of a task, summed over updates on the device.
struct Gathered<B: Backend> {
    sum: Tensor<B, 1>,
    count: usize,
    over_updates: OverUpdates,
}

/// Losses, measures and tokens since the last logged step, on the device.
pub(super) struct Window<B: Backend> {
    losses: TaskMap<Gathered<B>>,
    measures: BTreeMap<Cow<'static, str>, TaskMap<Gathered<B>>>,
    gradient_norm: Option<Tensor<B, 1>>,
    surgery: Surgery,
    tokens: usize,
    since: Instant,
}

/// A window's numbers, on the host.
pub(super) struct WindowNumbers {
    pub(super) losses: TaskMap<f64>,
    pub(super) measures: MeasuredNumbers,
    pub(super) gradient_norms: BTreeMap<String, f64>,
    pub(super) cosines: Option<BTreeMap<String, f64>>,
    pub(super) conflict_share: Option<f64>,
    pub(super) tokens_per_second: f64,
}

impl<B: Backend> Window<B> {
    pub(super) fn new() -> Self {
        Self {
            losses: TaskMap::new(),
            measures: BTreeMap::new(),
            gradient_norm: None,
            surgery: Surgery::default(),
            tokens: 0,
            since: Instant::now(),
        }
    }

    /// A window that goes on where a checkpoint kept it. Seconds and tokens count from here: the speed is that of this
    /// process.
    pub(super) fn resumed(state: &WindowState, device: &B::Device) -> Self {
        let measures = state.measures.iter();
        Self {
            losses: Gathered::resumed(&state.losses, device),
            measures: measures
                .map(|(name, of_tasks)| {
                    let of_tasks = Gathered::resumed(of_tasks, device);
                    (Cow::Owned(name.clone()), of_tasks)
                })
                .collect(),
            gradient_norm: state.gradient_norm.map(|norm| scalar(norm, device)),
            surgery: Surgery::resumed(&state.surgery),
            ..Self::new()
        }
    }

    /// What a checkpoint keeps of it, read from the device in one go; `None` where nothing was gathered yet.
    pub(super) fn state(&self) -> Option<WindowState> {
        if self.losses.is_empty() {
            return None;
        }
        let mut sums = self.sums().into_iter();
        let mut state = |of_tasks: &TaskMap<Gathered<B>>| -> TaskMap<SumState> {
            let of_tasks = of_tasks.iter();
            of_tasks
                .map(|(task, it)| (*task, it.state(sums.next().unwrap_or(f64::NAN))))
                .collect()
        };
        let losses = state(&self.losses);
        let measures = self.measures.iter();
        let measures = measures
            .map(|(name, of_tasks)| (name.to_string(), state(of_tasks)))
            .collect();
        Some(WindowState {
            losses,
            measures,
            gradient_norm: self.gradient_norm.as_ref().and(sums.next()),
            surgery: self.surgery.state(),
        })
    }

    /// The sums of the losses, of the measures, and the norm, in one read.
    fn sums(&self) -> Vec<f64> {
        let measured = self.measures.values().flat_map(TaskMap::values);
        let gathered = self.losses.values().chain(measured);
        let sums = gathered.map(|it| &it.sum).chain(&self.gradient_norm);
        read_scalars(sums.cloned().collect())
    }

    pub(super) fn add(&mut self, output: &UpdateOutput<B>) {
        self.tokens += output.tokens;
        if let Some(merged) = &output.merged {
            self.surgery.add(merged);
        }
        if let Some(norm) = &output.gradient_norm {
            self.gradient_norm = Some(norm.clone());
        }
        for (task, loss) in &output.losses {
            gather(&mut self.losses, *task, loss, OverUpdates::Mean);
        }
        for (task, measure) in &output.measures {
            let of_tasks = self.measures.entry(measure.name.into()).or_default();
            gather(of_tasks, *task, &measure.value, measure.over_updates);
        }
    }

    /// Takes time out of its speed that went to something else.
    pub(super) fn pause(&mut self, time: Duration) {
        self.since += time;
    }

    /// Reads everything from the device, in one go.
    pub(super) fn read(self) -> WindowNumbers {
        let tokens_per_second = self.tokens as f64 / self.since.elapsed().as_secs_f64().max(1e-9);
        let mut sums = self.sums().into_iter();
        let mut next = || sums.next().unwrap_or(f64::NAN);
        let losses = self.losses.into_iter();
        let losses = losses.map(|(task, it)| (task, it.over_updates(next())));
        let losses = losses.collect();
        let measures = self.measures.into_iter().map(|(name, of_tasks)| {
            let of_tasks = of_tasks.into_iter();
            let read = of_tasks.map(|(task, it)| (task, it.over_updates(next())));
            (name, read.collect())
        });
        let mut measures: MeasuredNumbers = measures.collect();
        if let Some(scales) = noise_scales(&measures) {
            measures.insert(NOISE_SCALE.into(), scales);
        }
        let mut gradient_norms = self.surgery.norms();
        if self.gradient_norm.is_some() {
            gradient_norms.insert("update".into(), next());
        }
        WindowNumbers {
            losses,
            measures,
            gradient_norms,
            cosines: self.surgery.cosines(),
            conflict_share: self.surgery.conflict_share(),
            tokens_per_second,
        }
    }
}

/// The noise scale of each task whose gradients were compared: means are divided, not quotients averaged.
fn noise_scales(measures: &MeasuredNumbers) -> Option<TaskMap<f64>> {
    let signals = measures.get(GRADIENT_SIGNAL.name)?;
    let noises = measures.get(GRADIENT_NOISE.name)?;
    let scales = signals
        .iter()
        .filter_map(|(task, signal)| Some((*task, noises.get(task)? / signal)));
    Some(scales.collect())
}

fn gather<B: Backend>(
    into: &mut TaskMap<Gathered<B>>,
    task: TaskId,
    value: &Tensor<B, 1>,
    over_updates: OverUpdates,
) {
    let (sum, count) = match into.get(&task) {
        // A measure is in f32 or more, whatever the model's type is.
        Some(before) => (before.sum.clone() + value.clone(), before.count + 1),
        None => (value.clone(), 1),
    };
    into.insert(
        task,
        Gathered {
            sum,
            count,
            over_updates,
        },
    );
}

/// A number on the device.
fn scalar<B: Backend>(number: f64, device: &B::Device) -> Tensor<B, 1> {
    Tensor::from_data(TensorData::from([number]), device)
}

impl<B: Backend> Gathered<B> {
    fn resumed(of_tasks: &TaskMap<SumState>, device: &B::Device) -> TaskMap<Self> {
        let of_tasks = of_tasks.iter().map(|(task, state)| {
            let gathered = Self {
                // A sum that was not finite stays none.
                sum: scalar(state.sum.unwrap_or(f64::NAN), device),
                count: state.count,
                over_updates: state.over_updates,
            };
            (*task, gathered)
        });
        of_tasks.collect()
    }

    /// What a checkpoint keeps of it, given the sum.
    fn state(&self, sum: f64) -> SumState {
        SumState {
            sum: Some(sum).filter(|sum| sum.is_finite()),
            count: self.count,
            over_updates: self.over_updates,
        }
    }

    /// What a sum that was read says of the updates.
    fn over_updates(&self, sum: f64) -> f64 {
        match self.over_updates {
            OverUpdates::Mean => sum / self.count as f64,
            OverUpdates::Sum => sum,
        }
    }
}

impl WindowNumbers {
    /// The part of a line of `metrics.jsonl` that they are.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("loss".into(), json!(by_name(&self.losses)));
        fields.insert("gradient_norm".into(), json!(self.gradient_norms));
        fields.insert("gradient_cosine".into(), json!(self.cosines));
        fields.insert("conflict_share".into(), json!(self.conflict_share));
        for (name, values) in &self.measures {
            fields.insert(name.to_string(), json!(by_name(values)));
        }
        fields
    }

    /// The numbers as series of the dashboard.
    pub(super) fn series(&self) -> BTreeMap<String, f64> {
        let losses = self
            .losses
            .iter()
            .map(|(task, loss)| (format!("{task} loss"), *loss));
        let measures = self.measures.iter().flat_map(|(name, values)| {
            values
                .iter()
                .map(move |(task, value)| (measure_series(name, *task), *value))
        });
        let cosines = self.cosines.iter().flatten();
        let cosines = cosines.map(|(pair, cosine)| (format!("cosine {pair}"), *cosine));
        let conflicts = self.conflict_share;
        let conflicts = conflicts.map(|share| ("conflict share".to_owned(), share));
        let norms = self.gradient_norms.iter();
        let norms = norms.map(|(of, norm)| (gradient_norm_series(of), *norm));
        let speed = ("tokens/s".to_owned(), self.tokens_per_second);
        losses
            .chain(measures)
            .chain(cosines)
            .chain(conflicts)
            .chain(norms)
            .chain([speed])
            .collect()
    }
}

/// Name of the dashboard's series for a task's measure: `sst smart penalty`.
pub(super) fn measure_series(name: &str, task: TaskId) -> String {
    format!("{task} {}", name.replace('_', " "))
}

/// Name of the dashboard's series for the norm of a task's gradient.
pub(super) fn gradient_norm_series(of: &str) -> String {
    format!("gradient norm {of}")
}

fn by_name(values: &TaskMap<f64>) -> BTreeMap<String, f64> {
    values
        .iter()
        .map(|(task, value)| (task.to_string(), *value))
        .collect()
}
