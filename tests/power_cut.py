"""A disk on which nothing is safe before it was synced: copies of a folder as a power cut would leave it."""

import os
from pathlib import Path


class Disk:
    """Watches what is synced below a folder.

    The content of a file is what it was when the file was last synced, and zeros beyond; a name is there if its folder
    was synced since it appeared.

    Args:
        root: the folder.
        monkeypatch: of pytest.
    """

    def __init__(self, root, monkeypatch):
        self.root, self._contents, self._names = root, {}, {}
        self.after_sync = lambda: None
        real = os.fsync

        def fsync(descriptor):
            real(descriptor)
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if path.is_relative_to(root) or path == root.parent:
                self._note(path)
                self.after_sync()

        monkeypatch.setattr(os, "fsync", fsync)

    def _note(self, path):
        if path.is_dir():
            self._names[path] = {each.name: each.stat().st_ino for each in path.iterdir()}
        else:
            self._contents[path.stat().st_ino] = path.read_bytes()

    def copy(self, place):
        """Write the folder as it would be found after a power cut."""
        place.mkdir(parents=True)
        self._copy(self.root, place)
        return place

    def _copy(self, folder, place):
        for name, inode in self._names.get(folder, {}).items():
            if folder / name in self._names or (folder / name).is_dir():
                (place / name).mkdir()
                self._copy(folder / name, place / name)
            else:
                (place / name).write_bytes(self._contents.get(inode, b""))
