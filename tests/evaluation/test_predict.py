import torch

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
