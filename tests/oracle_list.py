"""The identities that the guidance methods are proven by: number -> what it says.

Numbers O0 to O9 and O11 are of common notation and of one family of methods each, OX are mistakes that must be noticed;
those with a name belong to methods outside of these families. Tests carry them as `@pytest.mark.oracle("O2.6")`.
"""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parent

ORACLES = {
    "O0.1": "conversions between eps, x0, v and velocity",
    "O0.2": "a variance-preserving prior and its rewriting as a flow are one change of variables",
    "O0.3": "eps_hat - eps is (alpha/sigma)(x - x0_hat), and 1 - tau times the velocity residual",
    "O0.4": "a mixture's eps is -sigma times its score",
    "O0.5": "the cotangent is the gradient of half the square of z - sg(z - g), through any generator",
    "O0.6": "guidance has one meaning: s = 1 + omega",
    "O0.7": "guidance commutes with conversions, its rescale does not",
    "O0.8": "EDM's v is the variance-preserving v",
    "O0.9": "weights of the eps residual and of the velocity residual",
    "O0.10": "FLUX's shift is SD3's with s = e^mu",
    "O1.1": "one draw of SDS on a Gaussian, its mean and its covariance",
    "O1.2": "the mean is (sigma/alpha) times the gradient of a KL divergence",
    "O1.3": "the same on a mixture, by quadrature",
    "O1.4": "the guided optimum is extrapolated",
    "O1.5": "descent ends at the (extrapolated) mean, all particles at one point",
    "O1.6": "SJC's forms in kappa-space",
    "O1.7": "an x0 residual with weight w is an eps residual with weight w kappa",
    "O1.8": "variance with and without -eps, and where they cross",
    "O1.9": "laws of time: knots, monotony, occupancy",
    "O2.1": "VSD's mean gradient is that of the divergence of q_t from p_t",
    "O2.2": "at q = p every sample is zero",
    "O2.3": "a critic that knows each view makes it SDS",
    "O2.4": "n particles descend the divergence of their mixture; their sum is SDS's",
    "O2.5": "the trained critic is the mean of eps given x_t, whatever the target",
    "O2.6": "particles keep their spread where SDS collapses",
    "O3.1": "exact orbit of the inversion",
    "O3.2": "coarse inversion, step by step",
    "O3.3": "ISM's residual, and where it rests",
    "O3.4": "steps up and down telescope, for any network",
    "O3.5": "TSM at its ends is ISM and CSD on inverted noise",
    "O3.6": "deterministic but for the start noise",
    "O3.7": "calls along the inversion",
    "O3.8": "pixel-wise clipping",
    "O3.9": "TSM's residual, and where it rests",
    "O5.1": "CSD: constant force, or a fixed point and when it attracts",
    "O5.2": "it is -sigma times the gradient of the log probability of y given x_t",
    "O5.3": "SDS(s) - s CSD = w (eps_null - eps)",
    "O5.4": "equal omegas do without the empty prompt",
    "O5.5": "editing form, and DDS on one image",
    "O5.6": "forms on a flow",
    "O6.1": "NFSD at and above its threshold is CSD",
    "O6.2": "below it is SDS plus w eps",
    "O6.3": "its low branch on a flow holds eps, not velocity",
    "O7.1": "ESD's mean gradient is that of J(lambda)",
    "O7.2": "lambda = 0 is VSD",
    "O7.3": "the spread at rest",
    "O7.4": "entropy adds its own gradient",
    "O7.5": "with one camera it is VSD",
    "O8.1": "CFD on a free image is the DDIM sample, for any network and scale",
    "O8.2": "a Gaussian is sampled, not averaged",
    "O8.3": "drifting noise is the sampler's churn",
    "O8.4": "drifting noise stays N(0, 1)",
    "O8.5": "one step is SDS with that noise and weight kappa",
    "O8.6": "noise on a surface: white in a view, covariance between views",
    "O8.7": "the map of the sphere keeps areas",
    "O8.8": "on a flow it is Euler's sampler",
    "O9.1": "weighted losses are weighted gradients",
    "O9.2": "one draw, equal rewards, limits and invariances",
    "O9.3": "a linear reward: order statistics",
    "O9.4": "where the best of N rests",
    "O9.5": "RewardVSD is zero at q = p, whatever the weights",
    "O10.1": "decoder-space SDS of an identity codec is SDS with weight kappa",
    "O10.2": "a linear codec: E^T E between the two losses",
    "O10.3": "several moves of the sampler: the mean prediction is mu + f_K (x - mu)",
    "O10.4": "the spectrogram loss's gradient, and what it cannot hear",
    "O10.5": "separation: the reconstruction pulls all sources alike; with exact priors the closed-form optimum",
    "O10.6": "FM: enveloped sines without modulation, Bessel's sidebands with it",
    "O10.7": "a mode's two-pole recursion, its time to fall by 60 dB, convolution by transforms",
    "O11.1": "one gradient in eight dresses: eps, v, x0, velocity, on both kinds of schedule",
    "O11.2": "RFDS's loss",
    "O11.3": "RFDS-Rev's noise is the prior's own eps",
    "O11.4": "the noise at which a flow rests",
    "O11.5": "a critic trained by flow matching",
    "O11.6": "a shift multiplies kappa",
    "O11.7": "coupled noise of a fine inversion",
    "O11.8": "ISM on a flow",
    "O11.9": "TSM on a flow",
    "O11.10": "Euler's step of the velocity is DDIM's",
    "OX.1": "omega read as s",
    "OX.2": "alpha_bar for alpha",
    "OX.3": "1 - alpha for 1 - alpha_bar",
    "OX.4": "noise warped by a plain mean, or blended",
    "OX.5": "velocity for eps in NFSD's low branch",
    "OX.6": "the network's Jacobian left in",
    "OX.7": "an inversion with the prompt",
    "OX.8": "<= for < at the threshold",
    "OX.9": "guidance on the critic",
    "OX.10": "lambda and 1 - lambda swapped",
    "OX.11": "paper's and code's mu by one gamma",
    "OX.12": "the worst draws not pushed away",
    "OX.13": "a flow's table read from the wrong end",
    "OX.14": "empty and negative prompt swapped",
    "O-SDS": "the mean gradient is k_t (z - mu_cfg)",
    "O-SDI": "with the last prediction as its noise it is DDIM; with random noise SDS",
    "O-ASD": "without shift it is (s - 1) CSD; where it rests",
    "O-DDS": "zero without an edit, free of noise on a Gaussian, rests at the shifted source",
    "O-CATALYST": "its formula; w s (ti - i) at the source; where it rests on a Gaussian",
    "O-SSD": "its formula; what equal prompts leave",
    "O-LUSD": "the spread is set; parts switched off leave the bridge; draws are rejected, and how often",
    "O-COLLAB": "Stein coupling: one view, equal views, gamma to infinity, views driven apart",
    "O-TRIPLE": "InstructPix2Pix's triple is affine; with equal scales it is guidance by words",
    "O-PDS": "psi (z - z_src) + chi (DDS), whatever the noise at r; the shrunk edit",
}


def marked() -> dict[str, set[str]]:
    """Number -> names of the tests whose decorators carry it; what is marked while a test is made is left out."""
    found: dict[str, set[str]] = {}
    for path in sorted(TESTS.glob("test_*.py")):
        for function in ast.parse(path.read_text()).body:
            if not isinstance(function, ast.FunctionDef):
                continue
            for call in (c for d in function.decorator_list for c in ast.walk(d)):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.oracle":
                    for word in call.args:
                        if isinstance(word, ast.Constant):
                            found.setdefault(str(word.value), set()).add(f"{path.stem}::{function.name}")
    return found
