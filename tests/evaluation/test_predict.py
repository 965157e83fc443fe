import pytest
import torch

from deepres.errors import UserError
from deepres.evaluation.predict import predict
from deepres.models import Classifier, create_model


def test_the_likeliest_classes_in_order() -> None:
    classifier = Classifier(create_model("resnet8"), torch.zeros(3, 32, 32), tuple("abcdefghij"))
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    logits = classifier.eval()(images)
    for guesses, scores in zip(predict(classifier, images, 99), logits, strict=True):
        assert len(guesses) == 10
        assert [g.name for g in guesses] == [
            "abcdefghij"[i] for i in scores.argsort(descending=True)
        ]
        assert abs(sum(g.probability for g in guesses) - 1) < 1e-5


def test_nan_is_no_prediction() -> None:
    network = create_model("resnet8")
    network.state_dict()["fc.weight"].fill_(3e38)  # finite, but no sum of it is
    classifier = Classifier(network, torch.zeros(3, 32, 32), tuple("abcdefghij")).eval()
    with pytest.raises(UserError, match="the network's answer is no finite number"):
        predict(classifier, torch.full((1, 3, 32, 32), 255, dtype=torch.uint8), 3)
