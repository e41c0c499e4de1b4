"""The pytest plugin: fixture, marker, options, and an item for each candidate."""

from __future__ import annotations

from pathlib import Path

import pytest

# Stands in for the judge within the projects below: the candidate's name is the verdict.
JUDGE = """
import softjac
from softjac.oracle.findings import CheckResult, Report

def verify(candidate, **options):
    target = candidate if isinstance(candidate, str) else candidate.__name__
    verdict = target.rpartition(":")[2]
    if verdict == "missing":
        raise softjac.CandidateError("no such candidate")
    checks = [CheckResult("values", "pass", 1, 0.5, str(sorted(options.items())))]
    return Report(target, options["op"], "float32", verdict, checks=checks, limits=(str(options),))

softjac.verify = verify
"""
CANDIDATES = """
[[candidate]]
name = "good one"
target = "m:verified"
op = "softmax"

[[candidate]]
name = "bad one"
target = "m:refuted"
op = "softmax_vjp"

[[candidate]]
name = "lost one"
target = "m:missing"
op = "softmax"
"""
TESTS = """
import pytest

def verified(): ...
def refuted(): ...

def test_good(softjac_verify):
    assert softjac_verify(verified, op="softmax").verdict == "verified"

def test_bad(softjac_verify):
    softjac_verify(refuted, op="softmax")
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's project, in which the judge is played."""
    pytester.makeconftest(JUDGE)
    return pytester


def test_fixture_fails_with_the_report(project: pytest.Pytester) -> None:
    """A refuted candidate fails its test, and the failure is the oracle's report."""
    project.makepyfile(TESTS)
    result = project.runpytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["REFUTED  refuted: softmax, float32*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_marker_gives_defaults(project: pytest.Pytester) -> None:
    """Options of the marker hold for the fixture unless the call says otherwise."""
    project.makepyfile(
        """
        import pytest

        def verified(): ...

        @pytest.mark.softjac(op="softmax_vjp", dtype="float64")
        def test_marked(softjac_verify):
            assert softjac_verify(verified).op == "softmax_vjp"
            assert "float64" in softjac_verify(verified, op="softmax").limits[0]
        """
    )
    project.runpytest("--strict-markers").assert_outcomes(passed=1)


def test_effort_of_the_command_line_counts(project: pytest.Pytester) -> None:
    """--softjac-effort holds whatever a test or candidate says."""
    project.makepyfile(
        """
        def verified(): ...

        def test_effort(softjac_verify):
            report = softjac_verify(verified, op="softmax", effort="thorough")
            assert "'effort': 'quick'" in report.limits[0]
        """
    )
    project.runpytest("--softjac-effort=quick").assert_outcomes(passed=1)


def test_one_item_per_candidate(project: pytest.Pytester) -> None:
    """softjac.toml is collected: a candidate passes, fails with the report, or says why not."""
    project.makefile(".toml", softjac=CANDIDATES)
    result = project.runpytest("-v", "-rA")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "softjac.toml::good one PASSED*",
            "softjac.toml::bad one FAILED*",
            "softjac.toml::lost one FAILED*",
            "REFUTED  m:refuted: softmax_vjp, float32*",
            "no such candidate",
        ]
    )
    project.runpytest("-m", "softjac", "-k", "good").assert_outcomes(passed=1, deselected=2)


def test_pyproject_counts_only_with_its_table(project: pytest.Pytester) -> None:
    """[tool.softjac] of pyproject.toml is collected; a pyproject.toml without it is not."""
    table = '[[tool.softjac.candidate]]\ntarget = "m:verified"\nop = "softmax"\n'
    project.makepyprojecttoml("[project]\nname = 'x'\n# tool.softjac\n")
    project.runpytest().assert_outcomes()
    project.makepyprojecttoml(table)
    project.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "content",
    [b"[project\n", b"[project]\nname = '\xff softjac'\n", b"tool = 3 # softjac\n"],
    ids=["no TOML", "no UTF-8", "no table"],
)
def test_a_strangers_broken_pyproject_is_left_alone(
    project: pytest.Pytester, content: bytes
) -> None:
    """A file that is wrong on purpose, in a folder of fixtures, is nobody's collection error."""
    fixtures = project.mkdir("fixtures")
    (fixtures / "pyproject.toml").write_bytes(content)
    project.makepyfile("def test_one(): ...")
    project.runpytest().assert_outcomes(passed=1)


@pytest.mark.parametrize("content", ["[tool.softjac]\neffort = ", "[tool]\nsoftjac = 3\n"])
def test_a_broken_table_of_softjac_is_an_error(project: pytest.Pytester, content: str) -> None:
    """Candidates that cannot be read are never passed over in silence."""
    (project.mkdir("inner") / "pyproject.toml").write_text(content)
    project.runpytest().assert_outcomes(errors=1)


def test_a_mistake_in_the_file_is_a_collection_error(project: pytest.Pytester) -> None:
    """An unknown key stops the collection with the configuration's own message."""
    project.makefile(".toml", softjac='[[candidates]]\ntarget = "m:f"\n')
    result = project.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*unknown key candidates; did you mean candidate?*"])


@pytest.mark.parametrize("workers", [0, 2])
def test_html_page_also_with_xdist(project: pytest.Pytester, workers: int) -> None:
    """--softjac-html writes one page of every report, also when workers made them."""
    project.makefile(".toml", softjac=CANDIDATES)
    project.makepyfile(TESTS)
    words = ["--softjac-html=out/page.html", f"-n{workers}"]
    if workers:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
        result = project.runpytest_subprocess(*words)
    else:
        result = project.runpytest(*words[:1])
    result.assert_outcomes(passed=2, failed=3)
    page = (project.path / "out" / "page.html").read_text()
    assert page.count('<details class="candidate"') == 4
    for target in ("m:verified", "m:refuted"):
        assert target.replace(":", ":<wbr>") in page


def test_no_softjac(project: pytest.Pytester) -> None:
    """With `-p no:softjac` the plugin is gone: no option, no fixture, nothing collected."""
    project.makefile(".toml", softjac=CANDIDATES)
    project.makepyfile(TESTS)
    result = project.runpytest_subprocess("-p", "no:softjac")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*fixture 'softjac_verify' not found*"])


def test_the_plugin_loads_nothing_until_it_is_used(project: pytest.Pytester) -> None:
    """Import hooks and coverage installed by other plugins come before softjac and JAX."""
    (project.path / "conftest.py").unlink()
    project.makepyfile(
        """
        import sys

        def test_unused():
            assert not {"softjac", "jax"} & set(sys.modules)
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_jaxtyping_hook_reaches_softjac(project: pytest.Pytester) -> None:
    """Jaxtyping's import hook finds softjac not yet imported, so it does not warn."""
    pytest.importorskip("jaxtyping", reason="jaxtyping is not installed")
    project.makepyfile("import softjac\n\ndef test_it():\n    assert softjac.__version__\n")
    result = project.runpytest_subprocess(
        "--jaxtyping-packages=softjac,beartype.beartype", "-W", "error"
    )
    assert "already imported" not in result.stdout.str() + result.stderr.str()


def test_a_function_under_jaxtypings_hook_is_judged(pytester: pytest.Pytester) -> None:
    """A candidate whose shapes are checked at run time is called and judged as any other."""
    pytest.importorskip("jaxtyping", reason="jaxtyping is not installed")
    rows = 'Float[np.ndarray, "rows n"]'
    pytester.makepyfile(
        shaped=f"""
        import numpy as np
        from jaxtyping import Float

        def vjp(y: {rows}, dy: {rows}) -> {rows}:
            return y * (1 - y) * dy
        """,
        test_shaped="""
        import shaped

        def test_vjp(softjac_verify):
            softjac_verify(shaped.vjp, op="softmax_vjp", effort="quick")
        """,
    )
    words = ["--jaxtyping-packages=shaped,beartype.beartype", "test_shaped.py"]
    result = pytester.runpytest_subprocess(*words)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*REFUTED*", "*diagonal-only*"])


def test_coverage_sees_the_package(project: pytest.Pytester) -> None:
    """Lines of softjac that run at import are counted as covered."""
    pytest.importorskip("pytest_cov", reason="pytest-cov is not installed")
    project.makepyfile("import softjac.oracle.findings\n\ndef test_it():\n    pass\n")
    result = project.runpytest_subprocess("--cov=softjac", "--cov-report=term")
    (line,) = (found for found in result.outlines if "findings.py" in found)
    assert line.split()[-1] == "100%"


def test_the_module_is_beside_the_package() -> None:
    """The plugin is a top-level module: importing it must not import the package."""
    import pytest_softjac
    import softjac

    top = Path(softjac.__file__).parent.parent
    assert Path(str(pytest_softjac.__file__)).parent == top
