"""The papers that built-in components come from."""

from __future__ import annotations

from equidiff.plugin import Reference

AUGUSTIN = Reference(
    "augustin2024digin",
    "Augustin, Maximilian and Neuhaus, Yannic and Hein, Matthias",
    "DiG-IN: Diffusion Guidance for Investigating Networks",
    2024,
    "https://arxiv.org/abs/2311.17833",
)
RONAI = Reference(
    "ronai2025flowopt",
    "Ronai, Or and Kulikov, Vladimir and Michaeli, Tomer",
    "FlowOpt: Fast Optimization Through Whole Flow Processes for Training-Free Editing",
    2025,
    "https://arxiv.org/abs/2510.22010",
)
BEN_HAMU = Reference(
    "benhamu2024dflow",
    "Ben-Hamu, Heli and Puny, Omri and Gat, Itai and Karrer, Brian and Singer, Uriel and Lipman, Yaron",
    "D-Flow: Differentiating through Flows for Controlled Generation",
    2024,
    "https://arxiv.org/abs/2402.14017",
)
GRAHAM = Reference(
    "graham2017constrained",
    "Graham, Matthew M. and Storkey, Amos J.",
    "Asymptotically exact inference in differentiable generative models",
    2017,
    "https://arxiv.org/abs/1605.07826",
)
GUPTA = Reference(
    "gupta2018shampoo",
    "Gupta, Vineet and Koren, Tomer and Singer, Yoram",
    "Shampoo: Preconditioned Stochastic Tensor Optimization",
    2018,
    "https://arxiv.org/abs/1802.09568",
)
LIPMAN = Reference(
    "lipman2023flow",
    "Lipman, Yaron and Chen, Ricky T. Q. and Ben-Hamu, Heli and Nickel, Maximilian and Le, Matt",
    "Flow Matching for Generative Modeling",
    2023,
    "https://arxiv.org/abs/2210.02747",
)
LELIEVRE = Reference(
    "lelievre2019hybrid",
    "Lelièvre, Tony and Rousset, Mathias and Stoltz, Gabriel",
    "Hybrid Monte Carlo methods for sampling probability measures on submanifolds",
    2019,
    "https://arxiv.org/abs/1807.02356",
)
MAHENDRAN = Reference(
    "mahendran2015understanding",
    "Mahendran, Aravindh and Vedaldi, Andrea",
    "Understanding deep image representations by inverting them",
    2015,
    "https://arxiv.org/abs/1412.0035",
)
XIAO = Reference(
    "xiao2017fashion",
    "Xiao, Han and Rasul, Kashif and Vollgraf, Roland",
    "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
    2017,
    "https://arxiv.org/abs/1708.07747",
)
ZAPPA = Reference(
    "zappa2018manifolds",
    "Zappa, Emilio and Holmes-Cerfon, Miranda and Goodman, Jonathan",
    "Monte Carlo on manifolds: sampling densities and integrating functions",
    2018,
    "https://arxiv.org/abs/1702.08446",
)
