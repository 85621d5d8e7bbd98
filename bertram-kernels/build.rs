//! Compiles what the LibTorch backend has in C++, against the LibTorch that `torch-sys` has found or fetched.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "libtorch")]
    libtorch();
}

#[cfg(feature = "libtorch")]
fn libtorch() {
    use std::path::PathBuf;

    const SOURCE: &str = "src/libtorch/aten.cpp";
    println!("cargo::rerun-if-changed={SOURCE}");
    // Said by the build script of torch-sys.
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        println!(
            "cargo::error=torch-sys does not say where LibTorch is; set LIBTORCH to its folder, or LIBTORCH_USE_PYTORCH=1 \
             beside a Python with `pip install torch==2.9.0`"
        );
        return;
    };
    let include = lib.with_file_name("include");
    if !include.join("ATen/ATen.h").is_file() {
        println!(
            "cargo::error={}: no headers of LibTorch; set LIBTORCH to a folder that has include/ beside lib/, or \
             LIBTORCH_USE_PYTORCH=1 beside a Python with `pip install torch==2.9.0`",
            include.display()
        );
        return;
    }
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        // Warnings are those of PyTorch's headers.
        .warnings(false)
        .file(SOURCE);
    build.compile("bertram_aten");
    // For tests; a program says it for itself.
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
}
