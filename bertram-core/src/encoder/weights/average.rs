//! The mean of several modules' parameters.

use std::collections::BTreeMap;
use std::fmt;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData, backend::Backend};

use super::walk::{ModulePath, restore, values};

/// Sums of the parameters of modules that are built alike, in f64: their mean is a model soup (Wortsman et al. 2022,
/// <https://arxiv.org/abs/2203.05482>, equation 1).
///
/// ```text
/// theta = 1/k sum_i theta_i
/// ```
#[derive(Clone, Debug, Default)]
pub struct WeightSum {
    tensors: BTreeMap<String, Sum>,
    modules: usize,
}

#[derive(Clone, Debug)]
struct Sum {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// The first tensor in which two modules are not built alike. A shape is `None` where a module has no such tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorDifference {
    /// Its path in the module: `encoder.layers.0.attention.query.weight`.
    pub name: String,
    /// Its shape in the modules that were added before.
    pub first: Option<Vec<usize>>,
    /// Its shape in the other one.
    pub other: Option<Vec<usize>>,
}

impl fmt::Display for TensorDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape = |shape: &Option<Vec<usize>>| match shape {
            Some(shape) => format!("{shape:?}"),
            None => "not there".to_owned(),
        };
        let (first, other) = (shape(&self.first), shape(&self.other));
        write!(f, "tensor `{}` is {other} and {first}", self.name)
    }
}

impl WeightSum {
    /// Adds the parameters of a module.
    ///
    /// # Errors
    /// The first tensor, by name, that is not there in all modules or has another shape; the sum is then what it was.
    pub fn add<B: Backend, M: Module<B>>(&mut self, module: &M) -> Result<(), TensorDifference> {
        let added = values(module);
        if self.modules > 0 {
            let mut names: Vec<&String> = self.tensors.keys().chain(added.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let first = self.tensors.get(name).map(|sum| sum.shape.clone());
                let other = added.get(name).map(|data| data.shape.to_vec());
                if first != other {
                    return Err(TensorDifference {
                        name: name.clone(),
                        first,
                        other,
                    });
                }
            }
        }
        for (name, data) in added {
            let numbers = data.iter::<f64>();
            match self.tensors.get_mut(&name) {
                Some(sum) => {
                    for (sum, number) in sum.values.iter_mut().zip(numbers) {
                        *sum += number;
                    }
                }
                None => {
                    let sum = Sum {
                        shape: data.shape.to_vec(),
                        values: numbers.collect(),
                    };
                    self.tensors.insert(name, sum);
                }
            }
        }
        self.modules += 1;
        Ok(())
    }

    /// A module of the same build with the mean of those that were added, rounded to f32 once. `module` gives all that is no
    /// parameter; it is given back as it is where none was added.
    pub fn mean<B: Backend, M: Module<B>>(&self, module: M, device: &B::Device) -> M {
        module.map(&mut Filler::<B> {
            path: ModulePath::default(),
            sum: self,
            device,
        })
    }
}

struct Filler<'a, B: Backend> {
    path: ModulePath,
    sum: &'a WeightSum,
    device: &'a B::Device,
}

impl<B: Backend> ModuleMapper<B> for Filler<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    // Models have no other parameters than floats.
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(sum) = self.sum.tensors.get(&self.path.to_string()) else {
            return param;
        };
        let modules = self.sum.modules as f64;
        let mean: Vec<f32> = (sum.values.iter())
            .map(|value| (value / modules) as f32)
            .collect();
        restore(param, TensorData::new(mean, sum.shape.clone()), self.device)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;
    use burn::module::Module;
    use burn::nn::{Linear, LinearConfig};

    use super::*;

    type B = NdArray<f32>;

    fn linear(width: usize) -> Linear<B> {
        LinearConfig::new(3, width).init(&Default::default())
    }

    fn numbers(module: &Linear<B>) -> Vec<f32> {
        module.weight.val().into_data().iter::<f32>().collect()
    }

    #[test]
    fn a_mean_is_a_mean_and_that_of_one_is_itself() {
        let device = Default::default();
        let modules = [linear(4), linear(4), linear(4)];
        let mut sum = WeightSum::default();
        for module in &modules {
            sum.add(module).expect("alike");
        }
        let mean = numbers(&sum.mean(linear(4), &device));
        for (at, found) in mean.iter().enumerate() {
            let all = modules.iter().map(|module| f64::from(numbers(module)[at]));
            assert_eq!(*found, (all.sum::<f64>() / 3.0) as f32);
        }
        let mut alone = WeightSum::default();
        alone.add(&modules[1]).expect("the first");
        assert_eq!(
            numbers(&alone.mean(linear(4), &device)),
            numbers(&modules[1])
        );
        assert_eq!(sum.mean(linear(4), &device).num_params(), 16);
    }

    #[test]
    fn what_is_not_built_alike_is_named() {
        let mut sum = WeightSum::default();
        sum.add(&linear(4)).expect("the first");
        let error = sum.add(&linear(5)).expect_err("wider").to_string();
        assert_eq!(error, "tensor `bias` is [5] and [4]");
        let bare: Linear<B> = LinearConfig::new(3, 4)
            .with_bias(false)
            .init(&Default::default());
        let error = sum.add(&bare).expect_err("no bias").to_string();
        assert_eq!(error, "tensor `bias` is not there and [4]");
        // What was refused is not in the sum.
        let first = linear(4);
        let mut sum = WeightSum::default();
        sum.add(&first).expect("the first");
        let _ = sum.add(&linear(5));
        let mean = sum.mean(linear(4), &Default::default());
        assert_eq!(numbers(&mean), numbers(&first));
    }
}
