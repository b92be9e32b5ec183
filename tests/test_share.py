"Nothing goes to the Hub unasked, and then exactly the set's files."

from types import SimpleNamespace

import pytest
import torch

from psr_nb.core import PSRError
from psr_nb.distilled import DistilledSet
from psr_nb.share import push_to_hub


@pytest.fixture
def folder(tmp_path):
    images = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8)
    DistilledSet(images, torch.tensor([0, 0, 1, 1]), ['a b', 'ü']).save(tmp_path / 'set')
    (tmp_path / 'set' / '.secret').write_text('mine')
    return tmp_path / 'set'


class Api:
    "Takes what a Hub would."

    def __init__(self, fails=False):
        self.asked, self.fails = [], fails

    def create_repo(self, repo, **options):
        self.asked.append((repo, options))
        if self.fails:
            raise OSError('401 Unauthorized')

    def upload_folder(self, **options):
        self.asked.append(options)
        return SimpleNamespace(commit_url='https://hub/commit/1')


def test_a_dry_run_sends_nothing(folder):
    api = Api()
    push = push_to_hub(folder, 'me/set', api=api)
    assert api.asked == [] and push.url == '' and 'nothing was sent; private data set me/set' in repr(push)
    assert '.secret' not in dict(push.files)
    assert dict(push.files)['README.md'] == (folder / 'README.md').stat().st_size


def test_what_is_sent_is_what_was_listed(folder):
    api = Api()
    push = push_to_hub(folder, 'me/set', send=True, private=False, api=api)
    (repo, made), sent = api.asked
    assert repo == 'me/set' and made == dict(repo_type='dataset', private=False, exist_ok=True)
    assert sent['allow_patterns'] == [p for p, _ in push_to_hub(folder, 'me/set').files]
    assert push.url == 'https://hub/commit/1' and 'sent to https://hub' in repr(push)


def test_errors_say_what_to_do(folder, tmp_path):
    with pytest.raises(PSRError, match='401 Unauthorized. Log in'):
        push_to_hub(folder, 'me/set', send=True, api=Api(fails=True))
    with pytest.raises(PSRError, match='NAME or OWNER/NAME'):
        push_to_hub(folder, 'a/b/c')
    with pytest.raises(PSRError):
        push_to_hub(tmp_path, 'me/set')
