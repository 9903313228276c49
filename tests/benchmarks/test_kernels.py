"""Counting of kernels, on a small program in the format of XLA."""

import pytest

from benchmarks import kernels

PROGRAM = """
HloModule step

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%fused_computation (param_0: f32[100,10], param_1: f32[10]) -> f32[10] {
  %param_1 = f32[10]{0} parameter(1)
  %param_0 = f32[100,10]{1,0} parameter(0)
  %bitcast = f32[100,10]{1,0} bitcast(%param_0)
  %row = f32[1,10]{1,0} slice(%bitcast), slice={[0:1], [0:10]}
  ROOT %out = f32[10]{0} add(%row, %param_1)
}

%fused_reduce (param_0: f32[100,10]) -> (f32[10], f32[10]) {
  %param_0.1 = f32[100,10]{1,0} parameter(0)
  %zero = f32[] constant(0)
  ROOT %sums = (f32[10]{0}, f32[10]{0}) reduce(%param_0.1, %param_0.1, %zero, %zero), dimensions={0}, to_apply=%add
}

%called (x: f32[100,10]) -> f32[100,10] {
  %x = f32[100,10]{1,0} parameter(0)
  ROOT %twice = f32[100,10]{1,0} add(%x, %x)
}

%body (state: (f32[100,10], f32[10], /*index=5*/s32[])) -> (f32[100,10], f32[10], s32[]) {
  %state = (f32[100,10]{1,0}, f32[10]{0}, /*index=5*/s32[]) parameter(0)
  %map = f32[100,10]{1,0} get-tuple-element(%state), index=0
  %row.1 = f32[10]{0} get-tuple-element(%state), index=1
  %loop_add_fusion = f32[10]{0} fusion(%map, %row.1), kind=kLoop, calls=%fused_computation, metadata={op_name="jit(f)/while/body/jvp(Net)/stem/add"}
  %input_reduce_fusion = (f32[10]{0}, f32[10]{0}) fusion(%map), kind=kInput, calls=%fused_reduce, metadata={op_name="jit(f)/while/body/transpose(jvp(Net))/stem/reduce"}
  %convolution = (f32[100,10]{1,0}, u8[64]{0}) custom-call(%map), custom_call_target="__cudnn$convForward", metadata={op_name="jit(f)/while/body/jvp(jit(softmax))/conv"}
  %call = f32[100,10]{1,0} call(%map), to_apply=%called
  %sum-start = f32[100,10]{1,0} all-reduce-start(%call), to_apply=%add
  %sum-done = f32[100,10]{1,0} all-reduce-done(%sum-start)
  ROOT %new = (f32[100,10]{1,0}, f32[10]{0}, s32[]) tuple(%map, %loop_add_fusion, %row.1)
}

ENTRY %main (start: f32[100,10]) -> f32[100,10] {
  %start = bf16[100,10]{1,0} parameter(0)
  %copy = bf16[100,10]{1,0} copy(%start)
  %while = (f32[100,10]{1,0}, f32[10]{0}, /*index=5*/s32[]) while(%copy), condition=%test, body=%body
}
"""  # noqa: E501


@pytest.fixture
def found():
    return kernels.count(PROGRAM, "Net")


def test_every_kernel_of_the_loop_and_around_it_is_found(found):
    assert [(kernel.kind, kernel.in_loop) for kernel in found] == [
        ("add", True),
        ("fusion", True),
        ("fusion, reduce", True),
        ("__cudnn$convForward", True),
        ("all-reduce-start", True),
        ("copy", False),
    ]


def test_origins_are_told_by_the_network(found):
    _, *origins, _, _ = [kernel.origin for kernel in found]
    assert origins == ["forward", "backward", "losses"]


def test_bytes_are_those_of_results_and_operands(found):
    row, whole = 10 * 4, 1000 * 4
    assert [kernel.moved for kernel in found[1:]] == [
        row + row + row,  # a slice of one operand, the other one, and the result
        whole + 2 * row,
        2 * whole + 64,
        2 * whole,
        2 * 2000,
    ]


def test_kernels_are_summed_by_a_field(found):
    loop = [kernel for kernel in found if kernel.in_loop]
    assert kernels.by(loop, "in_loop") == {True: [5, 32264e-9]}


@pytest.mark.parametrize(
    ("shape", "size"),
    [("f32[]", 4), ("(bf16[3,2]{1,0}, pred[5])", 17), ("s4[3]", 2), ("token[]", 0)],
)
def test_sizes_of_arrays(shape, size):
    assert kernels.num_bytes(shape) == size


@pytest.mark.parametrize(
    ("result", "operands", "target"),
    [
        ("f32[2,50,8]", ("f32[2,100,4]", "f32[8,3,4]"), "convForward"),
        ("f32[2,50,8]", ("f32[2,100,4]", "f32[8,3,4]"), "convBiasActivationForward"),
        ("f32[2,100,4]", ("f32[2,50,8]", "f32[8,3,4]"), "convBackwardInput"),
        ("f32[8,3,4]", ("f32[2,100,4]", "f32[2,50,8]"), "convBackwardFilter"),
    ],
)
def test_operations_of_convolutions(result, operands, target):
    first, second = operands
    program = f"""
ENTRY %main (a: {first}, b: {second}) -> {result} {{
  %a = {first}{{2,1,0}} parameter(0)
  %b = {second}{{2,1,0}} parameter(1)
  %conv = ({result}{{2,1,0}}, u8[0]{{0}}) custom-call(%a, %b), window={{size=3 stride=2}}, dim_labels=b0f_o0i->b0f, custom_call_target="__cudnn${target}"
}}
"""  # noqa: E501
    (kernel,) = kernels.count(program, "Net")
    assert kernel.flops == 2 * (2 * 50 * 8) * (3 * 4)


def test_estimated_cycles_are_summed():
    config = 'backend_config={"window_config":{"estimated_cycles":"%d"}}'
    text = "\n".join(f"  %f = f32[8] fusion(), {config % n}" for n in (1825, 40))
    assert kernels.cycles(f"{text}\n  %copy = f32[8] copy(%f)") == 1865
