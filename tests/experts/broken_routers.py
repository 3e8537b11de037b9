"""Routers that break one law each, for the test of the check."""

import torch

from linearsr.experts import LearnedRouter, SNRRouter


class LowerExpertOnBoundaries(SNRRouter):
    def route(self, t, features=None):
        super().route(t)
        return torch.bucketize(t, torch.tensor(self.boundaries, dtype=t.dtype))


class TakesAnything(SNRRouter):
    def route(self, t, features=None):
        return torch.bucketize(t.double(), torch.tensor(self.boundaries, dtype=torch.float64), right=True)


class RanksTheBatch(SNRRouter):
    def route(self, t, features=None):
        super().route(t)
        return t.argsort().argsort() * self.num_experts // len(t)


class UpsideDown(SNRRouter):
    def route(self, t, features=None):
        return self.num_experts - 1 - super().route(t)


class FromOne(SNRRouter):
    def route(self, t, features=None):
        return super().route(t) + 1


class Int32(SNRRouter):
    def route(self, t, features=None):
        return super().route(t).int()


class BackAndForth(SNRRouter):
    def route(self, t, features=None):
        return torch.where((t > 0.55) & (t < 0.6), 0, super().route(t))


class CutsWhereItAlwaysDid(SNRRouter):
    def route(self, t, features=None):
        return SNRRouter().route(t)


class Miscounted(SNRRouter):
    num_experts = 7


class IntervalsInPercent(SNRRouter):
    def interval(self, expert):
        low, high = super().interval(expert)
        return 100 * low, 100 * high


class Float32Boundaries(SNRRouter):
    def route(self, t, features=None):
        return super().route(t.float()) if t.dtype == torch.float64 else super().route(t)


class Featureless(SNRRouter):
    depends_on_time_only = False


class ComparesPictures(LearnedRouter):
    def features(self, lr_pm1):
        return super().features(lr_pm1 - lr_pm1.mean(0))


class FlatFeatures(LearnedRouter):
    def features(self, lr_pm1):
        return super().features(lr_pm1).flatten()


class RoutesByTimeAlone(LearnedRouter):
    def route(self, t, features=None):
        return SNRRouter([0.5, 0.6, 0.7]).route(t)


class WeighsLogits(LearnedRouter):
    def weights(self, t, features):
        return self._logits(t, features)


class Doubled(LearnedRouter):
    def weights(self, t, features):
        return 2 * super().weights(t, features)


class SixteenBitWeights(LearnedRouter):
    def weights(self, t, features):
        return super().weights(t, features).bfloat16()


class Detached(LearnedRouter):
    def weights(self, t, features):
        return super().weights(t, features).detach() + 0 * self.gate[0].weight.sum()


class IgnoresThePicture(LearnedRouter):
    def weights(self, t, features):
        return super().weights(t, 0 * features)


class NormalisesTheBatch(LearnedRouter):
    def weights(self, t, features):
        return super().weights(t, features - features.mean(dim=0))


class NoModule:
    """Parameters that nobody finds."""

    boundaries, depends_on_time_only = (0.5,), False

    def __init__(self):
        self.inner = LearnedRouter(self.boundaries)

    def features(self, lr_pm1):
        return self.inner.features(lr_pm1)

    def route(self, t, features=None):
        return self.inner.route(t, features)

    def weights(self, t, features):
        return self.inner.weights(t, features)
