"""Downloads, against a local server that also breaks off midway."""

import functools
import hashlib
import http.server
import pathlib
import socket
import threading

import pytest

from common.errors import DataError
from gtsrb import archives, dataset, download
from gtsrb.configurations import GREY_32


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; sends half of the files in `halved` and hangs up."""

    halved = frozenset()
    requests: list  # set for each server

    def do_GET(self):
        self.requests.append(self.path)
        if self.path.lstrip("/") not in self.halved:
            return super().do_GET()
        data = pathlib.Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(small_official, monkeypatch):
    """The address of a server of the small archives, and its handler class."""
    for name in download.MD5:
        if download.MD5[name] is not None:
            md5 = hashlib.md5((small_official / name).read_bytes()).hexdigest()
            monkeypatch.setitem(download.MD5, name, md5)
    handler = type("Local", (Handler,), {"requests": []})
    bound = functools.partial(handler, directory=small_official)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", handler
        running.shutdown()
        thread.join()


def test_downloads_once(server, tmp_path):
    url, handler = server
    folder = download.download(tmp_path / "new", url)
    assert sorted(path.name for path in folder.iterdir()) == sorted(download.MD5)
    assert dataset.load_path(folder, GREY_32, None).test is not None
    count = len(handler.requests)
    assert count == 3
    download.download(folder, url)
    assert len(handler.requests) == count


@pytest.mark.parametrize("name", list(download.MD5))
def test_broken_off_download_is_not_kept_and_can_be_repeated(server, tmp_path, name):
    url, handler = server
    handler.halved = {name}
    with pytest.raises(DataError, match=f"Could not fetch .*{name}.*run the command again"):
        download.download(tmp_path, url)
    assert not (tmp_path / name).exists()
    assert not list(tmp_path.glob("*.part"))
    handler.halved = frozenset()
    download.download(tmp_path, url)
    assert (tmp_path / name).exists()


def test_half_a_file_left_by_a_killed_process_is_not_taken_for_whole(server, tmp_path):
    url, _ = server
    name = archives.TRAIN_ARCHIVE
    (tmp_path / f"{name}.part").write_bytes(b"half")
    download.download(tmp_path, url)
    dataset.find_training_set(tmp_path)
    assert len(dataset.load_path(tmp_path, GREY_32, None).train) > 0


def test_wrong_hash(server, tmp_path, monkeypatch):
    url, _ = server
    monkeypatch.setitem(download.MD5, archives.TEST_ARCHIVE, "0" * 32)
    with pytest.raises(DataError, match=f"Could not fetch .*{archives.TEST_ARCHIVE}.*hash"):
        download.download(tmp_path, url)
    assert not (tmp_path / archives.TEST_ARCHIVE).exists()


def test_something_else_than_an_archive(server, tmp_path, small_official, monkeypatch):
    url, handler = server
    monkeypatch.setattr(
        handler,
        "translate_path",
        lambda self, path: __file__ if "Training" in path else str(small_official / path[1:]),
    )
    with pytest.raises(DataError, match=r"is broken: .*no complete zip archive"):
        download.download(tmp_path, url)
    assert not list(tmp_path.iterdir())


def test_missing_on_the_server(server, tmp_path):
    url, _ = server
    with pytest.raises(DataError, match=r"Could not fetch .*404"):
        download.download(tmp_path, url + "elsewhere/")


def test_no_network(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DataError, match=r"Could not fetch .*Check the network.*--data PATH"):
        download.download(tmp_path, f"http://127.0.0.1:{port}/")
