//! The names of backends. What lies behind them is in `backend`.

use clap::ValueEnum;

use crate::error::{CliResult, input};

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendKind {
    /// The CPU, through burn-flex.
    Flex,
    /// The CPU, through burn-ndarray.
    Ndarray,
    /// A GPU, through wgpu and the graphics API it finds.
    Wgpu,
    /// A GPU, through Vulkan.
    Vulkan,
    /// A GPU, through Metal.
    Metal,
    /// An NVIDIA GPU, through CUDA.
    Cuda,
    /// PyTorch's library: the CPU, an NVIDIA GPU, or Apple's.
    Libtorch,
}

impl BackendKind {
    /// All backends, in the order in which a build prefers them.
    pub const ALL: [BackendKind; 7] = [
        BackendKind::Flex,
        BackendKind::Ndarray,
        BackendKind::Cuda,
        BackendKind::Vulkan,
        BackendKind::Metal,
        BackendKind::Wgpu,
        BackendKind::Libtorch,
    ];

    /// Its name on the command line, which is also its cargo feature.
    pub fn name(self) -> &'static str {
        match self {
            BackendKind::Flex => "flex",
            BackendKind::Ndarray => "ndarray",
            BackendKind::Wgpu => "wgpu",
            BackendKind::Vulkan => "vulkan",
            BackendKind::Metal => "metal",
            BackendKind::Cuda => "cuda",
            BackendKind::Libtorch => "libtorch",
        }
    }

    /// The backend of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether this build has it.
    pub fn is_compiled(self) -> bool {
        match self {
            BackendKind::Flex => cfg!(feature = "flex"),
            BackendKind::Ndarray => cfg!(feature = "ndarray"),
            BackendKind::Wgpu => cfg!(feature = "wgpu"),
            BackendKind::Vulkan => cfg!(feature = "vulkan"),
            BackendKind::Metal => cfg!(feature = "metal"),
            BackendKind::Cuda => cfg!(feature = "cuda"),
            BackendKind::Libtorch => cfg!(feature = "libtorch"),
        }
    }

    /// The first backend that this build has.
    pub fn default_of_build() -> CliResult<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.is_compiled())
            .ok_or_else(|| {
                input(anyhow::anyhow!(
                    "this build has no backend; build with: {}",
                    BackendKind::Flex.build_command()
                ))
            })
    }

    /// Whether it computes on GPUs with kernels that this project has compiled.
    pub fn is_gpu(self) -> bool {
        !matches!(
            self,
            BackendKind::Flex | BackendKind::Ndarray | BackendKind::Libtorch
        )
    }

    /// What batches are padded to a multiple of, where the config does not say: a GPU compiles kernels for the sizes it
    /// meets, and its products are fast at round ones.
    pub fn pad_to_multiple_of(self) -> usize {
        if self.is_gpu() { 16 } else { 1 }
    }

    /// The command whose build has it.
    pub fn build_command(self) -> String {
        format!(
            "cargo build --release -p bertram-cli --features {}",
            self.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for kind in BackendKind::ALL {
            assert_eq!(BackendKind::from_name(kind.name()), Some(kind));
            let on_the_command_line = kind.to_possible_value().expect("none is hidden");
            assert_eq!(on_the_command_line.get_name(), kind.name());
        }
        assert_eq!(BackendKind::from_name("tpu"), None);
    }
}
