"""The linear prior as a forecast model, in double precision: trajectories forced by white noise, and single steps.

The model is a_{t+1} = A a_t + w with whitened coefficients a of the fields' modes, and the covariance of its error is
that of w, I - A A^T (`diffusion.gauss_markov`).
"""

import numpy as np
import torch

from hindsight.diffusion import modes
from hindsight.diffusion.gauss_markov import GaussMarkov


class LinearModel:
    """The linear prior as a model that white noise v of n numbers a frame forces.

    a_0 = v_0, a_t = A a_{t-1} + (I - A A^T)^(1/2) v_t, and the fields are the sums of modes with coefficients a.
    """

    def __init__(self, process: GaussMarkov) -> None:
        double = {k: v.double() if v.is_floating_point() else v for k, v in process.modes.tensors().items()}
        self.modes = modes.from_tensors(double)
        self.deviation, coupling, persistence = (
            tensor.double().numpy() for tensor in (process.variance, process.coupling, process.persistence)
        )
        self.count = len(self.deviation)
        self.deviation = np.sqrt(self.deviation)
        left_out = np.eye(coupling.shape[-1]) - coupling @ coupling.swapaxes(1, 2)
        self.step = coupling, persistence
        self.error = np.linalg.cholesky(left_out), np.sqrt(1 - persistence**2)

    def forward(self, white: np.ndarray) -> np.ndarray:
        """From white noise (E, T, n) to fields (E, T, D)."""
        states = [white[:, 0]]
        for noise in white[:, 1:].swapaxes(0, 1):
            states.append(_times(self.step, states[-1]) + _times(self.error, noise))
        return self._fields(np.stack(states, 1))

    def adjoint(self, fields: np.ndarray) -> np.ndarray:
        """The transposed map, (E, T, D) to (E, T, n)."""
        pulled = self.modes.project(torch.from_numpy(fields)).numpy() * self.deviation
        state, found = 0.0, []
        for t in range(fields.shape[1] - 1, 0, -1):
            state = pulled[:, t] + state
            found.append(_times(_transposed(self.error), state))
            state = _times(_transposed(self.step), state)
        return np.stack([pulled[:, 0] + state, *found[::-1]], 1)

    def after(self, fields: np.ndarray, white: np.ndarray) -> np.ndarray:
        """Fields (E, D) a frame later, forced by white noise (E, n); what no mode describes is lost."""
        coefficients = self.modes.project(torch.from_numpy(fields)).numpy() / self.deviation
        return self._fields(_times(self.step, coefficients) + _times(self.error, white))

    def _fields(self, coefficients: np.ndarray) -> np.ndarray:
        """The fields (…, D) of whitened coefficients (…, n)."""
        return self.modes.expand(torch.from_numpy(coefficients * self.deviation)).numpy()


Blocks = tuple[np.ndarray, np.ndarray]  # a matrix: G blocks (G, k, k) on its diagonal, then numbers (n - G k,)


def _times(matrix: Blocks, vectors: np.ndarray) -> np.ndarray:
    """A matrix times vectors (E, n)."""
    blocks, numbers = matrix
    split = blocks.shape[0] * blocks.shape[1]
    groups = vectors[:, :split].reshape(len(vectors), *blocks.shape[:2]).swapaxes(0, 1) @ blocks.swapaxes(1, 2)
    return np.concatenate([groups.swapaxes(0, 1).reshape(len(vectors), split), vectors[:, split:] * numbers], 1)


def _transposed(matrix: Blocks) -> Blocks:
    return matrix[0].swapaxes(1, 2), matrix[1]
