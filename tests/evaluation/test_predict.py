import torch

from deepres.evaluation.predict import cut_centre, predict
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


def test_the_centre_is_cut_out() -> None:
    images = torch.arange(36).reshape(1, 1, 6, 6)
    assert cut_centre(images, 2).flatten().tolist() == [14, 15, 20, 21]
    assert torch.equal(cut_centre(images, 6), images)
