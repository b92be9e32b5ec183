"""The command line, each command in a process of its own.

Most of the time of a small command is importing torch and diffusers. So there is one server that has imported them, and
each command is a fork of it: its own process, its own output, its own exit code. `alone=True` starts Python afresh.
Where the process is not the point, `here` runs a command in the test's own.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

PSR = [sys.executable, '-c', 'import sys; sys.argv[0] = "psr"; from psr_nb.cli import app; app()']
server = multiprocessing.get_context('forkserver')
server.set_forkserver_preload(
    [
        'pytest',
        'pydantic',
        'psr_nb.cli',
        'psr_nb.stages',
        'psr_nb.make_models',
        'psr_nb.formats',
        'psr_nb.describe',
        'diffusers.models.transformers.dit_transformer_2d',
        'diffusers.models.autoencoders.autoencoder_tiny',
        'diffusers.models.autoencoders.autoencoder_kl',
        'diffusers.schedulers.scheduling_dpmsolver_multistep',
        'diffusers.schedulers.scheduling_ddim',
        'timm',
        'pandas',
        'pyarrow.dataset',
        'pyarrow.parquet',
        'scipy.stats',
        'plotly.graph_objects',
    ]
)


def _command(words: list[str], out: str, folder: str, environment: dict[str, str]) -> None:
    "What the fork does: its output goes to files, then it is `psr`."
    for number, name in ((1, 'stdout'), (2, 'stderr')):
        to = os.open(os.path.join(out, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(to, number)
        os.close(to)
    sys.stdout, sys.stderr = (open(n, 'w', buffering=1, encoding='utf-8', closefd=False) for n in (1, 2))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ['psr', *words]
    from psr_nb.cli import app

    app()


def psr(*words, timeout: float = 900, alone: bool = False) -> subprocess.CompletedProcess:
    "What a command said and how it ended."
    words = [str(w) for w in words]
    environment = {**os.environ, 'NO_COLOR': '1'}
    if alone:
        return subprocess.run([*PSR, *words], capture_output=True, text=True, timeout=timeout, env=environment)
    with tempfile.TemporaryDirectory() as out:
        process = server.Process(target=_command, args=(words, out, os.getcwd(), environment))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(['psr', *words], timeout)
        said = {name: (Path(out) / name).read_text(encoding='utf-8') for name in ('stdout', 'stderr')}
    return subprocess.CompletedProcess(['psr', *words], process.exitcode, **said)


def here(*words) -> subprocess.CompletedProcess:
    "What a command says and how it ends, in this process."
    from typer.testing import CliRunner

    from psr_nb.cli import app

    with warnings.catch_warnings():  # a command shows warnings in its own way
        done = CliRunner().invoke(app, [str(w) for w in words], env=dict(NO_COLOR='1'), prog_name='psr')
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    said = (text.replace('\r', '\n') for text in (done.stdout, done.stderr))  # a bar goes back to the line's start
    return subprocess.CompletedProcess(['psr', *words], done.exit_code, *said)


def worked(*words, timeout: float = 900, alone: bool = False) -> subprocess.CompletedProcess:
    "The same as `psr`, of a command that has to work."
    done = psr(*words, timeout=timeout, alone=alone)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def worked_here(*words) -> subprocess.CompletedProcess:
    "The same as `here`, of a command that has to work."
    done = here(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done
