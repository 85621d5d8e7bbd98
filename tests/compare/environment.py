"""What both sides run under: the same number of threads, and glibc's allocator as bertram sets it for itself."""

import os


def environment(threads):
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "RAYON_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "true",
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
        "MALLOC_TOP_PAD_": str(64 << 20),
    }
