"""The kernels inside jax.jit: values, derivatives of any order, transformations, many devices."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import softjac
from softjac import native
from softjac.native import _formulas, _xla


def array(*shape: int, seed: int = 0) -> Any:
    """Random numbers in float64, inside jax.enable_x64."""
    return jnp.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape) * 2)


def close(got: Any, want: Any) -> bool:
    """Equal to a few roundings of float64, relative to the largest entry."""
    got, want = np.asarray(got), np.asarray(want)
    return bool(np.max(np.abs(got - want)) <= 1e-13 * max(1.0, np.max(np.abs(want))))


# Each op as a function of one array, by the kernels and by the reference.
PAIRS: dict[str, tuple[Any, Any]] = {
    "softmax": (
        lambda x: native.softmax(x, scale=1.5),
        lambda x: softjac.softmax(x, scale=1.5),
    ),
    "log_softmax": (
        lambda x: native.log_softmax(x, scale=1.5),
        lambda x: softjac.log_softmax(x, scale=1.5),
    ),
    "softmax_vjp": (
        lambda x: native.softmax_vjp(native.softmax(x), jnp.sin(x)),
        lambda x: softjac.softmax_vjp(softjac.softmax(x), jnp.sin(x)),
    ),
    "softmax_vjp_from_logits": (
        lambda x: native.softmax_vjp_from_logits(x, jnp.sin(x)),
        lambda x: softjac.softmax_vjp(softjac.softmax(x), jnp.sin(x)),
    ),
    "softmax_jvp": (
        lambda x: native.softmax_jvp(native.softmax(x), jnp.sin(x)),
        lambda x: softjac.softmax_jvp(softjac.softmax(x), jnp.sin(x)),
    ),
    "log_softmax_vjp": (
        lambda x: native.log_softmax_vjp(native.log_softmax(x), jnp.sin(x)),
        lambda x: softjac.log_softmax_vjp(softjac.log_softmax(x), jnp.sin(x)),
    ),
    "log_softmax_jvp": (
        lambda x: native.log_softmax_jvp(native.log_softmax(x), jnp.sin(x)),
        lambda x: softjac.log_softmax_jvp(softjac.log_softmax(x), jnp.sin(x)),
    ),
    "softmax_jacobian": (
        lambda x: native.softmax_jacobian(native.softmax(x), scale=2.0),
        lambda x: 2 * softjac.softmax_jacobian(softjac.softmax(x)),
    ),
    "log_softmax_jacobian": (
        lambda x: native.log_softmax_jacobian(native.log_softmax(x)),
        lambda x: softjac.log_softmax_jacobian(softjac.log_softmax(x)),
    ),
    "cross_entropy with targets": (
        lambda x: native.cross_entropy(x, jnp.cos(x), scale=0.5),
        lambda x: -jnp.sum(jnp.cos(x) * softjac.log_softmax(x, scale=0.5), -1),
    ),
    "cross_entropy with labels": (
        lambda x: native.cross_entropy(x, jnp.full(x.shape[:-1], 1)),
        lambda x: -softjac.log_softmax(x)[..., 1],
    ),
    "derivative of cross_entropy": (
        lambda x: native.cross_entropy_with_derivative(x, jnp.cos(x))[1],
        lambda x: -softjac.log_softmax_vjp(softjac.log_softmax(x), jnp.cos(x)),
    ),
}


def orders(f: Any) -> Any:
    """Value, derivatives both ways, and mixed second and third ones along fixed directions."""

    def pulled(x: Any) -> Any:
        y, pull = jax.vjp(f, x)
        return pull(jnp.cos(jnp.arange(float(y.size))).reshape(y.shape))[0]

    def along(g: Any) -> Any:
        return lambda x: jax.jvp(g, (x,), (jnp.sin(jnp.arange(1.0, 1 + x.size)),))[1]

    second = along(pulled)
    return lambda x: [
        f(x),
        along(f)(x),
        pulled(x),
        jax.grad(lambda x: jnp.sum(pulled(x) * jnp.sin(x)))(x),
        along(second)(x),
    ]


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_derivatives_agree_with_the_reference(name: str) -> None:
    """Value, first, second and third derivatives, forward and reverse, are the reference's."""
    with jax.enable_x64(True):
        got, want = (jax.jit(orders(function))(array(4)) for function in PAIRS[name])
        for order, (a, b) in enumerate(zip(got, want, strict=True)):
            assert close(a, b), order


def test_dense_jacobians_and_hessians_agree_with_the_reference() -> None:
    """jacfwd, jacrev and hessian of softmax give the reference's arrays."""
    kernels, reference = PAIRS["softmax"]
    with jax.enable_x64(True):
        for transform in (jax.jacfwd, jax.jacrev, jax.hessian):
            got, want = (jax.jit(transform(f))(array(4)) for f in (kernels, reference))
            assert close(got, want)


@pytest.mark.parametrize("name", PAIRS)
def test_vmap_over_any_axis_agrees(name: str) -> None:
    """Batched along any axis, and with one operand unbatched, the result is that of a loop."""
    kernels, _ = PAIRS[name]
    with jax.enable_x64(True):
        x = array(3, 2, 5)
        for axis in (0, 1):
            got = jax.vmap(kernels, axis)(x)
            want = jnp.stack([kernels(row) for row in jnp.moveaxis(x, axis, 0)])
            assert close(got, want)
        y = native.softmax(x[0, 0])
        got = jax.vmap(native.softmax_vjp, (None, 0))(y, x[:, 0])
        assert close(got, jnp.stack([native.softmax_vjp(y, t) for t in x[:, 0]]))


def test_the_kernels_are_called() -> None:
    """The compiled program calls the library, in the derivative too, and not the formula."""
    x = jnp.ones((4, 33))
    text = jax.jit(native.softmax).lower(x).compile().as_text()
    assert "softjac_softmax" in text
    gradient = jax.grad(lambda x: jnp.sum(native.softmax(x) * x))
    text = jax.jit(gradient).lower(x).compile().as_text()
    assert text.count('custom_call_target="softjac_softmax_product"') == 1


def test_reverse_mode_has_the_bits_of_the_vjp() -> None:
    """What jax.vjp gives is what softmax_vjp gives on NumPy arrays."""
    x = np.random.default_rng(0).standard_normal((5, 100)).astype(np.float32)
    y, pull = jax.vjp(native.softmax, jnp.asarray(x))
    dx = native.softmax_vjp(native.softmax(x), x)
    assert np.asarray(pull(jnp.asarray(x))[0]).tobytes() == dx.tobytes()
    assert np.asarray(y).tobytes() == native.softmax(x).tobytes()


def test_donated_memory_takes_the_result() -> None:
    """With donation and out=, the result lies where the input lay."""
    function = jax.jit(lambda x: native.softmax(x, out=x), donate_argnums=0)
    x = jnp.ones((64, 1000), jnp.float32)  # XLA's own memory: NumPy's cannot be given away
    address = x.unsafe_buffer_pointer()
    y = function(x)
    assert y.unsafe_buffer_pointer() == address
    assert x.is_deleted()
    pull = jax.jit(lambda y, dy: native.softmax_vjp(y, dy, out=dy), donate_argnums=1)
    dy = jnp.ones((64, 1000), jnp.float32)
    address = dy.unsafe_buffer_pointer()
    assert pull(y, dy).unsafe_buffer_pointer() == address


def test_out_without_donation_leaves_the_input() -> None:
    """out= without donation costs a copy and changes nothing else."""
    x = jnp.asarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    before = np.asarray(x).copy()
    y = jax.jit(lambda x: native.softmax(x, out=x))(x)
    assert np.array_equal(np.asarray(x), before)
    assert np.asarray(y).tobytes() == native.softmax(before).tobytes()


def test_exported_program_runs() -> None:
    """A function with a kernel goes through jax.export, and through bytes where that can be."""
    allowed = [jax.export.DisabledSafetyCheck.custom_call("softjac_softmax")]
    x = jnp.ones((2, 5))
    exported = jax.export.export(jax.jit(native.softmax), disabled_checks=allowed)(x)
    assert "softjac_softmax" in exported.mlir_module()
    want = np.asarray(native.softmax(x)).tobytes()
    assert np.asarray(exported.call(x)).tobytes() == want
    if importlib.util.find_spec("flatbuffers"):
        again = jax.export.deserialize(bytearray(exported.serialize()))
        assert np.asarray(again.call(x)).tobytes() == want


def test_threads_of_xla_give_the_same_bits() -> None:
    """Large arrays are cut into pieces for XLA's threads, with the bits of one thread."""
    x = np.random.default_rng(0).standard_normal((3000, 301)).astype(np.float32)
    function = jax.jit(native.softmax)
    native.set_threads(1)
    want = np.asarray(function(x)).tobytes()
    native.set_threads(4)
    try:
        for _ in range(5):
            assert np.asarray(function(x)).tobytes() == want
    finally:
        native.set_threads(2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: native.softmax(x.astype(int)), "x: expected dtype float32, .* got int32"),
        (lambda x: native.softmax(x[0, 0]), r"x: expected shape \(..., n\), got a scalar"),
        (lambda x: native.softmax_vjp(x, x[:1]), r"dy: expected the shape .* of y, \(2, 3\)"),
        (lambda x: native.softmax(x, out=x + 1), "out: JAX arrays cannot be written to"),
        (lambda x: jax.jit(lambda c: native.softmax(x, scale=c))(2.0), "scale: expected a number"),
        (lambda x: native.cross_entropy(x, x[0]), r"target: expected .* got \(3,\) float32"),
        (lambda x: native.cross_entropy(x[:, :0], jnp.zeros(2, int)), "at least one class"),
    ],
)
def test_wrong_arguments_are_named(call: Any, message: str) -> None:
    """An error says which argument, what was expected, and what came."""
    with pytest.raises(softjac.ArgumentError, match=message):
        call(jnp.zeros((2, 3)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kernels", [True, False])
def test_a_label_outside_the_classes_gives_nan(kernels: bool, dtype: str) -> None:
    """Loss and derivative of that row are NaN, of the others as ever; traced code never raises."""
    x = jnp.asarray(np.arange(15).reshape(5, 3) / 7, dtype)
    labels = jnp.array([0, 3, 2, -1, 2**31 - 1])

    def function(x: Any, labels: Any) -> Any:
        if kernels:
            return native.cross_entropy_with_derivative(x, labels)
        return _formulas.rounded_once(_formulas.entropy)(x, labels, scale=1.0, derivative=True)

    loss, dx = jax.jit(function)(x, labels)
    good = np.array([True, False, True, False, False])
    assert np.array_equal(np.isnan(loss.astype("float32")), ~good)
    assert np.array_equal(np.isnan(dx.astype("float32")).all(-1), ~good)
    want = native.cross_entropy_with_derivative(np.asarray(x)[good], np.asarray(labels)[good])
    assert np.allclose(np.asarray(loss, "float32")[good], np.asarray(want[0], "float32"))
    assert np.allclose(np.asarray(dx, "float32")[good], np.asarray(want[1], "float32"))


def test_a_masked_class_counts_nothing_by_the_target() -> None:
    """At a logit of -inf neither loss nor its derivatives by the target are NaN."""
    x = jnp.array([[0.0, 1.0, -jnp.inf]])
    target = jnp.array([[0.25, 0.75, 0.0]])
    want = -softjac.log_softmax(x[:, :2])
    change = jax.jvp(lambda t: native.cross_entropy(x, t), (target,), (target,))[1]
    assert np.allclose(change, jnp.sum(want * target[:, :2], -1))
    gradient = jax.grad(lambda t: native.cross_entropy(x, t)[0])(target)
    assert np.allclose(gradient[:, :2], want)
    assert gradient[0, 2] == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_without_kernels_16_bits_are_rounded_once(dtype: str) -> None:
    """The formula computes in float32, with the factor: the nearest of the exact numbers."""
    rng = np.random.default_rng(0)
    y = jnp.asarray(rng.dirichlet(np.ones(200), 20), dtype)
    t = jnp.asarray(rng.standard_normal((20, 200)), dtype)
    got = _formulas.rounded_once(_formulas.product)(y, t, scale=1 / 3)
    wide, far = np.asarray(y, np.float64), np.asarray(t, np.float64)
    exact = wide * (far - (wide * far).sum(-1, keepdims=True)) / 3
    # Half a unit in the last place, and a few roundings of float32 before it.
    room = jnp.finfo(dtype).eps / 2 * (1 + 2.0**-10)
    assert got.dtype == dtype
    normal = np.abs(exact) > float(jnp.finfo(dtype).tiny)
    error = np.abs(np.asarray(got, np.float64) - exact) / np.abs(exact)
    assert np.mean((error <= room)[normal]) > 0.99  # an exact result near 0 has cancelled


def test_without_kernels_the_formula_runs_with_one_warning(monkeypatch: Any) -> None:
    """Where XLA refuses the handlers, the result is the reference's, said once."""

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such version")

    monkeypatch.setattr(jax.ffi, "register_ffi_target", refuse)
    _xla._registered.cache_clear()
    try:
        x = jnp.asarray(np.linspace(-3, 3, 14, dtype=np.float32).reshape(2, 7))
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            y = jax.jit(lambda x: native.softmax(x) + 0)(x)
            dx = jax.jit(lambda y: native.softmax_vjp(y, x) + 0)(y)
        assert [str(w.message) for w in found] == [
            "softjac.native runs as pure JAX, without its kernels: no such version"
        ]
        assert np.array_equal(y, softjac.softmax(x))
        assert np.array_equal(dx, softjac.softmax_vjp(y, x))
    finally:
        _xla._registered.cache_clear()


DEVICES = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import PartitionSpec as P
from softjac import native
jax.config.update("jax_enable_x64", True)
mesh = jax.make_mesh((8,), ("rows",))
x = jnp.asarray(np.random.default_rng(0).standard_normal((64, 33)))
rows = jax.device_put(x, jax.NamedSharding(mesh, P("rows")))
def loss(x):
    return jnp.sum(native.softmax(x) * jnp.sin(x), -1)
gradient = jax.vmap(jax.grad(loss))
for f in (native.softmax, native.log_softmax, gradient,
          lambda x: native.softmax_vjp(native.softmax(x), jnp.ones(33).at[0].set(2.0) + 0 * x),
          lambda x: native.cross_entropy(x, jnp.zeros(x.shape[0], int))):
    split = jax.jit(jax.shard_map(f, mesh=mesh, in_specs=P("rows"), out_specs=P("rows")))
    got = split(rows)
    assert len(got.sharding.device_set) == 8
    want = np.asarray(f(x))
    assert np.allclose(got, want, rtol=1e-13, atol=1e-15)
    # The formula of `loss` is XLA's, whose own functions may round by shape.
    assert f is gradient or np.asarray(got).tobytes() == want.tobytes(), f
    assert "all-gather" not in split.lower(rows).compile().as_text()
print("same")
"""


def test_shard_map_over_eight_devices() -> None:
    """Under shard_map each device calls the kernel on its rows, and nothing is gathered."""
    done = subprocess.run(
        [sys.executable, "-c", DEVICES], capture_output=True, text=True, check=False
    )
    assert done.stdout == "same\n", done.stderr
