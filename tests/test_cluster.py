"The files of docs/how-to/cluster are what `ray up`, KubeRay and Slurm take."

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from psr_nb.cli import app

FOLDER = Path(__file__).parent.parent / 'docs' / 'how-to' / 'cluster'


def check_command(words):
    "Every option of a `psr` command in a file is one that the command has."
    assert words[0] == 'psr'
    command = get_command(app).commands[words[1]]
    with command.make_context(words[1], list(words[2:]), resilient_parsing=False):
        pass


def read(name):
    return yaml.safe_load((FOLDER / name).read_text(encoding='utf-8'))


@pytest.mark.slow
def test_ray_up_takes_the_cluster():
    "Checked by Ray's own schema."
    util = pytest.importorskip('ray.autoscaler._private.util')
    config = util.prepare_config(read('aws.yaml'))
    util.validate_config(config)
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        util.validate_config(config | dict(clustre='psr'))


def test_the_cloud_cluster_works_at_spot_prices_and_its_head_does_not():
    config, text = read('aws.yaml'), (FOLDER / 'aws.yaml').read_text(encoding='utf-8')
    kinds = config['available_node_types']
    assert kinds[config['head_node_type']]['resources'] == {'CPU': 0}
    assert kinds['gpu']['node_config']['InstanceMarketOptions'] == {'MarketType': 'spot'}
    [line] = [x for x in text.splitlines() if 'ray exec' in x]
    check_command(shlex.split(shlex.split(line)[-1]))


CONTAINER = dict(
    type='object',
    required=['name', 'image', 'resources'],
    properties=dict(
        name=dict(type='string'), image=dict(type='string'), resources=dict(required=['requests', 'limits'])
    ),
)
GROUP = dict(
    type='object',
    required=['rayStartParams', 'template'],
    properties=dict(
        groupName=dict(type='string'),
        replicas=dict(type='integer'),
        minReplicas=dict(type='integer'),
        maxReplicas=dict(type='integer'),
        rayStartParams=dict(type='object', additionalProperties=dict(type='string')),  # numbers too are texts here
        template=dict(
            required=['spec'],
            properties=dict(
                spec=dict(
                    required=['containers'],
                    properties=dict(
                        containers=dict(type='array', minItems=1, items=CONTAINER), volumes=dict(type='array')
                    ),
                    additionalProperties=False,
                )
            ),
        ),
    ),
    additionalProperties=False,
)
RAY_JOB = dict(  # the fields of ray.io/v1 that the file uses
    type='object',
    required=['apiVersion', 'kind', 'metadata', 'spec'],
    properties=dict(
        apiVersion=dict(const='ray.io/v1'),
        kind=dict(const='RayJob'),
        metadata=dict(required=['name']),
        spec=dict(
            required=['entrypoint', 'rayClusterSpec'],
            properties=dict(
                entrypoint=dict(type='string'),
                shutdownAfterJobFinishes=dict(type='boolean'),
                backoffLimit=dict(type='integer'),
                rayClusterSpec=dict(
                    required=['headGroupSpec', 'workerGroupSpecs', 'rayVersion'],
                    properties=dict(
                        rayVersion=dict(type='string'),
                        headGroupSpec=GROUP,
                        workerGroupSpecs=dict(type='array', items=GROUP),
                    ),
                    additionalProperties=False,
                ),
            ),
            additionalProperties=False,
        ),
    ),
    additionalProperties=False,
)


def test_kuberay_takes_the_job():
    job = read('rayjob.yaml')
    import jsonschema  # it takes four seconds, which the quick tests have not

    jsonschema.validate(job, RAY_JOB)
    check_command(shlex.split(job['spec']['entrypoint']))
    cluster = job['spec']['rayClusterSpec']
    head = cluster['headGroupSpec']['template']['spec']
    mounted = {v['name']: v['mountPath'] for v in head['containers'][0]['volumeMounts']}
    assert mounted == {v['name']: '/data' for v in head['volumes']} and ' --out /data/' in job['spec']['entrypoint']


def test_the_slurm_script_starts_a_cluster_and_one_command(tmp_path):
    "A dry run: commands that write down what they were asked to do."
    script, log = FOLDER / 'slurm.sh', tmp_path / 'log'
    subprocess.run(['bash', '-n', script], check=True)
    stubs = dict(
        scontrol='printf "n1\\nn2\\nn3\\n"',
        srun='while [ "${1#-}" != "$1" ]; do if [ "$1" = -w ]; then shift; node=$1; fi; shift; done; '
        f'for _ in {{1..99}}; do [ "$1" = ray ] || [ $(grep -c "ray start" {log}) = 3 ] && break; sleep 0.1; done; '
        f'echo "$node $*" >> {log}',
    )
    for name, body in stubs.items():
        (tmp_path / name).write_text(f'#!/bin/bash\n{body}\n')
        (tmp_path / name).chmod(0o755)
    own = dict(SLURM_JOB_NODELIST='n[1-3]', SLURM_JOB_ID='77', SLURM_CPUS_PER_TASK='8', SLURM_GPUS_PER_TASK='a100:2')
    environment = {**os.environ, **own, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'PAUSE': '0'}
    words = ['pool', '--prior', 'my prior', '--out', '/shared/pool']
    subprocess.run(['bash', script, *words], env=environment, check=True, timeout=60)
    said = log.read_text().splitlines()
    ports = '--num-cpus=8 --num-gpus=2 --disable-usage-stats --block'
    assert f'n1 ray start --head --port=20077 {ports}' in said
    assert [f'{n} ray start --address=n1:20077 {ports}' in said for n in ('n2', 'n3')] == [True, True]
    assert 'n1 psr pool --prior my prior --out /shared/pool --engine ray --address n1:20077 --workers 6' in said
    check_command(['psr', *words, '--engine', 'ray', '--address', 'n1:20077', '--workers', '6'])
    assert subprocess.run(['bash', script], env=environment, capture_output=True, timeout=60).returncode == 2
