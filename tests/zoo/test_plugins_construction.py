"""Making components: configuration, missing dependencies, and factories that are not what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ctxkit.errors import ConfigError, EmbedderError, MissingDependencyError, PluginError, PluginLoadError
from ctxkit.interfaces import CollectionSpec
from ctxkit.plugins import PluginRegistry

Install = Callable[..., Path]
Discover = Callable[..., PluginRegistry]

# A store whose every method but `open` is there in name only: the registry opens it and hands it over.
STORE = """
    from ctxkit.interfaces import Capabilities, VectorStore

    def opened(cls, spec, config):
        store = cls()
        store.asked = (spec, config)
        return store

    Store = type("Store", (VectorStore,), {
        **{name: None for name in VectorStore.__abstractmethods__}, "open": classmethod(opened)})

    @hookimpl
    def ctxkit_vector_stores():
        return [tokenizer("drawer", factory=f"{__name__}:Store",
                          capabilities=Capabilities(metrics=frozenset({"dot"}), exact=True))]
"""
KINDS = """
    from ctxkit.interfaces import LLM, Completion, Embedder, LLMCapabilities

    class Zeros(Embedder):
        dimension, normalized, max_tokens, fingerprint = 2, False, None, "zeros"
        def __init__(self, config): self.config = config
        def embed_documents(self, texts): return [[0.0, 0.0] for _ in texts]

    class Echo(LLM):
        def __init__(self, config): self.config = config
        def complete(self, messages, **options): return Completion(text=messages[-1]["content"], model="echo")

    @hookimpl
    def ctxkit_embedders():
        return [tokenizer("zeros", factory=f"{__name__}:Zeros", capabilities=EmbedderCapabilities())]

    @hookimpl
    def ctxkit_llms():
        return [tokenizer("echo", factory=f"{__name__}:Echo", capabilities=LLMCapabilities())]
"""


def test_open_store(install: Install, discover: Discover) -> None:
    """A store is opened with the collection asked for and a validated configuration."""
    install("acme-store", STORE)
    registry = discover()
    spec = CollectionSpec(dimension=3)
    store = registry.open_store("drawer", spec, {"width": 7})
    assert isinstance(store, registry.store_class("drawer"))
    asked_spec, asked_config = vars(store)["asked"]
    assert asked_spec is spec
    assert (type(asked_config), asked_config.width) == (registry.config_class("vector_store", "drawer"), 7)


def test_create_is_not_for_stores(install: Install, discover: Discover) -> None:
    """A store cannot be made without a collection; the error names the method that takes one."""
    install("acme-store", STORE)
    with pytest.raises(PluginError, match="open_store"):
        discover().create("vector_store", "drawer")


def test_create_each_kind(install: Install, discover: Discover) -> None:
    """Embedders and language models are made like tokenizers."""
    install("acme-kinds", KINDS)
    registry = discover()
    assert registry.create_embedder("zeros").dimension == 2
    assert registry.create_llm("acme-kinds:echo").generate_sync("hello") == "hello"


def test_bad_configuration(good: Install, discover: Discover) -> None:
    """Wrong options raise ConfigError that names component, field, limit and value."""
    good("acme-one", "alpha")
    registry = discover()
    with pytest.raises(ConfigError, match=r"tokenizer alpha\.width must be at least 1 \(is 0\)"):
        registry.make_config("tokenizer", "alpha", {"width": 0})
    with pytest.raises(
        ConfigError,
        match=r"tokenizer alpha\.widht: there is no such option.*the options are width; .*show tokenizer:alpha",
    ):
        registry.create_tokenizer("alpha", {"widht": 2})


def test_ready_configuration(good: Install, discover: Discover) -> None:
    """A configuration made before is taken as it is, but not another component's."""
    good("acme-one", "alpha")
    good("acme-two", "beta")
    registry = discover()
    config = registry.make_config("tokenizer", "alpha", {"width": 3})
    assert registry.create_tokenizer("alpha", config).count("ab") == 6
    with pytest.raises(ConfigError):
        registry.create_tokenizer("beta", config)


@pytest.mark.parametrize("required", ["acme_absent", "xml.acme_absent", "acme_absent.deep.down", "json.decoder.no"])
def test_missing_dependency(good: Install, discover: Discover, required: str) -> None:
    """A component whose library is missing stays listed, is not available, and says what to install."""
    good("acme-one", "alpha", changes=f", requires=('json', '{required}'), install_hint='pip install absent'")
    registry = discover()
    assert registry.find("tokenizer", "alpha").name == "alpha"
    assert not registry.is_available("tokenizer", "alpha")
    with pytest.raises(MissingDependencyError, match=rf"the module '{required}'.*Fix: pip install absent"):
        registry.create_tokenizer("alpha")


def test_missing_dependency_of_the_configuration(good: Install, discover: Discover, site: Path) -> None:
    """A configuration module that imports the missing library gives the same error, with its cause."""
    (site / "acme_config.py").write_text("import acme_absent\n", encoding="utf-8")
    good("acme-one", "alpha", changes=", config='acme_config:Config', requires=('acme_absent',)")
    with pytest.raises(MissingDependencyError, match="Fix: pip install acme_absent") as caught:
        discover().make_config("tokenizer", "alpha")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize("required", ["json", "xml.dom.minidom", "acme_handmade", "acme_one"])
def test_present_dependency(good: Install, discover: Discover, required: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dotted modules, imported ones, and ones made by hand without a specification count as present."""
    monkeypatch.setitem(sys.modules, "acme_handmade", ModuleType("acme_handmade"))
    good("acme-one", "alpha", changes=f", requires=('{required}',)")
    assert discover().is_available("tokenizer", "alpha")


@pytest.mark.parametrize(
    ("target", "source", "cause", "says"),
    [
        ("acme_made:Absent", "", AttributeError, "Absent"),
        ("acme_absent:Absent", "", ModuleNotFoundError, "acme_absent"),
        ("acme_made:X", "1 / 0", ZeroDivisionError, "division by zero"),
        ("acme_made:X", "import sys; sys.exit()", SystemExit, "SystemExit"),
        ("acme_made:X", "X = 5", None, "not a subclass of ctxkit.interfaces.Tokenizer"),
        ("acme_made:X", "class X: pass", None, "not a subclass of ctxkit.interfaces.Tokenizer"),
        (
            "acme_made:Tokenizer",
            "from ctxkit.interfaces import Tokenizer",
            None,
            "implement concatenation_bound, count",
        ),
    ],
)
def test_bad_factory(
    good: Install,
    discover: Discover,
    site: Path,
    target: str,
    source: str,
    cause: type[BaseException] | None,
    says: str,
) -> None:
    """A factory that cannot be imported, or is no whole component, is a load error that names the plugin."""
    (site / "acme_made.py").write_text(source, encoding="utf-8")
    good("acme-one", "alpha", changes=f", factory={target!r}")
    registry = discover()
    assert registry.is_available("tokenizer", "alpha")
    with pytest.raises(PluginLoadError, match=r"'alpha' of the plugin 'acme-one' of acme-one 1\.0") as caught:
        registry.create_tokenizer("alpha")
    assert says in str(caught.value)
    assert type(caught.value.__cause__) is (cause or type(None))


def test_bad_factory_of_an_unpackaged_plugin(write: Install) -> None:
    """A plugin without a distribution cannot be upgraded: the fix names its file."""
    path = write("acme_file", "@hookimpl\ndef ctxkit_tokenizers(): return [tokenizer('x', factory='json:loads')]")
    registry = PluginRegistry()
    registry.load_path(str(path))
    with pytest.raises(PluginLoadError) as caught:
        registry.create_tokenizer("x")
    assert str(caught.value).endswith(f"Fix: correct {path}.")


def test_bad_config_class(good: Install, discover: Discover) -> None:
    """A configuration that is no BackendConfig is a load error."""
    good("acme-one", "alpha", changes=", config='json:JSONDecoder'")
    with pytest.raises(
        PluginLoadError, match=r"json:JSONDecoder is not a subclass of ctxkit\.interfaces\.BackendConfig"
    ):
        discover().config_class("tokenizer", "alpha")


def test_errors_of_a_component_pass(good: Install, discover: Discover, site: Path) -> None:
    """An error of ctxkit's own, raised while the factory is imported, is not wrapped."""
    (site / "acme_made.py").write_text("from ctxkit.errors import EmbedderError\nraise EmbedderError('no model')")
    good("acme-one", "alpha", changes=", factory='acme_made:X'")
    with pytest.raises(EmbedderError, match="no model"):
        discover().create_tokenizer("alpha")


@pytest.mark.parametrize("raised", ["ImportError('late')", "TypeError('late')"])
def test_errors_of_a_constructor(install: Install, discover: Discover, raised: str) -> None:
    """A constructor that raises anything but an error of ctxkit's own is a load error that names the plugin."""
    install(
        "acme-late",
        f"class Late(Characters):\n    def __init__(self, config): raise {raised}\n"
        "@hookimpl\ndef ctxkit_tokenizers(): return [tokenizer('late', factory=f'{__name__}:Late')]",
    )
    with pytest.raises(PluginLoadError, match=r"'late' of the plugin 'acme-late'.*Error: late"):
        discover().create_tokenizer("late")


def test_a_wrong_default_is_refused(good: Install, discover: Discover, site: Path) -> None:
    """A default that its own type forbids is found when the configuration is made, not somewhere in the component."""
    made = "from ctxkit.interfaces import BackendConfig\nclass Config(BackendConfig):\n    width: int = 'ten'\n"
    (site / "acme_made.py").write_text(made, encoding="utf-8")
    good("acme-one", "alpha", changes=", config='acme_made:Config'")
    with pytest.raises(ConfigError, match=r"tokenizer alpha\.width"):
        discover().create_tokenizer("alpha")
