"""Downloads of collections, from a server of the test's own."""

import functools
import http.server
import io
import tarfile
import threading

import pytest
import scipy.io
import scipy.sparse as sp

from spkernels import datasets
from spkernels.datasets import _fetch

pytest.importorskip("pooch", reason="pooch is not installed.")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served at the addresses of the collections, and what was asked for."""
    served, asked = tmp_path / "served", []
    served.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    made = functools.partial(Handler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), made) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setattr(_fetch, "_DLMC", f"{root}/dlmc.tar.gz")
        monkeypatch.setattr(_fetch, "_SUITESPARSE", root + "/MM/{group}/{name}.tar.gz")
        monkeypatch.setenv("SPKERNELS_CACHE", str(tmp_path / "cache"))
        yield served, asked
        running.shutdown()


def archive(path, **files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_dlmc_is_downloaded_once(server):
    served, asked = server
    archive(served / "dlmc.tar.gz", **{"rn50/0.5/layer.smtx": b"2, 3, 2\n0 1 2\n0 2\n"})
    folder = datasets.fetch_dlmc()
    assert datasets.fetch_dlmc() == folder
    assert len(asked) == 1
    (path,) = datasets.find(folder)
    assert datasets.load(path).shape == (2, 3)


def test_suitesparse_by_name(server):
    served, _ = server
    text = io.BytesIO()
    scipy.io.mmwrite(text, sp.csr_matrix([[1.0, 0.0], [0.0, 2.0]]))
    archive(served / "MM" / "SNAP" / "tiny.tar.gz", **{"tiny/tiny.mtx": text.getvalue()})
    path = datasets.fetch_suitesparse("SNAP/tiny")
    assert datasets.load(path).toarray().tolist() == [[1, 0], [0, 2]]


@pytest.mark.parametrize("name", ["ca-CondMat", "a/b/c", "/x", "x/", "../../x"])
def test_names_without_a_group_are_refused(server, name):
    with pytest.raises(ValueError, match="group/name"):
        datasets.fetch_suitesparse(name)
    assert server[1] == []


def test_an_archive_with_another_checksum_is_refused(server, tmp_path):
    served, _ = server
    archive(served / "dlmc.tar.gz", **{"a.smtx": b"1, 1, 0\n0 0\n\n"})
    with pytest.raises(ValueError, match="another sha256"):
        datasets.fetch_dlmc(sha256="0" * 64)
    datasets.fetch_dlmc()
    # What came first holds from then on.
    kept = tmp_path / "cache" / "dlmc.tar.gz"
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(ValueError, match="another sha256"):
        datasets.fetch_dlmc()


def test_without_a_connection_the_message_says_where_to_put_it(server, tmp_path):
    with pytest.raises(ConnectionError, match="put the file at .*dlmc.tar.gz"):
        datasets.fetch_dlmc()  # the server has no such file
    archive(tmp_path / "cache" / "dlmc.tar.gz", **{"a.smtx": b"1, 1, 0\n0 0\n\n"})
    assert datasets.find(datasets.fetch_dlmc())


def test_a_damaged_archive_is_named_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SPKERNELS_CACHE", str(tmp_path))
    path = tmp_path / "dlmc.tar.gz"
    archive(path, **{"a.smtx": b"1, 1, 0\n0 0\n\n" * 999, "b.smtx": b"2, 2, 0\n0 0 0\n\n"})
    whole = path.read_bytes()
    damages = (whole[:-30], whole[:40], b"", b"no archive", whole[:60] + bytes(9) + whole[69:])
    for content in damages:
        path.write_bytes(content)
        (tmp_path / "dlmc.tar.gz.sha256").unlink(missing_ok=True)
        with pytest.raises(ValueError, match="dlmc.tar.gz: expected a whole tar archive, but"):
            datasets.fetch_dlmc()
        assert not [entry for entry in tmp_path.iterdir() if entry.is_dir()]
