"""Covariances taken apart into volume, shape and orientation, moved, and put together again."""

import numpy as np


def common_axes(matrices):
    """Eigenvectors that all matrices share, as columns."""
    share = np.sqrt(np.arange(2.0, len(matrices) + 2.0))
    return np.linalg.eigh(np.einsum("k,kij->ij", share, matrices / volumes(matrices)[:, None, None]))[1]


def volumes(matrices):
    return np.exp(np.linalg.slogdet(matrices)[1] / matrices.shape[-1])


def rotation(rng, d, size):
    """A random rotation near the identity."""
    return np.linalg.qr(np.eye(d) + size * rng.normal(size=(d, d)))[0] if d > 1 else np.eye(1)


def moved(code, covariances, rng, size):
    """Covariances of the model `code` near others of that model; (K, d, d), or (K, d) of diagonal models."""
    diagonal = np.ndim(covariances) == 2
    matrices = covariances[:, :, None] * np.eye(covariances.shape[1]) if diagonal else covariances
    K, d = len(matrices), matrices.shape[-1]
    volume = volumes(matrices)
    relative = matrices / volume[:, None, None]
    noise = rng.normal(size=(K, d)), rng.normal(size=K)
    stretch = np.exp(size * (noise[0] if code[1] == "V" else np.tile(noise[0][0], (K, 1))))
    volume = volume * np.exp(size * (noise[1] if code[0] == "V" else noise[1][0]))
    if code[2] == "E":
        axes = common_axes(matrices)
        shapes = np.einsum("ia,kij,ja->ka", axes, relative, axes) * stretch
        axes = np.tile(axes @ rotation(rng, d, size), (K, 1, 1))
    else:
        shapes, axes = np.linalg.eigh(relative)
        if diagonal:
            shapes, axes = np.einsum("kii->ki", relative), np.tile(np.eye(d), (K, 1, 1))
        else:
            axes = np.stack([own @ rotation(rng, d, size) for own in axes])
        shapes = shapes * stretch
    shapes = shapes / np.exp(np.log(shapes).mean(axis=1, keepdims=True))
    found = np.einsum("k,kia,ka,kja->kij", volume, axes, shapes, axes)
    return np.einsum("kii->ki", found) if diagonal else found
