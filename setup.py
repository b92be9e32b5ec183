"Packaging entry point: every fact is read from settings.ini, the single source."

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
config = ConfigParser(delimiters=['='], interpolation=None)
config.read(root / 'settings.ini', encoding='utf-8')
c = config['DEFAULT']
extras = {key[: -len('_requirements')]: c[key].split() for key in c if key.endswith('_requirements')}

setup(
    name=c['lib_name'],
    version=c['version'],
    description=c['description'],
    author=c['author'],
    url=c['git_url'],
    license_expression=c['license'],
    long_description=(root / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    keywords=c['keywords'].split(),
    classifiers=c['classifiers'].strip().splitlines(),
    packages=find_packages(include=[c['lib_path'], c['lib_path'] + '.*']),
    package_data={c['lib_path']: c['package_data'].split()},
    zip_safe=False,
    python_requires='>=' + c['min_python'],
    install_requires=c['requirements'].split(),
    extras_require=extras,
    entry_points={
        'console_scripts': c['console_scripts'].split(),
        'nbdev': [f'{c["lib_path"]}={c["lib_path"]}._modidx:d'],
    },
)
