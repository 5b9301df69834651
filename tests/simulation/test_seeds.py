"""Seeds hold, and say the same each time; a command shows them again."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.reference import ROOT
from workers.simulation.__main__ import main
from workers.simulation.faults import KINDS
from workers.simulation.invariants import SENTENCES
from workers.simulation.scenario import Plan, replay_command


def chaos(*arguments, **environment):
    command = [sys.executable, "-m", "swarmd", "chaos", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.timeout(300)
def test_seeds_break_nothing(summary):
    replays = [
        f"{violation}: {replay_command(seed, Plan())}" for seed, violation in summary.violations
    ]
    assert [] == replays
    assert summary.lives > summary.seeds  # managers died, and others took their place
    assert summary.holds  # breakers opened


@pytest.mark.timeout(120)
def test_a_seed_gives_the_same_run_in_every_process():
    runs = {chaos("--seed", "7", "--trace", PYTHONHASHSEED=seed).stdout for seed in ("1", "2")}
    (trace,) = runs
    assert "peace: nothing fails from here on" in trace


@pytest.mark.timeout(120)
def test_the_command_counts_and_its_exit_status_is_zero():
    done = chaos("--seeds", "2", "--jobs", "1", "--duration", "10s", "--faults", "none")
    assert (0, True) == (done.returncode, done.stdout.startswith("2 seeds in "))
    assert "simulated seconds/s" in done.stdout
    assert "events/s" in done.stdout


def test_the_help_names_every_invariant_and_fault():
    shown = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    assert [] == [name for name in (*SENTENCES, *KINDS) if name not in shown]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--faults", "rain"), "no fault is called rain"),
        (("--trace",), "say which with --seed"),
        (("--seed", "1", "--for", "5s"), "leave --seeds and --for out"),
        (("--for", "soon"), "soon is no duration"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, sentence):
    done = CliRunner().invoke(main, arguments)
    assert 2 == done.exit_code
    assert sentence in " ".join(done.output.split())


def test_a_replay_repeats_what_was_not_usual():
    plan = Plan(seconds=30, nodes=5, faults=("partition", "clock"))
    expected = "swarmd chaos --seed 3 --trace --duration 30s --nodes 5 --faults partition,clock"
    assert expected == replay_command(3, plan)


def test_the_invariants_and_faults_are_documented():
    text = (ROOT / "docs/chaos.md").read_text()
    assert [] == [name for name in (*SENTENCES, *KINDS) if f"`{name}`" not in text]
