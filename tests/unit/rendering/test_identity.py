"""The renderer's identity: changes with everything that changes what is rendered."""

from kindling import templating
from kindling.rendering import identity


def test_templates_models_and_rendering_code_are_covered():
    names = {
        path.relative_to(templating.TEMPLATES.parent).as_posix()
        for path in identity.renderer_files()
    }
    assert {
        "templates/flatcar/install",
        "templates/ipxe/boot.ipxe",
        "kindling/rendering/flatcar.py",
        "kindling/models/network.py",
        "kindling/templating.py",
    } <= names
    assert not any(name.endswith(".pyc") for name in names)


def test_a_changed_template_is_another_renderer(tmp_path, monkeypatch):
    package = tmp_path / "kindling"
    (package / "rendering").mkdir(parents=True)
    (package / "models").mkdir()
    (package / "templating.py").write_text("")
    templates = tmp_path / "templates"
    templates.mkdir()
    monkeypatch.setattr(identity, "_PACKAGE", package)
    monkeypatch.setattr(templating, "TEMPLATES", templates)
    (templates / "a").write_text("one")
    first = identity.renderer_digest.__wrapped__()
    (templates / "a").write_text("two")
    assert identity.renderer_digest.__wrapped__() != first


def test_the_digest_is_sha256_and_the_same_in_one_process():
    assert identity.renderer_digest() == identity.renderer_digest()
    assert len(identity.renderer_digest()) == 64
