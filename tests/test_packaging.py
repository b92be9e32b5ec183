"settings.ini is the single source of every packaging fact, and what is built from it holds what it should."

import ast
import importlib.metadata
import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from email import message_from_string
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ImportError:
    import tomli as tomllib  # Python 3.10

root = Path(__file__).parent.parent


def settings(path=root / 'settings.ini'):
    config = ConfigParser(delimiters=['='], interpolation=None)
    config.read(path, encoding='utf-8')
    return config['DEFAULT']


def pyproject():
    return tomllib.loads((root / 'pyproject.toml').read_text(encoding='utf-8'))


def requirements(config):
    "Every requirement as the metadata of a built package states it, extras with their marker."
    out = {canonical(r) for r in config['requirements'].split()}
    for key in config:
        if not key.endswith('_requirements'):
            continue
        extra = f'extra == "{key[: -len("_requirements")]}"'
        for r in config[key].split():
            name, _, marker = r.partition(';')
            out.add(canonical(f'{name}; {marker} and {extra}' if marker else f'{name}; {extra}'))
    return out


def canonical(requirement):
    r = Requirement(requirement)
    r.name = canonicalize_name(r.name)
    return str(r)


def build(tree, hook):
    "What setuptools makes of a tree, in its own process; the path of the result."
    code = f"import sys; from setuptools import build_meta as b; name = b.{hook}('built'); print('built/' + name)"
    (tree / 'built').mkdir(exist_ok=True)
    done = subprocess.run([sys.executable, '-c', code], cwd=tree, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return tree / done.stdout.strip().splitlines()[-1]


def metadata(tree):
    return message_from_string(
        (build(tree, 'prepare_metadata_for_build_wheel') / 'METADATA').read_text(encoding='utf-8')
    )


@pytest.fixture
def tree(tmp_path):
    "A copy of what a build reads."
    for name in (
        'settings.ini',
        'setup.py',
        'pyproject.toml',
        'MANIFEST.in',
        'README.md',
        'LICENSE',
        'CHANGELOG.md',
        'Makefile',
    ):
        shutil.copy(root / name, tmp_path)
    shutil.copytree(root / 'psr_nb', tmp_path / 'psr_nb', ignore=shutil.ignore_patterns('__pycache__'))
    return tmp_path


def test_files_agree():
    config, toml = settings(), pyproject()
    project, nbdev = toml['project'], toml['tool']['nbdev']
    assert project['name'] == config['lib_name']
    assert project['requires-python'] == '>=' + config['min_python']
    assert project['urls']['Repository'] == config['git_url']
    for key in ('lib_path', 'nbs_path', 'branch', 'tst_flags'):
        assert nbdev[key] == config[key], key
    assert config['git_url'].endswith('/' + config['repo'])
    from psr_nb import __version__

    assert __version__ == config['version'], 'run `make export`'


def test_each_requirement_is_written_once():
    config, toml = settings(), pyproject()
    assert not {'dependencies', 'optional-dependencies', 'version'} & set(toml['project'])
    names = [
        canonicalize_name(Requirement(r).name)
        for key in config
        if key.endswith('requirements')
        for r in config[key].split()
    ]
    assert len(names) == len(set(names)), names
    assert set(toml['build-system']['requires']) <= set(config['dev_requirements'].split())


def test_setup_passes_on_the_settings(tree):
    config, data = settings(), metadata(tree)
    assert (
        data['Name'] == config['lib_name']
        and data['Version'] == config['version']
        and data['Summary'] == config['description']
    )
    assert (
        data['Requires-Python'] == '>=' + config['min_python']
        and data['License-Expression'] == config['license']
        and data['Author'] == config['author']
    )
    assert (
        data['Keywords'].split(',') == config['keywords'].split()
        and data.get_all('Classifier') == config['classifiers'].strip().splitlines()
    )
    assert {canonical(r) for r in data.get_all('Requires-Dist')} == requirements(config)
    assert data.get_payload().strip() == (root / 'README.md').read_text(encoding='utf-8').strip()


def test_setup_reads_the_settings(tree):
    path = tree / 'settings.ini'
    text = (
        path.read_text(encoding='utf-8')
        .replace(f'version = {settings()["version"]}', 'version = 9.8.7')
        .replace('requirements =', 'requirements = a-new-one>=3', 1)
    )
    path.write_text(text + '\nmore_requirements = another>=2\n', encoding='utf-8')
    data = metadata(tree)
    assert data['Version'] == '9.8.7' and 'more' in data.get_all('Provides-Extra')
    assert {'a-new-one>=3', 'another>=2; extra == "more"'} <= {canonical(r) for r in data.get_all('Requires-Dist')}


def test_the_locked_packages_are_those_of_the_settings():
    "Each requirement but torch, in a version that will do, and no package without a hash."
    text = (root / 'nbs' / 'tutorials' / 'locked.txt').read_text(encoding='utf-8')
    entries = [entry for entry in text.replace('\\\n', ' ').splitlines() if entry and not entry.startswith('#')]
    assert all('--hash=sha256:' in entry for entry in entries)
    locked = {}
    for requirement in (Requirement(entry.split(' --hash')[0]) for entry in entries):
        (pin,) = requirement.specifier
        assert pin.operator == '=='
        locked.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    for wanted in map(Requirement, settings()['requirements'].split()):
        versions = locked.get(canonicalize_name(wanted.name), [])
        assert bool(versions) != wanted.name.startswith('torch'), f'{wanted}: python tools/lock.py'
        assert all(wanted.specifier.contains(v) for v in versions), f'{wanted}: python tools/lock.py'


def test_what_is_installed_is_this():
    config, installed = settings(), importlib.metadata.distribution('psr_nb')
    assert installed.version == config['version'], 'the installed package is an older one: pip install -e .'
    assert {canonical(r) for r in installed.requires} == requirements(config)
    command, target = config['console_scripts'].split('=')
    assert [e.value for e in installed.entry_points if e.group == 'console_scripts' and e.name == command] == [target]


@pytest.mark.slow
def test_wheel_and_sdist_hold_modules_and_assets(tree):
    expected = {
        p.relative_to(tree).as_posix()
        for p in (tree / 'psr_nb').rglob('*')
        if p.is_file() and not p.name.startswith('.')
    }
    assert any('assets/' in name for name in expected)
    with zipfile.ZipFile(build(tree, 'build_wheel')) as wheel:
        names = {n for n in wheel.namelist() if '.dist-info/' not in n}
    assert names == expected
    with tarfile.open(build(tree, 'build_sdist')) as sdist:
        names = {m.name.partition('/')[2] for m in sdist.getmembers() if m.isfile()}
    assert expected <= names
    assert {'settings.ini', 'setup.py', 'pyproject.toml', 'LICENSE', 'CHANGELOG.md', 'README.md'} <= names


def test_every_import_is_required():
    "A module that is imported anywhere in the package belongs to a requirement or an extra, not to a requirement's requirement."
    config = settings()
    provided = {
        f.parts[0].partition('.')[0]
        for r in config['requirements'].split()
        for f in importlib.metadata.files(Requirement(r).name)
    }
    modules = {'universal-pathlib': 'upath'}  # where a package is not called like its module
    provided |= {
        modules.get(Requirement(r).name, Requirement(r).name.replace('-', '_'))
        for key in config
        if key.endswith('_requirements')
        for r in config[key].split()
    }  # may not be installed
    missing = {}
    for path in (root / 'psr_nb').glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for name in {n.partition('.')[0] for n in names} - sys.stdlib_module_names - provided - {'psr_nb'}:
                missing.setdefault(name, set()).add(path.name)
    assert not missing, f'imported, but in no requirement of settings.ini: {missing}'


def test_the_package_itself_imports_nothing_heavy():
    code = 'import sys; before = set(sys.modules); import psr_nb; print(sorted(set(sys.modules) - before))'
    done = subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True, text=True, check=True)
    assert not {'torch', 'numpy', 'diffusers', 'timm', 'plotly', 'umap', 'pandas'} & set(ast.literal_eval(done.stdout))


@pytest.mark.parametrize('name', sorted(p.name for p in (root / 'psr_nb' / 'assets').iterdir() if p.is_dir()))
def test_bundled_weights_have_a_model_card(name):
    "As the hub reads it: a header that names the licence, the library, and the data behind the weights."
    from huggingface_hub import ModelCard

    card = ModelCard((root / 'psr_nb' / 'assets' / name / 'README.md').read_text(encoding='utf-8'))
    assert card.data.license == settings()['license'].lower() and card.data.library_name == 'diffusers'
    assert card.data.datasets and 'dataset-distillation' in card.data.tags
    assert all(f'{part.name}' in card.text for part in (root / 'psr_nb' / 'assets' / name).iterdir() if part.is_dir())


def test_citation_is_of_this_version():
    import yaml

    cited, config = yaml.safe_load((root / 'CITATION.cff').read_text(encoding='utf-8')), settings()
    assert cited['version'] == config['version'] and cited['license'] == config['license']
    assert cited['repository-code'] == config['git_url'] and cited['cff-version'] == '1.2.0'
