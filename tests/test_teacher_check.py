"The mistakes that no error message shows: other names, another normalisation, another order of the channels."

import copy

import pytest
import torch

from psr_nb.core import PSRError
from psr_nb.data import ImageData
from psr_nb.teacher import Teacher
from psr_nb.teacher_check import check_teacher, renamed_accuracy, with_normalisation

NAMES = ['red', 'green', 'blue', 'grey']


class Colours(torch.nn.Module):
    "Tells apart the four colours of images that are normalised to [-1, 1]; it knows nothing of other numbers."

    num_features, num_classes = 3, 4

    def forward_features(self, x):
        return x

    def forward_head(self, x, pre_logits=False):
        mean = x.mean((2, 3))
        known = torch.tensor([[0.6, -0.6, -0.6], [-0.6, 0.6, -0.6], [-0.6, -0.6, 0.6], [-0.6, -0.6, -0.6]])
        return mean if pre_logits else -10 * torch.cdist(mean, known)


@pytest.fixture(scope='module')
def images():
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 4
    colour = torch.eye(4)[labels][:, :3] * 0.6 + 0.2
    noisy = (colour[:, :, None, None] + 0.1 * torch.randn(400, 3, 8, 8, generator=g)).clamp(0, 1)
    return ImageData((noisy * 255).round().to(torch.uint8), labels, NAMES, name='colours')


@pytest.fixture
def teacher():
    return Teacher(Colours(), 'colours', (0.5,) * 3, (0.5,) * 3, 8, NAMES)


def test_a_teacher_that_is_right_gets_no_warning(teacher, images):
    report = check_teacher(teacher, images)
    assert report.accuracy > 0.95 and not report.warnings
    assert report.confusion.sum() == 400 and report.per_class.min() > 0.9 and 'green' in repr(report)


def test_another_order_of_classes(teacher, images):
    other = copy.copy(teacher)
    other.classes = NAMES
    other._buffers = {**teacher._buffers, 'outputs': torch.tensor([1, 2, 3, 0])}
    [said] = check_teacher(other, images).warnings
    assert 'another order' in said and 'label_names' in said


def test_another_normalisation(teacher, images):
    [said] = check_teacher(with_normalisation(teacher, (0.0,), (1.0,)), images).warnings
    assert 'images in [-1, 1]' in said
    assert teacher.mean.flatten().tolist() == [0.5] * 3  # the one it was made of is as it was


def test_channels_the_other_way_round(teacher, images):
    turned = ImageData(images.images.flip(1), images.labels, NAMES, name='turned')
    said = ' '.join(check_teacher(teacher, turned).warnings)
    assert 'blue, green, red' in said or 'another order' in said


def test_a_network_that_knows_nothing_fits_no_renaming(images):
    predicted = torch.randint(4, (400,), generator=torch.Generator().manual_seed(1))
    assert renamed_accuracy(predicted, images.labels, 4)[0] < 0.4


def test_classes_must_be_the_datas(teacher, images):
    teacher.classes = NAMES[::-1]
    with pytest.raises(PSRError, match='classes=data.classes'):
        check_teacher(teacher, images)


def test_the_command_keeps_a_teacher_for_the_others(tmp_path):
    "A checkpoint with its architecture and names becomes a folder."
    import timm
    from typer.testing import CliRunner

    from psr_nb.cli import app

    torch.manual_seed(0)
    network = timm.create_model('test_resnet', num_classes=10, in_chans=1)
    torch.save({'state_dict': {f'net.{k}': v for k, v in network.state_dict().items()}}, tmp_path / 'last.ckpt')
    words = ['teacher', str(tmp_path / 'last.ckpt'), '--data', 'fashion-mini', '--input-size', '28']
    missing = CliRunner().invoke(app, words)
    assert missing.exit_code == 1 and 'its architecture too' in missing.output
    words += ['--architecture', 'test_resnet', '--mean', '0.3', '--std', '0.4', '--label-names']
    assert 'expected 10 names' in CliRunner().invoke(app, [*words, 'truck,cat']).output
    done = CliRunner().invoke(app, [*words, 'data', '--out', str(tmp_path / 'kept')])
    assert done.exit_code == 0 and 'Ankle boot' in done.output, done.output
    kept = Teacher.from_pretrained(tmp_path / 'kept', ['Bag', 'Coat'], 'cpu')
    assert kept.input_size == 28 and kept.mean.item() == pytest.approx(0.3) and kept.outputs.tolist() == [8, 4]
