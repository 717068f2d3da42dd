"""The video transformer."""

import math

import numpy as np
import pytest
import torch

from hindsight.backbones.dit import SHORT, Attention, VideoTransformer, scatter
from hindsight.backbones.size import parameters
from hindsight.errors import UserError
from hindsight.settings.train import SIZES

PUBLISHED = {"attention": "causal", "positions": "table", "levels": "index", "conditions": 0}
OURS = {"attention": "full", "positions": "rotary", "levels": "logarithm", "conditions": 4}


def make(busy=True, **settings):
    torch.manual_seed(0)
    network = VideoTransformer(
        **{
            "inputs": 3,
            "outputs": 2,
            "patch": 2,
            "width": 16,
            "depth": 1,
            "heads": 2,
            "embedding": 8,
            "edges": ("open", "open"),
            "shape": (4, 6),
            "frames": 5,
        }
        | settings
    ).eval()
    if busy:
        for name, parameter in network.named_parameters():
            torch.nn.init.normal_(parameter, std=0.1 if "layers" in name else 0.3)
    return network


def noise_and_conditions(frames=5, windows=2, conditions=4, **_):
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(1000, (windows, frames), generator=generator)
    return levels, torch.randn(windows, frames, conditions, generator=generator)


def fields(frames=5, windows=2, shape=(4, 6)):
    return torch.randn(windows, frames, 3, *shape, generator=torch.Generator().manual_seed(2))


def run(network, x, levels, conditions):
    with torch.no_grad():
        return network(x, levels, conditions)


class Slow:
    """The same network written again in double precision, with loops, complex numbers and an explicit softmax."""

    def __init__(self, network, settings):
        self.weights = {name: value.detach().double().numpy() for name, value in network.state_dict().items()}
        self.network, self.settings, self.heads, self.width = network, settings, 2, 16

    def linear(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0)

    def modulated(self, name, x, c):
        """Of one token (D,), given c."""
        parts = self.linear(f"{name}.layer", c / (1 + np.exp(-c)))
        normed = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 1e-6)
        return (1 + parts[16:32]) * normed + parts[:16], parts[32:]

    def embedding(self, level, conditions):
        if self.settings["levels"] == "index":
            angles = level / 10000 ** (np.arange(32) / 32)
            h = self.linear("embed.layers.0", np.concatenate([np.cos(angles), np.sin(angles)]))
            h = self.linear("embed.layers.2", h / (1 + np.exp(-h)))
            return h + self.linear("embed.condition_layer", conditions) if self.settings["conditions"] else h
        angles = level * np.exp(np.linspace(np.log(0.1), np.log(20), 16))
        h = self.linear("embed.layers.0", np.concatenate([np.sin(angles), np.cos(angles), conditions]))
        h = self.linear("embed.layers.2", h / (1 + np.exp(-h)))
        return self.linear("widen", h / (1 + np.exp(-h)))

    def attention(self, name, tokens, angles, causal):
        """Of tokens (N, D); angles (N, 4) or none."""
        parts, out = self.linear(f"{name}.enter", tokens), np.zeros_like(tokens)
        for head in range(self.heads):
            query, key, value = (parts[:, 16 * k + 8 * head :][:, :8] for k in range(3))
            if angles is not None:
                query, key = ((x[:, :4] + 1j * x[:, 4:]) * np.exp(1j * angles) for x in (query, key))
            for i in range(len(tokens)):
                heard = range(i + 1) if causal else range(len(tokens))
                scores = np.array([(query[i].conj() @ key[j]).real / math.sqrt(8) for j in heard])
                weights = np.exp(scores) / np.exp(scores).sum()
                out[i, 8 * head : 8 * head + 8] = sum(w * value[j] for w, j in zip(weights, heard))
        return self.linear(f"{name}.leave", out)

    def angles(self, places, edge, count):
        if edge == "periodic":
            return 2 * np.pi * places[:, None] * np.array([1, count // 2]) / count
        return places[:, None] * np.array([1, 0.1])

    def __call__(self, x, levels, conditions):
        """One window (T, C, 4, 6)."""
        frames, rotary, edges = len(x), self.settings["positions"] == "rotary", self.network.edges
        tokens, c = np.zeros((frames, 6, 16)), np.zeros((frames, 16))
        for t in range(frames):
            c[t] = self.embedding(levels[t], conditions[t])
            for p in range(6):
                square = x[t, :, 2 * (p // 3) : 2 * (p // 3) + 2, 2 * (p % 3) : 2 * (p % 3) + 2]
                tokens[t, p] = (
                    np.einsum("dcij,cij->d", self.weights["enter.weight"], square) + self.weights["enter.bias"]
                )
                tokens[t, p] += 0 if rotary else self.weights["table"][6 * t + p]
        rows, columns = self.angles(np.arange(6) // 3, edges[0], 2), self.angles(np.arange(6) % 3, edges[1], 3)
        space = np.concatenate([rows, columns], 1) if rotary else None
        time = np.arange(frames)[:, None] * 100.0 ** (-np.arange(4) / 4) if rotary else None
        b = "blocks.0."
        over = lambda name: [[self.modulated(b + name, tokens[t, p], c[t]) for p in range(6)] for t in range(frames)]
        inputs = over("before_space")
        for t in range(frames):
            found = self.attention(b + "in_space", np.array([h for h, _ in inputs[t]]), space, False)
            tokens[t] += np.array([g for _, g in inputs[t]]) * found
        inputs = over("before_time")
        for p in range(6):
            along = np.array([inputs[t][p][0] for t in range(frames)])
            found = self.attention(b + "in_time", along, time, self.settings["attention"] == "causal")
            tokens[:, p] += np.array([inputs[t][p][1] for t in range(frames)]) * found
        inputs, out = over("before_layers"), np.zeros((frames, 2, 4, 6))
        for t in range(frames):
            for p in range(6):
                h = self.linear(b + "layers.0", inputs[t][p][0])
                h = h / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
                token = tokens[t, p] + inputs[t][p][1] * self.linear(b + "layers.2", h)
                last = self.linear("leave", self.modulated("norm", token, c[t])[0]).reshape(2, 2, 2)
                out[t, :, 2 * (p // 3) : 2 * (p // 3) + 2, 2 * (p % 3) : 2 * (p % 3) + 2] = last.transpose(2, 0, 1)
        return out


@pytest.mark.parametrize("edges", [("open", "open"), ("pole", "periodic"), ("periodic", "periodic")])
@pytest.mark.parametrize(
    "settings", [PUBLISHED, PUBLISHED | {"conditions": 3}, OURS, PUBLISHED | {"positions": "rotary"}]
)
def test_it_computes_the_written_formulas(settings, edges):
    network, x = make(edges=edges, **settings).double(), fields().double()
    levels, conditions = noise_and_conditions(**settings)
    levels = levels if settings["levels"] == "index" else levels.double() / 200 - 2
    slow = Slow(network, settings)
    found = run(network, x, levels, conditions.double()).numpy()
    for window in range(2):
        expected = slow(x[window].numpy(), levels[window].numpy(), conditions[window].double().numpy())
        np.testing.assert_allclose(found[window], expected, atol=2e-6 * np.abs(expected).max())
    assert found.std() > 0.1


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("tokens", [SHORT, SHORT + 1])
def test_fused_attention_is_attention(tokens, causal):
    attention, x = Attention(16, 2, causal), torch.randn(2, 3, tokens, 16)
    query, key, value = attention.enter(x).unflatten(-1, (3, 2, 8)).movedim((3, 4), (0, 3))
    score = query @ key.mT / math.sqrt(8)
    later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    mixed = score.masked_fill(later & causal, -torch.inf).softmax(-1) @ value
    torch.testing.assert_close(attention(x, None), attention.leave(mixed.movedim(2, 3).flatten(3)))


@pytest.mark.parametrize("settings", [PUBLISHED, OURS])
def test_an_untrained_network_is_zero_and_its_blocks_are_the_identity(settings):
    network = make(busy=False, **settings)
    assert run(network, fields(), *noise_and_conditions(**settings)).abs().max() == 0
    x = torch.randn(2, 5, 6, 16)
    assert torch.equal(network.blocks[0](x, torch.randn(2, 5, 16), network.angles, None), x)


def test_an_untrained_network_is_initialised_as_published():
    network = make(busy=False, width=64, shape=(32, 32), **PUBLISHED)
    bound = math.sqrt(6 / (64 + 3 * 2 * 2))  # xavier, of the matrix (D, C p p)
    weight = network.enter.weight.abs()
    assert 0.98 * bound < weight.max() <= bound and network.enter.bias.abs().max() == 0
    assert network.table.shape == (5 * 256, 64)
    assert network.table.std().item() == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("positions", ["table", "rotary"])
@pytest.mark.parametrize("attention", ["causal", "full"])
def test_a_frame_affects_only_later_ones_if_causal(positions, attention):
    settings = PUBLISHED | {"positions": positions, "attention": attention}
    network, x, (levels, none) = make(depth=2, **settings), fields(), noise_and_conditions(**settings)
    base, noisier = run(network, x, levels, none), levels.clone()
    for frame in range(5):
        other = x.clone()
        other[:, frame, 0, 1, 2] += 1
        noisier[:, frame] += 50
        for each in (run(network, other, levels, none), run(network, x, noisier, none)):
            heard = (each != base).flatten(2).any(-1).any(0).tolist()
            assert heard == ([t >= frame for t in range(5)] if attention == "causal" else [True] * 5)
        noisier = levels.clone()


@pytest.mark.parametrize("frames", [1, 3, 9])
def test_on_periodic_axes_the_origin_does_not_matter(frames):
    for edges, turns in (
        (("periodic", "periodic"), [(2, 0), (0, 4), (6, 2)]),
        (("pole", "periodic"), [(0, 2), (0, 6)]),
    ):
        network = make(edges=edges, shape=(8, 10), depth=2, **OURS)
        x, (levels, conditions) = fields(frames, shape=(8, 10)), noise_and_conditions(frames)
        base = run(network, x, levels / 250, conditions)
        for turn in turns:
            rolled = run(network, x.roll(turn, (-2, -1)), levels / 250, conditions)
            torch.testing.assert_close(rolled, base.roll(turn, (-2, -1)), atol=1e-5, rtol=1e-4)
    rolled = run(network, x.roll(2, -2), levels / 250, conditions)
    assert (rolled - base.roll(2, -2)).abs().max() > 1e-2  # latitudes of the sphere do not come round


def test_rotary_windows_do_not_depend_on_their_first_frame():
    """Causal: frames late in a window are the same with other frames after them."""
    network = make(**PUBLISHED | {"positions": "rotary"})
    x, (levels, none) = fields(9), noise_and_conditions(9, conditions=0)
    part = run(network, x[:, :5], levels[:, :5], none[:, :5])
    torch.testing.assert_close(run(network, x, levels, none)[:, :5], part, atol=1e-5, rtol=1e-4)


def test_a_window_longer_than_the_table_raises_an_error():
    with pytest.raises(UserError, match="ends at 5 frames, and the window has 6"):
        run(make(**PUBLISHED), fields(6), *noise_and_conditions(6, conditions=0))


@pytest.mark.parametrize("size", [(5, 7), (4, 7), (3, 6)])
def test_sizes_that_are_not_whole_patches_are_padded_by_the_edges(size):
    """The same as a network of whole patches with the padded field as input."""
    x, (levels, conditions) = fields(shape=size), noise_and_conditions()
    network, whole = make(shape=size, **OURS), make(shape=(size[0] + size[0] % 2, size[1] + size[1] % 2), **OURS)
    padded = torch.cat([x, x[..., -1:, :]], -2) if size[0] % 2 else x
    padded = torch.cat([padded, padded[..., -1:]], -1) if size[1] % 2 else padded
    expected = run(whole, padded, levels / 250, conditions)[..., : size[0], : size[1]]
    torch.testing.assert_close(run(network, x, levels / 250, conditions), expected)


def test_patches_can_be_put_together_again():
    network, x = make(inputs=2, width=8, **OURS), torch.randn(2, 3, 2, 4, 6)
    weight = torch.zeros(2, 2, 2, 2, 2, 2)  # (south, east, C) of the token, (C, south, east) of the patch
    for south in range(2):
        for east in range(2):
            for channel in range(2):
                weight[south, east, channel, channel, south, east] = 1
    network.enter.weight.data, network.enter.bias.data = weight.flatten(0, 2), torch.zeros(8)
    assert torch.equal(scatter(network._tokens(x), network.grid, 2), x)


@pytest.mark.parametrize("settings", [PUBLISHED, OURS])
def test_recomputing_gives_the_same_gradient(settings):
    found, (levels, conditions) = [], noise_and_conditions(**settings)
    for recompute in (False, True):
        network, count = make(depth=2, recompute=recompute, **settings).train(), []
        for block in network.blocks:
            block.register_forward_pre_hook(lambda *_, count=count: count.append(1))
        network(fields(), levels / 250, conditions).square().sum().backward()
        found.append([parameter.grad for parameter in network.parameters()])
        assert len(count) == (4 if recompute else 2)
    assert all(torch.equal(a, b) for a, b in zip(*found))


@pytest.mark.parametrize("settings", [PUBLISHED, OURS])
def test_half_precision_costs_little(settings):
    network, x, (levels, conditions) = make(**settings), fields(), noise_and_conditions(**settings)
    exact = run(network, x, levels / 250, conditions)
    with torch.autocast("cpu", torch.bfloat16):
        found = run(network, x, levels / 250, conditions)
    assert found.dtype == torch.bfloat16
    error = (found.float() - exact).std() / exact.std()
    assert 0 < error < 0.03


def published(size, grid, channels):
    width, depth, heads = SIZES[size]
    shape = (4 * grid[0], 4 * grid[1])
    with torch.device("meta"):
        return VideoTransformer(
            channels, channels, 0, 4, width, depth, heads, "causal", "table", "index", 8, ("open", "periodic"), shape
        )


@pytest.mark.parametrize(("grid", "channels", "millions"), [((32, 32), 1, 229), ((60, 30), 4, 268)])
def test_size_b_has_as_many_parameters_as_published(grid, channels, millions):
    network, d = published("B", grid, channels), 768
    assert parameters(network.blocks) == 12 * (25 * d**2 + 22 * d)
    assert round(parameters(network.blocks) / 1e6) == 177
    assert network.table.shape == (64 * grid[0] * grid[1], d)
    assert round(parameters(network) / 1e6) == millions


def test_size_l_has_as_many_parameters_as_published():
    assert round(parameters(published("L", (60, 30), 4)) / 1e6) == 751
