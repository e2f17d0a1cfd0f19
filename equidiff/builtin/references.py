"""Papers that the built-in components implement or build on."""

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
ROUSSELOT = Reference(
    "rousselot2026show",
    "Rousselot, Armand and Wendebourg, Joran and Köthe, Ullrich",
    "Show Me What You Don't Know: Efficient Sampling from Invariant Sets for Model Validation",
    2026,
    "https://arxiv.org/abs/2603.21782",
)
PANDEY = Reference(
    "pandey2025variational",
    "Pandey, Kushagra and Sofian, Farrin Marouf and Draxler, Felix and Karaletsos, Theofanis and Mandt, Stephan",
    "Variational Control for Guidance in Diffusion Models",
    2025,
    "https://arxiv.org/abs/2502.03686",
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
HAUFE = Reference(
    "haufe2014interpretation",
    "Haufe, Stefan and Meinecke, Frank and Görgen, Kai and Dähne, Sven and Haynes, John-Dylan and "
    "Blankertz, Benjamin and Bießmann, Felix",
    "On the interpretation of weight vectors of linear models in multivariate neuroimaging",
    2014,
    "https://doi.org/10.1016/j.neuroimage.2013.10.067",
)
ERION = Reference(
    "erion2021improving",
    "Erion, Gabriel and Janizek, Joseph D. and Sturmfels, Pascal and Lundberg, Scott M. and Lee, Su-In",
    "Improving performance of deep learning models with axiomatic attribution priors and expected gradients",
    2021,
    "https://arxiv.org/abs/1906.10670",
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


def _paper(key: str, authors: str, title: str, year: int, number: str) -> Reference:
    return Reference(key, authors, title, year, f"https://arxiv.org/abs/{number}")


CAPTUM = _paper(
    "kokhlikyan2020captum",
    "Kokhlikyan, Narine and Miglani, Vivek and Martin, Miguel and Wang, Edward and Alsallakh, Bilal and Reynolds, "
    "Jonathan and Melnikov, Alexander and Kliushkina, Natalia and Araya, Carlos and Yan, Siqi and Reblitz-Richardson, "
    "Orion",
    "Captum: A unified and generic model interpretability library for PyTorch",
    2020,
    "2009.07896",
)
SIMONYAN = _paper(
    "simonyan2013deep",
    "Simonyan, Karen and Vedaldi, Andrea and Zisserman, Andrew",
    "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency Maps",
    2013,
    "1312.6034",
)
SHRIKUMAR = _paper(
    "shrikumar2017deeplift",
    "Shrikumar, Avanti and Greenside, Peyton and Kundaje, Anshul",
    "Learning Important Features Through Propagating Activation Differences",
    2017,
    "1704.02685",
)
SUNDARARAJAN = _paper(
    "sundararajan2017axiomatic",
    "Sundararajan, Mukund and Taly, Ankur and Yan, Qiqi",
    "Axiomatic Attribution for Deep Networks",
    2017,
    "1703.01365",
)
SPRINGENBERG = _paper(
    "springenberg2014striving",
    "Springenberg, Jost Tobias and Dosovitskiy, Alexey and Brox, Thomas and Riedmiller, Martin",
    "Striving for Simplicity: The All Convolutional Net",
    2014,
    "1412.6806",
)
ZEILER = _paper(
    "zeiler2013visualizing",
    "Zeiler, Matthew D. and Fergus, Rob",
    "Visualizing and Understanding Convolutional Networks",
    2013,
    "1311.2901",
)
LUNDBERG = _paper(
    "lundberg2017unified",
    "Lundberg, Scott M. and Lee, Su-In",
    "A Unified Approach to Interpreting Model Predictions",
    2017,
    "1705.07874",
)
RIBEIRO = _paper(
    "ribeiro2016lime",
    "Ribeiro, Marco Tulio and Singh, Sameer and Guestrin, Carlos",
    '"Why Should I Trust You?": Explaining the Predictions of Any Classifier',
    2016,
    "1602.04938",
)
SELVARAJU = _paper(
    "selvaraju2016gradcam",
    "Selvaraju, Ramprasaath R. and Cogswell, Michael and Das, Abhishek and Vedantam, Ramakrishna and Parikh, Devi and "
    "Batra, Dhruv",
    "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    2016,
    "1610.02391",
)
SMILKOV = _paper(
    "smilkov2017smoothgrad",
    "Smilkov, Daniel and Thorat, Nikhil and Kim, Been and Viégas, Fernanda and Wattenberg, Martin",
    "SmoothGrad: removing noise by adding noise",
    2017,
    "1706.03825",
)
