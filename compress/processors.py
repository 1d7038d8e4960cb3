"""What a file may need of the processor that runs it, in words for its manifest."""

UNSAFE_8_BIT = (
    "AVX512-VNNI, AVX-VNNI, AMX or an ARM processor: 8-bit signed weights saturate on older x86 processors, "
    "which then give other answers"
)

BF16 = "AMX or AVX512-BF16: other processors refuse bfloat16, or compute it no faster than float32"
