"""What the displays share: axes, and the colours of components."""

import numpy as np

# Six colours that readers with any kind of colour vision tell apart (Okabe & Ito 2008).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def new_axes(ax, who):
    """Return `ax`, or the axes of a new figure; matplotlib is first needed, and imported, here."""
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(f"{who} needs matplotlib; pip install 'skem[plot]' brings it") from error
    return plt.subplots()[1] if ax is None else ax


def component_colors(n_components):
    """Colours of the components.

    Parameters
    ----------
    n_components : int

    Returns
    -------
    colors : ndarray of shape (n_components, 3)
        Red, green and blue in [0, 1].
    """
    from matplotlib import colormaps, colors

    if n_components <= len(PALETTE):
        return np.array([colors.to_rgb(color) for color in PALETTE[:n_components]])
    return colormaps["turbo"](np.linspace(0.05, 0.95, n_components))[:, :3]
